"""The page of one source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.chains import Filled
from support.values import SOURCE

from blocks.events_api.models import Api
from blocks.store import sources

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from support.console_client import ConsoleClient


@pytest.fixture
def filled(store: Engine) -> Filled:
    sources.save(store, SOURCE)
    made = Filled(store)
    made.commit(Api.AUDIT, 2, rejected=2)
    return made


def test_unknown_sources_have_no_pages(filled: Filled, operator: ConsoleClient) -> None:
    for path in ("quarantine", "findings", "export.json"):
        operator.page(f"/sources/unknown/{path}", status=404)
    assert operator.post_form("/sources/unknown/quarantine", action="retry", all="on").status_code == 404
