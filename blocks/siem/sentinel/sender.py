"""Send to Microsoft Sentinel by Azure Monitor's Logs Ingestion API, version 2023-01-01.

Each event becomes a row with the columns of `COLUMNS`, in one stream of a data collection rule (DCR). There is no
idempotency key, and no answer for single rows: a request is accepted as a whole (204) or not at all, and rows that are
sent again are stored again. A query can remove duplicates by `Uuid`; see docs/siem/sentinel.md.

This uses httpx, not azure-monitor-ingestion with azure-identity. Those need azure-core, msal, requests and isodate,
have retries of their own, and parse each event to encode it again. That would lose digits of numbers, and cost more
than everything else. What remains is one POST and one token.

Sources: Microsoft's "Logs Ingestion API in Azure Monitor", "Azure Monitor service limits" (1 MB a request, compressed
or not; fields of more than 64 KB are cut), "OAuth 2.0 client credentials flow", and the troubleshooting guide of
azure-monitor-ingestion (403 until a role has spread, which may take 30 minutes).
"""

from __future__ import annotations

from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote, urlencode

import httpx
import msgspec

from blocks import clock
from blocks.errors import SourceError, ThirdPartyConfigError, ThirdPartyGenericError
from blocks.siem.delivery.http import SiemHttpClient, unexpected_response
from blocks.siem.delivery.protocol import ACCEPTED, NOT_TRIED, BatchResult, EncodedRecord, Limits
from blocks.siem.formats import metadata
from blocks.siem.formats.field_values import received_rfc3339, rfc3339
from blocks.siem.formats.json_text import to_json

if TYPE_CHECKING:
    from blocks.http.client import HttpResponse
    from blocks.siem.delivery.protocol import Batch
    from blocks.siem.formats.event import FormattedEvent

NAME = "Microsoft Sentinel"
API_VERSION = "2023-01-01"
COLUMNS = {
    "TimeGenerated": "datetime",
    "EventTime": "string",
    "ReceivedTime": "string",
    "Uuid": "string",
    "Api": "string",
    "Account": "string",
    "Metadata": "dynamic",
    "Event": "dynamic",
}
"""The columns of a row and their types, in the stream and in the table alike."""
LIMITS = Limits(events=5000, bytes=990_000)  # with separators, less than 1 MB in either definition
RENEW_BEFORE_SECONDS = 300.0  # a token is renewed so long before it expires
JSON = {"Content-Type": "application/json"}
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
_TICKS = len("2026-03-04T05:06:07.1234567")  # a datetime of Azure has a resolution of 100 nanoseconds
_BAD_REQUEST = 400


class _Token(msgspec.Struct):
    access_token: str
    expires_in: float


class _EntraError(msgspec.Struct):
    error: str = ""
    error_description: str = ""


_read_token = msgspec.json.Decoder(_Token).decode
_read_refusal = msgspec.json.Decoder(_EntraError).decode


class SentinelSender:
    """One stream of a data collection rule. `endpoint` is that of the rule or of a data collection endpoint."""

    limits = LIMITS

    def __init__(self, endpoint: str, rule_id: str, stream: str, tokens: AccessTokens) -> None:
        self._path = f"/dataCollectionRules/{quote(rule_id)}/streams/{quote(stream)}?api-version={API_VERSION}"
        self._stream = stream
        self._tokens = tokens
        self._client = _RuleClient(NAME, endpoint, {}, secrets=tokens.secrets)

    def __repr__(self) -> str:
        return f"SentinelSender({self._stream!r})"

    def __getstate__(self) -> NoReturn:
        raise TypeError("A SentinelSender is not pickled: it holds a secret. Open another one.")

    def encode(self, formatted: FormattedEvent) -> EncodedRecord:
        """Return the row of an event."""
        return EncodedRecord(formatted.event, row(formatted))

    def send(self, batch: Batch) -> BatchResult:
        response = self._post(b"[" + b",".join([record.data for record in batch.records]) + b"]")
        if response.status_code != httpx.codes.NO_CONTENT:  # the only success that Microsoft documents
            raise unexpected_response(NAME)
        return ACCEPTED

    def check(self) -> str:
        """Send an empty array. It shows whether the rule exists and is writable. Some versions answer it with 400."""
        self._tokens.renew(self._tokens.get())
        try:
            response = self._post(b"[]", of_events=False)
        except ThirdPartyConfigError as error:
            if error.code != str(_BAD_REQUEST):
                raise
        else:
            # The response to an empty array is not documented, but a response with a body does not come from Azure.
            if response.content:
                raise unexpected_response(NAME)
        return f"Entra issues a token, and the data collection rule accepts rows for {self._stream}. {NOT_TRIED}"

    def close(self) -> None:
        self._client.close()
        self._tokens.close()

    def _post(self, content: bytes, *, of_events: bool = True) -> HttpResponse:
        token = self._tokens.get()
        try:
            return self._client.post(self._path, content, _authorized(token), with_events=of_events)
        except ThirdPartyConfigError as error:
            if error.code != "401":
                raise
            renewed = _authorized(self._tokens.renew(token))
            return self._client.post(self._path, content, renewed, with_events=of_events)


class AccessTokens:
    """Access tokens of Entra's client credentials flow, each used until shortly before it expires. Threads share it."""

    def __init__(self, authority: str, tenant: str, client: str, secret: str, scope: str) -> None:
        self.secrets = (secret, quote(secret, safe=""))
        self._path = f"/{quote(tenant)}/oauth2/v2.0/token"
        self._form = urlencode(
            {"grant_type": "client_credentials", "client_id": client, "client_secret": secret, "scope": scope}
        ).encode()
        self._client = _EntraClient("Microsoft Entra ID", authority, {}, secrets=self.secrets, compress=False)
        self._lock = Lock()
        self._token, self._until = "", 0.0

    def __getstate__(self) -> NoReturn:
        raise TypeError("Tokens are not pickled: they hold a secret.")

    def get(self) -> str:
        """Return a token that is valid for a while. Raises as `Sender.send`."""
        with self._lock:
            if not self._token or clock.now() >= self._until:
                self._request()
            return self._token

    def renew(self, rejected: str) -> str:
        """Return a new token instead of the rejected one, unless another thread has already requested one."""
        with self._lock:
            if self._token == rejected:
                self._request()
            return self._token

    def close(self) -> None:
        self._client.close()

    def _request(self) -> None:
        self._token = ""
        requested_at = clock.now()
        response = self._client.checked_request("POST", self._path, self._form, _FORM)
        try:
            token = _read_token(response.content)
        except ValueError:
            raise _invalid_token_error() from None
        if not (token.access_token.isascii() and token.access_token.isprintable() and token.access_token):
            raise _invalid_token_error()
        self._token = token.access_token
        self._until = requested_at + max(token.expires_in - RENEW_BEFORE_SECONDS, token.expires_in / 2)


class _EntraClient(SiemHttpClient):
    """Reads why Entra issues no token: an error code and an AADSTS number, but not the sentence, which holds names."""

    def response_error(self, response: HttpResponse) -> SourceError:
        if response.status_code != _BAD_REQUEST:
            return super().response_error(response)
        return ThirdPartyConfigError(
            f"{self.siem} issues no token (400{self.response_text(response.content)}).",
            hint="Check tenant_id, client_id, client_secret, authority and scope.",
            code="400",
        )

    def response_text(self, content: bytes) -> str:
        try:
            error = _read_refusal(content)
        except ValueError:
            return super().response_text(content)
        number = error.error_description.partition(":")[0]
        known = [word for word in (error.error, number) if word.replace("_", "").isalnum() and len(word) < 40]  # noqa: PLR2004
        return super().response_text(" ".join(known).encode())


class _RuleClient(SiemHttpClient):
    """Explains a 403 of a data collection rule."""

    def response_error(self, response: HttpResponse) -> SourceError:
        if response.status_code != httpx.codes.FORBIDDEN:
            return super().response_error(response)
        return ThirdPartyConfigError(
            f"{NAME} does not allow the application to write to this data collection rule (403).",
            hint="Assign it the role Monitoring Metrics Publisher on the rule, and wait up to 30 minutes.",
            code="403",
        )


def row(formatted: FormattedEvent) -> bytes:
    """Return an event as one row: JSON on one line."""
    event = formatted.event
    time = rfc3339(event.time_ns)
    account = b"" if formatted.account is None else b'"Account":%b,' % to_json(formatted.account)
    return b'{"TimeGenerated":"%bZ","EventTime":"%b","ReceivedTime":"%b","Uuid":%b,%b%b%b}' % (
        time[:_TICKS].encode(),
        time.encode(),
        received_rfc3339(event.received_ns).encode(),
        to_json(event.uuid),
        account,
        _metadata_columns(metadata.metadata_group(formatted.stream, formatted.event_id)),
        formatted.document,
    )


@lru_cache(maxsize=1024)
def _metadata_columns(group: metadata.MetadataGroup) -> bytes:
    beside = to_json({**group.standard, **group.fields})
    return b'"Api":%b,"Metadata":%b,"Event":' % (to_json(group.stream.api.value), beside)


def _authorized(token: str) -> dict[str, str]:
    return {**JSON, "Authorization": f"Bearer {token}"}


def _invalid_token_error() -> ThirdPartyGenericError:
    return ThirdPartyGenericError(
        "The response of Microsoft Entra ID is not a token.",
        hint="Nothing counts as sent. Check authority, and look for a proxy in between.",
        code="invalid-body",
    )
