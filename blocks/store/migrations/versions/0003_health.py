"""Health events, what is open, vocabulary, fields, operations, pruned events; a source can be stopped and deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for name in ("paused_ns", "stop_ns", "deleted_ns"):
        op.add_column("sources", sa.Column(name, sa.BigInteger()))
    for name in ("holder_ns", "lag_ns", "quiet_ns", "quiet_at_ns"):
        op.add_column("streams", sa.Column(name, sa.BigInteger()))
    op.add_column("streams", sa.Column("pruned", sa.BigInteger(), nullable=False, server_default="0"))
    _health()
    op.create_table(
        "vocabulary",
        sa.Column("stream_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(), primary_key=True),
        sa.Column("path", sa.String(), primary_key=True),
        sa.Column("value", sa.String(), primary_key=True),
        sa.Column("seen_ns", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "fields",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "operations",
        sa.Column("id", ID, sa.Identity(), primary_key=True),
        sa.Column("time_ns", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("source_id", sa.String(), nullable=False),
        sa.Column("source_name", sa.String(), nullable=False),
        sa.Column("details", sa.String(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "pruned_events",
        sa.Column("stream_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("uuid", sa.Text(), primary_key=True),
        sa.Column("time_ns", sa.BigInteger(), nullable=False),
        sa.Column("received_ns", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "forward_positions",
        sa.Column("forward", sa.String(), primary_key=True),
        sa.Column("stream_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("sent_id", sa.BigInteger(), nullable=False),
    )


def _health() -> None:
    op.create_table(
        "health_events",
        sa.Column("id", ID, sa.Identity(), primary_key=True),
        sa.Column("event_id", sa.String(), nullable=False),
        sa.Column("source_id", sa.String(), nullable=False),
        sa.Column("source_name", sa.String(), nullable=False),
        sa.Column("api", sa.String()),
        sa.Column("time_ns", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("tracker", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("error_type", sa.String()),
        sa.Column("error_code", sa.String()),
        sa.Column("hint", sa.String()),
        sa.Column("published_ns", sa.BigInteger()),
        sqlite_autoincrement=True,
    )
    op.create_index("health_events_of_source", "health_events", ["source_id", "id"])
    op.create_index("health_events_to_publish", "health_events", ["published_ns"])
    op.create_table(
        "conditions",
        sa.Column("source_id", sa.String(), primary_key=True),
        sa.Column("tracker", sa.String(), primary_key=True),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("since_ns", sa.BigInteger(), nullable=False),
    )
