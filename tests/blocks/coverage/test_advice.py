"""What to do about gaps: one command for each, and how long there is time."""

from __future__ import annotations

import pytest
from support.coverage_reports import NOW, UP_TO_NOW, ago, coverage_of, record

from blocks.coverage.advice import GapAdvice, advise
from blocks.coverage.gaps import CoverageRecord, Gap, GapKind, coverage


def test_the_command_that_closes_a_gap_takes_whole_seconds_and_names_the_apis() -> None:
    odd = ago(20) + 7
    gap = CoverageRecord(1, "audit", read_from_ns=ago(30), drained_ns=NOW, spans=((ago(30), odd), (ago(19) + 1, NOW)))
    (one,) = [
        one for one in advise("1Pass", [coverage(gap, NOW), coverage_of("sign-in")]) if one.gap.kind is GapKind.GAP
    ]
    assert one.command == (
        "onepassword-source backfill 1Pass --start 2026-09-01T00:00:00Z --end 2026-09-02T00:00:01Z --api audit"
    )
    assert one.days_left == 99


def test_apis_with_one_gap_are_named_together_and_all_of_them_need_no_names() -> None:
    spans = ((30.0, 20.0), (19.0, UP_TO_NOW))
    late = ((30.0, 20.0 - 0.003), (19.0 - 0.003, UP_TO_NOW))
    both = [coverage(record(*spans), NOW), coverage(record(*late, stream_id=2, api="sign-in"), NOW)]
    (one,) = [one for one in advise("1Pass", both) if one.gap.kind is GapKind.GAP]
    assert one.apis == ("audit", "sign-in")
    assert "--api" not in one.command
    assert (one.gap.start_ns, one.gap.end_ns) == (ago(20), ago(19 - 0.003))
    third = [*both, coverage_of("itemUsage")]
    (one,) = [one for one in advise("1Pass", third) if one.gap.kind is GapKind.GAP]
    assert one.command.endswith("--api audit --api sign-in")


@pytest.mark.parametrize(
    ("stopped", "command"),
    [
        ("", "onepassword-source restart '1 Pass; rm -rf /'"),
        ("stopped", "onepassword-source start '1 Pass; rm -rf /'"),
        ("unsupported", "onepassword-source apply FILE"),
        ("deleted", "onepassword-source apply FILE"),
    ],
)
def test_an_open_gap_is_closed_by_collecting_again(stopped: str, command: str) -> None:
    found = coverage(record((30, 2), stopped=stopped), NOW)
    (one,) = [one for one in advise("1 Pass; rm -rf /", [found]) if one.gap.kind is GapKind.OPEN]
    assert one.command == command
    assert one.sentence == "not collected since; 117 days left, then 1Password drops it"


def test_a_name_like_an_option_stands_behind_two_dashes() -> None:
    found = coverage(record((30, 2)), NOW)
    assert advise("-x", [found])[-1].command == "onepassword-source restart -- -x"


@pytest.mark.parametrize(
    ("kind", "start", "end", "says"),
    [
        (GapKind.GAP, 118.2, 117, "1 day left, then 1Password drops it"),
        (GapKind.GAP, 119, 117, "less than a day left, then 1Password drops it"),
        (GapKind.GAP, 119.5, 117, "1Password drops it now, from its start on; the last of it in 2 days"),
        (GapKind.LOST, 122, 121, "lost: 1Password has it no longer"),
    ],
)
def test_how_long_there_is_time(kind: GapKind, start: float, end: float, says: str) -> None:
    assert GapAdvice(Gap(kind, ago(start), ago(end)), ("audit",), "", NOW).sentence == says
