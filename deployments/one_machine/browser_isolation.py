"""Keeps a browser that shows Prefect's UI on this server: it loads nothing from other servers, and no page embeds it.

Prefect's block and worker types name logos on other servers. The browser receives the types without these, and the UI
draws a logo of its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = {
    "default-src": "'none'",
    "script-src": "'self' 'unsafe-eval'",  # PixiJS needs it to draw the graph of a run
    "style-src": "'self' 'unsafe-inline'",  # Vue and CodeMirror write styles into the page
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self'",
    "worker-src": "'self' blob: data:",  # the graph of a run is laid out in a worker made from a string
    "manifest-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
}
LOGO_PATHS = ("/api/block_types", "/api/block_documents", "/api/block_schemas", "/api/collections/views")
OWN_SLUG = "1password"
"""The slugs of our own block types begin with this."""
_SVG = (Path(__file__).parent / "ui" / "logo.svg").read_text(encoding="utf-8").strip()
LOGO = "data:image/svg+xml," + quote(_SVG, safe=" '=/:")


class BrowserIsolation:
    """Adds the headers to each response, and removes foreign logos from what a browser requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Response(send)
        if _is_of_browser(scope) and scope["path"].startswith(LOGO_PATHS):
            answer = _WithoutForeignLogos(send)
            scope = _uncompressed(scope)
        await self._app(scope, receive, answer.send)


class _Response:
    def __init__(self, send: Send) -> None:
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message["headers"])
            for name, value in HEADERS.items():
                headers.setdefault(name, value)  # the console's own policy is stricter
        await self._send(message)


class _WithoutForeignLogos(_Response):
    """Buffers the response until it is complete."""

    def __init__(self, send: Send) -> None:
        super().__init__(send)
        self._start: Message = {}
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        body = without_foreign_logos(self._body)
        MutableHeaders(raw=self._start["headers"])["Content-Length"] = str(len(body))
        await super().send(self._start)
        await super().send({"type": "http.response.body", "body": body})


def without_foreign_logos(body: bytes) -> bytes:
    """The same JSON, without a `logo_url` on another server. A body that is not JSON stays as it is."""
    try:
        document = json.loads(body)
    except ValueError:
        return body
    _replace_logos(document)
    return json.dumps(document, separators=(",", ":")).encode()


def _replace_logos(value: Any) -> None:
    if isinstance(value, list):
        for one in value:
            _replace_logos(one)
    elif isinstance(value, dict):
        if "logo_url" in value and not str(value["logo_url"]).startswith("data:"):
            value["logo_url"] = LOGO if str(value.get("slug", "")).startswith(OWN_SLUG) else None
        for one in value.values():
            _replace_logos(one)


def _is_of_browser(scope: Scope) -> bool:
    return "sec-fetch-mode" in Headers(scope=scope)


def _uncompressed(scope: Scope) -> Scope:
    return {**scope, "headers": [one for one in scope["headers"] if one[0] != b"accept-encoding"]}
