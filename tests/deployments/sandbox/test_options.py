"""The options of a sandbox: bounds, all problems at once, and what follows from bulk."""

from __future__ import annotations

from typing import Any

import pytest

from deployments.sandbox.options import LONGEST_DAYS, SandboxOptionError, SandboxOptions


@pytest.mark.parametrize(
    "members", [{"events": 0}, {"days": 0.001}, {"days": LONGEST_DAYS}, {"rate": 0.0}, {"events": 10**9, "rate": 1e6}]
)
def test_these_are_options(members: dict[str, Any]) -> None:
    assert SandboxOptions(**members)


@pytest.mark.parametrize(
    ("members", "name"),
    [({"events": -1}, "events"), ({"days": 0}, "days"), ({"days": LONGEST_DAYS + 1}, "days"), ({"rate": -0.1}, "rate")],
)
def test_these_are_not(members: dict[str, Any], name: str) -> None:
    with pytest.raises(SandboxOptionError, match=f"^{name} must be "):
        SandboxOptions(**members)


def test_all_problems_come_at_once() -> None:
    with pytest.raises(SandboxOptionError) as raised:
        SandboxOptions(events=-1, days=-1, rate=-1)
    assert [part.split()[0] for part in str(raised.value).split("; ")] == ["events", "days", "rate"]


@pytest.mark.parametrize(
    ("bulk", "gzip", "expected"),
    [(False, None, True), (True, None, False), (False, False, False), (True, True, True), (False, True, True)],
)
def test_responses_are_compressed_but_not_in_bulk_unless_you_say_so(
    bulk: bool, gzip: bool | None, expected: bool
) -> None:
    assert SandboxOptions(bulk=bulk, gzip=gzip).compresses is expected
