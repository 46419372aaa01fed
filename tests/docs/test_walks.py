"""The tutorial and the README, step by step as a reader does them: a real sandbox, `up` and a receiver."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from receivers.process import running_receiver
from receivers.splunk import TOKEN
from support import doc_examples
from support.one_machine import wait_until
from support.paths import ROOT

from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.prefect

UP = "onepassword-source up"
IN_BACKGROUND = f"""{UP} > up.out 2>&1 &
up=$!
while ! grep -q 'started!' up.out; do kill -0 $up && sleep 1; done"""
"""`up` stays in a terminal of its own. A script waits until it works."""
STATUS = "onepassword-source siem status soc"
REPEATED = f"""while ! {STATUS} > status.out || ! grep -q '^soc  ok' status.out; do kill -0 $up && sleep 1; done
cat status.out"""
"""The tutorial says to repeat this line until the state is ok, which takes as long as the machine needs to forward."""


def script(page: str, replacements: dict[str, str]) -> str:
    """All commands of a page, in their order."""
    blocks = [one.text for one in doc_examples.examples_of(ROOT / page) if one.language == "sh"]
    text = "\n".join(blocks)
    for old, new in replacements.items():
        assert old in text, f"{page} has no {old!r} any more"
        text = text.replace(old, new)
    return text.replace(f"\n{UP}\n", f"\n{IN_BACKGROUND}\n")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def shell(commands: str, directory: Path, end: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """Bash that runs the commands and, when its standard input is closed, those of `end`."""
    home = directory / "home"
    home.mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "ONEPASSWORD_SOURCE_"))}
    env = {**kept, "HOME": str(home), "ONEPASSWORD_SOURCE_PORT": str(free_port())}
    file = directory / "walk.sh"
    file.write_text(f"set -e\n{commands}\necho WALKED\nread -r _ || true\n{end}\necho ENDED\n")
    with (directory / "out").open("wb") as out:
        process = subprocess.Popen(
            ["bash", str(file)], cwd=directory, env=env, stdin=subprocess.PIPE, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def output(directory: Path) -> str:
    return (directory / "out").read_text(errors="replace")


def wait_for(text: str, directory: Path, process: subprocess.Popen[bytes]) -> None:
    def is_there() -> bool:
        assert text in output(directory) or process.poll() is None, output(directory)
        return text in output(directory)

    wait_until(is_there, seconds=600)


def stored(data: Path) -> set[str]:
    with closing(sqlite3.connect(data / "events.db")) as database:
        return {uuid for (uuid,) in database.execute("SELECT uuid FROM events")}


def outputs(page: str) -> list[str]:
    """Each line of output that a page shows, without `…`."""
    blocks = [one.text for one in doc_examples.examples_of(ROOT / page) if one.language == "text"]
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


def as_pattern(line: str) -> str:
    """Numbers, times and the width of columns may differ."""
    parts = re.split(r"(\d[\d,:-]*|\s+|…|sign-in {2,})", line)
    patterns = {"…": ".*"}
    return "".join(
        r"[\d,:-]+" if re.match(r"\d", part) else r"\s+" if part.isspace() else patterns.get(part, re.escape(part))
        for part in parts
    )


def test_the_tutorial(tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    sandbox, receiver = free_port(), free_port()
    text = script("docs/tutorial.md", {"4900": str(sandbox), "4901": str(receiver)})
    assert f"\n{STATUS}\n" in text
    text = text.replace(f"\n{STATUS}\n", f"\n{REPEATED}\n", 1)
    walk, _, clean = text.rpartition("\nkill $sandbox")
    folder = tmp_path / "home" / "onepassword-tutorial"
    with shell(walk, tmp_path, f"kill -INT $up\nwait $up || true\nkill $sandbox{clean}") as process:
        wait_for("WALKED", tmp_path, process)
        wait_until(lambda: received(folder / "received.ndjson") >= stored(folder / "data"), seconds=300)
        assert len(stored(folder / "data")) > 3000
        shown = output(tmp_path) + (folder / "up.out").read_text()
        assert [line for line in outputs("docs/tutorial.md") if not re.search(as_pattern(line), with_port(shown))] == []
        assert process.stdin
        process.stdin.close()
        wait_for("ENDED", tmp_path, process)
    assert not folder.exists()


def with_port(text: str) -> str:
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:4200", text)


def received(file: Path) -> set[str]:
    return {json.loads(line)["uuid"] for line in file.read_text().splitlines()} if file.exists() else set()


def test_the_readme(tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    data = tmp_path / "home" / ".local" / "share" / "onepassword-source"
    source, siem = (one.text for one in doc_examples.examples_of(ROOT / "README.md") if one.language == "json")
    with running_sandbox(events=90, days=1) as api, running_receiver("splunk", tmp_path / "taken") as hec:
        files = {
            "source.json": source.replace('"events.1password.com"', json.dumps(api.base_url)).replace("…", api.token),
            "siem.json": siem.replace("https://splunk.example.com:8088", hec.url.rstrip("/")),
        }
        for name, text in files.items():
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o600)
        text = script("README.md", {"SPLUNK_TOKEN=…": f"SPLUNK_TOKEN={TOKEN}"})
        with shell(text, tmp_path, "kill -INT $up\nwait $up || true") as process:
            wait_for("WALKED", tmp_path, process)
            wait_until(lambda: set(hec.arrived()) >= stored(data), seconds=300)
            assert len(stored(data)) > 60
            assert process.stdin
            process.stdin.close()
            wait_for("ENDED", tmp_path, process)
