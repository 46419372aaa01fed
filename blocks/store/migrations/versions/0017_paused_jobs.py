"""A backfill can be paused: its runs end, and none reads it until it is resumed."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("paused_ns", sa.BigInteger()))
