"""What the console shows of a source: the states of its runs over time, and when its token expires."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("sources", sa.Column("token_expires_ns", sa.BigInteger()))
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "state_spans",
        sa.Column("id", number, sa.Identity(), primary_key=True),
        sa.Column("source_id", sa.String(), nullable=False),
        sa.Column("start_ns", sa.BigInteger(), nullable=False),
        sa.Column("end_ns", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("runs", sa.BigInteger(), nullable=False),
        sa.Column("first_run_id", sa.String(), nullable=False),
        sa.Column("last_run_id", sa.String(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("state_spans_of_source", "state_spans", ["source_id", "end_ns"])
