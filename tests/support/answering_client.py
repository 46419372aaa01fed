"""A client of the Events API that returns planned answers and records the requests."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from blocks.errors import SourceError
from blocks.events_api.models import Introspection

if TYPE_CHECKING:
    from blocks.events_api.models import Api, Page


class AnsweringClient:
    """Answers as EventsClient does. `first` holds the arguments of first requests, `cursors` those of the others."""

    def __init__(self, *answers: Page | Exception, scopes: frozenset[str] | SourceError = frozenset()) -> None:
        self.answers = deque(answers)
        self.first: list[tuple[Any, ...]] = []
        self.cursors: list[str] = []
        self.scopes = scopes

    def next_page(self, _api: Api, cursor: str) -> Page:
        self.cursors.append(cursor)
        return self._answer()

    def first_page(self, *given: Any, **named: Any) -> Page:
        self.first.append((*given, *named.values()))
        return self._answer()

    def introspect(self) -> Introspection:
        if isinstance(self.scopes, SourceError):
            raise self.scopes
        return Introspection("I", self.scopes, None)

    def _answer(self) -> Page:
        answer = self.answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer
