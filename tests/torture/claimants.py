"""Processes that take a claim and then live until they are killed. See forks.py."""

from __future__ import annotations

import os
import signal

from support.claim_kinds import KINDS

from blocks.store.engine import open_engine


def do(url: str, kind: str) -> None:
    assert KINDS[kind].take(open_engine(url), f"run of {os.getpid()}")
    while True:
        signal.pause()
