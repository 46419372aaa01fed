"""Turns a fault or an outcome into a response."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse

from deployments.sandbox.broken_responses import Reset, Stall, Truncated, pad

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable

    from deployments.sandbox.faults import InjectedFault

JSON = "application/json"
PHRASES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    425: "Too Early",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
OVERFLOW = "upstream connect error or disconnect/reset before headers. reset reason: overflow."
_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "html"), autoescape=True, keep_trailing_newline=True
)


def error(status: int, version: int, message: str | None = None) -> Response:
    """v1 writes errors as its specification does, v2 as the later reference does."""
    text = message or PHRASES.get(status, "Error")
    if version == 1:
        return JSONResponse({"Error": {"Message": text}}, status)
    return JSONResponse({"status": status, "message": text}, status)


def not_found() -> Response:
    return PlainTextResponse("404 page not found\n", 404)


def fault_response(fault: InjectedFault, version: int, stopping: asyncio.Event) -> Response:
    """The response of a fault of stage `answer`."""
    if fault.kind == "stall":
        return Stall(stopping, after_headers=fault.options["after_headers"])
    if fault.kind in _BUILDERS:
        return _BUILDERS[fault.kind](fault.options)
    return _status(fault, version)


def _status(fault: InjectedFault, version: int) -> Response:
    status = fault.options.get("status") or int(fault.kind)
    response = _in_form(status, fault.options["form"], version)
    if fault.options["retry_after"] is not None:
        response.headers["retry-after"] = str(fault.options["retry_after"])
    return response


def _in_form(status: int, form: str, version: int) -> Response:
    phrase = PHRASES.get(status, "Error")
    match form:
        case "html":
            return HTMLResponse(_PAGES.get_template("error.html").render(status=status, phrase=phrase), status)
        case "text":
            texts = {404: "404 page not found\n", 503: OVERFLOW}
            return PlainTextResponse(texts.get(status, phrase), status)
        case "empty":
            return Response(status_code=status)
        case "v1" | "v2":
            return error(status, int(form[1]))
        case _:
            return error(status, version)


def _oversized(options: dict[str, Any]) -> Response:
    """One item with a huge member."""
    size = int(options["bytes"])
    inner = pad(_BIG_HEAD, max(0, size - len(_BIG_HEAD) - len(_BIG_TAIL)), _BIG_TAIL)
    if options["gzip"]:
        headers = {"content-encoding": "gzip"}
        return StreamingResponse(_compressed(inner), media_type=JSON, headers=headers)
    headers = {} if options["chunked"] else {"content-length": str(max(size, len(_BIG_HEAD) + len(_BIG_TAIL)))}
    return StreamingResponse(inner, media_type=JSON, headers=headers)


async def _compressed(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(wbits=31)
    async for chunk in chunks:
        yield packer.compress(chunk)
    yield packer.flush()


_BIG_HEAD = b'{"cursor":"b3ZlcnNpemVk","has_more":false,"items":[{"uuid":"OVERSIZED2OVERSIZED2OVERSI","x_blob":"'
_BIG_TAIL = b'"}]}'
_HALF_A_PAGE = b'{"cursor":"dHJ1bmNhdGVk","has_more":true,"items":[' + b",".join(
    [b'{"uuid":"TRUNCATED2TRUNCATED2TRUNC2"}'] * 20
)

_BUILDERS: dict[str, Callable[[dict[str, Any]], Response]] = {
    "reset": lambda options: Reset(_HALF_A_PAGE, options["sent"]),
    "truncated": lambda options: Truncated(_HALF_A_PAGE, options["sent"]),
    "bad_json": lambda _: Response(b'{"cursor":"abc","has_more":true,"items":[{"uuid":', media_type=JSON),
    "html": lambda _: HTMLResponse(_PAGES.get_template("captive_portal.html").render()),
    "redirect": lambda options: Response(status_code=options["status"], headers={"location": options["location"]}),
    "oversized": _oversized,
    "body": lambda options: Response(options["body"], options["status"], media_type=options["content_type"]),
}
