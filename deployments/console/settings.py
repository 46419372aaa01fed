"""What the console is started with."""

from __future__ import annotations

from dataclasses import dataclass, field

from deployments.console.login_delay import LoginDelay
from deployments.console.passwords import Passwords
from deployments.console.sessions import Sessions


@dataclass(frozen=True)
class ConsoleSettings:
    """What the console is started with.

    `can_act`: a Prefect API is configured, so operators can act. `https_hosts`: hosts that a TLS proxy serves.
    `prefect_url`: the address of Prefect's pages; empty if they have the console's own origin, None if there are none.
    """

    passwords: Passwords
    can_act: bool
    https_hosts: frozenset[str] = frozenset()
    prefect_url: str | None = ""
    sessions: Sessions = field(init=False)
    delay: LoginDelay = field(default_factory=LoginDelay)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sessions", Sessions(self.passwords))

    def is_secure(self, scheme: str, host: str) -> bool:
        """Whether the browser reaches this host over TLS, so that cookies get `Secure`."""
        return scheme == "https" or host in self.https_hosts
