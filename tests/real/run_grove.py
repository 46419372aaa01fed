"""Runs in Grove's own environment: reads the three APIs with its client, each to the end; prints the uuids as JSON."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from grove.connectors.onepassword.api import Client

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = sys.stdin.readline().strip()


def main() -> None:
    client = Client(token=TOKEN)
    reads = {
        "signinattempts": client.get_signinattempts,
        "itemusages": client.get_itemusages,
        "auditevents": client.get_auditevents,
    }
    sys.stdout.write(json.dumps({name: _drain(read) for name, read in reads.items()}))


def _drain(read: Callable[..., tuple]) -> list[str]:
    uuids, cursor, more = [], None, True
    while more:
        page, more = read(cursor=cursor, start_time=None if cursor else "2020-01-01T00:00:00Z")
        uuids += [event["uuid"] for event in page.entries]
        cursor = page.cursor
    return uuids


if __name__ == "__main__":
    main()
