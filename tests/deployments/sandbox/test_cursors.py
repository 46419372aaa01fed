"""Cursors: what is written is read again, by the sandbox of the same seed alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.sandbox.cursors import FOREVER, CursorState, read_cursor, write_cursor
from deployments.sandbox.vocabulary import APIS

STATES = st.builds(
    CursorState,
    version=st.sampled_from([1, 2]),
    api=st.sampled_from(APIS),
    position=st.integers(0, 2**64 - 1),
    limit=st.integers(1, 1000),
    start_ns=st.integers(-FOREVER, FOREVER),
    end_ns=st.integers(-FOREVER, FOREVER),
    serial=st.integers(0, 2**32 - 1),
)


@given(STATES, st.integers(0, 2**40))
def test_a_cursor_is_read_as_it_was_written(state: CursorState, seed: int) -> None:
    text = write_cursor(state, seed)
    assert read_cursor(text, seed) == state
    assert "=" not in text
    assert read_cursor(text, seed + 1) is None


@given(STATES, st.integers(0, 10**6))
def test_a_cursor_that_was_changed_is_not_read(state: CursorState, place: int) -> None:
    text = write_cursor(state, 1)
    place %= len(text) - 1  # the last character has bits that stand for nothing
    changed = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
    assert read_cursor(changed, 1) is None


@pytest.mark.parametrize("text", ["", "A", "not base64!", "é", "AAAA", "A" * 200])
def test_any_other_text_is_no_cursor(text: str) -> None:
    assert read_cursor(text, 1) is None
