"""`verify`, as a person types it and as a cron job runs it."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.chains import Filled, fill
from support.terminal import shown_on_terminal
from support.values import SOURCE

from blocks.events_api.models import Api
from deployments import cli

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

COMMAND = [sys.executable, "-m", "deployments.cli"]


@pytest.fixture
def filled(store: Engine) -> Filled:
    return fill(store)


@pytest.fixture
def verify(filled: Filled, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*flags: str, code: int = cli.DONE) -> str:
        assert cli.main(["verify", "1Pass", *flags]) == code
        shown = capsys.readouterr()
        return shown.out if code != cli.WRONG_USE else shown.err

    return run


SEVENTH = "SELECT number, digest, last_id FROM chain WHERE stream_id = {audit} AND number = 7"
CHANGE = "UPDATE events SET body = '{{\"secret\": 1}}' WHERE id = {third[1]}"


def test_a_sound_store(verify: Any, filled: Filled) -> None:
    lines = verify().splitlines()
    assert lines[0].split() == ["API", "links", "events", "pruned", "before", "newest", "(UTC)", "verdict"]
    assert lines[1].split()[:5] + lines[1].split()[7:] == ["sign-in", "6", "24", "0", "0", "sound"]
    assert max(map(len, lines)) <= 80
    assert lines[4] == "Sound: 1Pass is unchanged since its commits, from the first link to the last."


def test_a_damaged_link_is_reported_with_its_link_and_without_a_body(verify: Any, filled: Filled) -> None:
    filled.change(CHANGE)
    shown = verify(code=cli.IN_ERROR)
    assert "audit: link 3 is damaged (changed).\n" in shown
    assert "secret" not in shown
    assert "The uuid or the time of 1 event does not fit the body: audit-00000" in shown
    assert shown.endswith("NOT SOUND: 1Pass does not match its hash chains.\n")
    assert verify("--api", "sign-in", "--api", "itemUsage").count("sound") == 2


def test_json_for_scripts(verify: Any, filled: Filled) -> None:
    sound = json.loads(verify("--json"))
    assert (sound["source"], sound["source_id"], sound["sound"], sound["checkpoints"]) == ("1Pass", SOURCE.id, True, [])
    assert [(one["api"], one["links"], one["first_damaged"]) for one in sound["apis"]] == [
        (api, 6, None) for api in Api
    ]
    filled.change(CHANGE)
    document = json.loads(verify("--json", "--api", "audit", code=cli.IN_ERROR))
    assert (document["sound"], [one["damaged"] for one in document["apis"]]) == (False, [1])
    first = document["apis"][0]["first_damaged"]
    assert (first["link"], first["kind"], first["first_id"]) == (3, "changed", filled.ids(3)[0])
    assert first["committed"].endswith("Z")


def test_saved_checkpoints_are_checked_one_by_one(verify: Any, filled: Filled, tmp_path: Path) -> None:
    file = tmp_path / "heads"
    for _ in range(3):
        with file.open("a") as log:
            log.write(verify("--print-checkpoint"))
        filled.commit(Api.AUDIT, 2)
    assert len(file.read_text().splitlines()) == 3
    assert "The store matches 9 of 9 checkpoints." in verify("--checkpoints", str(file))
    assert "matches 3 of 3" in verify("--checkpoints", file.read_text().splitlines()[0])
    assert "matches 3 of 3" in verify("--checkpoints", str(file), "--api", "audit")
    filled.change(
        "DELETE FROM events WHERE id >= (SELECT first_id FROM chain WHERE stream_id = {audit} AND number = 8)",
        "DELETE FROM chain WHERE stream_id = {audit} AND number >= 8",
        f"UPDATE streams SET (link, link_digest, link_id) = ({SEVENTH}) WHERE id = {{audit}}",
    )
    assert "Sound" in verify()
    shown = verify("--checkpoints", str(file), code=cli.IN_ERROR)
    assert "link 8 (shorter).\n" in shown
    assert "The store does not have this link; the newest there is 7." in shown
    assert "The store matches 8 of 9 checkpoints." in shown
    document = json.loads(verify("--checkpoints", str(file), "--json", code=cli.IN_ERROR))
    assert (document["sound"], [one["damaged"] for one in document["apis"]]) == (False, [0, 0, 0])
    assert [one["verdict"] for one in document["checkpoints"] if one["api"] == "audit"] == ["leads", "leads", "shorter"]


def test_checkpoints_come_through_a_pipe_too(verify: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(verify("--print-checkpoint", "--api", "audit")))
    assert "The store matches 1 of 1 checkpoints." in verify("--checkpoints", "-")


def test_many_checkpoints_that_do_not_match_do_not_fill_the_screen(verify: Any, filled: Filled, tmp_path: Path) -> None:
    head = json.loads(verify("--print-checkpoint"))
    head["source_id"] = "\u001b[31m"
    (tmp_path / "heads").write_text((json.dumps(head) + "\n") * 20)
    shown = verify("--checkpoints", str(tmp_path / "heads"), code=cli.IN_ERROR)
    assert shown.count("(other source)") == 10
    assert "… and 50 more." in shown
    assert "\u001b" not in shown


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--checkpoints", "gone"],
            "--checkpoints: gone is neither a checkpoint nor a file of checkpoints: No such file or directory.",
        ),
        (["--checkpoints", "{}"], "--checkpoints: line 1 is not a checkpoint"),
        (
            ["--checkpoints", "{}", "--print-checkpoint"],
            "--print-checkpoint verifies nothing: leave out --checkpoints.",
        ),
        (["--checkpoints", os.devnull], "--checkpoints: there is no "),
        (["--api", "logins"], "--api takes sign-in, itemUsage, audit for this source, not 'logins'."),
    ],
)
def test_wrong_use_is_explained(verify: Any, flags: list[str], message: str) -> None:
    assert message in verify(*flags, code=cli.WRONG_USE)


def test_a_checkpoint_without_the_chosen_api_proves_nothing(verify: Any) -> None:
    head = verify("--print-checkpoint", "--api", "audit")
    assert "there is no checkpoint of sign-in in it" in verify(
        "--checkpoints", head, "--api", "sign-in", code=cli.WRONG_USE
    )


def test_the_former_flags_still_work(verify: Any) -> None:
    assert json.loads(verify("--head"))["heads"] == json.loads(verify("--print-checkpoint"))["heads"]
    saved = verify("--head")
    assert "matches 3 of 3" in verify("--against", saved)
    assert "matches 3 of 3" in verify(f"--against={saved}")


def test_an_unknown_source(filled: Filled, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verify", "2Pass"]) == cli.WRONG_USE
    assert "There is no source named '2Pass' in the store. `onepassword-source list`" in capsys.readouterr().err


def test_a_deleted_source_by_its_id(filled: Filled, capsys: pytest.CaptureFixture[str]) -> None:
    filled.change("UPDATE sources SET deleted_ns = 1")
    assert cli.main(["verify", SOURCE.id]) == cli.DONE
    assert "Sound: 1Pass is" in capsys.readouterr().out


def test_events_from_before_the_chain_are_counted(verify: Any, filled: Filled) -> None:
    filled.change("DELETE FROM chain", "UPDATE streams SET link = 0, link_digest = NULL, link_id = NULL")
    verify("--json")
    assert [line.split()[4] for line in verify().splitlines()[1:4]] == ["24"] * 3


def test_on_a_terminal_of_80_columns(filled: Filled) -> None:
    filled.change(CHANGE)
    filled.engine.dispose()
    code, shown = shown_on_terminal(["verify", "1Pass"])
    assert code == cli.IN_ERROR, shown
    lines = [re.sub("\x1b[^a-zA-Z]*[a-zA-Z]", "", part) for line in shown.splitlines() for part in line.split("\r")]
    assert max(map(len, lines)) <= 80
    assert "    The uuid or the time of 1 event does not fit the body: audit-000007." in lines
    assert "NOT SOUND: 1Pass does not match its hash chains." in lines


def test_the_checkpoint_for_a_log_is_one_line_and_needs_no_prefect(filled: Filled) -> None:
    call = [sys.executable, "-X", "importtime", "-m", "deployments.cli", "verify", "1Pass", "--print-checkpoint"]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["heads"]["audit"]["link"] == 6
    assert done.stdout.count("\n") == 1
    assert "| prefect" not in done.stderr
