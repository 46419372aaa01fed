"""The version of the store's schema that this program knows."""

HEAD = "0017"  # the newest file in migrations/versions; read here so that Alembic (0.6 s) loads only to migrate
