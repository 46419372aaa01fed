"""Privacy rules of one SIEM: which events are filtered, and which of their members are redacted.

The rules are a list, and the first one that matches decides:

- For an event: the first `keep` or `drop` whose condition holds. If none holds, the event is sent, unless the last of
  these rules is a `keep`: then it is filtered.
- For a member: the first `mask`, `hash` or `remove` that names it, or an object around it, and whose `when` holds.

Conditions read the event as 1Password sent it, before any redaction.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from blocks.problems import Problem, closest_match, describe_type, json_path, quote
from blocks.siem.privacy import conditions, members, patterns
from blocks.siem.privacy.redaction import Redaction, hash_change, mask, remove

if TYPE_CHECKING:
    from collections.abc import Iterator

    from blocks.events_api.models import Api
    from blocks.siem.privacy.conditions import EventCondition
    from blocks.siem.privacy.redaction import Change

CHOICES = ("keep", "drop")
CHANGES = ("mask", "hash", "remove")
_KEYS = (*CHOICES, *CHANGES)
_FORM = '{"drop": {"action": ["fill"]}} or {"mask": ["@emails"]}'


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """The outcome of rules for an event. `body` is None if it is sent as it is stored, byte for byte.

    `dropped` is a sentence that says which rule drops it.
    """

    body: bytes | None = None
    filter_reason: str | None = None


UNCHANGED = RuleOutcome()
UNREADABLE = RuleOutcome(filter_reason="Its body cannot be parsed, so the rules could not redact anything.")


@dataclass(frozen=True, slots=True)
class KeepOrDrop:
    """A rule that keeps or drops events."""

    number: int
    text: str
    keeps: bool
    condition: EventCondition


@dataclass(frozen=True, slots=True)
class RedactionRule:
    """A rule that changes members of events."""

    when: EventCondition | None
    paths: tuple[members.Path, ...]
    change: Change

    def holds(self, api: Api, data: bytes) -> bool:
        return self.when is None or self.when.holds(api, data)


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one SIEM, checked. Threads may share them."""

    choices: tuple[KeepOrDrop, ...] = ()
    changes: tuple[RedactionRule, ...] = ()
    _redactions: dict[tuple[bool, ...], Redaction] = field(default_factory=dict, repr=False, compare=False)

    @property
    def empty(self) -> bool:
        return not self.choices and not self.changes

    def apply(self, api: Api, body: str, processed: bytes | None = None) -> RuleOutcome:
        """Return the outcome for an event. Raises nothing: an event whose body cannot be parsed is filtered.

        `processed` is the body after the source's processing rules. It is what this redacts, while conditions read
        `body`.
        """
        if self.empty:
            return UNCHANGED if processed is None else RuleOutcome(processed)
        try:
            data = body.strip().encode()
            if not data.startswith(b"{"):
                return UNREADABLE
            if dropped := self._dropped(api, data):
                return RuleOutcome(filter_reason=dropped)
            return self._changed(api, data, processed)
        except (ValueError, RecursionError):  # UnicodeDecodeError and JSONDecodeError are ValueErrors
            return UNREADABLE

    def _dropped(self, api: Api, data: bytes) -> str | None:
        for choice in self.choices:
            if choice.condition.holds(api, data):
                return None if choice.keeps else f"Rule {choice.number} drops it: {choice.text}"
        if self.choices and self.choices[-1].keeps:
            last = self.choices[-1]
            return f"No rule keeps it, and the last of them, rule {last.number}, is a keep: {last.text}"
        return None

    def _changed(self, api: Api, data: bytes, processed: bytes | None) -> RuleOutcome:
        unchanged = UNCHANGED if processed is None else RuleOutcome(processed)
        if not self.changes:
            return unchanged
        before = data if processed is None else processed
        changed = self._redaction(tuple([rule.holds(api, data) for rule in self.changes])).apply(before)
        return unchanged if changed is None or changed is before else RuleOutcome(changed)

    def _redaction(self, holding: tuple[bool, ...]) -> Redaction:
        found = self._redactions.get(holding)
        if found is None:
            found = Redaction()
            for rule, holds in zip(self.changes, holding, strict=True):
                for path in rule.paths if holds else ():
                    found.set_change(path, rule.change)
            self._redactions[holding] = found
        return found


NONE = Rules()


def parse(rules: object, hash_key: str) -> Rules:
    """Parse a list of rules in which `problems` finds none."""
    if not isinstance(rules, list) or not rules:
        return NONE
    makers: dict[str, Change] = {"mask": mask, "hash": hash_change(hash_key.encode()), "remove": remove}
    choices, changes = [], []
    for number, rule in enumerate(rules, 1):
        kind = next(key for key in _KEYS if key in rule)
        if kind in CHOICES:
            text = json.dumps(rule, ensure_ascii=False)
            choices.append(KeepOrDrop(number, text, kind == "keep", conditions.parse(rule[kind])))
        else:
            when = conditions.parse(rule["when"]) if "when" in rule else None
            paths = tuple(path for _, name in conditions.placed(rule[kind], "") for path in members.resolve(name))
            changes.append(RedactionRule(when, paths, makers[kind]))
    return Rules(tuple(choices), tuple(changes))


def hashes(rules: object) -> bool:
    """Return whether any rule of a list hashes, even if the list has problems."""
    return isinstance(rules, list) and any(isinstance(rule, dict) and "hash" in rule for rule in rules)


def problems(rules: object, path: str, *, has_key: bool) -> Iterator[Problem]:
    """Yield the problems of the list of rules at `path`. `has_key`: whether a key for hashes is configured."""
    if not isinstance(rules, list):
        yield Problem(path, f"it is {describe_type(rules)}", f"a list of rules such as {_FORM}")
        return
    for index, rule in enumerate(rules):
        yield from _rule_problems(rule, json_path(path, index), has_key=has_key)
    yield from patterns.pattern_set_problems(_patterns_of(rules), path)


def _patterns_of(rules: list[object]) -> Iterator[str]:
    for rule in rules:
        if isinstance(rule, dict):
            for key in (*CHOICES, "when"):
                yield from conditions.patterns_of(rule.get(key))


def _rule_problems(rule: object, path: str, *, has_key: bool) -> Iterator[Problem]:
    kinds = [key for key in _KEYS if key in rule] if isinstance(rule, dict) else []
    if not isinstance(rule, dict) or not rule:
        yield Problem(path, "it is empty" if rule == {} else f"it is {describe_type(rule)}", f"a rule such as {_FORM}")
        return
    yield from _key_problems(rule, kinds, path)
    for kind in kinds:
        if kind in CHOICES:
            yield from conditions.problems(rule[kind], json_path(path, kind))
        else:
            yield from _member_problems(rule[kind], json_path(path, kind), removed=kind == "remove")
    if "hash" in kinds and not has_key:
        yield Problem(json_path(path, "hash"), "there is no key for hashes", "hash_key, a secret that you keep")
    if "when" in rule:
        yield from conditions.problems(rule["when"], json_path(path, "when"))


def _key_problems(rule: dict[str, object], kinds: list[str], path: str) -> Iterator[Problem]:
    unknown = [key for key in rule if key not in (*_KEYS, "when")]
    for key in unknown:
        similar = closest_match(key, (*_KEYS, "when"))
        yield Problem(
            json_path(path, key), "this key is not known", quote(similar) if similar else f"one of {', '.join(_KEYS)}"
        )
    if len(kinds) > 1:
        yield Problem(path, f"{' and '.join(kinds)} are in one rule", "a rule of its own for each")
    elif not kinds and not unknown:
        yield Problem(path, "it has no action", f"one of {', '.join(_KEYS)}")
    if "when" in rule and set(kinds) & set(CHOICES):
        yield Problem(json_path(path, "when"), "keep and drop contain their condition themselves", "no when")


def _member_problems(value: object, path: str, *, removed: bool) -> Iterator[Problem]:
    found = list(conditions.list_problems(value, path, "@emails"))
    yield from found
    for place, name in () if found else conditions.placed(value, path):
        yield from members.changed_member_problems(name, place, removed=removed)
