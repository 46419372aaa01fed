"""The response of each fault: status, headers and bytes, in each form."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest
from starlette.responses import Response, StreamingResponse

from deployments.sandbox import responses
from deployments.sandbox.broken_responses import CHUNK, Reset, Stall, Truncated
from deployments.sandbox.faults import FaultInjector


def response(kind: str, version: int = 2, **options: Any) -> Response:
    return responses.fault_response(FaultInjector().inject({"kind": kind, **options}), version, asyncio.Event())


def seen(found: Response) -> tuple[int, str, str | None]:
    """Status, body and type."""
    return found.status_code, bytes(found.body).decode(), found.headers.get("content-type")


def chunks(found: Response) -> list[bytes]:
    assert isinstance(found, StreamingResponse)

    async def read() -> list[bytes]:
        return [bytes(chunk) async for chunk in found.body_iterator]  # type: ignore[arg-type]

    return asyncio.run(read())


TEXT, HTML, JSON = "text/plain; charset=utf-8", "text/html; charset=utf-8", "application/json"


@pytest.mark.parametrize(
    ("version", "body"),
    [(1, '{"Error":{"Message":"Forbidden"}}'), (2, '{"status":403,"message":"Forbidden"}')],
)
def test_an_error_has_the_form_of_its_version(version: int, body: str) -> None:
    assert seen(responses.error(403, version)) == (403, body, JSON)


def test_an_error_has_its_own_message_or_that_of_its_status() -> None:
    assert bytes(responses.error(400, 2, "limit is wrong").body) == b'{"status":400,"message":"limit is wrong"}'
    assert bytes(responses.error(418, 2).body) == b'{"status":418,"message":"Error"}'


def test_what_is_not_there_is_plain_text() -> None:
    assert seen(responses.not_found()) == (404, "404 page not found\n", TEXT)


@pytest.mark.parametrize(
    ("kind", "version", "expected"),
    [
        ("400", 2, (400, '{"status":400,"message":"Bad Request"}', JSON)),
        ("400", 1, (400, '{"Error":{"Message":"Bad Request"}}', JSON)),
        ("revoked", 2, (401, '{"status":401,"message":"Unauthorized"}', JSON)),
        ("rejected_first", 2, (400, '{"status":400,"message":"Bad Request"}', JSON)),
        ("404", 2, (404, "404 page not found\n", TEXT)),
        ("425", 2, (425, "Too Early", TEXT)),
        ("503", 2, (503, "upstream connect error or disconnect/reset before headers. reset reason: overflow.", TEXT)),
        ("502", 2, (502, "<html><title>502</title><h1>502 Bad Gateway</h1></html>\n", HTML)),
    ],
)
def test_a_status_has_its_usual_form(kind: str, version: int, expected: tuple[int, str, str]) -> None:
    assert seen(response(kind, version)) == expected


@pytest.mark.parametrize(
    ("form", "body", "media_type"),
    [
        ("v1", '{"Error":{"Message":"Internal Server Error"}}', JSON),
        ("v2", '{"status":500,"message":"Internal Server Error"}', JSON),
        ("json", '{"Error":{"Message":"Internal Server Error"}}', JSON),
        ("text", "Internal Server Error", TEXT),
        ("html", "<html><title>500</title><h1>500 Internal Server Error</h1></html>\n", HTML),
        ("empty", "", None),
    ],
)
def test_a_status_in_each_form(form: str, body: str, media_type: str | None) -> None:
    assert seen(response("500", 1, form=form)) == (500, body, media_type)


@pytest.mark.parametrize("wait", [0, 2, "Wed, 04 Mar 2026 05:06:07 GMT"])
def test_a_status_has_retry_after_if_requested(wait: object) -> None:
    assert response("429", retry_after=wait).headers["retry-after"] == str(wait)
    assert "retry-after" not in response("429").headers


def test_some_faults_are_below_http() -> None:
    assert isinstance(response("reset"), Reset)
    assert isinstance(response("truncated"), Truncated)
    assert isinstance(response("stall"), Stall)


def test_bad_json_says_that_it_is_json() -> None:
    found = response("bad_json")
    assert (found.status_code, found.media_type) == (200, JSON)
    with pytest.raises(json.JSONDecodeError):
        json.loads(bytes(found.body))


def test_a_captive_portal_answers_with_a_page() -> None:
    status, text, media_type = seen(response("html"))
    assert (status, media_type) == (200, HTML)
    assert text.lstrip().lower().startswith("<!doctype html>")


def test_a_redirect_leads_elsewhere() -> None:
    found = response("redirect")
    assert (found.status_code, found.headers["location"]) == (302, "https://events.example.invalid/")
    found = response("redirect", status=308, location="/other")
    assert (found.status_code, found.headers["location"]) == (308, "/other")


def test_any_body_can_be_requested() -> None:
    assert seen(response("body", body="[]", status=203, content_type="text/x")) == (203, "[]", "text/x; charset=utf-8")


SMALLEST = len(
    b'{"cursor":"b3ZlcnNpemVk","has_more":false,"items":[{"uuid":"OVERSIZED2OVERSIZED2OVERSI","x_blob":""}]}'
)


@pytest.mark.parametrize("size", [SMALLEST, SMALLEST + 1, SMALLEST + CHUNK, SMALLEST + CHUNK + 1, 300_000])
def test_an_oversized_page_has_exactly_its_size(size: int) -> None:
    found = response("oversized", bytes=size)
    body = b"".join(chunks(found))
    assert (len(body), found.headers["content-length"], found.media_type) == (size, str(size), JSON)
    page = json.loads(body)
    assert (page["cursor"], page["has_more"], len(page["items"])) == ("b3ZlcnNpemVk", False, 1)
    assert page["items"][0]["x_blob"] == "a" * (size - SMALLEST)


@pytest.mark.parametrize("size", [0, SMALLEST - 1])
def test_a_page_is_no_smaller_than_its_members(size: int) -> None:
    found = response("oversized", bytes=size)
    assert len(b"".join(chunks(found))) == int(found.headers["content-length"]) == SMALLEST


def test_an_oversized_page_may_have_no_length() -> None:
    found = response("oversized", bytes=1000, chunked=True)
    assert "content-length" not in found.headers
    assert "content-encoding" not in found.headers
    assert len(b"".join(chunks(found))) == 1000


def test_an_oversized_page_may_be_small_until_it_is_unpacked() -> None:
    found = response("oversized", bytes=300_000, gzip=True)
    assert found.headers["content-encoding"] == "gzip"
    assert "content-length" not in found.headers
    packed = b"".join(chunks(found))
    assert len(packed) < 2000
    assert len(json.loads(gzip.decompress(packed))["items"][0]["x_blob"]) == 300_000 - SMALLEST
