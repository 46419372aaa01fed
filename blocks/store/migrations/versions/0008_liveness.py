"""What is needed to judge a source's runs from outside of them: since when they are due, and how late they may be."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("sources", sa.Column("due_ns", sa.BigInteger()))
    op.add_column("sources", sa.Column("lag_after", sa.String()))
