"""Which events `events` shows: `--user`, `--ip`, `--action`, `--country`, `--item`, `--vault` and `--match`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from blocks.errors import ThirdPartyConfigError
from deployments.event_view import EventView

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from ipaddress import IPv4Network, IPv6Network

    from blocks.store.source_status import StoredEvent


@dataclass(frozen=True)
class EventFilters:
    """An event passes if it has each of these. Case does not matter; `*` matches any characters.

    `ip` is an address or a network such as 10.0.0.0/8, `match` a text anywhere in the body. An item or a vault is found
    by its uuid, or by its imported name in `names`.
    """

    user: str | None = None
    ip: str | None = None
    action: str | None = None
    country: str | None = None
    item: str | None = None
    vault: str | None = None
    match: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Raise ThirdPartyConfigError if --ip is neither an address nor a network."""
        self._network()

    def apply(self, events: Iterable[StoredEvent]) -> Iterator[StoredEvent]:
        """The events that pass, in their order."""
        patterns = [self.user, self.ip, self.action, self.country, self.item, self.vault]
        network, text = self._network(), self.match.casefold() if self.match else ""
        for event in events:
            if text and not _contains(event.body, text):
                continue
            if any(patterns) and not self._passes(EventView.from_event(event), network):
                continue
            yield event

    def _passes(self, view: EventView, network: IPv4Network | IPv6Network | None) -> bool:
        return (
            _matches(self.user, *view.actor_names)
            and _matches(self.action, view.action, view.type)
            and _matches(self.country, view.country)
            and _matches(self.item, view.item, self.names.get(view.item or ""))
            and _matches(self.vault, view.vault, self.names.get(view.vault or ""))
            and (network is None or _is_in_network(view.ip_address, network))
        )

    def _network(self) -> IPv4Network | IPv6Network | None:
        if self.ip is None:
            return None
        try:
            return ip_network(self.ip, strict=False)
        except ValueError:
            raise ThirdPartyConfigError(
                f"--ip takes an address or a network, not {self.ip!r}.",
                hint="Such as 203.0.113.7, 10.0.0.0/8 or 2001:db8::/32.",
                code="usage",
            ) from None


def _matches(pattern: str | None, *values: str | None) -> bool:
    if pattern is None:
        return True
    # Names may contain brackets and ?, which fnmatch would interpret.
    literal = pattern.casefold().replace("[", "[[]").replace("?", "[?]")
    return any(value is not None and fnmatchcase(value.casefold(), literal) for value in values)


def _is_in_network(address: str | None, network: IPv4Network | IPv6Network) -> bool:
    try:
        return address is not None and ip_address(address) in network
    except ValueError:
        return False


def _contains(body: str, text: str) -> bool:
    if text in body.casefold():
        return True
    # A server may write any character as \\uXXXX, and a slash as \\/.
    return "\\" in body and text in json.dumps(json.loads(body), ensure_ascii=False).casefold()
