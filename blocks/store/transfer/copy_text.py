r"""Rows in the text format of PostgreSQL's COPY: a line for each row, tabs between values, `\N` for null.

https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from blocks.store.transfer.table_layout import Kind

NULL = r"\N"
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def rows(lines: Iterable[bytes], kinds: Iterable[Kind]) -> Iterator[tuple[Any, ...]]:
    """The rows of lines as PostgreSQL writes them, each with its newline."""
    parsers = [_PARSERS[kind] for kind in kinds]
    for line in lines:
        values = line.decode().removesuffix("\n").split("\t")
        yield tuple(None if value == NULL else parse(value) for value, parse in zip(values, parsers, strict=True))


def _text(value: str) -> str:
    if "\\" not in value:
        return value
    return _ESCAPE.sub(lambda found: _LETTERS.get(found[1], found[1]), value)


def _bytes(value: str) -> bytes:
    return bytes.fromhex(_text(value).removeprefix("\\x"))


_PARSERS: dict[Kind, Callable[[str], Any]] = {
    "integer": int,
    "boolean": lambda value: int(value == "t"),
    "bytes": _bytes,
    "text": _text,
}
