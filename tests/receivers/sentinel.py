"""Microsoft Entra's token endpoint and Azure Monitor's Logs Ingestion API, as Microsoft documents them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec
from receivers.request import VendorResponse

if TYPE_CHECKING:
    from receivers.request import Request

TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "66666666-7777-8888-9999-000000000000"
SECRET = "Abc8Q~client-secret.with_all~kinds-of.chars"
RULE = "dcr-0123456789abcdef0123456789abcdef"
STREAM = "Custom-OnePassword"
SCOPE = "https://monitor.azure.com//.default"
JWT = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9"
SIZE_MAX = 1_000_000
LIFETIME = 3599
INGEST = f"/dataCollectionRules/{RULE}/streams/{STREAM}?api-version=2023-01-01"
TOKEN = f"/{TENANT}/oauth2/v2.0/token"


class Row(msgspec.Struct, forbid_unknown_fields=True):
    """The columns that the stream declares. The real service drops other columns silently."""

    TimeGenerated: str
    EventTime: str
    ReceivedTime: str
    Uuid: str
    Api: str
    Metadata: dict[str, str | bool | int | float]
    Event: msgspec.Raw
    Account: str | None = None


rows = msgspec.json.Decoder(list[Row]).decode


class Sentinel:
    """`good`: the valid tokens. `role`: True if the application may write. Tokens are numbered."""

    def __init__(self) -> None:
        self.issued = 0
        self.good: set[str] = set()
        self.role = True
        self.lifetime = LIFETIME

    def respond(self, request: Request) -> VendorResponse:
        return self._token(request) if "/oauth2/" in request.path else self._ingest(request)

    def revoke(self) -> None:
        self.good.clear()

    def _token(self, request: Request) -> VendorResponse:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        if request.path != TOKEN or form.get("grant_type") != "client_credentials" or form.get("scope") != SCOPE:
            return _refused(400, "invalid_request", "AADSTS900144: The request body lacks something.")
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET):
            return _refused(401, "invalid_client", f"AADSTS7000215: Invalid client secret {form.get('client_secret')}.")
        self.issued += 1
        token = f"{JWT}.{self.issued:040}.signature"
        self.good.add(token)
        answer = {"token_type": "Bearer", "expires_in": self.lifetime, "ext_expires_in": 3599, "access_token": token}
        return VendorResponse(body=msgspec.json.encode(answer))

    def _ingest(self, request: Request) -> VendorResponse:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind != "Bearer" or token not in self.good:
            return _error(401, "InvalidToken", "The token is invalid or has expired.")
        if not self.role:
            return _error(403, "OperationFailed", f"The token does not have access to ingest data for {RULE}.")
        if request.path != INGEST:
            return _error(404, "NotFound", "Data collection rule or stream not found.")
        if len(request.body) > SIZE_MAX:
            return _error(413, "ContentLengthLimitExceeded", "Maximum allowed content length: 1048576 bytes.")
        if request.headers.get("content-type") != "application/json":
            return _error(400, "InvalidContentType", "Content-Type must be application/json.")
        try:
            found = rows(request.body)
        except ValueError as error:
            return _error(400, "InvalidPayload", str(error))
        return VendorResponse([row.Uuid for row in found], 204)


def _refused(status: int, error: str, description: str) -> VendorResponse:
    return VendorResponse(status=status, body=msgspec.json.encode({"error": error, "error_description": description}))


def _error(status: int, code: str, message: str) -> VendorResponse:
    return VendorResponse(status=status, body=msgspec.json.encode({"error": {"code": code, "message": message}}))


vendor = Sentinel
