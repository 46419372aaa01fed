"""How many attempts have failed in a row: `status` shows which one is next, and no kill begins the count again."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    for table in ("streams", "forward_positions"):
        op.add_column(table, sa.Column("failed_attempts", sa.BigInteger(), nullable=False, server_default="0"))
        # How many there were is not known of what fails now; one at least.
        op.execute(f"UPDATE {table} SET failed_attempts = 1 WHERE failing_since_ns IS NOT NULL")  # noqa: S608
    op.add_column("forward_positions", sa.Column("unconfirmed", sa.BigInteger(), nullable=False, server_default="0"))
