"""Rotates the secrets of a data directory again and again, killed by SIGKILL before each line, and looks what is left.

Arguments: a data directory with Prefect's own database, a directory for copies of it, and how many lines to go on each
time. Prints after how many of the kills the old secrets held, both stood in the file, and the new ones held.
"""

from __future__ import annotations

import collections
import json
import os
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from deployments.prefect_api import reencrypt, server_secrets

TRACED = {server_secrets.__file__, reencrypt.__file__}
KILLED = -signal.SIGKILL


def rotate_until(line: int) -> None:
    last_line = line

    def trace(frame: Any, event: str, _: object) -> Any:
        nonlocal last_line
        if frame.f_code.co_filename not in TRACED:
            return None
        last_line -= event == "line"
        if last_line < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    server_secrets.rotate(password=True, key=True)


def killed_before(line: int) -> bool:
    if (child := os.fork()) == 0:
        try:
            rotate_until(line)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


def documents(data: Path, key: str) -> list[Any]:
    with closing(sqlite3.connect(data / "prefect" / "prefect.db")) as database:
        rows = database.execute("SELECT data FROM block_document ORDER BY id").fetchall()
    return [Fernet(key).decrypt(json.loads(row[0])) for row in rows]


def main() -> None:
    origin, copies, step = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    old = json.loads((origin / "secrets.json").read_bytes())
    truth = documents(origin, old["encryption_key"])
    assert truth
    lines_seen: collections.Counter[str] = collections.Counter()
    for line in range(0, 10_000, step):
        data = copies / str(line)
        (data / "prefect").mkdir(parents=True)
        for path in (origin / "secrets.json", *(origin / "prefect").glob("prefect.db*")):
            shutil.copy(path, data / path.relative_to(origin))
        os.environ["ONEPASSWORD_SOURCE_DATA_DIR"] = str(data)
        killed = killed_before(line)
        lines_seen["between"] += "next" in json.loads((data / "secrets.json").read_bytes())
        now = server_secrets.load_secrets()
        assert documents(data, now.encryption_key) == truth, f"line {line}"
        changed = {now.api_password != old["api_password"], now.encryption_key != old["encryption_key"]}
        assert len(changed) == 1, "both or none"
        lines_seen["new" if changed.pop() else "old"] += 1
        server_secrets.rotate(password=True, key=True)
        assert documents(data, server_secrets.load_secrets().encryption_key) == truth
        assert not list(data.glob(".secrets-*"))
        shutil.rmtree(data)
        if not killed:
            break
    print(lines_seen["old"], lines_seen["between"], lines_seen["new"])  # noqa: T201


main()
