"""Pausing and resuming: each pair is one line or one record, and whether it was so before."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from support.command_sessions import session_of

from blocks.store.forwarding.records import ForwardPair
from deployments import deferred
from deployments.commands.support import siem_pairs

if TYPE_CHECKING:
    from collections.abc import Callable


def pair(source: str, number: int) -> ForwardPair:
    return ForwardPair(f"pair {number}", str(number) * 32, source, "soc\x1b", "splunk", {}, "", 0, None)


@pytest.fixture(autouse=True)
def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None, bool]]:
    """What was requested: SIEM, source, and whether to pause. The second of two pairs was so already."""
    seen: list[tuple[str, str | None, bool]] = []

    def set_paused(name: str, source: str | None, *, paused: bool) -> list[tuple[ForwardPair, bool]]:
        seen.append((name, source, paused))
        return [(pair("a", 1), True), (pair("b\n", 2), False)]

    monkeypatch.setattr(deferred, "siem_actions", SimpleNamespace(set_paused=set_paused), raising=False)
    monkeypatch.setattr(siem_pairs, "prefect_session", session_of("own"))
    return seen


@pytest.mark.parametrize(("paused", "word"), [(True, "paused"), (False, "resumed")])
def test_each_pair_is_a_line(
    requests: list[tuple[str, str | None, bool]], capsys: pytest.CaptureFixture[str], *, paused: bool, word: str
) -> None:
    siem_pairs.set_paused("soc", "a", paused=paused, as_json=False)
    assert capsys.readouterr().out == f"a to soc\ufffd: {word}.\nb\ufffd to soc\ufffd: was already {word}.\n"
    assert requests == [("soc", "a", paused)]


@pytest.mark.parametrize("paused", [True, False])
def test_each_pair_is_a_record(
    requests: list[tuple[str, str | None, bool]], capsys: pytest.CaptureFixture[str], *, paused: bool
) -> None:
    siem_pairs.set_paused("soc", None, paused=paused, as_json=True)
    assert json.loads(capsys.readouterr().out) == [
        {"source": "a", "source_id": "1" * 32, "siem": "soc\x1b", "paused": paused, "change": "updated"},
        {"source": "b\n", "source_id": "2" * 32, "siem": "soc\x1b", "paused": paused, "change": "unchanged"},
    ]
    assert requests == [("soc", None, paused)]


def test_it_takes_place_in_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoPrefectError(Exception):
        pass

    def session() -> Callable[[], None]:
        raise NoPrefectError

    monkeypatch.setattr(siem_pairs, "prefect_session", session)
    with pytest.raises(NoPrefectError):
        siem_pairs.set_paused("soc", None, paused=True, as_json=False)
