"""The actions on a SIEM, without a Prefect server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blocks.store.forwarding import forward_pairs, replay

if TYPE_CHECKING:
    from sqlalchemy import Engine


class FakeActions:
    """Replaces `deployments.siem_actions`: makes its changes in the store, and records its calls."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.calls: list[tuple[Any, ...]] = []

    def set_paused(self, name: str, source: str | None = None, *, paused: bool) -> list[Any]:
        self.calls.append(("set_paused", name, source, paused))
        pairs = forward_pairs.require(self.engine, name, source)
        return [(one, forward_pairs.set_paused(self.engine, one, paused=paused)) for one in pairs]

    def resend_since(self, name: str, source: str | None, since_ns: int) -> list[Any]:
        self.calls.append(("resend_since", name, source, since_ns))
        return [
            (one, replay.resend_since(self.engine, one, since_ns))
            for one in forward_pairs.require(self.engine, name, source)
        ]

    def resend_rejected(self, name: str, source: str | None, only: Any = None) -> list[Any]:
        self.calls.append(("resend_rejected", name, source, only))
        return [
            (one, replay.resend_rejected(self.engine, one, only))
            for one in forward_pairs.require(self.engine, name, source)
        ]
