"""A receiver that verifies signatures with the library of Standard Webhooks, and identifies batches by their id."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec
from receivers.request import VendorResponse, uuids_of
from standardwebhooks.webhooks import Webhook as Standard
from standardwebhooks.webhooks import WebhookVerificationError

if TYPE_CHECKING:
    from receivers.request import Request

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3BxcnN0dXY="
PATH = "/hooks/T0123/k3y-of-this-h00k"
AUTHORIZATION = "Bearer a-token-of-the-receiver"

array = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Webhook:
    """`secret` verifies signatures. `remembers`: a batch with a known id is not accepted again."""

    def __init__(self) -> None:
        self.secret = SECRET
        self.remembers = False
        self.ids: list[str] = []
        self._lock = threading.Lock()

    def respond(self, request: Request) -> VendorResponse:
        if request.path != PATH:
            return VendorResponse(status=404)
        if request.headers.get("authorization") != AUTHORIZATION:
            return VendorResponse(status=401)
        try:
            verify(self.secret, request)
        except WebhookVerificationError as error:
            return VendorResponse(status=401, body=str(error).encode())
        with self._lock:
            webhook_id = request.headers["webhook-id"]
            again = self.remembers and webhook_id in self.ids
            self.ids.append(webhook_id)
        return VendorResponse([] if again else uuids_of(documents(request)), 202)


def verify(secret: str, request: Request) -> None:
    """Raises WebhookVerificationError."""
    Standard(secret).verify(request.body, dict(request.headers), json_parse=False)


def documents(request: Request) -> list[bytes]:
    if request.headers["content-type"] == "application/json":
        return [bytes(one) for one in array(request.body)]
    assert request.headers["content-type"] == "application/x-ndjson"
    assert request.body[-1:] in {b"\n", b""}
    return request.body.split(b"\n")[:-1]


vendor = Webhook
