"""A Prefect server for one command: a running one, or a temporary one that ends with the command."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from blocks.errors import FirstPartyGenericError, SourceError
from deployments.prefect_api import database, server_access, up_lock
from deployments.terminal_output import print_note, print_warning, with_spinner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prefect.server.api.server import SubprocessASGIServer

    from deployments.prefect_api.server_access import PrefectAccess

UNAUTHORIZED = 401
QUEUE_LOGGERS = ("APILogWorker", "EventsWorker")
"""Prefect's queues that warn "Still processing items" if a command ends before they are empty.

Prefect's log level does not apply to them: each logs to a logger with its class's name, outside of Prefect's own.
"""
UP_SECONDS, POLL_SECONDS, STOP_SECONDS = 90.0, 0.5, 1.0
"""How long a command waits for the server of `up`, how often it checks, and how long its own may take to stop."""
CHECK_UP = "Check whether `onepassword-source up` works."


@contextmanager
def prefect_session() -> Iterator[PrefectAccess]:
    """Import and use Prefect only within this context. Raises FirstPartyGenericError if its API does not answer."""
    quiet_prefect()
    _wait_for_up()
    access = server_access.activate()
    for warning in access.warnings:
        print_warning(warning)
    try:
        if access.kind == "temporary":
            with_spinner("Starting a temporary Prefect server…", start_temporary)
        yield access
    except SourceError:
        raise
    except Exception as error:
        _raise_explained(error, access)
        raise


def _wait_for_up() -> None:
    """If `up` runs, wait for its server, which may be starting, busy or restarting."""
    if server_access.external_url() is not None:
        return
    deadline = time.monotonic() + UP_SECONDS
    is_said = False
    while up_lock.is_held() and server_access.find_running() is None and time.monotonic() < deadline:
        if not is_said:
            print_note(
                f"`up` is running, but its Prefect server does not answer yet; waiting up to {UP_SECONDS:.0f} s…"
            )
            is_said = True
        time.sleep(POLL_SECONDS)


_database_lifetime = contextlib.ExitStack()
"""Holds the database of the temporary server until this process ends, because the server may start again."""


def quiet_prefect() -> None:
    """Show only Prefect's errors, unless --debug asks for more. Call it before Prefect is imported."""
    if os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING") != "DEBUG":
        for name in QUEUE_LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
    os.environ.setdefault("PREFECT_LOGGING_COLORS", "false")


def stop_temporary() -> None:
    """Stop the temporary server, if there is one, in a process that ends at once."""
    from prefect.server.api.server import SubprocessASGIServer  # noqa: PLC0415 - imports Prefect

    server = SubprocessASGIServer()
    if (process := server.server_process) is not None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        process.kill()  # the user waits; everything the server confirmed is in its database
    server.stop()


@contextmanager
def ignoring_ctrl_c() -> Iterator[None]:
    """Processes started by this thread within this context ignore Ctrl-C.

    A terminal sends Ctrl-C to every process of a command. Helper processes must live as long as they are needed.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_temporary(seconds: float | None = None) -> None:
    """Start the temporary server. Raises RuntimeError if it does not answer within `seconds` (default: the setting).

    With `seconds`, a server that ends at its start is not started again, and its traceback is not shown.
    """
    from deployments.one_machine.temporary_server import GuardedServer  # noqa: PLC0415 - imports Prefect

    _database_lifetime.enter_context(database.running())
    if (warning := database.warning()) is not None:
        print_warning(warning)
    server = GuardedServer()
    server.is_hurried = seconds is not None
    # In a thread, so that this one still reacts to Ctrl-C.
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(_start_ignoring_ctrl_c, server)
        try:
            starting.result(seconds)
        except TimeoutError:
            server.stop()
            raise RuntimeError("The ephemeral server did not start in time.") from None
        except BaseException as error:
            if isinstance(error, Exception):  # not Ctrl-C
                server.show_errors()
            server.stop()
            raise


def _start_ignoring_ctrl_c(server: SubprocessASGIServer) -> None:
    with ignoring_ctrl_c():
        server.start()


def _raise_explained(error: Exception, access: PrefectAccess) -> None:
    import httpx  # noqa: PLC0415 - comes with Prefect

    where = f"The Prefect server at {access.url}" if access.url else "The temporary Prefect server"
    if isinstance(error, httpx.HTTPStatusError):
        code = error.response.status_code
        hint = "Set PREFECT_API_AUTH_STRING to its user:password." if code == UNAUTHORIZED else CHECK_UP
        raise FirstPartyGenericError(f"{where} answered {code}.", hint=hint, code="prefect") from error
    if isinstance(error, (httpx.HTTPError, httpx.InvalidURL)):
        hint = "Check PREFECT_API_URL, or unset it." if access.kind == "external" else CHECK_UP
        raise FirstPartyGenericError(f"{where} does not answer.", hint=hint, code="prefect") from error
    if "ephemeral" in str(error):
        raise FirstPartyGenericError(f"{where} did not start.", hint=CHECK_UP, code="prefect") from error
