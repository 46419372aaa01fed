"""The first views. `views.sql` has the present ones: they are made after the last migration of an upgrade."""

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    pass
