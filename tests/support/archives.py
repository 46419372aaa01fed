"""Helpers for tests of archives: blocks, the events in an archive, and batches to write."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from support import s3_server
from support import siems as support
from support.siem_conformance import Arrived

from blocks.events_api.models import Api
from blocks.siem.archive.block import Archive
from blocks.siem.delivery.protocol import Batch
from blocks.siem.formats.event import OutgoingEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.s3_server import S3Server


FACTS = ("uuid", "api", "time", "received", "account")


def block_of(server: S3Server, prefix: str, **members: Any) -> Archive:
    given = {
        "url": f"s3://{s3_server.BUCKET}/{prefix}",
        "endpoint": server.url,
        "region": "us-east-1",
        "access_key_id": s3_server.KEY_ID,
        "secret_key": s3_server.SECRET,
        **members,
    }
    return Archive(**given)


def at(url: str, where: str = "s3://archive/x", **members: Any) -> Archive:
    """An archive in a bucket on the S3 server at `url`."""
    return Archive(url=where, endpoint=url, access_key_id="ID", secret_key="SECRET-KEY-0123", region="r", **members)


def arrived_in(root: Path) -> list[Arrived]:
    contents = [gzip.decompress(file.read_bytes()) for file in sorted(root.rglob("*.ndjson.gz"))]
    return [_arrived(line) for content in contents for line in content.splitlines()]


def _arrived(line: bytes) -> Arrived:
    members = json.loads(line)
    if "ecs" in members:
        ours = {f"_{name}": value for name, value in members["onepassword_source"].items() if name != "api"}
        return Arrived(line, members["event"]["id"], {}, {**ours, **members.get("labels", {})})
    if "class_uid" in members:
        tags = {tag["name"]: tag["value"] for tag in members["metadata"]["tags"]}
        return Arrived(line, members["metadata"]["uid"], {}, tags)
    document = bytes(msgspec.json.decode(line, type=dict[str, msgspec.Raw])["event"])
    beside = {name: value for name, value in members.items() if name not in {*FACTS, "event"}}
    return Arrived(document, members["uuid"], {name: members[name] for name in FACTS if name in members}, beside)


def one_batch(sender: Any, outgoings: Sequence[OutgoingEvent], **members: Any) -> Batch:
    return support.batch(sender, outgoings, support.stream(**members))


def send_one(block: Archive) -> None:
    sender = block.get_sender()
    sender.send(one_batch(sender, support.events(Api.SIGN_IN, 1)))
