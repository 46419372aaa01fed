"""Secrets in 1Password, read with its own command `op` (1Password CLI 2).

The command gets no shell, and none of this program's own secrets. What it wrote to standard output is never shown.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shutil
import subprocess
import time
from typing import NoReturn

from blocks.problems import ConfigurationError, Problem, quote

SCHEME = "op://"
SECONDS = 60.0
"""How long `op` may take. It may wait for a person who approves it with a fingerprint."""
BYTES_MAX = 65_536
MESSAGE_MAX = 300
"""Characters that are shown of a reference, and of a message of `op` that this program does not know."""
FORM = "op://VAULT/ITEM/FIELD, as 1Password's Copy Secret Reference gives it"
_PARTS = (3, 4)  # with a section: four
_OWN = ("ONEPASSWORD_SOURCE_", "PREFECT_")
_SIGN_IN = (
    "a sign-in: run `op signin`, unlock the 1Password app, or set OP_SERVICE_ACCOUNT_TOKEN (a service account that may"
    " read the vault)"
)
_SIGNED_OUT = (
    r"not (currently )?signed in|no accounts configured|session (token|expired)|\(401\)|authorization (prompt|timeout)"
    r"|desktop app|DecodeSACredentials|initializing client"
)
_ANSWERS = (
    (r"isn't a vault|isn't an item|does not have a field|isn't a field|more than one item", "has no such secret"),
    (r"invalid secret reference|too many '/'|too few '/'", "does not understand the reference"),
    (r"\(403\)|aren't authorized|do not have permission", "may not read it"),
    (_SIGNED_OUT, "is not signed in"),
)
"""What `op` writes (2.24 to 2.39), and what it means."""
_EXPECTED = {
    "has no such secret": "a vault, an item and a field that this account can see",
    "does not understand the reference": FORM,
    "may not read it": "an account that may read the vault",
    "is not signed in": _SIGN_IN,
}


def is_reference(text: str) -> bool:
    return text.startswith(SCHEME)


def read(reference: str, place: str) -> str:
    """The secret that a reference leads to. Raises ConfigurationError with a problem at `place`."""
    parts = reference.removeprefix(SCHEME).split("?")[0].split("/")
    if len(parts) not in _PARTS or not all(parts) or not reference.isprintable():
        _refuse(place, f"{_quote(reference)} is not a reference to a secret", FORM)
    program = shutil.which("op")
    if program is None:
        _refuse(
            place,
            f"{_quote(reference)} cannot be read, because the command `op` is not installed",
            "1Password CLI on the PATH (https://developer.1password.com/docs/cli), or the secret in a file",
        )
    code, out, err = _output([program, "read", "--no-newline", reference], reference, place)
    if code:
        _refuse_as_answered(err, reference, place)
    return _text(out, reference, place)


def _output(command: list[str], reference: str, place: str) -> tuple[int, bytes, bytes]:
    """The exit code, standard output and standard error, each bounded, within SECONDS."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
    try:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError as error:
        _refuse(place, f"the command `op` cannot be run: {error.strerror}", "1Password CLI that this user may run")
    with process:
        try:
            out, err = _read_both(process, time.monotonic() + SECONDS)
            return process.wait(SECONDS), out, err
        except (TimeoutError, subprocess.TimeoutExpired):
            description = f"`op` did not return {_quote(reference)} within {SECONDS:.0f} s"
            _refuse(place, description, "an unlocked 1Password app, or OP_SERVICE_ACCOUNT_TOKEN for a service")
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


def _read_both(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes]:
    found: dict[object, bytes] = {process.stdout: b"", process.stderr: b""}
    with selectors.DefaultSelector() as selector:
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(deadline - time.monotonic(), 0))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                data = os.read(key.fd, BYTES_MAX)
                found[key.fileobj] = (found[key.fileobj] + data)[: BYTES_MAX + 1]
                if not data:
                    selector.unregister(key.fileobj)
    return found[process.stdout], found[process.stderr]


def _text(out: bytes, reference: str, place: str) -> str:
    if not out.strip():
        _refuse(place, f"{_quote(reference)} is empty in 1Password", "a field that holds the secret")
    try:
        text = out.decode()
    except UnicodeDecodeError:
        text = ""
    if not text or len(out) > BYTES_MAX or "\0" in text:
        _refuse(place, f"{_quote(reference)} is no text of at most 64 KiB", "a field that holds the secret as text")
    return text.rstrip("\r\n")


def _refuse_as_answered(err: bytes, reference: str, place: str) -> NoReturn:
    answer = err.decode(errors="replace")
    for pattern, meaning in _ANSWERS:
        if re.search(pattern, answer, re.IGNORECASE):
            _refuse(place, f"1Password {meaning}: {_quote(reference)}", _EXPECTED[meaning])
    line = next((line.strip() for line in answer.splitlines() if line.strip()), "no message")
    shown = "".join(char for char in line if char.isprintable())[:MESSAGE_MAX]
    _refuse(place, f"`op` failed for {_quote(reference)}: {shown}", "a reference that `op read` prints on this machine")


def _quote(reference: str) -> str:
    return quote(reference, MESSAGE_MAX)


def _refuse(place: str, description: str, expected: str) -> NoReturn:
    raise ConfigurationError([Problem(place, description, expected)]) from None
