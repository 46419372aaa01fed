"""Names of vaults, items, users and groups from a file that you export: events hold their ids alone.

A file is one of these:

- the JSON of `op vault list`, `op item list`, `op user list`, `op group list` or one of their `get` commands, each with
  `--format json`; the JSON of a Connect server or of an SDK, which spell some members in another way,
- CSV with the columns `uuid`, `kind`, `name` and, if you have it, `vault_uuid`.

Only the id, the kind, the name, the vault and a user's e-mail address are read. What else the file has, such as an
item's `additional_information` (often a user name), is not.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from blocks import json_file
from blocks.events_api.models import UUID_MAX
from blocks.problems import ConfigurationError, Problem, closest_match, describe_type, json_path, quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

FILE_MAX = 64 * 1024 * 1024  # bytes: some 200,000 items as `op item list` prints them
NAME_MAX = 1000  # characters
PROBLEMS_MAX = 20  # shown of one file
KINDS = ("vault", "item", "user", "group", "service_account", "device", "account")
COLUMNS = ("uuid", "kind", "name", "vault_uuid")
FORMS = "the JSON of `op vault list --format json` or of its kin, or CSV with the columns uuid,kind,name"

_IDS, _NAMES = ("id", "uuid"), ("name", "title", "display_name")
_VAULTS = ("vault", "vault_id", "vaultId", "vault_uuid")
_OF_A_USER = ("email",)
_OF_AN_ITEM = ("category", *_VAULTS)
_OF_A_VAULT = (
    *("content_version", "contentVersion", "attribute_version", "attributeVersion", "vault_type", "vaultType"),
    *("items", "active_item_count", "activeItemCount"),
)
_OF_A_GROUP = ("state", "group_type", "groupType")


class NamedObject(NamedTuple):
    """An object of 1Password and its name. `kind` is one of KINDS; an item may name its vault, a user has an e-mail."""

    uuid: str
    kind: str
    name: str
    vault_uuid: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class NameFile:
    """What a file names, each id once, and how many entries have no name."""

    objects: tuple[NamedObject, ...]
    unnamed: int = 0


class _Entry(NamedTuple):
    place: str
    members: Mapping[str, object]


def read_bounded(file: BinaryIO, name: str) -> bytes:
    """The bytes of a file or of standard input. Raises ConfigurationError if there are more than FILE_MAX."""
    data = file.read(FILE_MAX + 1)
    if len(data) > FILE_MAX:
        problem = f"it is larger than {FILE_MAX // 1024**2} MiB"
        raise ConfigurationError([Problem(name, problem, "several smaller files, such as one for each vault")])
    return data


def parse_names(data: bytes, kind: str | None = None) -> NameFile:
    """The names in a file; `kind` is that of all entries, if the file does not show it.

    Raises ConfigurationError with the problems and their lines or entries; then nothing of the file may be used.
    """
    entries = list(_json_entries(data) if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in {b"[", b"{"} else _rows(data))
    problems: list[Problem] = []
    objects, unnamed = {}, 0
    for entry in entries:
        read = _read_object(entry, kind, problems)
        if read is None:
            unnamed += 1
        else:
            objects[read.uuid] = read
    if problems:
        raise ConfigurationError(_first(problems))
    return NameFile(tuple(objects.values()), unnamed)


def _first(problems: list[Problem]) -> Iterable[Problem]:
    if len(problems) <= PROBLEMS_MAX:
        return problems
    more = f"{len(problems) - PROBLEMS_MAX:,} more entries have problems"
    return [*problems[:PROBLEMS_MAX], Problem("$", more, "none")]


def _json_entries(data: bytes) -> Iterator[_Entry]:
    document = json_file.decode(data)
    for index, value in enumerate(document if isinstance(document, list) else [document]):
        place = json_path("$", index) if isinstance(document, list) else "$"
        if not isinstance(value, dict):
            raise ConfigurationError([Problem(place, f"it is {describe_type(value)}", "an object with id and name")])
        yield _Entry(place, value)


def _rows(data: bytes) -> Iterator[_Entry]:
    text = io.StringIO(_text_of(data), newline="")
    separator = next((one for one in ",;\t" if one in text.getvalue().partition("\n")[0]), ",")
    reader = csv.reader(text, delimiter=separator, strict=True)
    try:
        columns = _columns(next(reader, []))
        for row in reader:
            if not any(row):
                continue
            place = f"line {reader.line_num}"
            if len(row) > len(columns):
                raise ConfigurationError([Problem(place, f"it has {len(row)} values", f"{len(columns)} as the header")])
            yield _Entry(place, {name: value for name, value in zip(columns, row, strict=False) if value})
    except csv.Error as error:
        raise ConfigurationError([Problem(f"line {reader.line_num}", f"it is not CSV: {error}", FORMS)]) from None


def _columns(header: list[str]) -> list[str]:
    columns = [name.strip().lower() for name in header]
    if not set(columns) & set(_IDS) or not set(columns) & set(_NAMES):
        raise ConfigurationError([Problem("line 1", "there is no column uuid, or none for the name", FORMS)])
    if repeated := next((name for name in columns if columns.count(name) > 1), None):
        raise ConfigurationError([Problem("line 1", f"the column {quote(repeated)} is there twice", "it once")])
    return columns


def _text_of(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = (
            f"the file is not UTF-8: the byte 0x{data[error.start]:02x} at offset {error.start} cannot stand there"
        )
    raise ConfigurationError([Problem("$", problem, FORMS)])


def _read_object(entry: _Entry, kind: str | None, problems: list[Problem]) -> NamedObject | None:
    """One entry; None if it has no name. Its problems are appended."""
    uuid, name = _member(entry, _IDS, problems), _member(entry, _NAMES, problems)
    own = _kind(entry, uuid, kind, problems)
    if not uuid or len(uuid) > UUID_MAX or not uuid.isprintable():
        found = f"its id {quote(uuid)} is too long or not printable" if uuid else "it has no id"
        problems.append(Problem(entry.place, found, f"an id of at most {UUID_MAX} characters"))
        return None
    if not name:
        return None
    if len(name) > NAME_MAX:
        problems.append(Problem(entry.place, f"its name has {len(name):,} characters", f"at most {NAME_MAX:,}"))
    email = _member(entry, _OF_A_USER, problems) if own in {"user", "service_account"} else None
    vault = _vault(entry, problems) if own == "item" else None
    return NamedObject(uuid, own, name, vault or None, email or None)


def _kind(entry: _Entry, uuid: str, otherwise: str | None, problems: list[Problem]) -> str:
    """The kind that the entry has, that the option gives, or that the members show."""
    own = entry.members.get("kind")
    if own is None:
        return otherwise or _guess(entry.members)
    if own in KINDS:
        return str(own)
    similar = closest_match(own, KINDS) if isinstance(own, str) else None
    what = quote(own) if isinstance(own, str) else describe_type(own)
    expected = similar or f"one of {', '.join(KINDS)}"
    problems.append(Problem(entry.place, f"the kind of {quote(uuid)} is {what}", expected))
    return "item"


def _guess(members: Mapping[str, object]) -> str:
    if any(name in members for name in _OF_A_USER):
        return "service_account" if members.get("type") == "SERVICE_ACCOUNT" else "user"
    if any(name in members for name in _OF_AN_ITEM):
        return "item"
    if any(name in members for name in _OF_A_VAULT):
        return "vault"
    if any(name in members for name in _OF_A_GROUP):
        return "group"
    # The list of a translation table has uuid and title of items; an old `op vault list` has id and name alone.
    return "item" if "uuid" in members and "title" in members else "vault"


def _vault(entry: _Entry, problems: list[Problem]) -> str:
    """The id of an item's vault: a text, or an object with an id."""
    value = next((entry.members[name] for name in _VAULTS if name in entry.members), None)
    return _member(_Entry(entry.place, value), _IDS, problems) if isinstance(value, dict) else _text(value)


def _member(entry: _Entry, names: Iterable[str], problems: list[Problem]) -> str:
    """The text of the first of these members, as a database can store it; empty if there is none."""
    for name in names:
        value = entry.members.get(name)
        if value is None:
            continue
        if not isinstance(value, str):
            place = entry.place if entry.place.startswith("line") else json_path(entry.place, name)
            problems.append(Problem(place, f"it is {describe_type(value)}", "a text"))
        return _text(value)
    return ""


def _text(value: object) -> str:
    if not isinstance(value, str):
        return ""
    return value.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}").strip()
