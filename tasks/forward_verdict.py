"""What a run that forwards came to, in one state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.errors import ClaimLostError
from tasks.verdict import GRAVEST_FIRST, STOPPED, Verdict, as_error, by_sentence, in_other_run, name_of_others

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tasks.forward import Forwarded
    from tasks.open_forward import OpenedForward

RESUME = "Nothing is sent until its configuration changes or someone resumes it."


def of_run(
    siem: str, outcomes: Mapping[str, Forwarded | BaseException], opened: OpenedForward, *, stopping: bool = False
) -> Verdict:
    """`name` is Forwarded, Stopped, the gravest error, or where other runs have every API, Skipped or Retrying."""
    done = [outcome for outcome in outcomes.values() if not isinstance(outcome, BaseException)]
    errors = {api: as_error(outcome) for api, outcome in outcomes.items() if isinstance(outcome, BaseException)}
    lost = {api: str(error) for api, error in errors.items() if isinstance(error, ClaimLostError)}
    failed = {api: str(error) for api, error in errors.items() if api not in lost}
    failed |= {view.api: f"{view.error_message} {RESUME}" for view in opened.stopped}
    kinds = {error.name for api, error in errors.items() if api in failed}
    kinds |= {view.error_type or "" for view in opened.stopped}
    parts = by_sentence(failed)
    if done or not (failed or opened.elsewhere or lost):
        parts.append(_forwarded(siem, done))
    parts += by_sentence({view.api: in_other_run(view, "forwarding") for view in opened.elsewhere} | lost)
    name = "Forwarded" if done or not (opened.elsewhere or lost) else name_of_others(opened.elsewhere)
    name = next((kind for kind in GRAVEST_FIRST if kind in kinds), name)
    return Verdict(STOPPED if stopping else name, " ".join(parts))


def _forwarded(siem: str, done: list[Forwarded]) -> str:
    sent = sum(one.sent for one in done)
    text = f"{sent:,} event{'' if sent == 1 else 's'} sent to {siem}"
    if each := ", ".join(f"{one.api} {one.sent:,}" for one in done if one.sent):
        text += f" ({each})"
    if kept := sum(one.kept for one in done):
        text += f"; {kept:,} kept back by its rules"
    if refused := sum(one.refused for one in done):
        text += f"; {refused:,} refused by it"
    return f"{text}."
