"""What shows that nothing is missing: hash chain, counts by the hour, spans collected, what reconcile found."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
HOUR_NS = 3600 * 10**9


def upgrade() -> None:
    _add_columns()
    _chain_and_counts()
    _reconcile()
    _fill()


def _add_columns() -> None:
    columns: tuple[sa.Column[Any], ...] = (
        sa.Column("read_from_ns", sa.BigInteger()),
        sa.Column("link", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("link_digest", sa.LargeBinary()),
        sa.Column("link_id", sa.BigInteger()),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
            for name in ("undecided", "late", "missed", "changed")
        ),
    )
    for column in columns:
        op.add_column("streams", column)
    op.add_column("windows", sa.Column("changed", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("pruned_events", sa.Column("event_id", sa.BigInteger()))
    op.create_index("pruned_events_by_id", "pruned_events", ["stream_id", "event_id"])


def _chain_and_counts() -> None:
    op.create_table(
        "chain",
        sa.Column("stream_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("first_id", sa.BigInteger(), nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("api_version", sa.String(), nullable=False),
        sa.Column("committed_ns", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "hours",
        sa.Column("stream_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("hour", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "spans",
        sa.Column("id", ID, sa.Identity(), primary_key=True),
        sa.Column("stream_id", sa.Integer(), nullable=False),
        sa.Column("start_ns", sa.BigInteger(), nullable=False),
        sa.Column("end_ns", sa.BigInteger(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("spans_of_stream", "spans", ["stream_id", "end_ns"])


def _reconcile() -> None:
    op.create_table(
        "found",
        sa.Column("stream_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("uuid", sa.Text(), primary_key=True),
        sa.Column("time_ns", sa.BigInteger(), nullable=False),
        sa.Column("found_ns", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("verdict", sa.String()),
        sa.Column("decided_ns", sa.BigInteger()),
    )
    op.create_index("found_undecided", "found", ["stream_id", "decided_ns"])
    op.create_table(
        "revisions",
        sa.Column("id", ID, sa.Identity(), primary_key=True),
        sa.Column("stream_id", sa.Integer(), nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("received_ns", sa.BigInteger(), nullable=False),
        sa.Column("api_version", sa.String(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.UniqueConstraint("stream_id", "uuid", "digest"),
        sqlite_autoincrement=True,
    )


def _fill() -> None:
    """Of what is there already: its counts, and the span that was read, from its oldest event on."""
    op.execute(
        "INSERT INTO hours (stream_id, hour, events) "  # noqa: S608 - a number
        f"SELECT stream_id, time_ns / {HOUR_NS}, count(*) FROM events GROUP BY stream_id, time_ns / {HOUR_NS}"
    )
    oldest = "coalesce((SELECT min(time_ns) FROM events WHERE stream_id = streams.id), drained_ns)"
    op.execute(f"UPDATE streams SET read_from_ns = {oldest} WHERE drained_ns IS NOT NULL")  # noqa: S608 - constant
    op.execute(
        "INSERT INTO spans (stream_id, start_ns, end_ns) "
        "SELECT id, read_from_ns, drained_ns FROM streams WHERE drained_ns > read_from_ns"
    )
