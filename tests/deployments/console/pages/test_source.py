"""The page of one source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.chains import Filled

if TYPE_CHECKING:
    from support.console_client import ConsoleClient


def test_unknown_sources_have_no_pages(filled: Filled, operator: ConsoleClient) -> None:
    for path in ("quarantine", "findings", "export.json"):
        operator.page(f"/sources/unknown/{path}", status=404)
    assert operator.post_form("/sources/unknown/quarantine", action="retry", all="on").status_code == 404
