"""Charts as numbers: heights in proportion, kinds in order, and what does not fit is together."""

from __future__ import annotations

from deployments.console import charts
from deployments.console.charts import HEIGHT, KINDS_MAX, WIDTH, share, stack

DAY_NS = 86_400 * 10**9


def test_columns_are_stacked_in_proportion_to_the_largest() -> None:
    chart = stack([(0, (3, 1)), (DAY_NS, (0, 0)), (2 * DAY_NS, (2, 0))], ("good", "bad"), DAY_NS)
    assert chart.largest == 4
    first, none, third = chart.columns
    assert [(block.kind, block.y, block.height) for block in first.blocks] == [
        (1, HEIGHT / 4, HEIGHT * 3 / 4),
        (2, 0, HEIGHT / 4),
    ]
    assert none.blocks == []
    assert third.blocks[0].height == HEIGHT / 2
    assert (third.x, third.since_ns, third.until_ns) == (WIDTH / 3 * 2, 2 * DAY_NS, 3 * DAY_NS)
    assert first.label == "1970-01-01: 3 good, 1 bad"
    assert none.label == "1970-01-02: none"


def test_hours_have_their_time() -> None:
    assert stack([(0, (1,))], ("x",), DAY_NS // 24).columns[0].label == "1970-01-01 00:00 UTC: 1 x"


def test_more_kinds_than_colours_are_counted_together() -> None:
    names = [f"kind {number}" for number in range(8)]
    chart = stack([(0, tuple(range(1, 9)))], names, DAY_NS)
    assert chart.names == [*names[: KINDS_MAX - 1], "others"]
    assert chart.columns[0].counts == (1, 2, 3, 4, 5, 6 + 7 + 8)
    assert chart.columns[0].total == 36


def test_times_stand_below_the_first_the_last_and_some_between() -> None:
    def labels(columns: int) -> list[str]:
        return stack([(day * DAY_NS, (1,)) for day in range(columns)], ("x",), DAY_NS).labels

    assert labels(0) == []
    assert labels(1) == ["01-01"]
    assert labels(3) == ["01-01", "01-02", "01-03"]
    assert (labels(31)[0], labels(31)[-1], len(labels(31))) == ("01-01", "01-31", charts.LABELS)


def test_an_empty_chart_is_no_error() -> None:
    assert stack([], (), DAY_NS).columns == []
    assert stack([(0, ())], (), DAY_NS).largest == 0


def test_a_small_share_is_still_seen() -> None:
    assert (share(1, 1000), share(500, 1000), share(0, 1000), share(0, 0)) == (1.0, 50.0, 0.0, 0.0)
