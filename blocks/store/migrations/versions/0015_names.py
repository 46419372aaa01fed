"""Names of vaults, items, users and groups, which a person imports."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_table(
        "names",
        sa.Column("uuid", sa.Text(), primary_key=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("vault_uuid", sa.Text()),
        sa.Column("email", sa.Text()),
        sa.Column("imported_ns", sa.BigInteger(), nullable=False),
    )
