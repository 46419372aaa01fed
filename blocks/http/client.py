"""The HTTP client for 1Password's API, for SIEMs and for all else that is requested over HTTP.

An answer is bounded in bytes, as it comes and unpacked, and the whole exchange has one deadline. Redirects are not
followed. What goes wrong is one error of `blocks.errors`.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, NoReturn, Self

import httpx

from blocks.http import proxies, tls, transport_errors
from blocks.http.bounded_body import BODY_MAX, ERROR_BODY_MAX, BodyTooLargeError, read_beginning, read_body
from blocks.http.deadline import ExchangeLimits, enforce
from blocks.http.loopback import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from blocks.errors import ThirdPartyGenericError

TIMEOUT = httpx.Timeout(connect=10, read=60, write=60, pool=60)
DEADLINE = 120.0  # seconds for one whole exchange, so that a server which drips bytes cannot hold a run
ERROR_BODY_SECONDS = 5.0  # how long such words are waited for
FRAMING_MAX = 1024 * 1024  # bytes of headers, of 100 Continue and of the sizes of chunks
COOKIES_MAX = 50  # load balancers set one or two

# At DEBUG it logs the headers of answers, in which a server may repeat a secret, and the address that it redirects to.
logging.getLogger("httpcore.http11").setLevel(logging.INFO)
# At INFO it logs the address of each request, and that of some SIEMs is a secret.
logging.getLogger("httpx").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer, read to its end. Its body is unpacked."""

    status_code: int
    headers: httpx.Headers
    content: bytes

    @property
    def is_success(self) -> bool:
        return httpx.codes.is_success(self.status_code)

    @property
    def is_redirect(self) -> bool:
        return httpx.codes.is_redirect(self.status_code)


class HttpClient:
    """Requests to one server. Threads may share it. Close it, or use it as a context manager.

    `service` is what a person calls the server, and `setting` what its address is set with: both are for errors.
    `deadline` is in seconds, `body_max` in bytes. `on_response` is called before a body is read; what it raises is
    raised. Without `through_proxy`, no proxy of the environment is used.
    Raises ThirdPartyConfigError where the environment's certificates or proxy cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        service: str,
        setting: str = "its address",
        timeout: httpx.Timeout = TIMEOUT,
        deadline: float = DEADLINE,
        body_max: int = BODY_MAX,
        on_response: Callable[[httpx.Response], None] | None = None,
        through_proxy: bool = True,
    ) -> None:
        self._service, self._setting = service, setting
        self._deadline, self._body_max = deadline, body_max
        self._on_response = on_response
        self._limits = ExchangeLimits()
        self._http = _open(base_url, headers, _within(timeout, deadline), through_proxy=through_proxy)
        enforce(self._limits, self._http)

    def __repr__(self) -> str:
        return f"HttpClient({self._service!r})"

    def __getstate__(self) -> NoReturn:
        raise TypeError("An HttpClient is not pickled: it may hold a secret. Open another one.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        slot: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> HttpResponse:
        """The answer, whatever its status. Raises ThirdPartyGenericError where there is none, or too much of it.

        `path` is joined to the base URL, or is a whole URL; empty, it is the base URL with a slash at its end. The
        request is made within a `slot`, which may wait or raise when it is entered, and is left as soon as the server
        has begun to answer.
        """
        with ExitStack() as exchange:
            with slot():
                response = exchange.enter_context(self.open(method, path, content, headers))
            return HttpResponse(response.status_code, response.headers, self._body(response))

    @contextmanager
    def open(
        self, method: str, path: str, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[httpx.Response]:
        """The status and headers of an answer, before its body. Raises as `request`, also within the block."""
        self._limits.start(self._deadline, 2 * self._body_max + FRAMING_MAX)
        try:
            with self._http.stream(
                method, self._http.base_url.join(path), content=content, headers=headers
            ) as response:
                self._prepare(response)
                yield response
        except httpx.HTTPError as error:
            raise self._error(error) from None
        except BodyTooLargeError:
            raise transport_errors.too_large(self._service, self._body_max) from None

    def _prepare(self, response: httpx.Response) -> None:
        if len(self._http.cookies.jar) > COOKIES_MAX:
            self._http.cookies.clear()
        if self._on_response is not None:
            self._on_response(response)

    def _body(self, response: httpx.Response) -> bytes:
        if transport_errors.is_transient(response.status_code) or httpx.codes.is_redirect(response.status_code):
            self._limits.shorten(ERROR_BODY_SECONDS)
            return read_beginning(response, min(ERROR_BODY_MAX, self._body_max))
        return read_body(response, self._body_max)

    def _error(self, error: httpx.HTTPError) -> ThirdPartyGenericError:
        if self._limits.is_flooded:
            return transport_errors.too_large(self._service, self._body_max)
        if self._limits.is_over:
            return transport_errors.too_slow(self._deadline)
        return transport_errors.transport_error(error, self._http.base_url.host, self._setting)


def _open(base_url: str, headers: Mapping[str, str], timeout: httpx.Timeout, *, through_proxy: bool) -> httpx.Client:
    url = httpx.URL(base_url)
    # A proxy of the environment is for other machines: it must not see requests to this one.
    proxy = proxies.proxy_of(str(url)) if through_proxy and not is_loopback(url.host) else None
    try:
        return httpx.Client(
            base_url=url,
            headers={"User-Agent": user_agent(), "Accept-Encoding": "gzip", **headers},
            timeout=timeout,
            verify=tls.trusted() if url.scheme == "https" else tls.no_authority(),
            proxy=proxy,
            trust_env=False,  # httpx cannot read all that may stand there
            follow_redirects=False,
            event_hooks={"response": [_forget_location]},
        )
    except (OSError, ValueError, ImportError, httpx.InvalidURL):
        raise transport_errors.environment_error() from None


def _within(timeout: httpx.Timeout, deadline: float) -> httpx.Timeout:
    """No wait is longer than the whole: that for a free connection is not within the deadline's reach."""
    return httpx.Timeout(**{name: _least(seconds, deadline) for name, seconds in timeout.as_dict().items()})


def _least(seconds: float | None, deadline: float) -> float:
    return deadline if seconds is None else min(seconds, deadline)


def _forget_location(response: httpx.Response) -> None:
    """Where a redirect leads: httpx builds the request that would follow, and fails on an address that is none."""
    response.headers.pop("location", None)


@cache
def user_agent() -> str:
    return f"onepassword-source/{version('onepassword-source')}"
