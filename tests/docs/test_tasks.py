"""The commands of the how-to pages, in the order of a page, against a real `up` with a source and a SIEM."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from receivers.process import running_receiver
from receivers.splunk import TOKEN
from support import doc_examples, up_process
from support.doc_examples import Example
from support.one_machine import wait_until

from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.prefect

REPLACED = {
    "/mnt/elsewhere/": "",
    "--start 2026-08-01": "--start 5d",  # the days of the example are in the store of the test
    "--end 2026-08-15": "--end 1d",
    "--since 2026-08-01": "--since 5d",
    r"(prune --older-than 400d)$": r"\1 --yes",
}
NOT_RUN = {
    r"onepassword-source up\b": "it stays; test_walks.py runs it",
    r"onepassword-source (server|worker|migrate)\b": "several machines; commands/test_several_machines.py",
    r"onepassword-source console": "it stays; tests/deployments/commands/test_console.py",
    r"onepassword-source backfill 1Pass --resume": "it needs one that was stopped; commands/test_backfill.py",
    r"onepassword-source (token|names import)|^op ": "`op` needs an account; commands/test_lifecycle.py, test_names.py",
    r"(export|prefect|python|chmod) ": "several machines, or no command of this program",
    r"mv new.prom": "it writes to a directory of node_exporter; test_status.py has the format",
    r"onepassword-source (backup|restore|move)\b": "they want a passphrase, or no `up`; tests/deployments/backups",
    r"onepassword-source install-service|sudo|systemctl|journalctl": "a system service; tests/install",
}
FOLDER = "docs/how-to/"
CHECKS, SECONDS = 10, 300.0
"""So long may a command take on a busy machine; one that stays stands above."""
PAGES = sorted({line.page for line in doc_examples.shell_lines() if line.page.startswith(FOLDER)})


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[up_process.Up]:
    """An `up` that has collected from a sandbox, and forwards to a Splunk. The files of the pages are there."""
    directory: Path = tmp_path_factory.mktemp("tasks")
    with running_sandbox(events=300, days=6) as api, running_receiver("splunk", directory / "taken") as hec:
        secrets = {"SPLUNK_TOKEN": TOKEN, "HASH_KEY": "0123456789abcdef0123456789abcdef"}
        up = up_process.Up(directory, secrets)
        _write(
            directory / "source.json", _example("docs/how-to/your-account.md"), ("events.1password.com", api.base_url)
        )
        text = (directory / "source.json").read_text().replace('"…"', json.dumps(api.token))
        (directory / "source.json").write_text(text)
        _write(
            directory / "siem.json",
            _example("docs/how-to/forward.md"),
            ("https://splunk.example.com:8088", hec.url.rstrip("/")),
        )
        try:
            up.start()
            up.call("apply", "source.json", codes=frozenset({0}))
            up.call("apply", "siem.json", codes=frozenset({0}))
            wait_until(lambda: _is_collected(up), seconds=300)
            yield up
        finally:
            if up.process:
                up.stop()


def _is_collected(up: up_process.Up) -> bool:
    (source,) = json.loads(up.call("status", "--json"))
    return source["health"] == "healthy" and all(api["last_drained"] for api in source["apis"])


def _example(page: str) -> str:
    return next(one.text for one in doc_examples.examples() if one.page == page and one.language == "json")


def _write(path: Path, text: str, replaced: tuple[str, str]) -> None:
    assert replaced[0] in text
    path.write_text(text.replace(*replaced))
    path.chmod(0o600)


def is_run(line: Example) -> bool:
    return not any(re.search(pattern, line.text) for pattern in NOT_RUN)


def test_what_is_not_run_stands_somewhere() -> None:
    lines = [line.text for line in doc_examples.shell_lines() if not line.page.startswith("docs/reference/")]
    assert [pattern for pattern in NOT_RUN if not any(re.search(pattern, text) for text in lines)] == []
    run = [line for line in doc_examples.shell_lines() if line.page in PAGES and is_run(line)]
    assert len(run) > 25


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page(page: str, machine: up_process.Up) -> None:
    lines = [line for line in doc_examples.shell_lines() if line.page == page]
    for line in filter(is_run, lines):
        text = line.text.removeprefix("$ ")
        for old, new in REPLACED.items():
            text = re.sub(old, new, text)
        run_line(machine, text, line.id)


def run_line(machine: up_process.Up, text: str, place: str) -> None:
    """Run a line, which must succeed. `check` may find a busy machine too slow, so it is repeated."""
    env = {**machine.env, "PATH": f"{up_process.COMMAND.parent}:{machine.env['PATH']}"}

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", text], env=env, cwd=machine.directory, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=SECONDS,
        )  # fmt: skip

    done = run()
    for _ in range(CHECKS if text.startswith("onepassword-source check ") else 0):
        done = run() if done.returncode else done
    assert done.returncode == 0, f"{place}: {text}\n{done.stdout}{done.stderr}"


def test_what_is_attached_to_a_report_holds_no_secret(machine: up_process.Up) -> None:
    source = json.loads((machine.directory / "source.json").read_text())["source"]["config"]["api_token"]
    own = json.loads((machine.data / "secrets.json").read_text())
    secrets = [source, source.rpartition(".")[2], *machine.further.values(), *map(str, own.values())]
    for arguments in (
        ("check", "1Pass", "--json"),
        ("check", "1Pass", "--json", "--deep"),
        ("health", "1Pass", "--json"),
    ):
        shown = machine.call(*arguments)
        assert json.loads(shown) is not None
        assert [secret for secret in secrets if len(secret) > 8 and secret in shown] == []
