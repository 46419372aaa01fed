"""What events are searched by, in tables that are filled behind collection (see `blocks.store.search`)."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MEMBERS = ("user", "action", "type", "ip", "country", "client", "version", "os", "vault", "item", "object", "aux")
INDEXED = ("stream", "user", "ip", "country", "action", "client")
RARE = ("type", "vault", "item", "object", "aux")


def upgrade() -> None:
    op.create_table(
        "event_index",
        sa.Column("event_id", ID, primary_key=True, autoincrement=False),
        sa.Column("stream_id", sa.Integer(), nullable=False),
        sa.Column("time_ns", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("late_s", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Boolean()),
        *(sa.Column(f"{member}_id", sa.Integer()) for member in MEMBERS),
    )
    op.create_index("event_index_by_time", "event_index", ["time_ns"], postgresql_include=["event_id"])
    for member in INDEXED + RARE:
        where = sa.text(f"{member}_id IS NOT NULL") if member in RARE else None
        op.create_index(
            f"event_index_by_{member}",
            "event_index",
            ["day", f"{member}_id", "time_ns"],
            sqlite_where=where,
            postgresql_where=where,
            postgresql_include=["event_id"],
        )
    op.create_table(
        "index_values",
        sa.Column("id", sa.Integer(), sa.Identity(), primary_key=True),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.UniqueConstraint("kind", "value"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "user_names",
        sa.Column("user_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text()),
        sa.Column("email", sa.Text()),
        sa.Column("time_ns", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "index_positions",
        sa.Column("stream_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False, server_default="0"),
    )
    op.create_table(
        "index_state",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("indexed_ns", sa.BigInteger()),
        sa.Column("error", sa.Text()),
        sa.Column("error_ns", sa.BigInteger()),
    )
