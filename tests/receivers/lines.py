"""A vendor that accepts one JSON object on each line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from receivers.request import VendorResponse, uuids_of

if TYPE_CHECKING:
    from receivers.request import Request


class Lines:
    def respond(self, request: Request) -> VendorResponse:
        return VendorResponse(uuids_of(request.body.split(b"\n")))


vendor = Lines
