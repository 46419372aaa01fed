r"""`/_sandbox/…`: the control API of the sandbox, for tests. No token: the sandbox listens only on loopback.

POST   /_sandbox/faults         add a fault (see faults.py); returns it with its id
GET    /_sandbox/faults         the current faults, and how many requests met each
DELETE /_sandbox/faults[?id=N]  remove all of them, or one
GET    /_sandbox/kinds          every kind of fault: stage, meaning, options
GET    /_sandbox/requests       counts per endpoint, and the last requests
DELETE /_sandbox/requests       clear them
GET    /_sandbox/events/{api}   every event as it is served, one per line; ?version=1|2 &start_time= &end_time=
                                ?framing=length writes `<length>:<bytes>\n`, for bodies that hold line ends
POST   /_sandbox/events/{api}   with a body: append it as one event, byte for byte; without one:
                                ?count=N made-up events arrive now [&late=SECONDS after they happened]
POST   /_sandbox/tokens         issue one: {"scopes", "expires_in", "account", "audience"}, all optional
DELETE /_sandbox/tokens         revoke one: {"token"}
POST   /_sandbox/rates          set the windows: {"windows": [[requests, seconds], …]}, [] for none
POST   /_sandbox/clock          move the sandbox's time on: {"advance": seconds}
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from deployments.sandbox.cursors import FOREVER, CursorState
from deployments.sandbox.event_history import read_all
from deployments.sandbox.faults import KINDS, BadFaultError
from deployments.sandbox.item_faults import alter
from deployments.sandbox.queries import LARGEST_LIMIT, BadRequestError, read_time
from deployments.sandbox.rate_limiter import RequestWindow
from deployments.sandbox.sample_events import SECOND, write_time
from deployments.sandbox.vocabulary import APIS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.requests import Request

    from deployments.sandbox.state import SandboxState

    Handler = Callable[[Request], Awaitable[Response]]


def control_routes(state: SandboxState) -> list[Route]:
    control = ControlApi(state)
    handlers: dict[tuple[str, str], Handler] = {
        ("POST", "faults"): control.add_fault,
        ("GET", "faults"): control.show_faults,
        ("DELETE", "faults"): control.remove_faults,
        ("GET", "kinds"): control.show_kinds,
        ("GET", "requests"): control.show_requests,
        ("DELETE", "requests"): control.forget_requests,
        ("GET", "events/{api}"): control.show_events,
        ("POST", "events/{api}"): control.add_events,
        ("POST", "tokens"): control.issue_token,
        ("DELETE", "tokens"): control.revoke_token,
        ("POST", "rates"): control.set_rates,
        ("POST", "clock"): control.advance,
    }
    return [
        Route(f"/_sandbox/{path}", _with_readable_errors(handler), methods=[method])
        for (method, path), handler in handlers.items()
    ]


def _with_readable_errors(handler: Handler) -> Handler:
    """Respond to an unreadable request with what is wrong with it."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except (ValueError, TypeError, KeyError, BadFaultError, BadRequestError) as error:
            return PlainTextResponse(f"This request cannot be understood: {error}", 400)

    return answer


class ControlApi:
    def __init__(self, state: SandboxState) -> None:
        self._state = state

    async def add_fault(self, request: Request) -> Response:
        return JSONResponse(self._state.faults.inject(await _read_json(request)).as_json(), 201)

    async def show_faults(self, _request: Request) -> Response:
        return JSONResponse([fault.as_json() for fault in self._state.faults.all()])

    async def remove_faults(self, request: Request) -> Response:
        wanted = request.query_params.get("id")
        if wanted is None:
            self._state.faults.clear()
        elif not wanted.isdigit() or not self._state.faults.remove(int(wanted)):
            return PlainTextResponse(f"there is no fault with id {wanted}", 404)
        return Response(status_code=204)

    async def show_kinds(self, _request: Request) -> Response:
        return JSONResponse({name: vars(kind) for name, kind in KINDS.items()})

    async def show_requests(self, _request: Request) -> Response:
        return JSONResponse(self._state.log.as_json())

    async def forget_requests(self, _request: Request) -> Response:
        self._state.log.clear()
        return Response(status_code=204)

    async def show_events(self, request: Request) -> Response:
        api, params = _api(request), request.query_params
        start_ns = read_time(params["start_time"], "start_time") if "start_time" in params else -FOREVER
        end_ns = read_time(params["end_time"], "end_time") if "end_time" in params else FOREVER
        place = CursorState(_version(params.get("version", "2")), api, 0, LARGEST_LIMIT, start_ns, end_ns)
        lengths = params.get("framing") == "length"
        return StreamingResponse(self._lines(place, lengths=lengths), media_type="application/x-ndjson")

    async def _lines(self, place: CursorState, *, lengths: bool) -> AsyncIterator[bytes]:
        faults = self._state.faults.of_items(place.api)
        for found in read_all(self._state.arrivals[place.api], place, self._state.clock.now_ns()):
            bodies = alter(found.bodies, found.numbers, faults)
            yield b"".join(b"%d:%b\n" % (len(body), body) if lengths else body + b"\n" for body in bodies)
            await asyncio.sleep(0)

    async def add_events(self, request: Request) -> Response:
        arrivals, raw, now_ns = self._state.arrivals[_api(request)], await request.body(), self._state.clock.now_ns()
        if raw:
            arrivals.append(raw, _event_ns(raw, now_ns))
            return Response(status_code=201)
        count, late = request.query_params.get("count", "1"), request.query_params.get("late")
        late_ns = None if late is None else int(float(late) * SECOND)
        arrivals.arrive(int(count), now_ns, late_ns)
        return Response(status_code=201)

    async def issue_token(self, request: Request) -> Response:
        wishes = await _read_json(request)
        unknown = wishes.keys() - {"scopes", "expires_in", "account", "audience"}
        if unknown:
            raise BadRequestError(f"a token has no {min(unknown)!r}")
        return JSONResponse({"token": self._state.tokens.issue(**wishes)}, 201)

    async def revoke_token(self, request: Request) -> Response:
        self._state.tokens.revoke((await _read_json(request))["token"])
        return Response(status_code=204)

    async def set_rates(self, request: Request) -> Response:
        windows = (await _read_json(request))["windows"]
        self._state.rates.set(tuple(RequestWindow(int(requests), float(seconds)) for requests, seconds in windows))
        return Response(status_code=204)

    async def advance(self, request: Request) -> Response:
        self._state.clock.advance(float((await _read_json(request))["advance"]))
        return JSONResponse({"now": write_time(self._state.clock.now_ns())})


async def _read_json(request: Request) -> dict[str, Any]:
    raw = await request.body()
    wishes = json.loads(raw) if raw else {}
    if not isinstance(wishes, dict):
        raise BadRequestError("the body must be a JSON object")
    return wishes


def _event_ns(raw: bytes, now_ns: int) -> int:
    """The time of an appended event, or the time of its arrival if it has none."""
    try:
        return read_time(json.loads(raw)["timestamp"], "timestamp")
    except (ValueError, TypeError, KeyError, BadRequestError):
        return now_ns


def _api(request: Request) -> str:
    api = str(request.path_params["api"])
    if api not in APIS:
        raise BadRequestError(f"there is no API {api!r}; there are: {', '.join(APIS)}")
    return api


def _version(text: str) -> int:
    if text not in ("1", "2"):
        raise BadRequestError(f"version must be 1 or 2, not {text!r}")
    return int(text)
