"""The block of an archive: its location, its keys, and its problems."""

from __future__ import annotations

import pytest

from blocks.errors import ThirdPartyConfigError
from blocks.siem.archive.block import Archive


@pytest.mark.parametrize(
    ("where", "members"),
    [
        ("gs://box-of-google", {"secret_key": "SECRET-KEY-0123"}),
        ("az://box", {"secret_key": "SECRET KEY", "account": "a"}),
    ],
)
def test_a_key_that_cannot_be_one_is_not_shown(where: str, members: dict[str, str]) -> None:
    with pytest.raises(ThirdPartyConfigError) as raised:
        Archive(url=where, **members).get_sender()
    assert raised.value.code == "credentials"
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/var/x",
        "file://",
        "file:///",
        "s3://",
        "s3://a",
        "ftp://bucket/x",
        "s3://bucket/../x",
        "s3://k:s@bucket/x",
        "s3://bucket/x?y=1",
        "file:///a/../b",
        "file:///a%2F..%2Fb",
        "s3://bucket/a\nb",
        "http://bucket/x",
    ],
)
def test_a_url_that_is_no_location_is_a_problem(url: str) -> None:
    with pytest.raises(ThirdPartyConfigError, match=r"block\.url"):
        Archive(url=url).ensure_valid()


def test_only_an_archive_gets_events_without_siem_forward() -> None:
    assert Archive.is_archive
    assert Archive(url="s3://bucket/").get_sender().limits.hourly
