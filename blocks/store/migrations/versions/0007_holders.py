"""Which process has a claim, and since when: a claim of a process that is known to be dead holds nothing back."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

CLAIMED = ("streams", "windows", "forward_positions")


def upgrade() -> None:
    for table in CLAIMED:
        op.add_column(table, sa.Column("holder_process", sa.Text()))
        op.add_column(table, sa.Column("holder_since_ns", sa.BigInteger()))
    claimed = sa.text("holder_process IS NOT NULL")
    op.create_index("windows_claimed", "windows", ["job_id"], sqlite_where=claimed, postgresql_where=claimed)
