"""Where an archive's objects are kept, and the name of each."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, unquote, urlsplit

if TYPE_CHECKING:
    from blocks.siem.formats.event import OutgoingEvent, StreamMetadata

SCHEMES = ("file", "s3", "gs", "az")
URL_FORMS = "file:///DIRECTORY, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"
SEGMENT_MAX = 200  # bytes; a file system takes 255, and S3 1,024 for the whole name
_CUT = 160
_SECOND = 1_000_000_000
_BUCKET = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]{2,221}")


class LocationError(ValueError):
    """An URL that names no place for an archive; the text says why."""


@dataclass(frozen=True, slots=True)
class ArchiveLocation:
    """Where an archive is: for `file` an absolute directory in `path`, else a bucket and a prefix in it."""

    scheme: str
    bucket: str
    path: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}{'/' if self.bucket and self.path else ''}{self.path}"


class ObjectStore(Protocol):
    """A directory or a bucket. Threads share it. Errors are those of `Sender.send`."""

    def put(self, name: str, content: bytes, content_type: str) -> None:
        """Keep a whole object, in place of what has its name. A reader finds the old one or the new one, no part."""
        ...

    def check(self) -> str:
        """Write what holds no event, as `put` would: one sentence."""
        ...


def parse_location(url: str) -> ArchiveLocation:
    """Raises LocationError."""
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise LocationError("it is none of the places where an archive can be kept")
    if parts.query or parts.fragment or "@" in parts.netloc or not url.isprintable():
        raise LocationError("it holds more than the place")
    path = unquote(parts.path) if parts.scheme == "file" else parts.path
    if "\0" in path or any(segment in {".", ".."} for segment in path.split("/")):
        raise LocationError("its path has a segment . or .., or a zero byte")
    if parts.scheme == "file":
        return _directory(parts.netloc, path)
    if not _BUCKET.fullmatch(parts.netloc):
        raise LocationError("it names no bucket or container")
    return ArchiveLocation(parts.scheme, parts.netloc, "/".join(filter(None, path.split("/"))))


def _directory(host: str, path: str) -> ArchiveLocation:
    if host not in {"", "localhost"} or not path.strip("/"):
        raise LocationError("it names no directory; an absolute one has three slashes before it")
    return ArchiveLocation("file", "", path.rstrip("/"))


def object_name(first: OutgoingEvent, stream: StreamMetadata, suffix: str) -> str:
    """The object that begins with this event: the source, the API, and the hour (UTC) in which it was received.

    The parts of its path are named as Hive has it.

    It ends with the event's id, in 20 digits. So an object that is written again, because its sender was killed before
    it could note that, replaces itself.
    """
    hour = datetime.fromtimestamp(first.received_ns // _SECOND, UTC)
    place = f"source={path_segment(stream.source)}/api={stream.api.value}"
    return f"{place}/date={hour:%Y-%m-%d}/hour={hour:%H}/{first.id:020d}.{suffix}"


def path_segment(text: str) -> str:
    """A text as one segment of a path, percent-encoded as Hive does; two texts never have the same.

    One that would be too long for a file system is cut, and ends with a hash of the whole.
    """
    encoded = quote(text, safe="")
    if len(encoded) <= SEGMENT_MAX:
        return encoded
    whole = hashlib.blake2b(text.encode(), digest_size=20).hexdigest()
    return f"{encoded[:_CUT]}~{whole}"  # more than SEGMENT_MAX, and so unlike any that was not cut
