"""One cache of compiled SQL for all engines of a kind: each test opens its own, and would compile each statement again.

SQLAlchemy keeps what it has compiled with the engine, by statement and dialect. The engines of the tests differ in
their database alone, so what one has compiled is right for all. A process of the program opens one engine, and has no
use for this.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy.engine import Engine
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache

STATEMENTS = 3000

_by_dialect: dict[type[Any], LRUCache[Any, Any]] = {}
_types: dict[type[Any], WeakKeyDictionary[Any, Any]] = {}


def share() -> None:
    """Share them from now on, in this process."""
    Engine._compiled_cache = property(_cache, lambda _engine, _own: None)  # type: ignore[assignment]
    DefaultDialect._type_memos = property(_memos)  # type: ignore[assignment, method-assign]
    DefaultDialect.__hash__ = lambda self: hash(type(self))  # type: ignore[method-assign]
    DefaultDialect.__eq__ = lambda self, other: type(self) is type(other)  # type: ignore[method-assign]


def _cache(engine: Engine) -> LRUCache[Any, Any]:
    return _by_dialect.setdefault(type(engine.dialect), LRUCache(STATEMENTS))


def _memos(dialect: DefaultDialect) -> WeakKeyDictionary[Any, Any]:
    """How values of each type are converted."""
    return _types.setdefault(type(dialect), WeakKeyDictionary())
