"""Backfills: jobs, their windows, and the rate budgets that all requests share."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "budgets",
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("spent", sa.Text(), nullable=False),
        sa.Column("grants", sa.BigInteger(), nullable=False),
        sa.Column("paused_until_ns", sa.BigInteger()),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("source_id", sa.String(), nullable=False),
        sa.Column("start_ns", sa.BigInteger(), nullable=False),
        sa.Column("end_ns", sa.BigInteger(), nullable=False),
        sa.Column("apis", sa.String(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("finished_ns", sa.BigInteger()),
    )
    op.create_index("jobs_of_source", "jobs", ["source_id", "created_ns"])
    op.create_table(
        "windows",
        sa.Column("id", ID, sa.Identity(), primary_key=True),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("stream_id", sa.Integer(), nullable=False),
        sa.Column("start_ns", sa.BigInteger(), nullable=False),
        sa.Column("end_ns", sa.BigInteger(), nullable=False),
        sa.Column("cursor", sa.Text()),
        sa.Column("cursor_version", sa.String()),
        sa.Column("restarts", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("holder", sa.String()),
        sa.Column("holder_ns", sa.BigInteger()),
        sa.Column("holder_until_ns", sa.BigInteger()),
        sa.Column("fence", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("begun_ns", sa.BigInteger()),
        sa.Column("done_ns", sa.BigInteger()),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
            for name in ("pages", "new", "known", "quarantined")
        ),
        sa.Column("error", sa.String()),
        sqlite_autoincrement=True,
    )
    op.create_index("windows_of_job", "windows", ["job_id", "done_ns", "start_ns"])
