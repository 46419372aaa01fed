"""The Prefect block that holds the URL of an event store."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, HttpUrl, SecretStr

from blocks.secret_block import SecretBlock

if TYPE_CHECKING:
    from sqlalchemy import Engine


class EventStore(SecretBlock):
    """The database in which events, cursors and health are kept.

    Example:
        ```python
        from blocks.store.block import EventStore

        event_store = EventStore.load("BLOCK_NAME")
        engine = event_store.get_engine()
        ```

    """

    _block_type_name: ClassVar[str | None] = "1Password Event Store"
    _block_type_slug: ClassVar[str | None] = "1password-event-store"
    _description: ClassVar[str | None] = (
        "The database in which the events of 1Password sources, their cursors and their health are kept."
    )
    _documentation_url: ClassVar[HttpUrl | None] = HttpUrl(
        "https://docs.sqlalchemy.org/en/20/core/engines.html#database-urls"
    )

    url: SecretStr = Field(
        title="URL",
        description=(
            "Where the database is: sqlite:////absolute/path/events.db for a file, or"
            " postgresql://user:password@host/database."
        ),
        examples=["postgresql://collector:password@db.example.com/events"],
    )

    def get_engine(self) -> Engine:
        """Create an engine for the database. Raises ThirdPartyConfigError if the URL is for neither backend."""
        from blocks.store.engine import open_engine  # noqa: PLC0415 - SQLAlchemy is needed only here

        return open_engine(self.url.get_secret_value())
