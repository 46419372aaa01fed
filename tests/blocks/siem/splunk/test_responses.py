"""Responses of the HTTP Event Collector are read by their code, and anything else is no acknowledgement."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from blocks.errors import ThirdPartyConfigError
from blocks.http.client import HttpResponse
from blocks.siem.splunk import responses


def response(status: int = 200, content: bytes | None = None, **members: Any) -> HttpResponse:
    body = json.dumps({name.replace("_", "-"): value for name, value in members.items()}).encode()
    return HttpResponse(status, httpx.Headers(), body if content is None else content)


@pytest.mark.parametrize("code", sorted(responses.SUCCESS_CODES))
def test_a_success_of_hec_is_accepted(code: int) -> None:
    assert responses.is_accepted(response(code=code))


def test_an_acknowledgement_id_is_accepted_without_a_code() -> None:
    found = response(ackId=7)
    assert responses.is_accepted(found)
    assert responses.ack_id(found) == 7


@pytest.mark.parametrize("content", [b"", b"<html>", b"{}", b"[1]", b'{"code":"0"}', b"[" * 100_000])
def test_a_success_of_something_else_is_not_accepted(content: bytes) -> None:
    assert not responses.is_accepted(response(content=content))
    assert responses.hec_code(response(content=content)) is None


def test_an_error_is_not_accepted_even_with_a_code_of_success() -> None:
    assert not responses.is_accepted(response(503, code=0))


@pytest.mark.parametrize("code", sorted(responses.EVENT_CODES))
def test_an_invalid_event_is_the_one_that_hec_names(code: int) -> None:
    found = responses.rejected_record(response(400, code=code, invalid_event_number=2), 3)
    assert found is not None
    assert (found.index, found.code, found.answer) == (2, str(code), responses.EVENT_CODES[code])


@pytest.mark.parametrize(
    ("status", "members"),
    [(400, {"code": 6}), (400, {"code": 6, "invalid_event_number": 3}), (500, {"code": 6, "invalid_event_number": 0})],
)
def test_no_event_is_rejected_unless_hec_names_one_of_the_batch(status: int, members: dict[str, int]) -> None:
    assert responses.rejected_record(response(status, **members), 3) is None


@pytest.mark.parametrize("code", sorted(responses.CONFIGURATION_CODES))
def test_a_code_of_the_configuration_needs_you(code: int) -> None:
    error = responses.configuration_error(response(400, code=code))
    assert isinstance(error, ThirdPartyConfigError)
    assert f"code {code}" in str(error)
    assert error.hint


def test_an_acknowledgement_is_that_of_the_id() -> None:
    found = response(acks={"1": True, "2": False})
    assert [responses.is_acknowledged(found, ack) for ack in (1, 2, 3)] == [True, False, False]


def test_the_text_has_the_code_and_is_empty_for_others() -> None:
    assert responses.hec_text(b'{"text":"Invalid token","code":4}') == b"Invalid token, code 4"
    assert responses.hec_text(b"<html>") == b""
