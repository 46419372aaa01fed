"""Posting to a SIEM over HTTP, with every outcome mapped to one error."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import httpx

from blocks.errors import SourceError, ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api import api_errors
from blocks.http import transport_errors
from blocks.http.client import BODY_MAX, DEADLINE, TIMEOUT, HttpClient, HttpResponse
from blocks.siem.delivery.packing import gzip_bytes
from blocks.siem.delivery.protocol import RequestRejectedError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNUSABLE = frozenset({400, 422})


class SiemHttpClient:
    """Posts to one SIEM. `secrets` are never shown: not in an error, not by repr. Redirects are not followed.

    `siem` is the name that a person reads in errors, such as "Splunk"; `answer_max` is how many bytes an answer may
    have, unpacked; `deadline` is in seconds, for each exchange. Threads may share it. Close it after use.
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
        """The answer, where it is one of success (2xx). Raises as `Sender.send`.

        `path` is joined to the base URL, or is a whole URL; empty, the base URL is asked, with a slash at its end.
        `of_events`: without events in it, such as for a check, it raises as `ask`.
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
        """The same for any method, without compression and for what holds no events.

        Raises ThirdPartyConfigError and ThirdPartyGenericError alone: no event is to be looked for in it.
        """
        response = self.request(method, path, content, headers)
        if response.is_success:
            return response
        raise self.response_error(response)

    def request(
        self, method: str, path: str, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> HttpResponse:
        """The answer, whatever its status. Raises ThirdPartyGenericError where there is none."""
        return self._http.request(method, path, content, headers)

    def batch_error(self, response: HttpResponse) -> SourceError:
        """The error behind an answer to events that is none of success: they may be too many, or one may spoil all."""
        error, status = self.response_error(response), response.status_code
        if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
            said = self.response_text(response.content)
            return TooLargeError(f"{self.siem} does not take so large a request (413{said}).", code="413")
        if status in _UNUSABLE:
            return RequestRejectedError(error.message, hint=error.hint, code=error.code)
        return error

    def response_error(self, response: HttpResponse) -> SourceError:
        """The error behind any other answer that is none of success."""
        status, said = response.status_code, self.response_text(response.content)
        if transport_errors.is_transient(status):
            return ThirdPartyGenericError(
                f"{self.siem} answered {status}{said}.",
                hint="What was not taken is sent again.",
                code=str(status),
                retry_after=transport_errors.retry_after(response.headers),
            )
        if status in api_errors.REFUSED:
            return ThirdPartyConfigError(
                f"{self.siem} refuses what it is sent ({status}{said}).",
                hint="Check its address and its token or key, and store them with `onepassword-source apply FILE`; "
                "nothing is lost meanwhile.",
                code=str(status),
            )
        if response.is_redirect:
            return ThirdPartyConfigError(
                f"{self.siem} answered {status}, a redirect. It was not followed, so no secret went elsewhere.",
                hint="If the address that it leads to is the right one, give that: `onepassword-source apply FILE`.",
                code=str(status),
            )
        return ThirdPartyConfigError(
            f"{self.siem} cannot use what it was sent ({status}{said}).",
            hint="Check the configuration of this SIEM, such as its shape, its index or its stream.",
            code=str(status),
        )

    def response_text(self, content: bytes) -> str:
        """What an answer says, in a few words behind a colon, without the secrets."""
        for secret in self._secrets:
            content = content.replace(secret.encode(), b"***")
        return api_errors.error_text(content, self._secrets[0] if self._secrets else "\0")


def is_html(response: HttpResponse) -> bool:
    """Whether it is a page for a person, such as a proxy's or that of a sign-in: nothing was taken."""
    declared: str = response.headers.get("content-type", "")
    return declared.lower().startswith("text/html") or response.content.lstrip().startswith(b"<")


def unexpected_response(siem: str) -> ThirdPartyGenericError:
    """The error behind an answer of success that is not this SIEM's."""
    return ThirdPartyGenericError(
        f"What answered is not {siem}: it is no answer that {siem} gives.",
        hint="Check its address, and what stands between, such as a proxy or a sign-in. Nothing counts as sent.",
        code="invalid-body",
    )
