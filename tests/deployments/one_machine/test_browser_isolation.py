"""What the guard does to answers so that a browser stays on this server."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route

from deployments.one_machine.browser_isolation import HEADERS, LOGO, BrowserIsolation, without_foreign_logos

if TYPE_CHECKING:
    from collections.abc import Iterator

TYPES = [
    {"slug": "1password-source", "logo_url": None},
    {"slug": "slack-webhook", "logo_url": "https://elsewhere.example/slack.png"},
    {"slug": "own", "logo_url": "data:image/png;base64,AA=="},
]
BROWSER = {"Sec-Fetch-Mode": "cors", "Accept-Encoding": "gzip"}


def _in_chunks(*_: object) -> StreamingResponse:
    def chunks() -> Iterator[bytes]:
        body = json.dumps({"block_type": TYPES[1], "more": [{"deep": TYPES}]}).encode()
        yield from (body[at : at + 7] for at in range(0, len(body), 7))

    return StreamingResponse(chunks(), media_type="application/json")


def answer(path: str, **headers: str) -> httpx.Response:
    routes = [
        Route("/api/block_types/filter", lambda _: JSONResponse(TYPES * 50)),
        Route("/api/block_documents/filter", _in_chunks),
        Route("/api/block_types/broken", lambda _: PlainTextResponse("not JSON", 500)),
        Route("/api/flows", lambda _: JSONResponse(TYPES)),
    ]
    app = BrowserIsolation(Starlette(routes=routes, middleware=[Middleware(GZipMiddleware)]))

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://it") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


def _logos(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [logo for one in value for logo in _logos(one)]
    if not isinstance(value, dict):
        return []
    return [value[name] for name in ("logo_url",) if name in value] + [
        logo for one in value.values() for logo in _logos(one)
    ]


@pytest.mark.parametrize("path", ["/api/block_types/filter", "/api/block_documents/filter"])
def test_a_browser_gets_no_picture_of_another_server(path: str) -> None:
    found = answer(path, **BROWSER)
    assert set(_logos(found.json())) <= {LOGO, None, "data:image/png;base64,AA=="}
    assert b"elsewhere" not in found.content
    assert int(found.headers["content-length"]) == len(found.content)


def test_a_run_gets_what_prefect_says() -> None:
    assert answer("/api/block_types/filter").json() == TYPES * 50
    assert answer("/api/flows", **BROWSER).json() == TYPES


def test_what_is_no_json_passes() -> None:
    found = answer("/api/block_types/broken", **BROWSER)
    assert (found.status_code, found.text) == (500, "not JSON")
    assert without_foreign_logos(gzip.compress(b"{}")) == gzip.compress(b"{}")


@pytest.mark.parametrize("path", ["/api/flows", "/api/block_types/filter", "/api/block_types/broken", "/none"])
@pytest.mark.parametrize("headers", [{}, BROWSER])
def test_each_answer_bears_the_headers(path: str, headers: dict[str, str]) -> None:
    found = answer(path, **headers).headers
    assert {name: found.get_list(name) for name in HEADERS} == {name: [value] for name, value in HEADERS.items()}


def test_the_policy_names_no_other_server() -> None:
    sources = {one for rule in HEADERS["Content-Security-Policy"].split("; ") for one in rule.split(" ")[1:]}
    assert sources == {"'none'", "'self'", "'unsafe-inline'", "'unsafe-eval'", "data:", "blob:"}
    assert "script-src 'self' 'unsafe-eval';" in HEADERS["Content-Security-Policy"]  # no script in the page itself
