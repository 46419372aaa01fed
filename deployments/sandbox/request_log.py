"""A log of requests. It holds two headers that show how a client behaves, and never the token."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.requests import Request

KEPT = 1000


@dataclass
class LoggedRequest:
    """One request. `shape` is first, cursor, introspect or unreadable; `query` is its JSON body if it had one.

    `status` is None if the connection was broken or left hanging; `items` counts the events of a page.
    """

    at: str
    endpoint: str
    shape: str
    query: dict[str, Any] | None
    user_agent: str
    accept_encoding: str
    status: int | None = None
    fault: str | None = None
    items: int | None = None


@dataclass
class RequestLog:
    """Counts of all requests, and the last thousand of them."""

    total: int = 0
    endpoints: dict[str, Counter[str]] = field(default_factory=dict)
    last: deque[LoggedRequest] = field(default_factory=lambda: deque(maxlen=KEPT))

    def record(self, request: Request, at: str, shape: str, query: dict[str, Any] | None) -> LoggedRequest:
        entry = LoggedRequest(
            at=at,
            endpoint=f"{request.method} {request.url.path}",
            shape=shape,
            query=query,
            user_agent=request.headers.get("user-agent", ""),
            accept_encoding=request.headers.get("accept-encoding", ""),
        )
        self.total += 1
        self.endpoints.setdefault(entry.endpoint, Counter()).update(["requests", shape])
        self.last.append(entry)
        return entry

    def complete(self, entry: LoggedRequest, status: int | None) -> None:
        entry.status = status
        self.endpoints[entry.endpoint][str(status or entry.fault)] += 1

    def clear(self) -> None:
        self.total = 0
        self.endpoints.clear()
        self.last.clear()

    def as_json(self) -> dict[str, object]:
        counts = {name: dict(counter) for name, counter in self.endpoints.items()}
        return {"total": self.total, "endpoints": counts, "last": [vars(entry) for entry in self.last]}
