"""The sandbox in a process of its own, for tests."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import httpx

from blocks import python_process
from blocks.http import tls

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

STOP_SECONDS = 10.0
Api = Literal["signinattempts", "itemusages", "auditevents"]


@dataclass(frozen=True)
class SandboxProcess:
    """A running sandbox. The token is valid for all three APIs and never expires."""

    base_url: str
    token: str = field(repr=False)
    pid: int
    _http: httpx.Client = field(repr=False)

    def fault(self, kind: str, *, api: str | None = None, times: int | None = None, **options: object) -> int:
        """Add a fault (see faults.py for kinds and options). Returns its id."""
        added = self._call_control("POST", "faults", {"kind": kind, "api": api, "times": times, **options})
        return int(added.json()["id"])

    def faults(self) -> list[dict[str, Any]]:
        return list(self._call_control("GET", "faults").json())

    def clear_faults(self) -> None:
        self._call_control("DELETE", "faults")

    def events(
        self, api: str, version: int | str = 2, *, start_time: str | None = None, end_time: str | None = None
    ) -> list[bytes]:
        """Every event of the API, byte for byte as it is served, in order of arrival."""
        params = {"version": str(version).removeprefix("v"), "framing": "length"}
        window = {"start_time": start_time, "end_time": end_time}
        params |= {name: value for name, value in window.items() if value is not None}
        return _unframe(self._call_control("GET", f"events/{api}", params=params).content)

    def post(self, api: str, query: object, version: int = 2, token: str | None = None) -> httpx.Response:
        """One POST to the Events API, as a client makes it. `query` is bytes, or sent as JSON."""
        content = query if isinstance(query, bytes) else json.dumps(query).encode()
        headers = {"Authorization": f"Bearer {token or self.token}", "Content-Type": "application/json"}
        return self._http.post(f"/api/v{version}/{api}", content=content, headers=headers)

    def introspect(self, version: int = 2, token: str | None = None) -> httpx.Response:
        path = "/api/auth/introspect" if version == 1 else "/api/v2/auth/introspect"
        return self._http.get(path, headers={"Authorization": f"Bearer {token or self.token}"})

    def append(self, api: str, raw: bytes) -> None:
        """Append one event as these bytes."""
        self._call_control("POST", f"events/{api}", raw=raw)

    def arrive(self, api: str, count: int = 1, *, late: float | None = None) -> None:
        """Let `count` sample events arrive now, `late` seconds after they happened."""
        params = {"count": str(count), **({} if late is None else {"late": str(late)})}
        self._call_control("POST", f"events/{api}", params=params)

    def requests(self) -> dict[str, Any]:
        """The received requests: `total`, the `last` requests, and `endpoints` with counts of each.

        Such as {"POST /api/v2/auditevents": {"requests": 3, "first": 1, "cursor": 2, "200": 2, "500": 1}}.
        """
        return dict(self._call_control("GET", "requests").json())

    def clear_requests(self) -> None:
        self._call_control("DELETE", "requests")

    def issue_token(
        self,
        scopes: Sequence[str] | None = None,
        *,
        expires_in: float | None = None,
        account: str | None = None,
        audience: str | None = None,
    ) -> str:
        body = {"expires_in": expires_in, "account": account, "audience": audience}
        if scopes is not None:
            body["scopes"] = list(scopes)  # type: ignore[assignment]
        return str(self._call_control("POST", "tokens", body).json()["token"])

    def revoke(self, token: str) -> None:
        self._call_control("DELETE", "tokens", {"token": token})

    def rates(self, *windows: tuple[int, float]) -> None:
        """Set the rate windows, each (requests, seconds). None removes them."""
        self._call_control("POST", "rates", {"windows": windows})

    def advance(self, seconds: float) -> None:
        """Move the time of the sandbox ahead: events arrive, tokens expire, rate windows pass."""
        self._call_control("POST", "clock", {"advance": seconds})

    def _call_control(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        params: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> httpx.Response:
        content = raw if body is None else json.dumps(body).encode()
        response = self._http.request(method, f"/_sandbox/{path}", content=content, params=params)
        if response.is_error:
            raise ValueError(f"The sandbox rejected the request: {response.text}")
        return response


@contextmanager
def running_sandbox(*flags: str, **options: object) -> Iterator[SandboxProcess]:
    """A sandbox with these options (those of SandboxOptions, such as `events=100, seed=7`), ended on exit.

    `faults` takes a list of faults, `rate_windows` a list of (requests, seconds); `flags` are passed on unchanged.
    Raises RuntimeError if it does not start.
    """
    command = python_process.command("deployments.sandbox", "--stop-with-stdin", *_flags(options), *flags)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            with _connect(process) as sandbox:
                yield sandbox
        finally:
            _end(process)


@contextmanager
def _connect(process: subprocess.Popen[bytes]) -> Iterator[SandboxProcess]:
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("The sandbox did not start; its standard error says why.")
    started = json.loads(line)
    with httpx.Client(base_url=started["base_url"], timeout=60, trust_env=False, verify=tls.trusted()) as http:
        yield SandboxProcess(started["base_url"], started["token"], process.pid, http)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()


def _flags(options: dict[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        if name == "faults":
            yield from (part for fault in value for part in ("--fault", json.dumps(fault)))
        elif name == "rate_windows":
            yield from (part for number, seconds in value for part in ("--rate-window", f"{number}/{seconds}"))
        elif isinstance(value, bool):
            yield f"--{'' if value else 'no-'}{name}"
        elif value is not None:
            yield f"--{name}={value}"


def _unframe(framed: bytes) -> list[bytes]:
    bodies, at = [], 0
    while at < len(framed):
        colon = framed.index(b":", at)
        end = colon + 1 + int(framed[at:colon])
        bodies.append(framed[colon + 1 : end])
        at = end + 1
    return bodies
