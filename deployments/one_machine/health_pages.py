"""`/healthz` and `/metrics` on the port of `up`, in front of all that Prefect serves: monitors need no password.

Both respond while the store or Prefect hangs: only the read of one small file runs on Prefect's event loop. If `up`
listens beyond this machine, `/metrics` requires the API password, and `/healthz` gives no reasons.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response

from deployments import up_health
from deployments.up_health import METRICS_SECONDS, NOT_WATCHED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

    from deployments.up_health import Trouble, UpHealth

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OK, UNAVAILABLE, UNAUTHORIZED = 200, 503, 401
READY = "/api/ready"
"""Prefect's own check, which needs no password: 200 if its database answers."""


class HealthPages:
    """Serves the two paths, and passes every other request on.

    `file` has the health of `up`. Without it (a server alone), `/healthz` is Prefect's own check of its database.
    `auth` is the `user:password` that `/metrics` requires, or None if only this machine is served. `sources` computes
    the metrics of the sources; it runs in a thread.
    """

    def __init__(
        self, app: ASGIApp, file: Path | None, *, auth: str | None, sources: Callable[[], bytes] | None = None
    ) -> None:
        self._app = app
        self._file = file
        self._auth = auth
        self._sources = _SharedComputation(sources or source_metrics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._answer(scope) if scope["type"] == "http" and scope["method"] in {"GET", "HEAD"} else None
        if answer is None and self._file is None and scope["type"] == "http" and scope["path"] == "/healthz":
            scope = {**scope, "path": READY, "raw_path": READY.encode()}
        await (answer or self._app)(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response | None:
        if scope["path"] == "/healthz" and self._file is not None:
            return self._healthz(self._file)
        return await self._metrics(Headers(scope=scope)) if scope["path"] == "/metrics" else None

    def _healthz(self, file: Path) -> Response:
        found = up_health.read(file)
        healthy = found is not None and found.is_fresh and found.healthy
        shown: dict[str, Any] = {"healthy": healthy}
        if self._auth is None:
            shown |= _reasons(found)
        code = OK if healthy else UNAVAILABLE
        return Response(msgspec.json.encode(shown), code, {"Cache-Control": "no-store"}, "application/json")

    async def _metrics(self, headers: Headers) -> Response:
        if self._auth is not None and not _is_allowed(headers.get("authorization", ""), self._auth):
            wanted = {"WWW-Authenticate": 'Basic realm="onepassword-source"'}
            return PlainTextResponse("The API password is needed.", UNAUTHORIZED, wanted)
        try:
            sources = await asyncio.wait_for(asyncio.wrap_future(self._sources.future()), METRICS_SECONDS)
        except Exception:  # noqa: BLE001 - a store that hangs or fails must not hide the metrics of `up`
            sources = None
        if self._file is not None:
            health = up_health.read(self._file)
            own = await asyncio.to_thread(up_metrics, health, store_answers=sources is not None)
            return Response((sources or b"") + own, OK, media_type=TEXT)
        if sources is None:
            return PlainTextResponse("The store does not answer.", UNAVAILABLE)
        return Response(sources, OK, media_type=TEXT)


class _SharedComputation:
    """One computation at a time, in a thread of its own. All requests that arrive meanwhile share its result."""

    def __init__(self, compute: Callable[[], bytes]) -> None:
        self._compute = compute
        self._present: Future[bytes] | None = None

    def future(self) -> Future[bytes]:
        """Call it on the event loop only."""
        if self._present is None or self._present.done():
            self._present = Future()
            threading.Thread(target=self._run, args=(self._present,), daemon=True).start()
        copied: Future[bytes] = Future()  # a request may cancel its own copy
        self._present.add_done_callback(lambda done: _copy(done, copied))
        return copied

    def _run(self, future: Future[bytes]) -> None:
        try:
            future.set_result(self._compute())
        except BaseException as error:  # noqa: BLE001 - raised in the requests that wait
            future.set_exception(error)


def source_metrics() -> bytes:
    """What `status --format prometheus` prints. Raises SourceError."""
    from blocks.store import source_health, source_status  # noqa: PLC0415 - 20 MB, on the first request and in its thread
    from blocks.store.forwarding import forward_status  # noqa: PLC0415 - 20 MB, on the first request and in its thread
    from deployments.one_machine import metrics, store_measures  # noqa: PLC0415

    with source_status.opened_store() as engine:
        sources, forwards = source_health.judged_sources(engine), forward_status.pairs(engine)
        return metrics.render(sources, forwards, store_measures.measure(engine))


def up_metrics(health: UpHealth | None, *, store_answers: bool) -> bytes:
    """The metrics of `up` itself, in Prometheus's text format."""
    from deployments.one_machine import metrics  # noqa: PLC0415 - as above

    return metrics.render_up(health, store_answers=store_answers)


def metrics_auth(origins: list[str], auth_string: str | None) -> str | None:
    """The `user:password` that `/metrics` requires; None if `up` answers only to names of this machine."""
    from urllib.parse import urlsplit  # noqa: PLC0415 - once

    hosts = {urlsplit(origin).hostname for origin in origins}
    return None if hosts <= {"127.0.0.1", "localhost", "::1"} else auth_string or ""


def _reasons(found: UpHealth | None) -> dict[str, Any]:
    if found is None or not found.is_fresh:
        return {"troubles": [{"what": "up", "text": NOT_WATCHED}], "time": found and found.time}
    return {"troubles": _listed(found.troubles), "warnings": _listed(found.warnings), "time": found.time}


def _listed(troubles: Iterable[Trouble]) -> list[dict[str, Any]]:
    return [{"what": one.what, "text": one.text, "since": one.since} for one in troubles]


def _is_allowed(header: str, auth: str) -> bool:
    wanted = "Basic " + base64.b64encode(auth.encode()).decode()
    return bool(auth) and hmac.compare_digest(header.encode(), wanted.encode())


def _copy(done: Future[bytes], copied: Future[bytes]) -> None:
    if not copied.set_running_or_notify_cancel():
        return
    if (error := done.exception()) is not None:
        copied.set_exception(error)
    else:
        copied.set_result(done.result())
