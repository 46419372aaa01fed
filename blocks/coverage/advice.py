"""What to do about a gap: the command, whose words can be pasted into a shell, and how long there is time for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from whenever import Instant

from blocks import clock
from blocks.command_line import command_line
from blocks.coverage.gaps import DAY_NS, SECOND_NS, Gap, GapKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blocks.coverage.gaps import Coverage

TICK_NS = 300 * SECOND_NS


@dataclass(frozen=True, slots=True)
class GapAdvice:
    """A gap that some APIs have alike, and the command that closes it; none where nothing can."""

    gap: Gap
    apis: tuple[str, ...]
    command: str
    now_ns: int

    @property
    def days_left(self) -> int:
        """Whole days until 1Password drops its oldest moment."""
        return self.gap.left_ns(self.now_ns) // DAY_NS

    @property
    def days_left_newest(self) -> int:
        """Whole days until 1Password has dropped all of it."""
        return max(self.gap.dropped_by_ns - self.now_ns, 0) // DAY_NS

    @property
    def sentence(self) -> str:
        """How long there is time for it."""
        gap, newest = self.gap, _days(self.days_left_newest)
        if gap.kind is GapKind.LOST:
            return "lost: 1Password has it no longer"
        if gap.left_ns(self.now_ns) < SECOND_NS:
            return f"1Password drops it now, from its start on; the last of it in {newest}"
        left = f"{_days(self.days_left)} left, then 1Password drops it"
        return f"not collected since; {left}" if gap.kind is GapKind.OPEN else left


def advise(name: str, coverages: Sequence[Coverage], *, whole: bool = True) -> list[GapAdvice]:
    """The gaps of the APIs of a source, the oldest first.

    Those of several APIs that begin and end within a tick of the schedule are one, from the first to the last moment.
    `whole`: these are all APIs of the source, so a command for all of them names none.
    """
    groups: list[_Group] = []
    for one in coverages:
        for gap in one.gaps:
            stopped = one.record.stopped if gap.kind is GapKind.OPEN else ""
            near = next((group for group in groups if group.takes(one.api, gap, stopped)), None)
            if near is None:
                groups.append(_Group(gap, stopped, [one.api]))
            else:
                near.add(one.api, gap)
    every = [one.api for one in coverages]
    made = [
        GapAdvice(
            group.gap,
            tuple(group.apis),
            command_for(group.gap, name, () if whole and group.apis == every else group.apis, group.stopped),
            coverages[0].now_ns,
        )
        for group in groups
    ]
    return sorted(made, key=lambda one: (one.gap.start_ns, one.gap.end_ns))


@dataclass(slots=True)
class _Group:
    gap: Gap
    stopped: str
    apis: list[str]

    def takes(self, api: str, gap: Gap, stopped: str) -> bool:
        own = self.gap
        return (
            (own.kind, self.stopped) == (gap.kind, stopped)
            and api not in self.apis
            and abs(own.start_ns - gap.start_ns) <= TICK_NS
            and abs(own.end_ns - gap.end_ns) <= TICK_NS
        )

    def add(self, api: str, gap: Gap) -> None:
        self.apis.append(api)
        own = self.gap
        self.gap = Gap(own.kind, min(own.start_ns, gap.start_ns), max(own.end_ns, gap.end_ns))


def command_for(gap: Gap, name: str, apis: Sequence[str], stopped: str = "") -> str:
    """The command that closes a gap of some APIs, or of all where none is named."""
    if gap.kind is GapKind.LOST:
        return ""
    if gap.kind is GapKind.OPEN:
        if stopped in {"deleted", "unsupported"}:
            return command_line("apply", "FILE")
        return command_line("start" if stopped else "restart", name)
    words = ["--start", format_second(gap.start_ns), "--end", format_second(-(-gap.end_ns // SECOND_NS) * SECOND_NS)]
    words += [word for api in apis for word in ("--api", api)]
    return command_line("backfill", name, options=tuple(words))


def format_second(ns: int) -> str:
    """RFC 3339, to the second below."""
    return Instant.from_timestamp(ns // SECOND_NS * SECOND_NS, unit="nanosecond").format_iso(unit="second")


def format_length(gap: Gap) -> str:
    """`2 d`."""
    return clock.format_span(gap.length_ns)


def _days(number: int) -> str:
    return "less than a day" if number < 1 else "1 day" if number == 1 else f"{number} days"
