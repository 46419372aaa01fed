"""A minimal forwarder that a test may kill at any moment: it writes events to an archive and saves its position.

python archive_writer.py POSITION_FILE EVENTS PER_OBJECT FORMAT URL [ENDPOINT KEY_ID KEY]

It needs neither Prefect nor the sandbox, so it starts fast.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from blocks.events_api.models import Api
from blocks.siem.archive import bucket, directory, ndjson, objects
from blocks.siem.archive.sender import ArchiveSender
from blocks.siem.delivery.protocol import Batch
from blocks.siem.formats.event import FormattedEvent, OutgoingEvent, StreamMetadata

if TYPE_CHECKING:
    from blocks.siem.archive.sender import ObjectFormat

RECEIVED_NS = 1_772_601_007_123_456_789
STREAM = StreamMetadata(Api.SIGN_IN, "1Pass")


def uuid_of(number: int) -> str:
    return f"UUID{number:022d}"


def formatted(number: int) -> FormattedEvent:
    body = f'{{"uuid":"{uuid_of(number)}","category":"success","details":"{"x" * 500}"}}'
    event = OutgoingEvent(number + 1, uuid_of(number), RECEIVED_NS - 60_000_000_000, RECEIVED_NS, body)
    return FormattedEvent(event, STREAM, "raw", body.encode(), "signin-success", None)


def main(position: Path, events: int, per_object: int, sender: ArchiveSender) -> None:
    records = [sender.encode(formatted(number)) for number in range(events)]
    print("ready", flush=True)  # noqa: T201 - the parent waits for it
    at = int(position.read_text()) if position.exists() else 0
    while at < events:
        some = records[at : at + per_object]
        sender.send(Batch(str(at), STREAM, some))
        at += len(some)
        _note(position, at)


def _note(position: Path, at: int) -> None:
    new = position.with_suffix(".new")
    new.write_text(str(at))
    new.replace(position)


def _sender(form: str, url: str, *access: str) -> ArchiveSender:
    where = objects.parse_location(url)
    if where.scheme == "file":
        return ArchiveSender(directory.Directory(Path(where.path)), _form(form))
    endpoint, key_id, key = access
    return ArchiveSender(bucket.Bucket(where, bucket.BucketAccess(endpoint, key_id=key_id, key=key)), _form(form))


def _form(name: str) -> ObjectFormat:
    if name == ndjson.SUFFIX:
        return ndjson
    from blocks.siem.archive import parquet

    return parquet


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), _sender(*sys.argv[4:]))
