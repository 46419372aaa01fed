"""Sources for tests of commands that change them, and their state in Prefect and the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from support.command_calls import CommandCalls, source_config, write_document

from blocks.errors import TokenError
from blocks.events_api.models import Api, Event, Page
from blocks.store import pages, source_status, sources, streams
from deployments import cli

if TYPE_CHECKING:
    from deployments.sandbox.process import SandboxProcess

SCOPES = ("signinattempts", "itemusages", "auditevents")


def apply(call: CommandCalls, name: str, api: SandboxProcess, *flags: str, code: int = cli.DONE, **members: Any) -> str:
    config = source_config(name, api, **{"collect_from": "7d", **members})
    write_document("source.json", {"source": config})
    return call("apply", "source.json", *flags, code=code)


def token_of(name: str) -> str:
    from deployments import sources as applied

    found = applied.find(name)
    assert found
    return found.credentials.api_token.get_secret_value()


def rows(query: str) -> list[tuple[Any, ...]]:
    engine = source_status.open_store()
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    return found


def actions() -> list[str]:
    """The actions in the audit log, without those that `apply` records for a new or changed configuration."""
    query = "SELECT action FROM audit_log WHERE action NOT IN ('create', 'configure') ORDER BY id"
    return [action for (action,) in rows(query)]


def only_id() -> str:
    ((source_id,),) = rows("SELECT id FROM sources")
    return str(source_id)


def in_error(source: str) -> bool:
    return source_status.sources(source_status.open_store(), source)[0].in_error


def fill(source: str) -> None:
    """Commit what a run commits: ten events of each API, and a cursor."""
    engine = source_status.open_store()
    for view in streams.of_source(engine, source_status.sources(engine, source)[0].id, tuple(Api)):
        claim = streams.acquire(engine, view, "filler")
        assert claim
        events = [Event(f"{n}", n, f'{{"uuid":"{n}"}}') for n in range(10)]
        pages.commit_page(
            engine, claim, Page("c", has_more=False, events=events, invalid_items=[]), after=None, api_version="v2"
        )
        streams.record_drain(engine, claim, 1)
    engine.dispose()


def fail(source: str) -> None:
    """Leave the streams as a run leaves them whose token was rejected."""
    engine = source_status.open_store()
    (status,) = source_status.sources(engine, source)
    ((fingerprint,),) = rows(f"SELECT fingerprint FROM sources WHERE id = '{status.id}'")
    error = TokenError("The Events API refuses the token.", code="401")
    for view in streams.of_source(engine, status.id, tuple(Api)):
        claim = streams.acquire(engine, view, "failing")
        assert claim
        streams.stop(engine, claim, error, fingerprint)
    sources.save_state(engine, status.id, error.name, str(error), "failing")
    engine.dispose()
    assert in_error(source)
