"""Forwarding to SIEMs: pairs of source and SIEM, how far each is and what is in its way, and what was refused."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "forwards",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("source_id", sa.String(), nullable=False),
        sa.Column("siem", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("paused_ns", sa.BigInteger()),
        sa.UniqueConstraint("source_id", "siem"),
    )
    for column in _of_positions():
        op.add_column("forward_positions", column)
    op.create_table(
        "refused_events",
        sa.Column("forward", sa.String(), primary_key=True),
        sa.Column("stream_id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("event_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("refused_ns", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("replay_ns", sa.BigInteger()),
    )
    op.create_index("chain_by_id", "chain", ["stream_id", "last_id"])


def _of_positions() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("plan", sa.Text()),
        sa.Column("holder", sa.String()),
        *(sa.Column(name, sa.BigInteger()) for name in ("holder_ns", "holder_until_ns", "progress_ns")),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
            for name in ("replays", "fence", "sent", "dropped", "refused")
        ),
        *(sa.Column(name, sa.BigInteger()) for name in ("failing_since_ns", "error_ns")),
        *(sa.Column(name, sa.String()) for name in ("error_type", "error_code", "error_message")),
        sa.Column("stopped_fingerprint", sa.String()),
    )
