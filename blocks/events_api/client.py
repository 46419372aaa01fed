"""A client of the 1Password Events API. Every outcome is a page, an introspection, or one error of `blocks.errors`."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, NoReturn, Self

import httpx
import msgspec
from whenever import Instant

from blocks.events_api import api_errors
from blocks.events_api.hosts import require_allowed
from blocks.events_api.models import Api, Introspection, Page, read_introspection, read_page
from blocks.events_api.schema_drift import KnownSchema
from blocks.http.client import DEADLINE, HttpClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import TracebackType

PAGE_SIZE = 1000  # the most that the API gives
RESPONSE_MAX = 64 * 1024 * 1024  # bytes, unpacked; a page of a thousand ordinary events has 0.7 MB
TIMEOUT = httpx.Timeout(connect=10, read=60, write=20, pool=10)


class EventsClient:
    """Requests to one Events API server with one token.

    `base_url` is `https://host`; a host that is not 1Password's and not allowed raises ThirdPartyConfigError
    before anything is sent, and so does an invalid token. Redirects are not followed. Close it, or use it as a context
    manager. Threads may share it. Each request is made within a rate-limit `slot`: entering it may wait or raise, and
    it is left as soon as the server begins to answer.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        api_version: str = "v2",
        timeout: httpx.Timeout = TIMEOUT,
        deadline: float = DEADLINE,
        response_max: int = RESPONSE_MAX,
        slot: Callable[[], AbstractContextManager[None]] | None = None,
    ) -> None:
        require_allowed(base_url)
        self.api_version = api_version
        self._base_url = base_url
        self._slot = slot or nullcontext
        self._token = api_errors.require_sendable(token)
        self._known_schema = KnownSchema()
        self._http = HttpClient(
            base_url,
            {"Authorization": f"Bearer {token}", "Accept": "application/json"},
            service="The Events API",
            setting="base_url",
            timeout=timeout,
            deadline=deadline,
            body_max=response_max,
            on_response=_look_at_status,
        )

    def __repr__(self) -> str:
        return f"EventsClient({self._base_url!r}, api_version={self.api_version!r})"

    def __getstate__(self) -> NoReturn:
        raise TypeError("An EventsClient is not pickled: it holds a token. Open another one.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def introspect(self) -> Introspection:
        """What the token may read, and whose it is; by v2, or by v1 if the server has no v2.

        Raises ThirdPartyConfigError if the token is rejected, ThirdPartyGenericError for every other failure.
        """
        status, content = self._send("GET", "/api/v2/auth/introspect")
        if status == httpx.codes.NOT_FOUND:
            status, content = self._send("GET", "/api/auth/introspect")
        if status != httpx.codes.OK:
            raise api_errors.introspection_error(status, api_errors.error_text(content, self._token))
        return read_introspection(content)

    def first_page(self, api: Api, start_ns: int, *, end_ns: int | None = None, limit: int = PAGE_SIZE) -> Page:
        """The first page of the events since `start_ns` (nanoseconds since 1970), and before `end_ns` if given.

        Its cursor continues from there, with the same page size.
        """
        body: dict[str, object] = {"limit": limit, "start_time": _rfc3339(start_ns)}
        if end_ns is not None:
            body["end_time"] = _rfc3339(end_ns)
        return self._page(api, body)

    def next_page(self, api: Api, cursor: str) -> Page:
        """The page behind `cursor`. Raises CursorRejectedError if the server answers 400 to it."""
        return self._page(api, {"cursor": cursor})

    def _page(self, api: Api, body: dict[str, object]) -> Page:
        status, content = self._send("POST", f"/api/{self.api_version}/{api.path}", msgspec.json.encode(body))
        if status != httpx.codes.OK:
            text = api_errors.error_text(content, self._token)
            raise api_errors.page_error(status, text, api, with_cursor="cursor" in body)
        return read_page(content, api, self._known_schema)

    def _send(self, method: str, path: str, content: bytes | None = None) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"} if content is not None else {}
        response = self._http.request(method, path, content, headers, slot=self._slot)
        return response.status_code, response.content


def _look_at_status(response: httpx.Response) -> None:
    """Called before a body is read."""
    api_errors.raise_for_transient(response.status_code, response.headers)


def _rfc3339(time_ns: int) -> str:
    return str(Instant.from_timestamp(time_ns, unit="nanosecond").format_iso())
