"""The guard in front of Prefect's server: it answers only requests to our own names and from our own pages.

A password alone does not keep a web page out. A browser reaches loopback, and DNS rebinding lets any page reach it by a
name of its own. So the guard checks Host, Origin and Sec-Fetch-Site of all that Prefect serves, WebSockets included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse

from deployments.one_machine.browser_isolation import BrowserIsolation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Receive, Scope, Send

FORBIDDEN = 403


class OriginGuard:
    """Refuses requests of a web page of another origin, even with the right password."""

    def __init__(self, app: ASGIApp, origins: Iterable[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"} and self._is_foreign(Headers(scope=scope)):
            refusal = PlainTextResponse("Refused: this page is not the Prefect UI of this server.", FORBIDDEN)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_foreign(self, headers: Headers) -> bool:
        if not self._origins.issuperset(headers.getlist("origin")):
            return True
        # A browser omits Origin if the page may not read the response, but it sends these. A followed link is fine.
        if headers.get("sec-fetch-site", "none") in {"same-origin", "none"}:
            return False
        return (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) != ("navigate", "document")


def guard_app(app: ASGIApp, origins: Iterable[str]) -> ASGIApp:
    """The application behind the guard. It serves the hosts of `origins`, to pages of these origins or to no page."""
    allowed = frozenset(origins)
    hosts = sorted({_host(origin) for origin in allowed})
    return BrowserIsolation(TrustedHostMiddleware(OriginGuard(app, allowed), hosts, www_redirect=False))


def _host(origin: str) -> str:
    parts = urlsplit(origin)
    return parts.netloc.removesuffix(f":{parts.port}")  # an IPv6 address keeps its brackets, as in the header
