"""When an API was last read again after an error, however short: `status` says since when a source is healthy."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("streams", sa.Column("recovered_ns", sa.BigInteger()))
