"""Records of `backup`, `restore` and `move`."""

from __future__ import annotations

from typing import Annotated, TypedDict

from msgspec import Meta

from deployments.json_records.values import ApiName, Count, Time

Database = Annotated[str, Meta(extra_json_schema={"enum": ["sqlite", "postgresql"]})]


class BackupApiRecord(TypedDict):
    """What is in a backup of one API."""

    source: str
    source_id: str
    api: ApiName
    events: Count


class BackupRecord(TypedDict):
    """A backup that was made."""

    file: str
    bytes: Count
    sha256: str
    time: Time
    version: str
    schema: str
    database: Database
    apis: list[BackupApiRecord]


class CopiedSourceRecord(TypedDict):
    """Whether the hash chains of a source are those of the original."""

    source: str
    events: Count
    sound: bool
    problems: list[str]


class RestoreRecord(TypedDict):
    """A backup that was restored."""

    time: Time
    version: str
    schema: str
    events: Count
    blocks: Count
    paused: bool
    sound: bool
    sources: list[CopiedSourceRecord]


class MoveRecord(TypedDict):
    """A store that was moved."""

    events: Count
    rows: Count
    continued: Count
    sound: bool
    sources: list[CopiedSourceRecord]
