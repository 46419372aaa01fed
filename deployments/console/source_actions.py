"""What operators do to sources. Each action is that of a command, run as a job, and recorded in the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blocks.errors import ThirdPartyConfigError
from blocks.store import audit_log
from deployments import deferred

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deployments.console.jobs import Job

Work = "Callable[[Job, str, Mapping[str, str]], str]"


@dataclass(frozen=True)
class SourceAction:
    """`work` gets the job, the name of the source and the form, and returns what to report to the operator."""

    title: str
    work: Callable[[Job, str, Mapping[str, str]], str]


def collect(_job: Job, name: str, _form: Mapping[str, str]) -> str:
    """Collect now, on a worker."""
    source = deferred.lifecycle.locate(name)
    run = deferred.lifecycle.run_now(source)
    audit_log.append(source.engine, "collect", source.known.id, name, flow_run_id=str(run))
    return f"A run was started ({run}). Its events appear within a minute."


def restart(_job: Job, name: str, _form: Mapping[str, str]) -> str:
    """Clear the errors, and collect."""
    source = deferred.lifecycle.locate(name)
    deferred.lifecycle.restart(source)
    run = deferred.lifecycle.run_now(source)
    return f"The errors are cleared, and a run was started ({run})."


def stop(_job: Job, name: str, _form: Mapping[str, str]) -> str:
    """Stop the schedule, and end the run after its page."""
    ended = deferred.lifecycle.stop(deferred.lifecycle.locate(name))
    rest = "" if ended else " A run did not end within a minute. Its claims were revoked, so it writes nothing more."
    return f"The schedule is stopped: no run starts until you start the source.{rest}"


def start(_job: Job, name: str, _form: Mapping[str, str]) -> str:
    """Resume the schedule, and collect."""
    source = deferred.lifecycle.locate(name)
    deferred.lifecycle.start(source)
    run = deferred.lifecycle.run_now(deferred.lifecycle.locate(name))
    return f"The schedule runs again, and a run was started ({run})."


def token(_job: Job, name: str, form: Mapping[str, str]) -> str:
    """Check a new token, and replace the old one."""
    source = deferred.lifecycle.locate(name)
    source.valid_block()
    given = form.get("token", "").strip()
    if not given:
        raise ThirdPartyConfigError("There is no token in the form. Nothing was changed.", code="usage")
    checked = deferred.lifecycle.check_token(source, given)
    deferred.lifecycle.replace_token(source, given, checked=checked.scopes is not None)
    deferred.lifecycle.run_now(source)
    account = f" It is of account {checked.account}." if checked.account else ""
    scopes = f" It may read {', '.join(sorted(checked.scopes))}." if checked.scopes else ""
    return f"The token was checked and replaced, and a run was started.{account}{scopes}"


def rename(_job: Job, name: str, form: Mapping[str, str]) -> str:
    """Give the source another name. Its events and cursors stay."""
    new = form.get("name", "").strip()
    deferred.lifecycle.rename(name, new)
    return f"The source is named {new} now. Its events and cursors stay."


def delete(job: Job, name: str, form: Mapping[str, str]) -> str:
    """Delete the source; with `purge` its events, too. The form brings the typed name."""
    if form.get("typed", "") != name:
        raise ThirdPartyConfigError("The typed name does not match. Nothing was deleted.", code="usage")
    total = 0

    def count(rows: int) -> None:
        nonlocal total
        total += rows
        job.text = f"{total:,} rows removed so far."

    deletion = deferred.lifecycle.delete(name, purge=form.get("purge") == "on", removed=count)
    if deletion.purged is not None:
        return "The source and all its events were removed. The removal is recorded."
    return f"The source was deleted. {deletion.kept:,} events are kept."


ACTIONS = {
    "collect": SourceAction("Collect", collect),
    "restart": SourceAction("Restart", restart),
    "stop": SourceAction("Stop", stop),
    "start": SourceAction("Start", start),
    "token": SourceAction("Replace the token of", token),
    "rename": SourceAction("Rename", rename),
    "delete": SourceAction("Delete", delete),
}
