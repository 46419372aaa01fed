"""Processing rules of a source, like those of Sumo Logic's hosted sources: include, exclude, mask and hash.

They change what is sent to a SIEM or an archive, never what is stored. A rule reads an event as one line of compact
JSON, with a pattern of RE2:

- Include and Exclude must match the whole line. An event is sent if one of the includes matches it (or there is none)
  and none of the excludes does.
- Mask and Hash then replace what the capture groups of their pattern match, at each match, in the order of the list.
  A pattern without a group changes nothing.

The result is always JSON, see `json_text_spans.replace_spans`. The rules are specified in
https://help.sumologic.com/docs/send-data/collection/processing-rules (August 2026).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from blocks.problems import Problem, closest_match, describe_type, json_path, quote
from blocks.siem.privacy import json_members, json_text_spans, patterns
from blocks.siem.privacy.patterns import Pattern
from blocks.siem.privacy.rules import UNCHANGED, RuleOutcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

INCLUDE, EXCLUDE, MASK, HASH = "Include", "Exclude", "Mask", "Hash"
TYPES = (INCLUDE, EXCLUDE, MASK, HASH)
ALGORITHMS = ("MD5", "SHA-256")
RULES_MAX = patterns.COUNT_MAX
NAME_MAX = 32
MASK_DEFAULT = "#"
LONGER_MAX = 5
"""A mask is cut to so many times the length of the bytes that it replaces."""
WORK_MAX = 1_000_000_000
"""Steps (instructions of a pattern times bytes of the text) that the rules may use for one event: up to 3 s."""
FORM = '{"name": "no fills", "filterType": "Exclude", "regexp": ".*\\"action\\":\\"fill\\".*"}'
_KEYS = ("name", "filterType", "regexp", "mask")

Replacement = Callable[[bytes], bytes]


class _TooMuchWorkError(Exception):
    """The rules would take too long for one event."""


class _WorkBudget:
    """The steps that the rules may still use for one event."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = WORK_MAX

    def spend(self, pattern: Pattern, size: int) -> None:
        """Count a match over so many bytes. Raises _TooMuchWorkError."""
        self._left -= pattern.size * size
        if self._left < 0:
            raise _TooMuchWorkError


@dataclass(frozen=True, slots=True)
class IncludeOrExclude:
    """A rule that includes or excludes events."""

    name: str
    pattern: Pattern

    def matches(self, line: bytes, work: _WorkBudget) -> bool:
        work.spend(self.pattern, len(line))
        return self.pattern.matches_whole(line)


@dataclass(frozen=True, slots=True)
class ReplacementRule:
    """A rule that masks or hashes."""

    pattern: Pattern
    replacement: Replacement

    def apply(self, line: bytes, work: _WorkBudget) -> bytes:
        """Return the line with what the groups match replaced, or the same object if they match nothing."""
        found = json_text_spans.merge_spans(self._groups(line, work)) if self.pattern.groups else []
        return json_text_spans.replace_spans(line, found, self.replacement) if found else line

    def _groups(self, line: bytes, work: _WorkBudget) -> Iterator[json_text_spans.Span]:
        start = 0
        while start <= len(line):
            work.spend(self.pattern, len(line) - start)
            found = self.pattern.spans(line, start)
            if found is None:
                return
            yield from found[1:]
            start = found[0][1] if found[0][0] < found[0][1] else found[0][1] + 1


@dataclass(frozen=True, slots=True)
class ProcessingRules:
    """The processing rules of one source, checked. Threads may share them."""

    includes: tuple[IncludeOrExclude, ...] = ()
    excludes: tuple[IncludeOrExclude, ...] = ()
    changes: tuple[ReplacementRule, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.includes or self.excludes or self.changes)

    def apply(self, body: str, named: str | None = None) -> RuleOutcome:
        """Return the outcome for an event; its `body` is the changed line. Raises nothing.

        `named` is the body with names beside its ids. It is what this changes, while includes and excludes read `body`.

        If an event is so large that the rules would take too long, it is filtered: its personal data stays protected.
        """
        if self.empty:
            return UNCHANGED if named is None else RuleOutcome(named.encode(errors="replace"))
        line, work = json_members.compact(body.encode(errors="replace")), _WorkBudget()
        try:
            if dropped := self._dropped(line, work):
                return RuleOutcome(filter_reason=dropped)
            before = changed = line if named is None else json_members.compact(named.encode(errors="replace"))
            for rule in self.changes:
                changed = rule.apply(changed, work)
        except _TooMuchWorkError:
            return RuleOutcome(
                filter_reason=f"The source's processing rules would take too long for its {len(line):,} bytes."
            )
        return UNCHANGED if changed is before and named is None else RuleOutcome(changed)

    def _dropped(self, line: bytes, work: _WorkBudget) -> str | None:
        if self.includes and not any(rule.matches(line, work) for rule in self.includes):
            return "None of the source's processing rules of type Include matches it."
        for rule in self.excludes:
            if rule.matches(line, work):
                return f"The source's processing rule {quote(rule.name)} excludes it."
        return None


NONE = ProcessingRules()


def parse(filters: Sequence[Mapping[str, Any]], algorithm: str | None = None) -> ProcessingRules:
    """Parse a list of rules in which `problems` finds none. `algorithm` is that of the source's hashes."""
    choices: dict[str, list[IncludeOrExclude]] = {INCLUDE: [], EXCLUDE: []}
    changes = []
    for rule in filters:
        kind, pattern = _type_of(rule["filterType"]), Pattern(rule["regexp"])
        if kind in choices:
            choices[kind].append(IncludeOrExclude(rule["name"], pattern))
        else:
            changes.append(ReplacementRule(pattern, _mask(rule) if kind == MASK else _hash(algorithm)))
    return ProcessingRules(tuple(choices[INCLUDE]), tuple(choices[EXCLUDE]), tuple(changes))


def problems(filters: object, path: str) -> Iterator[Problem]:
    """Yield the problems of the list of rules at `path`. None means that there are no rules."""
    if filters is None:
        return
    if not isinstance(filters, list):
        yield Problem(path, f"it is {describe_type(filters)}", f"a list of rules such as {FORM}")
        return
    for index, rule in enumerate(filters):
        yield from _rule_problems(rule, json_path(path, index))
    given = [rule["regexp"] for rule in filters if isinstance(rule, dict) and isinstance(rule.get("regexp"), str)]
    yield from patterns.pattern_set_problems(given, path)


def algorithm_problems(algorithm: object, path: str) -> Iterator[Problem]:
    if algorithm is not None and _algorithm(algorithm) is None:
        problem = f"it is {quote(algorithm) if isinstance(algorithm, str) else describe_type(algorithm)}"
        yield Problem(path, problem, " or ".join(map(quote, ALGORITHMS)))


def warnings(filters: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield warnings about valid rules that probably do not have the effect that was intended."""
    for rule in filters:
        name = quote(rule["name"])
        if _type_of(rule["filterType"]) in {MASK, HASH} and not Pattern(rule["regexp"]).groups:
            yield f"The processing rule {name} changes nothing: its pattern has no capture group, such as (…)."
        if unknown := [key for key in rule if key not in _KEYS]:
            yield f"The processing rule {name} has {', '.join(map(quote, unknown))}, which has no effect here."


def _rule_problems(rule: object, path: str) -> Iterator[Problem]:
    if not isinstance(rule, dict):
        yield Problem(path, f"it is {describe_type(rule)}", f"a rule such as {FORM}")
        return
    name, kind, pattern, mask = (rule.get(key) for key in _KEYS)
    if not isinstance(name, str) or not name or len(name) > NAME_MAX:
        problem = f"it has {len(name)} characters" if isinstance(name, str) else _problem_of_kind(name)
        yield Problem(json_path(path, "name"), problem, f"a name of 1 to {NAME_MAX} characters")
    if _type_of(kind) is None:
        yield from _type_problems(kind, json_path(path, "filterType"))
    if not isinstance(pattern, str) or not pattern:
        problem = "it is empty" if pattern == "" else _problem_of_kind(pattern)
        yield Problem(json_path(path, "regexp"), problem, "a regular expression, as a text")
    else:
        yield from patterns.problems(pattern, json_path(path, "regexp"))
    if mask is not None:
        yield from _mask_problems(mask, json_path(path, "mask"))


def _type_problems(kind: object, path: str) -> Iterator[Problem]:
    if not isinstance(kind, str):
        yield Problem(path, _problem_of_kind(kind), f"one of {', '.join(TYPES)}")
        return
    likely = closest_match(kind, TYPES)
    yield Problem(path, f"{quote(kind)} is not a known type", quote(likely) if likely else f"one of {', '.join(TYPES)}")


def _mask_problems(mask: object, path: str) -> Iterator[Problem]:
    if not isinstance(mask, str):
        yield Problem(path, f"it is {describe_type(mask)}", "a text")
    elif ":" in mask or patterns.utf8(mask) != mask.encode(errors="replace"):
        yield Problem(path, "it holds a colon or a lone surrogate", "a text without them")


def _problem_of_kind(value: object) -> str:
    return "it is missing" if value is None else f"it is {describe_type(value)}"


def _type_of(kind: object) -> str | None:
    """Return the type in its documented spelling. Upper and lower case do not matter."""
    return next((one for one in TYPES if isinstance(kind, str) and kind.lower() == one.lower()), None)


def _algorithm(name: object) -> str | None:
    bare = name.upper().replace("-", "") if isinstance(name, str) else None
    return next((one for one in ALGORITHMS if bare == one.replace("-", "")), None)


def _mask(rule: Mapping[str, Any]) -> Replacement:
    return partial(_masked, (rule.get("mask") or MASK_DEFAULT).encode())


def _masked(mask: bytes, text: bytes) -> bytes:
    shown = mask[: LONGER_MAX * len(text)].decode(errors="ignore")
    return json.dumps(shown, ensure_ascii=False)[1:-1].encode()


def _hash(algorithm: str | None) -> Replacement:
    return _sha256 if _algorithm(algorithm) == "SHA-256" else _md5


def _md5(text: bytes) -> bytes:
    return hashlib.md5(text, usedforsecurity=False).hexdigest().encode()


def _sha256(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()
