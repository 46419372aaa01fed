"""The network path to the Events API, and what the API reports of the token: DNS, TLS, clock, scopes, expiry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from blocks import clock
from blocks.config.alert_thresholds import TOKEN_EXPIRES_DAYS
from blocks.errors import SourceError
from blocks.events_api import connectivity
from blocks.events_api.models import Api
from blocks.events_api.token import read_claims
from blocks.http import proxies
from deployments.bounded_call import call_within
from deployments.checks.finding import Finding, failed, not_checked, ok, warning
from deployments.introspection import INTROSPECTION_SECONDS, introspect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blocks.events_api.models import Introspection

DNS_SECONDS, REACH_SECONDS = 5.0, 8.0
CERTIFICATE_DAYS = 7
SKEW_SECONDS = 30.0
DAY, MINUTE = 86_400, 60
SHOWN_ADDRESSES = 3
_TRY_AGAIN = "Try again. If it fails again, check 1Password's status page and the network in between."
_RENEW = (
    "Issue a new token in 1Password under Integrations, Events Reporting, and give it with `onepassword-source token`."
)


@dataclass(frozen=True, slots=True)
class Reachability:
    """The findings on the path to a server. `is_reachable` is True if it answers."""

    base_url: str
    dns: Finding
    tls: Finding
    clock: Finding

    @property
    def is_reachable(self) -> bool:
        return self.tls.result in ("ok", "warning")


def check_reachability(base_url: str) -> Reachability:
    """Resolve the name, open a connection, and check certificate and clock. No token is sent."""
    dns = _dns(base_url)
    if dns.result == "failed":
        why = "the name does not resolve"
        return Reachability(base_url, dns, not_checked("TLS", why), not_checked("clock", why))
    try:
        answer = call_within(REACH_SECONDS + 1, lambda: connectivity.probe(base_url, REACH_SECONDS))
    except SourceError as error:
        return Reachability(
            base_url, dns, _error_finding("TLS", error), not_checked("clock", "the server was not reached")
        )
    except TimeoutError:
        tls = failed("TLS", f"{base_url} did not answer within {REACH_SECONDS:.0f} s.", "Check the firewall.")
        return Reachability(base_url, dns, tls, not_checked("clock", "the server was not reached"))
    return Reachability(base_url, dns, _tls(answer.certificate), _clock(answer.ahead))


def check_environment() -> list[Finding]:
    """A warning for each unreadable value in the proxy variables."""
    hint = "Correct the variable, or take the entry out of it."
    return [warning("environment", sentence, hint) for sentence in proxies.unreadable()]


def not_checked_because(why: str) -> Reachability:
    return Reachability("", not_checked("DNS", why), not_checked("TLS", why), not_checked("clock", why))


def _dns(base_url: str) -> Finding:
    try:
        proxy = connectivity.proxy_of(base_url)
        host = httpx.URL(f"//{proxy}").host if proxy else httpx.URL(base_url).host
        addresses = call_within(DNS_SECONDS, lambda: connectivity.resolve(host))
    except SourceError as error:
        return _error_finding("DNS", error)
    except TimeoutError:
        hint = "Check this machine's DNS servers (/etc/resolv.conf)."
        return failed("DNS", f"The name {host} was not resolved within {DNS_SECONDS:.0f} s.", hint)
    more = ", …" if len(addresses) > SHOWN_ADDRESSES else ""
    text = f"{host} is {', '.join(addresses[:SHOWN_ADDRESSES])}{more}"
    return ok("DNS", f"{text}, the proxy that resolves {httpx.URL(base_url).host}" if proxy else text)


def _tls(shown: connectivity.Certificate | None) -> Finding:
    if shown is None:
        return ok("TLS", "plain http, which never leaves this machine")
    days = (shown.expires_at - clock.now()) / DAY
    text = f"{shown.tls}, certificate by {shown.issuer}, {days:.0f} days left"
    if days < CERTIFICATE_DAYS:
        return warning("TLS", text, "Its owner must renew it: after it has expired, nothing is collected.")
    return ok("TLS", text)


def _clock(ahead: float | None) -> Finding:
    if ahead is None:
        return not_checked("clock", "the server does not send the time")
    seconds = abs(ahead)
    if seconds <= SKEW_SECONDS:
        return ok("clock", f"within {max(round(seconds), 1)} s of the server's")
    how = f"{seconds:.0f} s" if seconds < 2 * MINUTE else f"{seconds / MINUTE:,.0f} min"
    text = f"This machine's clock is {how} {'behind' if ahead > 0 else 'ahead of'} the server's."
    return failed("clock", text, "Set it by NTP (`timedatectl set-ntp true`): times and lags are wrong otherwise.")


def check_account(base_url: str, token: str, apis: Sequence[str], pinned: str | None) -> tuple[Finding, Finding]:
    """The findings on introspection and scopes. `pinned` is the account of the events so far, if it is known."""
    try:
        seen = introspect(base_url, token)
    except SourceError as error:
        return _error_finding("introspection", error), not_checked("scopes", "the introspection gave none")
    except TimeoutError:
        text = f"The server did not answer it within {INTROSPECTION_SECONDS:.0f} s."
        return failed("introspection", text, _TRY_AGAIN), not_checked("scopes", "the introspection gave none")
    return _account(seen, pinned), _scopes(seen, apis)


def _account(seen: Introspection, pinned: str | None) -> Finding:
    if not seen.account_uuid:
        return ok("introspection", "the token is accepted; the server does not return its account")
    if pinned and pinned != seen.account_uuid:
        text = f"The token is of account {seen.account_uuid}, but the events are of account {pinned}."
        hint = "Apply the source with a token of its account, or with --new-account if it has changed."
        return failed("introspection", text, hint)
    return ok("introspection", f"the token is accepted, account {seen.account_uuid}")


def _scopes(seen: Introspection, apis: Sequence[str]) -> Finding:
    has = ", ".join(sorted(seen.scopes)) or "none"
    missing = [api for api in map(Api, apis) if not seen.allows(api)]
    if not missing:
        return ok("scopes", has)
    lacks = ", ".join(f"{api.path} (for {api})" for api in missing)
    names = ", ".join(missing)
    hint = f"Issue a token with it (a token's scopes cannot be changed), or take {names} out of supported_apis."
    return failed("scopes", f"The token lacks {lacks}; it has {has}.", hint)


def check_expiry(token: str) -> Finding:
    """When the token expires, as its claims say. The signature is not verified."""
    claims = read_claims(token)
    if claims is None:
        return warning("token expiry", "The token is no JWT of three parts, as 1Password's are.", _WHOLE)
    if claims.expires_at is None:
        # What 1Password issues says for whom and when; three parts that say nothing are no token of its.
        if claims.host is None and not claims.scopes and claims.issued_at is None:
            return warning("token expiry", "The token has no host, scopes or time in it, as 1Password's have.", _WHOLE)
        return ok("token expiry", "the token never expires")
    days = (claims.expires_at - clock.now()) / DAY
    if days <= 0:
        return failed(
            "token expiry", f"The token expired {clock.format_age(int(claims.expires_at * 1e9))} ago.", _RENEW
        )
    if days < max(TOKEN_EXPIRES_DAYS):
        return warning("token expiry", f"The token expires within {int(days) + 1} days.", _RENEW)
    return ok("token expiry", f"{int(days)} days left")


_WHOLE = "Was it cut off when it was copied? Replace it with the whole token: `onepassword-source token`."
_TODO = {
    "connect-timeout": "Check the firewall, and HTTPS_PROXY if the way out is through a proxy.",
    "timeout": _TRY_AGAIN,
    "reset": "Check base_url and its port, and the firewall or proxy in between.",
    "invalid-body": "Check base_url, and whether a proxy answers in 1Password's place.",
}


def _error_finding(step: str, error: SourceError) -> Finding:
    # The hints of these errors address a run that continues by itself.
    again = "made again" in error.hint or "goes on" in error.hint
    return failed(step, error.message, _TODO.get(error.code) or (_TRY_AGAIN if again else error.hint))
