"""A command's session with Prefect, without a server: what it says of the Prefect that the command uses."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from deployments.prefect_api.server_access import PrefectAccess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


def session_of(kind: Literal["own", "temporary", "external"]) -> Callable[[], AbstractContextManager[PrefectAccess]]:
    """Stands for `prefect_session`."""

    @contextmanager
    def session() -> Iterator[PrefectAccess]:
        yield PrefectAccess(kind)

    return session
