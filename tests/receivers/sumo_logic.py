"""An HTTP Logs Source of Sumo Logic: its secret code is in the path; each line of a body is an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from receivers.request import VendorResponse, uuids_of

if TYPE_CHECKING:
    from receivers.request import Request

CODE = "ZaVnC4dhaV0k"  # so short that nothing but its being a secret hides it
PATH = f"/receiver/v1/http/{CODE}"


class SumoLogic:
    def respond(self, request: Request) -> VendorResponse:
        if request.path != PATH:
            return VendorResponse(status=401)
        if request.method != "POST":
            return VendorResponse(status=405)
        return VendorResponse(uuids_of(request.body.split(b"\n")))


vendor = SumoLogic
