"""`onepassword-source siem run`: run the flow for each source, in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from blocks.errors import SourceError
from blocks.store import source_status
from blocks.store.forwarding import forward_status
from deployments import deferred
from deployments.commands.support.local_run import (
    CTRL_C_SECONDS,
    exit_code_of,
    headline,
    health_errors_hidden,
    outcome_of,
    shut_down,
    worst_exit_code,
)
from deployments.commands.support.options import Json, OfSource, Siem
from deployments.commands.support.progress import retry_suffix, status_line
from deployments.exit_codes import DONE, IN_ERROR, INTERRUPTED
from deployments.prefect_session import prefect_session
from deployments.terminal_output import print_json, print_line, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from prefect.client.schemas.objects import State

    from blocks.store.forwarding.records import ForwardPair
    from deployments.json_records.forwarding import ForwardRunRecord
    from deployments.prefect_api.server_access import PrefectAccess


def command(name: Siem, source: OfSource = None, as_json: Json = False) -> int:
    """Forward once. Returns 0: done, 1: the SIEM is in error, 3: other runs work on every API, 130: it was stopped."""
    with prefect_session() as access:
        pairs = deferred.forward_pairs.require(deferred.sources.open_default_store(), name, source)
        done = []
        with health_errors_hidden(), status_line(lambda: _progress_line(name, source)) as end_sign:
            for pair in pairs:
                done.append((pair, _forward(access, pair.source, name, end_sign)))
                if exit_code_of(done[-1][1]) == INTERRUPTED:
                    break  # Ctrl-C stops all of them
    if as_json:
        print_json([_as_json(pair, state) for pair, state in done])
    else:
        for pair, state in done:
            _print_outcome(pair.source, *outcome_of(state), _code_of(state))
    return worst_exit_code(_code_of(state) for _, state in done)


def _code_of(state: State[Any]) -> int:
    # A pair that you switched off is not an error.
    switched_off = {deferred.open_forward.NOT_FOR_SIEM, deferred.open_forward.PAUSED}
    return DONE if outcome_of(state)[1] in switched_off else exit_code_of(state)


def _forward(access: PrefectAccess, source: str, siem: str, end_sign: Callable[[], None]) -> State[Any]:
    def end_at_once(outcome: str, message: str) -> int:
        end_sign()
        _print_outcome(source, outcome, message, INTERRUPTED)
        shut_down(access)
        return INTERRUPTED

    deferred.stopping.exit_hook, deferred.stopping.exit_seconds = end_at_once, CTRL_C_SECONDS
    state: State[Any] = deferred.forward.forward(source, siem, return_state=True)
    return state


def _progress_line(name: str, source: str | None) -> str | None:
    try:
        with source_status.opened_store() as engine:
            pairs = [pair for pair in forward_status.pairs(engine, name, source) if not pair.deleted]
    except SourceError:  # its store is elsewhere, or does not answer: the run's message says so
        return None
    found = [one for pair in pairs for one in pair.positions]
    sent, waiting = sum(one.sent for one in found), sum(one.waiting for one in found)
    return f"{printable(name)}: {sent:,} sent, {waiting:,} waiting{retry_suffix(found)}"


def _print_outcome(source: str, outcome: str, message: str, code: int) -> None:
    print_line(Text.assemble((f"{printable(source)}  ", "bold"), headline(outcome, message, code)))


def _as_json(pair: ForwardPair, state: State[Any]) -> ForwardRunRecord:
    outcome, message = outcome_of(state)
    return {
        "source": pair.source,
        "source_id": pair.source_id,
        "siem": pair.siem,
        "state": outcome,
        "message": message,
        "in_error": exit_code_of(state) == IN_ERROR,
    }
