"""The processing rules of a source, which hold for what is sent to SIEMs and archives."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("sources", sa.Column("processing_rules", sa.Text(), nullable=False, server_default="{}"))
