"""Tables and columns take the words of the code: pair, position, acknowledged, rejected, filtered, claim.

Rows stay as they are. What `conditions` and `health_events` say of a SIEM that rejects events takes the new name, so
that a condition that is open now is closed under the name that the program uses.
"""

from alembic import op

revision = "0012"
down_revision = "0011"

TABLES = {
    "forwards": "pairs",
    "forward_positions": "positions",
    "refused_events": "rejected_events",
    "hours": "hourly_counts",
    "spans": "collected_spans",
    "found": "late_or_missed",
    "revisions": "changed_bodies",
    "budgets": "rate_limits",
    "operations": "audit_log",
    "vocabulary": "undocumented_values",
}
CLAIM = {"holder_since_ns": "claimed_ns", "holder_ns": "claim_renewed_ns", "holder_until_ns": "claim_expires_ns"}
COLUMNS = {
    "streams": CLAIM,
    "windows": CLAIM,
    "positions": {
        **CLAIM,
        "forward": "pair_id",
        "sent_id": "acknowledged_id",
        "plan": "in_flight",
        "dropped": "filtered",
        "refused": "rejected",
    },
    "rejected_events": {"forward": "pair_id", "refused_ns": "rejected_ns"},
}
INDEXES = {
    "spans_of_stream": ("collected_spans_of_stream", "collected_spans", ["stream_id", "end_ns"]),
    "found_undecided": ("late_or_missed_undecided", "late_or_missed", ["stream_id", "decided_ns"]),
}


def upgrade() -> None:
    for before, after in TABLES.items():
        op.rename_table(before, after)
    for table, columns in COLUMNS.items():
        for before, after in columns.items():
            op.execute(f"ALTER TABLE {table} RENAME COLUMN {before} TO {after}")
    for before, (after, table, indexed) in INDEXES.items():
        op.drop_index(before, table)
        op.create_index(after, table, indexed)
    for table in ("conditions", "health_events"):
        op.execute(f"UPDATE {table} SET name = 'EventsRejected' WHERE name = 'EventsRefused'")  # noqa: S608 - constants
        op.execute(
            f"UPDATE {table} SET tracker = 'rejected/' || substr(tracker, 9) WHERE tracker LIKE 'refused/%'"  # noqa: S608
        )
