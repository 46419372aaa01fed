"""Claim the APIs of a run, and release them when the run ends early. The same for streams, positions and windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from prefect import get_run_logger

from blocks.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class StoppableView(Protocol):
    """What the store has of one API: `stopped_fingerprint` is the configuration with which it stopped in error."""

    @property
    def stopped_fingerprint(self) -> str | None: ...


V = TypeVar("V", bound=StoppableView)
C = TypeVar("C")


def claim_each(
    views: Iterable[V], fingerprint: str, acquire: Callable[[V], C | None]
) -> tuple[tuple[C, ...], tuple[V, ...], tuple[V, ...]]:
    """Claim each API: the claims, the APIs that are stopped in error, and the APIs that other runs hold.

    An API that stopped in error stays stopped while the configuration is the one with which it failed (`fingerprint`).
    `acquire` returns None where another run holds the claim.
    """
    claims: list[C] = []
    stopped: list[V] = []
    elsewhere: list[V] = []
    for view in views:
        if view.stopped_fingerprint == fingerprint:
            stopped.append(view)
        elif (claim := acquire(view)) is not None:
            claims.append(claim)
        else:
            elsewhere.append(view)
    return tuple(claims), tuple(stopped), tuple(elsewhere)


def release_each(claims: Iterable[C], release: Callable[[C], object]) -> None:
    """Release the claims that a stopped run still holds, so that the next run need not wait until they expire.

    Where the store does not answer, a claim expires by itself.
    """
    for claim in claims:
        try:
            release(claim)
        except SourceError as error:
            get_run_logger().warning("A claim could not be released. It expires by itself. %s", error)
