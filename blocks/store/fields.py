"""Which fields a source may give its events: a table of names, each enabled or not, as in Sumo Logic.

A field that is not in the table, or is disabled there, is dropped wherever events are sent on.
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

NAME_MAX = 255  # Sumo Logic's own bound
BUILT_IN = ("_parser", "_siemDataType", "_siemEventID", "_siemFormat", "_siemForward", "_siemProduct", "_siemVendor")
"""What Sumo Logic's SIEM reads of a message's metadata: always known, never disabled."""

_NAME = re.compile(r"[A-Za-z0-9_]+")
# Not those of `tables`: `status` shows dropped fields, and starts without SQLModel (0.5 s).
_fields = table("fields", column("name", String), column("enabled", Boolean), column("created_ns", BigInteger))
_sources = table("sources", column("id", String), column("fields", String))


@dataclass(frozen=True, slots=True)
class KnownField:
    """One known field."""

    name: str
    enabled: bool
    built_in: bool = False


@dataclass(frozen=True, slots=True)
class DroppedField:
    """A field that is not sent on, and why. `known_as` is a known name that differs in case alone."""

    name: str
    why: Literal["unknown", "disabled"]
    known_as: str | None = None

    @property
    def sentence(self) -> str:
        """What is so, and what to do."""
        what = f"The field {quote(self.name)} is {self.why}, so it is dropped wherever events are sent on."
        return f"{what} {self._remedy}"

    @property
    def _remedy(self) -> str:
        if self.why == "disabled":
            return f"Enable it with: {command_line('fields enable', self.name)}"
        if self.known_as:
            return f"It is known as {self.known_as}: write it so."
        if problem := _problem(self.name):
            return f"It cannot be added: {problem}."
        return f"Add it with: {command_line('fields add', self.name)}"


@dataclass(frozen=True, slots=True)
class FilteredFields:
    """A source's fields as they are sent on, and those that are not."""

    kept: dict[str, Any]
    dropped: tuple[DroppedField, ...]


def all_fields(engine: Engine) -> list[KnownField]:
    """All fields by name, those built in first."""
    with store_errors(), reading(engine).connect() as connection:
        own = _own(connection)
    built_in = [KnownField(name, enabled=True, built_in=True) for name in BUILT_IN]
    return built_in + [KnownField(name, enabled) for name, enabled in sorted(own.items())]


def filter_fields(engine: Engine, fields: Mapping[str, Any]) -> FilteredFields:
    """What of a source's fields is sent on: the known and enabled ones."""
    with store_errors(), reading(engine).connect() as connection:
        states = {**_own(connection), **dict.fromkeys(BUILT_IN, True)}
    return _metadata(fields, states)


def _metadata(fields: Mapping[str, Any], states: Mapping[str, bool]) -> FilteredFields:
    kept = {name: value for name, value in fields.items() if states.get(name)}
    return FilteredFields(kept, tuple(_dropped(name, states) for name in fields if name not in kept))


def dropped_fields(engine: Engine, fields: Mapping[str, Any]) -> tuple[DroppedField, ...]:
    """The fields of a source that are not sent on."""
    return filter_fields(engine, fields).dropped


def dropped_by_source(engine: Engine) -> dict[str, tuple[DroppedField, ...]]:
    """The same for the fields that the store knows of all sources, by their ids."""
    with store_errors(), reading(engine).connect() as connection:
        states = {**_own(connection), **dict.fromkeys(BUILT_IN, True)}
        found = connection.execute(select(_sources.c.id, _sources.c.fields)).all()
    return {row.id: _metadata(json.loads(row.fields or "{}"), states).dropped for row in found}


def create(engine: Engine, names: Iterable[str]) -> tuple[str, ...]:
    """Make names known, enabled. Returns those that were not; what is disabled stays so.

    Raises ThirdPartyConfigError with all faults where one of them cannot be a name; then none is added.
    """
    wanted = tuple(dict.fromkeys(names))
    with writing(engine) as connection:
        there = _locked(connection)
        _refuse(_faults_of_new(wanted, there))
        new = tuple(name for name in wanted if name not in there and name not in BUILT_IN)
        if new:
            row = {"enabled": True, "created_ns": clock.now_ns()}
            connection.execute(insert(_fields), [{"name": name, **row} for name in new])
    return new


def set_enabled(engine: Engine, names: Iterable[str], *, enabled: bool) -> tuple[str, ...]:
    """Enable or disable known fields. Returns those that were not so before.

    Raises ThirdPartyConfigError with all faults where one is unknown, or built in and to be disabled.
    """
    wanted = tuple(dict.fromkeys(names))
    with writing(engine) as connection:
        there = _locked(connection)
        _refuse(_faults_of_switch(wanted, there, enabled=enabled))
        changed = tuple(name for name in wanted if there.get(name, True) is not enabled)
        connection.execute(update(_fields).where(_fields.c.name.in_(changed)).values(enabled=enabled))
    return changed


def _own(connection: Connection) -> dict[str, bool]:
    return {row.name: row.enabled for row in connection.execute(select(_fields.c.name, _fields.c.enabled))}


def _locked(connection: Connection) -> dict[str, bool]:
    """The table, held until the transaction ends: two commands must not add Team and team at once."""
    if not is_sqlite(connection.engine):
        connection.execute(text("LOCK TABLE fields IN SHARE ROW EXCLUSIVE MODE"))
    return _own(connection)


def _dropped(name: str, states: Mapping[str, bool]) -> DroppedField:
    return (
        DroppedField(name, "disabled") if name in states else DroppedField(name, "unknown", _other_case(name, states))
    )


def _other_case(name: str, names: Iterable[str]) -> str | None:
    return next((one for one in names if one != name and one.lower() == name.lower()), None)


def _problem(name: str) -> str:
    if len(name) > NAME_MAX:
        return f"it has {len(name)} characters, and Sumo Logic takes {NAME_MAX}"
    return "" if _NAME.fullmatch(name) else "a field's name has only the letters A to Z, digits and _"


def _faults_of_new(wanted: Sequence[str], there: Iterable[str]) -> list[str]:
    known_names = [*BUILT_IN, *there]
    faults = []
    for position, name in enumerate(wanted):
        if problem := _problem(name):
            faults.append(f"{quote(name)} cannot be added: {problem}.")
        elif other := _other_case(name, [*known_names, *wanted[:position]]):
            faults.append(f"{quote(name)} differs from {other} in case alone: use {other}.")
    return faults


def _faults_of_switch(wanted: Sequence[str], there: Mapping[str, bool], *, enabled: bool) -> list[str]:
    faults = []
    for name in wanted:
        if name in BUILT_IN and not enabled:
            faults.append(f"{name} is built in and cannot be disabled.")
        elif name not in there and name not in BUILT_IN:
            meant = _other_case(name, [*there, *BUILT_IN]) or closest_match(name, [*there, *BUILT_IN])
            close = f" Did you mean {meant}?" if meant else ""
            faults.append(f"There is no field {quote(name)}.{close}")
    return faults


def _refuse(faults: Sequence[str]) -> None:
    if len(faults) == 1:
        raise ThirdPartyConfigError(faults[0], hint=_HINT, code="fields")
    if faults:
        message = "\n  ".join([f"{len(faults)} fields are wrong:", *faults])
        raise ThirdPartyConfigError(f"{message}\n{_HINT}", code="fields")


_HINT = "Nothing was changed; `onepassword-source fields list` shows the fields there are."
