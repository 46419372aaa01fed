"""What is set to make idle sources cheap is known to this Prefect; `test_up.py` shows what the scheduler does of it."""

from __future__ import annotations

import pytest

from deployments import prefect_settings


@pytest.mark.parametrize("name", [*prefect_settings.SERVER, *prefect_settings.RUNS])
def test_prefect_knows_the_setting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings.models.root import Settings

    monkeypatch.setenv(name, {**prefect_settings.SERVER, **prefect_settings.RUNS}[name])
    assert name in Settings().to_environment_variables(exclude_unset=True)
