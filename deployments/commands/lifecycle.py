"""`onepassword-source restart`, `stop`, `start` and `rename`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blocks.command_line import command_line
from deployments.commands import collect
from deployments.commands.prefect_server import prefect
from deployments.commands.present import note, plain, say, say_json, with_spinner

if TYPE_CHECKING:
    from deployments.lifecycle import Managed
    from deployments.prefect_access import Access

ENDING = "The run in progress finishes its page…"
STOPPED = "Its schedule is stopped; resume it with: {}"
NO_WORKER = "Nothing collects it by schedule at present; start that with: onepassword-source up"
CUT_SHORT = "A run was not done within a minute: its claims were taken away, so it writes nothing more."


def restart(name: str, *, as_json: bool) -> int:
    """Clear the errors and run now: by a worker where there is a server, in this process otherwise."""
    from deployments import lifecycle  # noqa: PLC0415 - 0.5 s

    with prefect() as access:
        source = lifecycle.locate(name)
        with_spinner(ENDING, lambda: lifecycle.restart(source))
        if access.kind == "temporary":
            return collect.run_within(access, name, as_json=as_json)
        run = lifecycle.run_now(source)
    if as_json:
        say_json({"source": name, "flow_run": f"collect {name}", "flow_run_id": str(run)})
    else:
        say(f"{plain(name)}: restarted. The run 'collect {plain(name)}' was started ({run}).")
    tell_more(access, source)
    return 0


def stop(name: str, *, as_json: bool) -> None:
    """Stop the schedule of one source."""
    from deployments import lifecycle  # noqa: PLC0415 - 0.5 s

    with prefect():
        source = lifecycle.locate(name)
        ended = with_spinner(ENDING, lambda: lifecycle.stop(source))
    if as_json:
        say_json({"source": name, "stopped": True, "runs_ended": ended})
    else:
        say(plain(f"{name}: stopped. No run starts by schedule until: {command_line('start', name)}"))
    if not ended:
        note(CUT_SHORT)


def start(name: str, *, as_json: bool) -> None:
    """Let the schedule of one source run again."""
    from deployments import lifecycle  # noqa: PLC0415 - 0.5 s

    with prefect() as access:
        lifecycle.start(lifecycle.locate(name))
    if as_json:
        say_json({"source": name, "stopped": False})
    else:
        say(f"{plain(name)}: started. It is collected every five minutes.")
    if access.kind == "temporary":
        note(NO_WORKER)


def rename(old: str, new: str, *, as_json: bool) -> None:
    """Give a source another name."""
    from deployments import lifecycle  # noqa: PLC0415 - 0.5 s

    with prefect():
        with_spinner(ENDING, lambda: lifecycle.rename(old, new))
    if as_json:
        say_json({"source": new, "former_name": old})
    else:
        say(f"{plain(old)}: renamed to {plain(new)}. Its events and cursors stay.")
    note(f"Change the name in its file too: applied as it is, it would make a source named {old}.")


def tell_more(access: Access, source: Managed) -> None:
    """What a person should know after a run was created for a source."""
    if source.known.paused_ns is not None:
        note(STOPPED.format(command_line("start", source.name)))
    if access.kind == "external":
        note(f"A worker takes it. Look at it with: {command_line('status', source.name)}")
