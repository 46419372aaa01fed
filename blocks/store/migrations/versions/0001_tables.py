"""Sources, streams, events, legible copies, quarantine."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "sources",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False, unique=True),
        sa.Column("description", sa.String()),
        sa.Column("category", sa.String()),
        sa.Column("fields", sa.String(), nullable=False),
        sa.Column("base_url", sa.String(), nullable=False),
        sa.Column("apis", sa.String(), nullable=False),
        sa.Column("api_version", sa.String(), nullable=False),
        sa.Column("collect_from", sa.String()),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("account_uuid", sa.String()),
        sa.Column("scopes", sa.String()),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("state_ns", sa.BigInteger()),
        sa.Column("state_message", sa.String(), nullable=False),
        sa.Column("run_id", sa.String()),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "streams",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("source_id", sa.String(), sa.ForeignKey("sources.id"), nullable=False),
        sa.Column("api", sa.String(), nullable=False),
        sa.Column("cursor", sa.Text()),
        sa.Column("cursor_ns", sa.BigInteger()),
        sa.Column("cursor_version", sa.String()),
        sa.Column("cursor_dropped_ns", sa.BigInteger()),
        sa.Column("holder", sa.String()),
        sa.Column("holder_until_ns", sa.BigInteger()),
        sa.Column("fence", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("events", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("quarantined", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("newest_ns", sa.BigInteger()),
        sa.Column("progress_ns", sa.BigInteger()),
        sa.Column("drained_ns", sa.BigInteger()),
        sa.Column("failing_since_ns", sa.BigInteger()),
        sa.Column("error_type", sa.String()),
        sa.Column("error_code", sa.String()),
        sa.Column("error_message", sa.String()),
        sa.Column("error_ns", sa.BigInteger()),
        sa.Column("stopped_fingerprint", sa.String()),
        sa.UniqueConstraint("source_id", "api"),
    )
    op.create_table(
        "events",
        sa.Column("id", ID, sa.Identity(), primary_key=True),
        sa.Column("stream_id", sa.Integer(), nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("time_ns", sa.BigInteger(), nullable=False),
        sa.Column("received_ns", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.UniqueConstraint("stream_id", "uuid"),
        sqlite_autoincrement=True,
    )
    op.create_index("events_by_time", "events", ["stream_id", "time_ns"])
    op.create_table(
        "legible_bodies",
        sa.Column("stream_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("uuid", sa.Text(), primary_key=True),
        sa.Column("body", sa.Text(), nullable=False),
    )
    op.create_table(
        "quarantine",
        sa.Column("id", ID, sa.Identity(), primary_key=True),
        sa.Column("stream_id", sa.Integer(), nullable=False),
        sa.Column("received_ns", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.UniqueConstraint("stream_id", "digest"),
        sqlite_autoincrement=True,
    )
