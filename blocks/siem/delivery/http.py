"""HTTP requests to a SIEM, with each outcome mapped to one error, and gzip for their bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import httpx
from isal import isal_zlib

from blocks.errors import SourceError, ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api import api_errors
from blocks.http import transport_errors
from blocks.http.bounded_body import BODY_MAX
from blocks.http.client import DEADLINE, TIMEOUT, HttpClient, HttpResponse
from blocks.siem.delivery.protocol import RequestRejectedError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

GZIP_LEVEL = 1
_GZIP_WBITS = 16 + isal_zlib.MAX_WBITS
_INVALID = frozenset({400, 422})


class SiemHttpClient:
    """An HTTP client of one SIEM. Threads may share it. Close it after use.

    `siem` is the name in error messages, such as "Splunk". `secrets` appear in no error and not in the repr.
    `answer_max` bounds an unpacked response in bytes, `deadline` one exchange in seconds. Redirects are not followed.
    """

    def __init__(
        self,
        siem: str,
        base_url: str,
        headers: Mapping[str, str],
        *,
        secrets: tuple[str, ...] = (),
        compress: bool = True,
        answer_max: int = BODY_MAX,
        timeout: httpx.Timeout = TIMEOUT,
        deadline: float = DEADLINE,
    ) -> None:
        self.siem = siem
        self._secrets = tuple(secret for secret in secrets if secret)
        self._compress = compress
        self._http = HttpClient(
            base_url, headers, service=siem, timeout=timeout, deadline=deadline, body_max=answer_max
        )

    def __repr__(self) -> str:
        return f"SiemHttpClient({self.siem!r})"

    def __getstate__(self) -> NoReturn:
        raise TypeError("A SiemHttpClient is not pickled: it holds a secret. Open another one.")

    def close(self) -> None:
        self._http.close()

    def post(
        self, path: str, content: bytes, headers: Mapping[str, str] | None = None, *, with_events: bool = True
    ) -> HttpResponse:
        """Post events and return a 2xx response. Raises as `Sender.send`.

        `path` is joined to the base URL, or is a whole URL. An empty path requests the base URL with a slash at its
        end. If the content holds no events, such as that of a check, set `with_events` to False: then this raises as
        `checked_request`.
        """
        sent = dict(headers or {})
        if self._compress:
            content, sent["Content-Encoding"] = gzip_bytes(content), "gzip"
        response = self.request("POST", path, content, sent)
        if response.is_success:
            return response
        raise self.batch_error(response) if with_events else self.response_error(response)

    def checked_request(
        self, method: str, path: str, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> HttpResponse:
        """Send a request without events, uncompressed, and return a 2xx response.

        Raises ThirdPartyConfigError and ThirdPartyGenericError only: there is no event to look for in the request.
        """
        response = self.request(method, path, content, headers)
        if response.is_success:
            return response
        raise self.response_error(response)

    def request(
        self, method: str, path: str, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> HttpResponse:
        """Return the response, whatever its status. Raises ThirdPartyGenericError if there is none."""
        return self._http.request(method, path, content, headers)

    def batch_error(self, response: HttpResponse) -> SourceError:
        """Return the error of a response to events: the batch may be too large, or one event may be invalid."""
        error, status = self.response_error(response), response.status_code
        if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
            text = self.response_text(response.content)
            return TooLargeError(f"{self.siem} does not accept a request of this size (413{text}).", code="413")
        if status in _INVALID:
            return RequestRejectedError(error.message, hint=error.hint, code=error.code)
        return error

    def response_error(self, response: HttpResponse) -> SourceError:
        """Return the error of a response that is not 2xx."""
        status, text = response.status_code, self.response_text(response.content)
        if transport_errors.is_transient(status):
            return ThirdPartyGenericError(
                f"{self.siem} answered {status}{text}.",
                hint="Nothing is lost: what was not accepted is sent again.",
                code=str(status),
                retry_after=transport_errors.retry_after(response.headers),
            )
        if status in api_errors.REJECTED:
            return ThirdPartyConfigError(
                f"{self.siem} denies access ({status}{text}).",
                hint="Nothing is lost: events wait in the store. Check the SIEM's address and its token or key, and "
                "store them with `onepassword-source apply FILE`.",
                code=str(status),
            )
        if response.is_redirect:
            return ThirdPartyConfigError(
                f"{self.siem} answered {status}, a redirect. It was not followed, so no secret was sent elsewhere.",
                hint="If the redirect leads to the right address, configure it with `onepassword-source apply FILE`.",
                code=str(status),
            )
        return ThirdPartyConfigError(
            f"{self.siem} rejects the request as invalid ({status}{text}).",
            hint="Check the configuration of this SIEM, such as its format, its index or its stream.",
            code=str(status),
        )

    def response_text(self, content: bytes) -> str:
        """Return what a response says, as a few words after a colon, without the secrets."""
        for secret in self._secrets:
            content = content.replace(secret.encode(), b"***")
        return api_errors.error_text(content, self._secrets[0] if self._secrets else "\0")


def is_html(response: HttpResponse) -> bool:
    """Return whether a response is a web page, such as a proxy's or a sign-in. Then the SIEM accepted nothing."""
    declared: str = response.headers.get("content-type", "")
    return declared.lower().startswith("text/html") or response.content.lstrip().startswith(b"<")


def unexpected_response(siem: str) -> ThirdPartyGenericError:
    """Return the error of a 2xx response that this SIEM does not give."""
    return ThirdPartyGenericError(
        f"The response does not come from {siem}: it is not one that {siem} gives.",
        hint="Nothing counts as sent. Check the SIEM's address, and look for a proxy or a sign-in page in between.",
        code="invalid-body",
    )


def gzip_bytes(content: bytes) -> bytes:
    """Return the content as gzip. The same content gives the same bytes: there is no time in the header.

    ISA-L compresses raw, ECS and OCSF in a sixth to a quarter of the time of zlib's fastest level, to the same size.
    """
    compressor = isal_zlib.compressobj(GZIP_LEVEL, wbits=_GZIP_WBITS)
    return compressor.compress(content) + compressor.flush()


def gzip_parts(parts: Iterable[bytes]) -> bytes:
    """Return the parts as one gzip stream. The whole content is never in memory, only its compressed form."""
    compressor = isal_zlib.compressobj(GZIP_LEVEL, wbits=_GZIP_WBITS)
    compressed = [compressor.compress(part) for part in parts]
    return b"".join([*compressed, compressor.flush()])
