"""The location of an archive, and the names of its objects."""

from __future__ import annotations

import pytest
import support.siems as support
from hypothesis import given
from hypothesis import strategies as st

from blocks.events_api.models import Api
from blocks.siem.archive import objects
from blocks.siem.archive.objects import ArchiveLocation, LocationError
from blocks.siem.formats.event import OutgoingEvent


@pytest.mark.parametrize(
    ("url", "location", "text"),
    [
        ("s3://bucket", ArchiveLocation("s3", "bucket", ""), "s3://bucket"),
        ("s3://bucket//a//b/", ArchiveLocation("s3", "bucket", "a/b"), "s3://bucket/a/b"),
        ("az://container/x", ArchiveLocation("az", "container", "x"), "az://container/x"),
        ("file:///var/lib/a%20b/", ArchiveLocation("file", "", "/var/lib/a b"), "file:///var/lib/a b"),
        ("file://localhost/x", ArchiveLocation("file", "", "/x"), "file:///x"),
    ],
)
def test_a_location_is_read_from_its_url(url: str, location: ArchiveLocation, text: str) -> None:
    assert objects.parse_location(url) == location
    assert str(location) == text


@pytest.mark.parametrize(
    "url",
    [
        "http://x/y",
        "bucket",
        "s3://",
        "s3://a/b?c",
        "s3://u@b/c",
        "s3://b/../c",
        "file://x",
        "file:///",
        "file://host/x",
    ],
)
def test_another_url_is_not_a_location(url: str) -> None:
    with pytest.raises(LocationError):
        objects.parse_location(url)


def test_the_name_of_an_object_has_source_api_hour_and_id() -> None:
    event = OutgoingEvent(42, "U", 0, 1_772_600_767_000_000_000, "{}")
    name = objects.object_name(event, support.stream(Api.AUDIT, source="1Pass"), "ndjson.gz")
    assert name == "source=1Pass/api=audit/date=2026-03-04/hour=05/00000000000000000042.ndjson.gz"


@given(st.text(max_size=300), st.text(max_size=300))
def test_two_texts_never_have_the_same_segment(one: str, other: str) -> None:
    texts = [text.encode(errors="replace").decode() for text in (one, other)]
    segments = [objects.path_segment(text) for text in texts]
    assert (segments[0] == segments[1]) is (texts[0] == texts[1])
    assert all("/" not in segment and len(segment) <= 255 for segment in segments)
