"""`onepassword-source check`: check everything a source needs, and change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from blocks import settings, unknown_settings
from blocks.errors import SourceError, ThirdPartyConfigError
from blocks.events_api.hosts import HostError, normalise_base_url
from blocks.problems import ConfigurationError
from blocks.store import diagnosis
from deployments.bounded_call import StartedCall
from deployments.checks import backup, collection, network, runs, server, storage
from deployments.checks.finding import Finding, failed, not_checked, warning
from deployments.commands.support.options import Json, Name
from deployments.commands.support.usage import unknown_source
from deployments.exit_codes import DONE, IN_ERROR
from deployments.terminal_output import OUT, print_json, print_line, printable, with_spinner

if TYPE_CHECKING:
    from blocks.source import OnePasswordSource
    from blocks.store.diagnosis import SourceAddress
    from deployments.checks.network import Reachability
    from deployments.json_records.sources import CheckRecord, CheckStepRecord

KNOWN_SECONDS, DISK_SECONDS, DISK_USE_SECONDS = 5.0, 5.0, 10.0
WAY_SECONDS = KNOWN_SECONDS + network.DNS_SECONDS + network.REACH_SECONDS + 2
STYLES = {"ok": "green", "warning": "bold yellow", "failed": "bold red", "not checked": "dim"}
STEP_WIDTH = len("Prefect server")

DETAILS = """
It checks the configuration, DNS, TLS, the clock, the token and its scopes, the store, the disk, Prefect, the schedule,
the runner, the runs and the collection (open errors, retries, lag), and shows what to do about each problem.
"""


def command(
    name: Name,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also request one event of each API, and send a probe to each SIEM.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Print a line for each step, and return 1 if one failed. Raises ThirdPartyConfigError for an unknown source.

    `deep`: also request one event of each API, and send a probe to each SIEM.
    """
    text = "Checking; a temporary Prefect server starts if none runs…"
    findings = with_spinner(text, lambda: run_checks(name, deep=deep))
    has_failed = any(finding.result == "failed" for finding in findings)
    if as_json:
        checks = [_as_json(finding) for finding in findings]
        answer: CheckRecord = {"source": name, "ok": not has_failed, "checks": checks}
        print_json(answer)
    else:
        _show(findings)
    return IN_ERROR if has_failed else DONE


def _as_json(finding: Finding) -> CheckStepRecord:
    return {
        "step": finding.step,
        "result": finding.result,
        "description": finding.description,
        "hint": finding.hint or None,
    }


def run_checks(name: str, *, deep: bool = False) -> list[Finding]:
    """All findings, in the order in which a run depends on them. Bounded in time, whatever is broken."""
    # The checks of the store and the network run beside the check of the Prefect server, which takes longest.
    stored = _StoreChecks(settings.database_url(), name)
    early = StartedCall(lambda: _network_path(stored.base_url()))
    seen = server.check_server(name)
    stored = _store_of_block(seen.block, stored)
    if not seen.exists and stored.is_unknown():
        raise unknown_source(name)
    base_url = _base_url(seen.block) if seen.block else stored.base_url()
    way = _network_path_to(early, base_url)
    introspection, scopes = _account(seen.block, way, stored.account())
    return [
        *network.check_environment(),
        *_unknown_settings(),
        seen.configuration,
        way.dns,
        way.tls,
        way.clock,
        introspection,
        scopes,
        _expiry(seen.block),
        stored.store(),
        stored.disk(),
        stored.disk_use(),
        *stored.backup(),
        seen.server,
        seen.schedule,
        seen.runner,
        stored.runs(),
        stored.collection(),
        *(_deep(seen.block, way, stored) if deep else ()),
    ]


def _unknown_settings() -> list[Finding]:
    hint = "Correct or unset it; if a newer version needs it, install that version again."
    return [warning("settings", " ".join(found), hint)] if (found := unknown_settings.sentences()) else []


class _StoreChecks:
    """The checks of the store at one URL, run in the background."""

    def __init__(self, url: str, name: str) -> None:
        self.url, self._name = url, name
        self._known = StartedCall(lambda: diagnosis.source_addresses(url))
        self._store = StartedCall(lambda: storage.check_store(url))
        self._disk = StartedCall(lambda: storage.check_disk(url))
        self._disk_use = StartedCall(lambda: storage.check_disk_use(url))
        self._backup = StartedCall(lambda: backup.check_backup(url))
        self._runs = StartedCall(lambda: runs.check_runs(url, name))
        self._collection = StartedCall(lambda: collection.check_collection(url, name))

    def source(self) -> SourceAddress | None:
        try:
            known = self._known.result(KNOWN_SECONDS)
        except (SourceError, TimeoutError):
            return None
        return next((source for source in known if source.name == self._name), None)

    def is_unknown(self) -> bool:
        """True if the store does not have the source: it can be read, or does not exist yet."""
        try:
            known = self._known.result(KNOWN_SECONDS)
        except ThirdPartyConfigError:
            return True
        except (SourceError, TimeoutError):
            return False
        return all(source.name != self._name for source in known)

    def base_url(self) -> str:
        found = self.source()
        return _normalised(found.base_url) if found else ""

    def account(self) -> str | None:
        found = self.source()
        return found.account_uuid if found else None

    def store(self) -> Finding:
        try:
            return self._store.result(storage.STORE_SECONDS)
        except TimeoutError:
            text = f"The store did not answer within {storage.STORE_SECONDS:.0f} s."
            return failed("store", text, "Check that its database runs and its disk or network works.")

    def disk(self) -> Finding:
        try:
            return self._disk.result(DISK_SECONDS)
        except (SourceError, OSError, TimeoutError):
            return failed("disk", "The disk of the store does not answer.", "Check that its file system is mounted.")

    def disk_use(self) -> Finding:
        try:
            return self._disk_use.result(DISK_USE_SECONDS)
        except (SourceError, OSError, TimeoutError):
            return not_checked("disk use", "the disk or the store does not answer")

    def backup(self) -> list[Finding]:
        """Empty if no backup was ever made."""
        try:
            found = self._backup.result(storage.STORE_SECONDS)
        except TimeoutError:
            return [not_checked(backup.STEP, "the store did not answer")]
        return [] if found is None else [found]

    def runs(self) -> Finding:
        try:
            return self._runs.result(storage.STORE_SECONDS)
        except TimeoutError:
            return not_checked(runs.STEP, "the store did not answer")

    def collection(self) -> Finding:
        try:
            return self._collection.result(storage.STORE_SECONDS)
        except TimeoutError:
            return not_checked(collection.STEP, "the store did not answer")


def _store_of_block(block: OnePasswordSource | None, stored: _StoreChecks) -> _StoreChecks:
    """The checks of the block's own store, if the block names another one than the settings."""
    url = block.store.url.get_secret_value() if block and block.store else stored.url
    return stored if url == stored.url else _StoreChecks(url, block.name if block else "")


def _base_url(block: OnePasswordSource) -> str:
    return _normalised(block.credentials.base_url)


def _normalised(base_url: str) -> str:
    try:
        return normalise_base_url(base_url, settings.allowed_hosts())
    except HostError:
        return ""


def _network_path(base_url: str) -> Reachability:
    return (
        network.check_reachability(base_url) if base_url else network.not_checked_because("there is no valid base_url")
    )


def _network_path_to(early: StartedCall[Reachability], base_url: str) -> Reachability:
    try:
        found = early.result(WAY_SECONDS)
    except TimeoutError:
        return network.not_checked_because("it takes too long")
    return found if found.base_url == base_url else _network_path(base_url)


def _account(block: OnePasswordSource | None, way: Reachability, pinned: str | None) -> tuple[Finding, Finding]:
    token = _token(block)
    why = "the server was not reached" if way.base_url else "there is no valid base_url"
    if block is None or token is None:
        why = "there is no valid token" if block else "the configuration could not be read"
    elif way.is_reachable:
        return network.check_account(way.base_url, token, block.supported_apis, pinned)
    return not_checked("introspection", why), not_checked("scopes", why)


def _deep(block: OnePasswordSource | None, way: Reachability, stored: _StoreChecks) -> list[Finding]:
    token = _token(block)
    if block is None or token is None or not way.is_reachable:
        found = [not_checked("request", "there is no valid token, or the server was not reached")]
    else:
        found = collection.check_requests(way.base_url, token, block.supported_apis, block.api_version)
    return [*found, *(collection.check_siems(stored.url, block.name) if block else ())]


def _expiry(block: OnePasswordSource | None) -> Finding:
    token = _token(block)
    if token is None:
        why = "there is no valid token" if block else "the configuration could not be read"
        return not_checked("token expiry", why)
    return network.check_expiry(token)


def _token(block: OnePasswordSource | None) -> str | None:
    """The token, if the token itself is valid."""
    if block is None:
        return None
    try:
        block.credentials.validated()
    except ConfigurationError as error:
        if any(problem.path.endswith(".api_token") for problem in error.problems):
            return None
    return block.credentials.api_token.get_secret_value()


def _show(findings: list[Finding]) -> None:
    if OUT.is_terminal:
        print_line(_table(findings))
        return
    for finding in findings:
        text = " ".join(part for part in (finding.description, finding.hint) if part)
        print_line(f"{finding.result:11}  {finding.step:{STEP_WIDTH}}  {printable(text)}")


def _table(findings: list[Finding]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        style = STYLES[finding.result]
        text = Text(printable(finding.description), "dim" if finding.result == "not checked" else "")
        if finding.hint:
            text.append(f"\n→ {printable(finding.hint)}")
        table.add_row(Text(finding.result, style), Text(finding.step), text)
    return table
