"""The Events API: three APIs in two versions, and two introspections."""

from __future__ import annotations

import asyncio
import contextlib
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployments.sandbox import responses
from deployments.sandbox.broken_responses import BrokenResponse
from deployments.sandbox.control import control_routes
from deployments.sandbox.pages import PageRequest, read_page, write_page
from deployments.sandbox.queries import BadRequestError, read_query
from deployments.sandbox.sample_events import SECOND, write_time
from deployments.sandbox.tokens import MalformedTokenError, TokenGrant
from deployments.sandbox.vocabulary import APIS

if TYPE_CHECKING:
    from deployments.sandbox.request_log import LoggedRequest
    from deployments.sandbox.state import SandboxState

SMALLEST_TO_COMPRESS = 500


@dataclass(frozen=True)
class ApiCall:
    """One request to the Events API. `api` is `introspect` for introspection."""

    request: Request
    raw: bytes
    version: int
    api: str
    shape: str
    entry: LoggedRequest


def build_app(state: SandboxState) -> Starlette:
    gate = EventsApi(state)
    routes = [
        Route("/api/auth/introspect", gate.introspect_v1, methods=["GET"]),
        Route("/api/v2/auth/introspect", gate.introspect_v2, methods=["GET"]),
        Route("/api/v1/{api}", gate.events_v1, methods=["POST"]),
        Route("/api/v2/{api}", gate.events_v2, methods=["POST"]),
        *control_routes(state),
    ]
    return Starlette(routes=routes, exception_handlers={404: _not_found, 405: _not_found})


class EventsApi:
    def __init__(self, state: SandboxState) -> None:
        self._state = state

    async def introspect_v1(self, request: Request) -> Response:
        return await self._answer(request, 1, "introspect")

    async def introspect_v2(self, request: Request) -> Response:
        return await self._answer(request, 2, "introspect")

    async def events_v1(self, request: Request) -> Response:
        return await self._events(request, 1)

    async def events_v2(self, request: Request) -> Response:
        return await self._events(request, 2)

    async def _events(self, request: Request, version: int) -> Response:
        api = request.path_params["api"]
        return await self._answer(request, version, api) if api in APIS else responses.not_found()

    async def _answer(self, request: Request, version: int, api: str) -> Response:
        try:
            raw = await request.body()
        except ClientDisconnect:
            return Response()
        call = self._log(request, raw, version, api)
        response = self._fault(call) or self._refusal(call) or await self._result(call)
        broken = isinstance(response, BrokenResponse)
        self._state.log.complete(call.entry, None if broken else response.status_code)
        return response

    def _log(self, request: Request, raw: bytes, version: int, api: str) -> ApiCall:
        query = _json_object(raw)
        shape = "introspect" if api == "introspect" else _shape(query)
        at = write_time(self._state.clock.now_ns())
        return ApiCall(request, raw, version, api, shape, self._state.log.record(request, at, shape, query))

    def _fault(self, call: ApiCall) -> Response | None:
        fault = self._state.faults.meet("answer", call.api, call.version, call.shape)
        if fault is None:
            return None
        call.entry.fault = fault.kind
        return responses.fault_response(fault, call.version, self._state.stopping)

    def _refusal(self, call: ApiCall) -> Response | None:
        """401 for every problem of the token. For text that is not a JWT even the API is not found (404)."""
        try:
            grant = self._grant(call)
        except MalformedTokenError:
            return responses.not_found()
        if grant is None or (call.api != "introspect" and call.api not in self._scopes(grant)):
            return responses.error(401, call.version)
        if not self._state.rates.allow(grant.account, self._state.clock.now_ns()):
            return responses.error(429, call.version)
        return None

    def _grant(self, call: ApiCall) -> TokenGrant | None:
        kind, _, token = call.request.headers.get("authorization", "").partition(" ")
        return self._state.tokens.check(token.strip()) if kind.lower() == "bearer" else None

    def _scopes(self, grant: TokenGrant) -> list[str]:
        return sorted(set(grant.scopes) - self._state.faults.lost_scopes())

    async def _result(self, call: ApiCall) -> Response:
        return self._introspection(call) if call.api == "introspect" else await self._page(call)

    def _introspection(self, call: ApiCall) -> Response:
        grant = self._grant(call)
        assert grant is not None  # noqa: S101 - else _refusal has responded
        features, issued_at = self._scopes(grant), write_time(grant.issued_at * SECOND)
        if call.version == 1:
            return JSONResponse({"UUID": grant.integration, "IssuedAt": issued_at, "Features": features})
        body = {
            "uuid": grant.integration,
            "issued_at": issued_at,
            "features": features,
            "account_uuid": grant.account,
        }
        return JSONResponse(body)

    async def _page(self, call: ApiCall) -> Response:
        state, now_ns = self._state, self._state.clock.now_ns()
        try:
            place = read_query(call.raw, call.version, call.api, state.options.seed, now_ns)
        except BadRequestError as error:
            return responses.error(400, call.version, str(error))
        fault = state.faults.meet("page", call.api, call.version, call.shape)
        if fault is not None:
            call.entry.fault = fault.kind
            await self._delay(fault.options.get("seconds", 0))
        page = read_page(PageRequest(state.arrivals[call.api], place, now_ns), fault, state.faults.of_items(call.api))
        call.entry.items = len(page.bodies)
        return self._compressed(call.request, write_page(page, state.options.seed))

    async def _delay(self, seconds: float) -> None:
        if seconds:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._state.stopping.wait(), seconds)

    def _compressed(self, request: Request, body: bytes) -> Response:
        wanted = "gzip" in request.headers.get("accept-encoding", "")
        if not (wanted and self._state.options.compresses and len(body) >= SMALLEST_TO_COMPRESS):
            return Response(body, media_type="application/json")
        packed = zlib.compress(body, 1, wbits=31)
        headers = {"content-encoding": "gzip", "vary": "accept-encoding"}
        return Response(packed, media_type="application/json", headers=headers)


def _json_object(raw: bytes) -> dict[str, Any] | None:
    try:
        query = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return query if isinstance(query, dict) else None


def _shape(query: dict[str, Any] | None) -> str:
    if query is None:
        return "unreadable"
    return "first" if query.get("cursor") is None else "cursor"


async def _not_found(_request: Request, _error: Exception) -> Response:
    return responses.not_found()
