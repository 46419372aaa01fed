"""Whether the runs of a source work, by their traces in the store, and whether `up` reports troubles."""

from __future__ import annotations

from pathlib import Path

from blocks import clock
from blocks.errors import SourceError
from blocks.liveness import RUNS, Judgement
from blocks.store import run_signs
from blocks.store.engine import open_engine, sqlite_path
from deployments import up_health
from deployments.checks.finding import Finding, failed, not_checked, ok

STEP = "runs"
_TERMINAL = "`up` restarts it if that can help. If the trouble stays, check the terminal of `up`, or restart it."


def check_runs(url: str, name: str) -> Finding:
    """Whether a run of the source has worked lately. The store is not changed."""
    if troubles := [one for one in up_health.troubles_now() if one.what != RUNS]:
        return failed(STEP, " ".join(one.text for one in troubles), _TERMINAL)
    if not store_exists(url):
        return not_checked(STEP, "there is no store yet")
    engine = open_engine(url)
    try:
        judged = run_signs.judge_all(engine)
    except SourceError:
        return not_checked(STEP, "the store could not be read")
    finally:
        engine.dispose()
    found = (_of(one) for one in judged if one.signs.name == name)
    return next(found, not_checked(STEP, "the store knows no such source"))


def store_exists(url: str) -> bool:
    """True if there may be a store at the URL. Checks without creating one."""
    path = sqlite_path(url)
    return path is None or (
        Path(path).exists() and Path(path).stat().st_size > 0
    )  # opening an empty file would write to it


def _of(judged: Judgement) -> Finding:
    for condition in judged.active:
        if condition.tracker == RUNS:
            return failed(STEP, condition.description, "Start `onepassword-source up`, or look at its terminal.")
    if judged.signs.paused:
        return ok(STEP, "none is due: the source is stopped")
    seen_ns = judged.signs.seen_ns(clock.now_ns())
    if seen_ns is None:
        return ok(STEP, "none has begun yet")
    return ok(STEP, f"the last one gave a sign of life {clock.format_age(seen_ns)} ago")
