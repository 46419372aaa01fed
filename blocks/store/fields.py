"""The fields that a source may add to its events: a table of names, each enabled or disabled, as in Sumo Logic.

A field that is not in the table, or is disabled, is dropped when events are forwarded.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import BigInteger, Boolean, String, column, insert, select, table, text, update

from blocks import clock
from blocks.command_line import command_line
from blocks.errors import ThirdPartyConfigError
from blocks.problems import closest_match, quote
from blocks.store.engine import is_sqlite, reading, store_errors, writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection, Engine

NAME_MAX = 255  # Sumo Logic's limit
BUILT_IN = ("_parser", "_siemDataType", "_siemEventID", "_siemFormat", "_siemForward", "_siemProduct", "_siemVendor")
"""The metadata fields that Sumo Logic's SIEM reads: always known, never disabled."""

_NAME = re.compile(r"[A-Za-z0-9_]+")
# Not the tables of `tables`: `status` shows dropped fields, and starts without SQLModel (0.5 s).
_fields = table("fields", column("name", String), column("enabled", Boolean), column("created_ns", BigInteger))
_sources = table("sources", column("id", String), column("fields", String))


@dataclass(frozen=True, slots=True)
class KnownField:
    """A field of the table, or a built-in one."""

    name: str
    enabled: bool
    built_in: bool = False


@dataclass(frozen=True, slots=True)
class DroppedField:
    """A field that is not forwarded, and why. `known_as` is a known name that differs only in case."""

    name: str
    why: Literal["unknown", "disabled"]
    known_as: str | None = None

    @property
    def sentence(self) -> str:
        """What happens to the field, and what to do."""
        what = f"The field {quote(self.name)} is {self.why}, so it is dropped when events are forwarded."
        return f"{what} {self._remedy}"

    @property
    def _remedy(self) -> str:
        if self.why == "disabled":
            return f"Enable it with: {command_line('fields enable', self.name)}"
        if self.known_as:
            return f"The known field is {self.known_as}: use this name."
        if problem := _name_problem(self.name):
            return f"It cannot be added: {problem}."
        return f"Add it with: {command_line('fields add', self.name)}"


@dataclass(frozen=True, slots=True)
class FilteredFields:
    """The fields of a source that are forwarded, and those that are dropped."""

    kept: dict[str, Any]
    dropped: tuple[DroppedField, ...]


def all_fields(engine: Engine) -> list[KnownField]:
    """All fields, the built-in ones first, then by name."""
    with store_errors(), reading(engine).connect() as connection:
        own = _read_states(connection)
    built_in = [KnownField(name, enabled=True, built_in=True) for name in BUILT_IN]
    return built_in + [KnownField(name, enabled) for name, enabled in sorted(own.items())]


def filter_fields(engine: Engine, fields: Mapping[str, Any]) -> FilteredFields:
    """Split a source's fields into those that are forwarded (known and enabled) and the others."""
    with store_errors(), reading(engine).connect() as connection:
        states = {**_read_states(connection), **dict.fromkeys(BUILT_IN, True)}
    return _filter(fields, states)


def _filter(fields: Mapping[str, Any], states: Mapping[str, bool]) -> FilteredFields:
    kept = {name: value for name, value in fields.items() if states.get(name)}
    return FilteredFields(kept, tuple(_dropped_field(name, states) for name in fields if name not in kept))


def dropped_fields(engine: Engine, fields: Mapping[str, Any]) -> tuple[DroppedField, ...]:
    """The fields of a source that are not forwarded."""
    return filter_fields(engine, fields).dropped


def dropped_by_source(engine: Engine) -> dict[str, tuple[DroppedField, ...]]:
    """The dropped fields of every source in the store, by the source's id."""
    with store_errors(), reading(engine).connect() as connection:
        states = {**_read_states(connection), **dict.fromkeys(BUILT_IN, True)}
        rows = connection.execute(select(_sources.c.id, _sources.c.fields)).all()
    return {row.id: _filter(json.loads(row.fields or "{}"), states).dropped for row in rows}


def create(engine: Engine, names: Iterable[str]) -> tuple[str, ...]:
    """Add fields, enabled. Returns the new ones; a disabled field stays disabled.

    Raises ThirdPartyConfigError with all problems if one of the names is invalid; then none is added.
    """
    requested = tuple(dict.fromkeys(names))
    with writing(engine) as connection:
        existing = _lock_and_read(connection)
        _raise_problems(_new_field_problems(requested, existing))
        new = tuple(name for name in requested if name not in existing and name not in BUILT_IN)
        if new:
            row = {"enabled": True, "created_ns": clock.now_ns()}
            connection.execute(insert(_fields), [{"name": name, **row} for name in new])
    return new


def set_enabled(engine: Engine, names: Iterable[str], *, enabled: bool) -> tuple[str, ...]:
    """Enable or disable known fields. Returns those that changed.

    Raises ThirdPartyConfigError with all problems if a field is unknown, or is built in and would be disabled.
    """
    requested = tuple(dict.fromkeys(names))
    with writing(engine) as connection:
        existing = _lock_and_read(connection)
        _raise_problems(_switch_problems(requested, existing, enabled=enabled))
        changed = tuple(name for name in requested if existing.get(name, True) is not enabled)
        connection.execute(update(_fields).where(_fields.c.name.in_(changed)).values(enabled=enabled))
    return changed


def _read_states(connection: Connection) -> dict[str, bool]:
    return {row.name: row.enabled for row in connection.execute(select(_fields.c.name, _fields.c.enabled))}


def _lock_and_read(connection: Connection) -> dict[str, bool]:
    """Lock the table until the transaction ends, so that two commands cannot add Team and team at the same time."""
    if not is_sqlite(connection.engine):
        connection.execute(text("LOCK TABLE fields IN SHARE ROW EXCLUSIVE MODE"))
    return _read_states(connection)


def _dropped_field(name: str, states: Mapping[str, bool]) -> DroppedField:
    return (
        DroppedField(name, "disabled") if name in states else DroppedField(name, "unknown", _other_case(name, states))
    )


def _other_case(name: str, names: Iterable[str]) -> str | None:
    return next((other for other in names if other != name and other.lower() == name.lower()), None)


def _name_problem(name: str) -> str:
    if len(name) > NAME_MAX:
        return f"it has {len(name)} characters, and Sumo Logic allows {NAME_MAX}"
    return "" if _NAME.fullmatch(name) else "a field's name can have only the letters A to Z, digits and _"


def _new_field_problems(requested: Sequence[str], existing: Iterable[str]) -> list[str]:
    known_names = [*BUILT_IN, *existing]
    problems = []
    for position, name in enumerate(requested):
        if problem := _name_problem(name):
            problems.append(f"{quote(name)} cannot be added: {problem}.")
        elif other := _other_case(name, [*known_names, *requested[:position]]):
            problems.append(f"{quote(name)} differs from {other} only in case: use {other}.")
    return problems


def _switch_problems(requested: Sequence[str], existing: Mapping[str, bool], *, enabled: bool) -> list[str]:
    problems = []
    for name in requested:
        if name in BUILT_IN and not enabled:
            problems.append(f"{name} is built in and cannot be disabled.")
        elif name not in existing and name not in BUILT_IN:
            suggestion = _other_case(name, [*existing, *BUILT_IN]) or closest_match(name, [*existing, *BUILT_IN])
            question = f" Did you mean {suggestion}?" if suggestion else ""
            problems.append(f"There is no field {quote(name)}.{question}")
    return problems


def _raise_problems(problems: Sequence[str]) -> None:
    if len(problems) == 1:
        raise ThirdPartyConfigError(problems[0], hint=_HINT, code="fields")
    if problems:
        message = "\n  ".join([f"{len(problems)} fields are invalid:", *problems])
        raise ThirdPartyConfigError(f"{message}\n{_HINT}", code="fields")


_HINT = "Nothing was changed; `onepassword-source fields list` shows all fields."
