"""Records of the store and of this machine: `prune`, `verify`, `secrets rotate`, `install-service`."""

from __future__ import annotations

from typing import Annotated, TypedDict

from msgspec import Meta

from deployments.json_records.values import ApiName, Change, Count, FileChangeName, Time


class PrunedApiRecord(TypedDict):
    """The events of one API that are old enough."""

    source: str
    source_id: str
    api: ApiName
    events: Count
    to_go: Count
    oldest_to_go: Time | None
    newest_to_go: Time | None
    not_sent: Count
    received_lately: Count
    removed: Count


class PruneRecord(TypedDict):
    """What was removed, or with `--dry-run` would be."""

    before: Time
    dry_run: bool
    apis: list[PrunedApiRecord]


class ScheduledPruneRecord(TypedDict):
    """A schedule that removes events. `source` is null for all sources."""

    source: str | None
    scheduled: bool
    older_than: str
    schedule: str


class UnscheduledPruneRecord(TypedDict):
    """A schedule that was removed."""

    source: str | None
    scheduled: bool
    change: Change


class DamageRecord(TypedDict):
    """The first damaged link."""

    link: int
    kind: str
    description: str
    committed: Time | None
    first_id: int | None
    last_id: int | None
    first_time: Time | None
    last_time: Time | None


class ChainRecord(TypedDict):
    """The hash chain of one API."""

    api: ApiName
    sound: bool
    links: Count
    events: Count
    pruned: Count
    unlinked: Count
    committed: Time | None
    damaged: Count
    first_damaged: DamageRecord | None


class CheckpointResultRecord(TypedDict):
    """The comparison with one API of a checkpoint."""

    time: str
    api: str
    link: int
    verdict: str
    description: str


class VerifyRecord(TypedDict):
    """The proof of a source."""

    source: str
    source_id: str
    sound: bool
    apis: list[ChainRecord]
    checkpoints: list[CheckpointResultRecord]


class ChangedFileRecord(TypedDict):
    """What `install-service` did with a file."""

    file: str
    change: FileChangeName


class ServiceFileRecord(TypedDict):
    """A file that `install-service` would write."""

    file: str
    content: str


class RotateRecord(TypedDict):
    """Which secrets are new."""

    password_rotated: bool
    key_rotated: bool
    blocks: Count


class CheckpointLinkRecord(TypedDict):
    """The newest link of one chain."""

    link: int
    digest: Annotated[str, Meta(description="The digest of the link, in hexadecimal.", pattern="^([0-9a-f]{2})*$")]
    events: Count
    committed: Time | None


class CheckpointRecord(TypedDict):
    """The newest links of a source's chains, to be saved elsewhere."""

    source: str
    source_id: str
    time: Time
    heads: Annotated[dict[str, CheckpointLinkRecord], Meta(description="The newest link of each API.")]
