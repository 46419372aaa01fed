"""A command's session with Prefect, without a server."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from deployments.prefect_api.server_access import PrefectAccess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


def session_of(kind: Literal["own", "temporary", "external"]) -> Callable[[], AbstractContextManager[PrefectAccess]]:
    """Replaces `prefect_session`: a session with this kind of Prefect server."""

    @contextmanager
    def session() -> Iterator[PrefectAccess]:
        yield PrefectAccess(kind)

    return session
