"""Pages of one API: the next is requested early, the guards stop a server that repeats itself, errors are confirmed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.answering_client import AnsweringClient

from blocks.errors import SourceError, ThirdPartyConfigError, ThirdPartyGenericError, TokenError, UnconfirmedError
from blocks.events_api.models import Api, Event, InvalidItem, Page
from tasks.support import paging, stopping
from tasks.support.paging import EMPTY_PAGES_MAX, STOPPED, Paging
from tasks.support.rate_gate import StoppedWaitingError

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENT = Event("U1", 1, "{}")


@pytest.fixture(autouse=True)
def no_stop() -> Iterator[None]:
    stopping.requested.clear()
    yield
    stopping.requested.clear()


def page(cursor: str, *, more: bool = True, events: int = 1, invalid: int = 0) -> Page:
    return Page(cursor, more, [EVENT] * events, [InvalidItem("no uuid", b"{}")] * invalid)


def read(server: Any, cursor: str | None = None) -> list[tuple[str, str | None]]:
    pages = Paging(server, Api.AUDIT, "v2").pages(cursor, server.first_page)
    return [(prepared.page.cursor, after) for prepared, after in pages]


def test_without_a_cursor_the_first_request_is_made_and_then_cursors_only() -> None:
    server = AnsweringClient(page("c1"), page("c2"), page("c3", more=False))
    assert read(server) == [("c1", None), ("c2", "c1"), ("c3", "c2")]
    assert server.cursors == ["c1", "c2"]


def test_with_a_cursor_no_first_request_is_made() -> None:
    server = AnsweringClient(page("c6", more=False))
    assert read(server, "c5") == [("c6", "c5")]
    assert server.cursors == ["c5"]


def test_the_next_page_is_requested_before_the_current_one_is_committed() -> None:
    server: Any = AnsweringClient(page("c1"), page("c2", more=False))
    pages = Paging(server, Api.AUDIT, "v2").pages(None, server.first_page)
    next(pages)
    next(pages)
    assert server.cursors == ["c1"]
    assert not server.answers


def test_no_page_is_requested_behind_a_cursor_that_does_not_move() -> None:
    server = AnsweringClient(page("c1"), page("c1"), page("c2"))
    assert read(server) == [("c1", None), ("c1", "c1")]
    assert len(server.answers) == 1


def test_no_page_is_requested_once_a_stop_is_requested() -> None:
    stopping.requested.set()
    server = AnsweringClient(page("c1"), page("c2"))
    assert read(server) == [("c1", None)]
    assert len(server.answers) == 1


def test_a_stop_while_a_request_waits_for_its_slot_ends_the_pages_without_an_error() -> None:
    server: Any = AnsweringClient(page("c1"), StoppedWaitingError())
    reader = Paging(server, Api.AUDIT, "v2")
    assert [after for _, after in reader.pages(None, server.first_page)] == [None]
    assert reader.interrupted


def test_the_reasons_to_stop() -> None:
    server: Any = AnsweringClient()
    reader = Paging(server, Api.AUDIT, "v2")
    assert reader.reason_to_stop(page("c1", more=False), "c1") == ""
    assert reader.reason_to_stop(page("c2"), "c1") == ""
    assert "the cursor does not move" in reader.reason_to_stop(page("c2"), "c2")
    stopping.requested.set()
    assert reader.reason_to_stop(page("c3"), "c2") == STOPPED
    assert reader.reason_to_stop(page("c4", more=False), "c3") == "", "the last page is read whatever was requested"


@pytest.mark.parametrize("filled", [page("f"), page("f", events=0, invalid=1)])
def test_empty_pages_in_a_row_stop_the_reading_and_any_item_starts_their_count_again(filled: Page) -> None:
    server: Any = AnsweringClient()
    reader = Paging(server, Api.AUDIT, "v2")
    for number in range(EMPTY_PAGES_MAX - 1):
        assert reader.reason_to_stop(page(f"a{number}", events=0), "") == ""
    assert reader.reason_to_stop(filled, "") == ""
    for number in range(EMPTY_PAGES_MAX - 1):
        assert reader.reason_to_stop(page(f"b{number}", events=0), "") == ""
    assert f"{EMPTY_PAGES_MAX} empty pages" in reader.reason_to_stop(page("b", events=0), "")


UNCONFIRMED = UnconfirmedError("The Events API answered 401 for audit.", code="401")


@pytest.mark.parametrize(
    ("scopes", "kind", "code"),
    [
        (TokenError("The Events API refuses the token.", code="401"), TokenError, "401"),
        (frozenset({"signinattempts"}), ThirdPartyConfigError, "scope"),
        (frozenset({"auditevents"}), UnconfirmedError, "401"),
        (ThirdPartyGenericError("It did not answer.", code="timeout"), UnconfirmedError, "401"),
    ],
    ids=["the token is rejected", "the scope is missing", "the token is valid", "introspection fails"],
)
def test_a_401_is_final_only_if_introspection_confirms_it(
    scopes: frozenset[str] | SourceError, kind: type[SourceError], code: str
) -> None:
    with pytest.raises(SourceError) as raised:
        read(AnsweringClient(UNCONFIRMED, scopes=scopes))
    assert type(raised.value) is kind
    assert raised.value.code == code


def test_every_other_error_leaves_as_it_is() -> None:
    failed = ThirdPartyGenericError("It did not answer.", code="timeout")
    with pytest.raises(ThirdPartyGenericError) as raised:
        read(AnsweringClient(page("c1"), failed))
    assert raised.value is failed


def test_pages_are_prepared_for_the_version_of_the_api() -> None:
    server: Any = AnsweringClient(page("c1", more=False))
    ((prepared, _),) = paging.Paging(server, Api.AUDIT, "v1").pages(None, server.first_page)
    assert prepared.api_version == "v1"
