"""The location of an archive, and the names of its objects."""

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
SEGMENT_MAX = 200  # bytes; a file system allows 255, and S3 1,024 for the whole name
_CUT = 160
_SECOND = 1_000_000_000
_BUCKET = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]{2,221}")


class LocationError(ValueError):
    """A URL that is not the location of an archive. The message is its problem."""


@dataclass(frozen=True, slots=True)
class ArchiveLocation:
    """The location of an archive: for `file` an absolute directory in `path`, else a bucket and a prefix in it."""

    scheme: str
    bucket: str
    path: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}{'/' if self.bucket and self.path else ''}{self.path}"


class ObjectStore(Protocol):
    """A directory or a bucket. Threads share it. Raises as `Sender.send`."""

    def write(self, name: str, content: bytes, content_type: str) -> None:
        """Store a whole object and replace one of the same name. A reader sees the old or the new one, never a part."""
        ...

    def check(self) -> str:
        """Write a test object without events, as `write` does. Returns one sentence."""
        ...


def parse_location(url: str) -> ArchiveLocation:
    """Parse the URL of an archive. Raises LocationError."""
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise LocationError("an archive cannot be stored there")
    if parts.query or parts.fragment or "@" in parts.netloc or not url.isprintable():
        raise LocationError("it holds more than the location")
    path = unquote(parts.path) if parts.scheme == "file" else parts.path
    if "\0" in path or any(segment in {".", ".."} for segment in path.split("/")):
        raise LocationError("its path has a segment . or .., or a zero byte")
    if parts.scheme == "file":
        return _directory(parts.netloc, path)
    if not _BUCKET.fullmatch(parts.netloc):
        raise LocationError("it does not name a bucket or container")
    return ArchiveLocation(parts.scheme, parts.netloc, "/".join(filter(None, path.split("/"))))


def _directory(host: str, path: str) -> ArchiveLocation:
    if host not in {"", "localhost"} or not path.strip("/"):
        raise LocationError("it does not name a directory; an absolute path has three slashes before it")
    return ArchiveLocation("file", "", path.rstrip("/"))


def object_name(first: OutgoingEvent, stream: StreamMetadata, suffix: str) -> str:
    """Return the name of the object that begins with this event: source, API, hour of receipt (UTC), event id.

    The path has the form of Hive partitions. The id has 20 digits. Because of it, an object that is written again (its
    sender was killed before it could record it) replaces itself.
    """
    hour = datetime.fromtimestamp(first.received_ns // _SECOND, UTC)
    place = f"source={path_segment(stream.source)}/api={stream.api.value}"
    return f"{place}/date={hour:%Y-%m-%d}/hour={hour:%H}/{first.id:020d}.{suffix}"


def path_segment(text: str) -> str:
    """Return a text as one segment of a path, percent-encoded as in Hive. Different texts give different segments.

    A segment that is too long for a file system is cut, and ends with a hash of the whole text.
    """
    encoded = quote(text, safe="")
    if len(encoded) <= SEGMENT_MAX:
        return encoded
    whole = hashlib.blake2b(text.encode(), digest_size=20).hexdigest()
    return f"{encoded[:_CUT]}~{whole}"  # longer than SEGMENT_MAX, so it differs from every uncut segment
