"""What is set to make idle sources cheap is known to this Prefect; `test_up.py` shows what the scheduler does of it."""

from __future__ import annotations

import pytest

from deployments.prefect_api import server_settings


@pytest.mark.parametrize("name", [*server_settings.SERVER, *server_settings.RUNS])
def test_prefect_knows_the_setting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings.models.root import Settings

    monkeypatch.setenv(name, {**server_settings.SERVER, **server_settings.RUNS}[name])
    assert name in Settings().to_environment_variables(exclude_unset=True)
