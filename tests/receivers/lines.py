"""A vendor that takes one JSON object on each line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from receivers.request import Taken, uuids_of

if TYPE_CHECKING:
    from receivers.request import Request


class Lines:
    def take(self, request: Request) -> Taken:
        return Taken(uuids_of(request.body.split(b"\n")))


vendor = Lines
