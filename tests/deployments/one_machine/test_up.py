"""Prefect on one machine: shut to strangers, running what is deployed, and gone when it is stopped."""

from __future__ import annotations

import json
import re
import signal
import socket
import stat
import subprocess
import sys
from base64 import b64encode
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from unittest.mock import ANY

import psutil
import pytest
from support import browser, prefect_database
from support.one_machine import CLOSED, STAND_IN, RunningUp, environment, free_port, lives, run_python, wait_until
from websockets import Origin, Subprotocol
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

if TYPE_CHECKING:
    from pathlib import Path

HTML = {"Accept": "text/html"}
"""What a browser requests a page with; Prefect answers others with 404."""
KILLED_ROTATION = """
import os, signal
from deployments.prefect_api import reencrypt, server_secrets
encrypt = reencrypt.reencrypt_blocks
def kill(*arguments):
    encrypt(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
reencrypt.reencrypt_blocks = kill
if (child := os.fork()) == 0:
    server_secrets.rotate(password=True, key=True)
assert os.waitpid(child, 0)[1] == signal.SIGKILL
"""
BLOCK = """
from contextlib import ExitStack
from deployments import prefect_session
stack = ExitStack()
print(stack.enter_context(prefect_session.prefect_session()).kind)
from prefect.blocks.system import Secret
"""


def test_a_busy_port_is_named_with_the_setting_that_changes_it(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = _run_up(tmp_path, port)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"Port {port} is in use by another program. Stop that program, or set ONEPASSWORD_SOURCE_PORT to a free port."
    )


def test_an_address_of_another_machine_is_an_error(tmp_path: Path) -> None:
    code = "from deployments.cli import main; exit(main(['up', '--host', '192.0.2.1']))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(tmp_path, free_port()),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "192.0.2.1 is not an address of this machine." in done.stderr


def test_a_wrong_entry_of_the_trusted_proxies_is_named(tmp_path: Path) -> None:
    done = _run_up(tmp_path, free_port(), ONEPASSWORD_SOURCE_TRUSTED_PROXIES="caddy, 10.0.0.5")
    assert done.stderr.startswith("ONEPASSWORD_SOURCE_TRUSTED_PROXIES has 'caddy', which is no address")


def test_a_server_of_the_users_own_is_not_doubled(tmp_path: Path) -> None:
    done = _run_up(tmp_path, free_port(), PREFECT_API_URL="http://127.0.0.1:9/api")
    assert done.returncode == 1
    assert done.stderr.startswith("PREFECT_API_URL is set to http://127.0.0.1:9/api, so there is no Prefect server")
    assert "prefect worker start --pool onepassword-source --type onepassword-source" in done.stderr


def _run_up(directory: Path, port: int, **further: str) -> subprocess.CompletedProcess[str]:
    env = {**environment(directory, port), **further}
    return subprocess.run(
        [sys.executable, str(STAND_IN / "run_up.py")], env=env, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.prefect
def test_the_api_is_shut_without_the_password(running_up: RunningUp) -> None:
    assert running_up.ask("POST", "/api/flows/count", auth=None).status_code == 401
    assert running_up.ask("POST", "/api/flows/count", auth=("admin", "guessed")).status_code == 401
    assert running_up.ask("POST", "/api/flows/count").status_code == 200


@pytest.mark.prefect
@pytest.mark.parametrize(
    "path", ["/api/block_documents/filter", "/api/flows/count", "/api/nothing", "/", "/ui-settings", "/docs"]
)
def test_another_host_or_origin_gets_nothing_even_with_the_password(running_up: RunningUp, path: str) -> None:
    how: dict[str, Any] = {"json": {"include_secrets": True}} if path.startswith("/api") else {}
    method = "POST" if how else "GET"
    for host in ("evil.example", f"evil.example:{running_up.port}", "0.0.0.0"):  # noqa: S104 - requested, not bound
        assert running_up.ask(method, path, headers={"Host": host}, **how).status_code == 400
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        answer = running_up.ask(method, path, headers={"Origin": origin}, **how)
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
        preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        assert running_up.ask("OPTIONS", path, headers=preflight).status_code == 403


@pytest.mark.prefect
def test_the_ui_may_ask_by_either_of_its_names(running_up: RunningUp) -> None:
    for name in ("127.0.0.1", "localhost"):
        host = f"{name}:{running_up.port}"
        headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        assert running_up.ask("POST", "/api/flows/count", headers=headers).status_code == 200
        assert running_up.ask("POST", "/api/flows/count", headers=headers, auth=None).status_code == 401
        assert (
            running_up.ask("GET", "/flows", headers={"Host": host, "Sec-Fetch-Site": "none", **HTML}).status_code == 200
        )


@pytest.mark.prefect
def test_a_websocket_wants_our_host_our_origin_and_the_password(running_up: RunningUp) -> None:
    assert _auth_over_websocket(running_up, ":".join(running_up.auth)) == "auth_success"
    with pytest.raises(ConnectionClosedError):
        _auth_over_websocket(running_up, "admin:guessed")
    for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
        with pytest.raises(InvalidStatus):
            _auth_over_websocket(running_up, ":".join(running_up.auth), **headers)


def _auth_over_websocket(up: RunningUp, token: str, **headers: str) -> str:
    url = f"ws://127.0.0.1:{up.port}/api/events/out"
    origin = Origin(headers["Origin"]) if "Origin" in headers else None
    extra = {"Host": headers["Host"]} if "Host" in headers else None
    with connect(url, subprotocols=[Subprotocol("prefect")], origin=origin, additional_headers=extra, proxy=None) as ws:
        ws.send(json.dumps({"type": "auth", "token": token}))
        return str(json.loads(ws.recv(10))["type"])


@pytest.mark.prefect
def test_a_page_in_a_browser_reads_nothing(running_up: RunningUp, tmp_path: Path) -> None:
    server = f"http://127.0.0.1:{running_up.port}"
    script = re.findall(r'src="(/assets/[^"]+\.js)"', running_up.ask("GET", "/flows", headers=HTML).text)[0]
    key = b64encode(":".join(running_up.auth).encode()).decode()
    got = browser.read_by_another_page(server, script, key, tmp_path)
    assert got.pop("own") == "readable"
    assert len(got) == 23
    assert {name: value for name, value in got.items() if value is not None} == {}


@pytest.mark.prefect
def test_a_name_that_leads_here_opens_no_page_in_a_browser(running_up: RunningUp, tmp_path: Path) -> None:
    rules = "--host-resolver-rules=MAP evil.example 127.0.0.1"
    document = browser.dump(f"http://evil.example:{running_up.port}/ui-settings", tmp_path, rules)
    assert "Invalid host header" in document
    assert "api_url" not in document


@pytest.mark.prefect
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_the_ui_opens_in_a_browser(running_up: RunningUp, tmp_path: Path, name: str) -> None:
    document = browser.dump(f"http://{name}:{running_up.port}/", tmp_path, milliseconds=15_000)
    assert "<h1>1Password Source</h1>" in document
    assert 'name="password"' in document


@pytest.mark.prefect
def test_the_server_listens_on_loopback_alone(running_up: RunningUp) -> None:
    listening = {
        connection.laddr.ip
        for process in running_up.processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


@pytest.mark.prefect
def test_it_prints_where_it_is_and_how_to_log_in(running_up: RunningUp) -> None:
    assert f"Open http://127.0.0.1:{running_up.port}" in running_up.output
    assert "Log in with " + ":".join(running_up.auth) in running_up.output


@pytest.mark.prefect
def test_a_second_up_of_the_same_data_is_an_error(running_up: RunningUp) -> None:
    done = _run_up(running_up.directory, free_port())
    assert done.returncode == 1
    assert done.stderr.startswith("`up` is already running with the data in")
    assert running_up.ask("GET", "/api/health").status_code == 200


@pytest.mark.prefect
def test_the_ui_that_reports_to_an_analytics_service_is_left_out(running_up: RunningUp) -> None:
    offered = running_up.ask("GET", "/ui-settings", auth=None).json()
    assert (offered["available_uis"], offered["default_ui"]) == (["v1"], "v1")
    assert "UI static directory" not in (running_up.data / "server.log").read_text()
    assert "amplitude.com" not in running_up.ask("GET", "/flows", auth=None, headers=HTML).text


@pytest.mark.prefect
def test_a_run_goes_through_the_worker_and_no_child_knows_the_token(running_up: RunningUp) -> None:
    run = running_up.run("1Pass", source="1Pass")
    wait_until(lambda: running_up.state(run)["type"] == "COMPLETED")
    _, directory, *names = running_up.seen("1Pass")
    assert directory.startswith(str(running_up.data / "prefect" / "tmp"))
    for process in running_up.processes()[1:]:
        with suppress(psutil.NoSuchProcess):  # a run, or a connection of the database, that has just ended
            names += process.environ()
    assert "PREFECT_HOME" in names
    assert "ONEPASSWORD_SOURCE_API_TOKEN" not in names


@pytest.mark.prefect
def test_others_on_this_machine_can_read_no_file(running_up: RunningUp) -> None:
    assert stat.S_IMODE(running_up.data.stat().st_mode) == 0o700
    modes = running_up.modes()
    assert len(modes) > 100, "the UI, too"
    assert {path: mode for path, mode in modes.items() if mode not in CLOSED} == {}


@pytest.mark.prefect
def test_a_run_is_planned_every_five_minutes(running_up: RunningUp) -> None:
    def planned() -> list[dict[str, Any]]:
        later = {"after_": datetime.now(UTC).isoformat()}
        body = {"state": {"type": {"any_": ["SCHEDULED"]}}, "expected_start_time": later}
        runs = running_up.ask("POST", "/api/flow_runs/filter", json={"flow_runs": body}).json()
        return [run for run in runs if run["auto_scheduled"]]

    # Each schedule's next two alone: after a stall there is no pile of them.
    found = wait_until(planned)
    assert {int(run["expected_start_time"][14:16]) % 5 for run in found} == {0}
    assert max(Counter(run["deployment_id"] for run in found).values()) <= 2


@pytest.mark.prefect
def test_a_block_is_encrypted_with_a_key_that_is_not_in_the_database(running_up: RunningUp) -> None:
    save = BLOCK + "Secret(value='hunter-2-hunter-2').save('kept')"
    assert run_python(save, running_up.env, running_up.directory) == "own"
    prefect_database.execute(running_up.data, "CHECKPOINT")
    kept = b"".join(path.read_bytes() for path in (running_up.data / "prefect").rglob("*") if path.is_file())
    key = (running_up.data / "secrets.json").read_text().split('"')[-2]
    assert b"kept" in kept
    assert b"hunter-2" not in kept
    assert key.encode() not in kept
    assert b"ENCRYPTION_KEY" not in kept  # the row where Prefect keeps a key that it makes itself


@pytest.mark.prefect
@pytest.mark.torture
def test_a_worker_or_server_that_dies_is_started_again(running_up: RunningUp) -> None:
    run = running_up.run("1Pass", source="orphan", pages=999)
    wait_until(lambda: running_up.seen("orphan.pages"))
    server, worker = running_up.child("guarded_server"), running_up.child("worker")
    flow = psutil.Process(int(running_up.seen("orphan")[0]))
    worker.kill()
    running_up.wait_for("The worker ended (exit code -9); it restarts in 1 s.")
    wait_until(lambda: running_up.state(run)["type"] == "CRASHED")
    assert not lives(flow)
    server.kill()
    running_up.wait_for("The Prefect server ended (exit code -9); it restarts in 1 s.")
    running_up.wait_for_server()
    after = running_up.run("1Pass", source="after")
    wait_until(lambda: running_up.state(after)["type"] == "COMPLETED")


@pytest.mark.prefect
def test_a_run_that_a_person_cancels_finishes_its_page_and_is_cancelled(running_up: RunningUp) -> None:
    run = running_up.run("1Pass", source="cancelled", pages=999)
    wait_until(lambda: running_up.seen("cancelled.pages"))
    process = psutil.Process(int(running_up.seen("cancelled")[0]))
    path = f"/api/flow_runs/{run}/set_state"
    assert running_up.ask("POST", path, json={"state": {"type": "CANCELLING"}}).status_code == 201
    wait_until(lambda: running_up.state(run)["type"] == "CANCELLED")
    wait_until(lambda: not lives(process))
    assert running_up.seen("cancelled.pages")[-1].startswith("commit")


@pytest.mark.prefect
def test_after_a_stall_each_source_runs_once_and_not_once_for_each_missed_tick(running_up: RunningUp) -> None:
    pool, schedule = "/api/work_pools/onepassword-source", f"/api/deployments/{running_up.deployment('1Pass')['id']}"
    assert running_up.ask("PATCH", pool, json={"is_paused": True}).status_code == 204
    # Its own runs are no part of this.
    assert running_up.ask("POST", f"{schedule}/pause_deployment").status_code == 200
    runs = [running_up.run("1Pass", source=f"late-{number}") for number in range(3)]
    late = "auto_scheduled = true, expected_start_time = now() - %s * interval '1 minute'"
    for minutes, run in zip((15, 10, 5), runs, strict=True):
        change = f"UPDATE flow_run SET {late} WHERE id = %s"
        prefect_database.execute(running_up.data, change, (minutes, run))
    by_hand = running_up.run("1Pass", source="by hand")
    assert running_up.ask("PATCH", pool, json={"is_paused": False}).status_code == 204
    final = {"COMPLETED", "CANCELLED", "FAILED", "CRASHED"}
    wait_until(lambda: {running_up.state(run)["type"] for run in (*runs, by_hand)} <= final)
    ended = [running_up.state(run) for run in (*runs, by_hand)]
    assert [state["name"] for state in ended] == ["Cancelled", "Cancelled", "Completed", "Completed"]
    assert all(state["message"].startswith("Skipped: ") for state in ended[:2])
    assert [number for number in range(3) if running_up.seen(f"late-{number}")] == [2]
    assert running_up.ask("POST", f"{schedule}/resume_deployment").status_code == 200


@pytest.mark.prefect
def test_the_worker_shows_that_it_polls(running_up: RunningUp) -> None:
    beat = running_up.data / "prefect" / "worker-beat"
    before = beat.stat().st_mtime_ns
    wait_until(lambda: beat.stat().st_mtime_ns > before)


@pytest.mark.prefect
def test_ctrl_c_lets_a_run_finish_its_page_and_leaves_nothing_behind(running_up: RunningUp) -> None:
    polite = running_up.run("1Pass", source="polite", pages=999)
    deaf = running_up.run("1Pass", source="deaf", pages=999, deaf=True)
    wait_until(lambda: running_up.seen("polite.pages") and running_up.seen("deaf.pages"))
    assert running_up.stop() == []
    assert running_up.process is not None
    assert running_up.process.returncode == 0
    assert running_up.output.endswith("Stopped.\n")
    assert running_up.seen("polite.pages")[-1].startswith("commit")
    assert running_up.kept_state(polite) == ("CANCELLED", "Stopped")
    # One that does not listen is killed; its worker, which sees that, may report it before `up` does.
    assert running_up.kept_state(deaf) in [("CANCELLED", "Stopped"), ("CRASHED", ANY)]
    assert not (running_up.data / "up.json").exists()


@pytest.mark.prefect
@pytest.mark.torture
def test_without_up_the_temporary_server_has_the_same_blocks_and_the_same_door(running_up: RunningUp) -> None:
    save = BLOCK + "Secret(value='hunter-2-hunter-2').save('other', overwrite=True)"
    assert run_python(save, running_up.env, running_up.directory) == "own"
    running_up.stop()
    code = f"""{BLOCK}
import httpx
from prefect.client.orchestration import get_client
print(Secret.load('other').get())
with get_client(sync_client=True) as client:
    print(httpx.post(str(client.api_url) + 'flows/count', trust_env=False).status_code)
"""
    assert run_python(code, running_up.env, running_up.directory).split() == ["temporary", "hunter-2-hunter-2", "401"]


@pytest.mark.prefect
def test_a_rotation_that_is_killed_at_its_last_step_is_done(stopped_up: RunningUp) -> None:
    before = stopped_up.auth
    run_python(KILLED_ROTATION, stopped_up.env, stopped_up.directory)
    kept = json.loads((stopped_up.data / "secrets.json").read_bytes())
    assert kept["next"]["api_password"] != kept["api_password"] == before[1]


@pytest.mark.prefect
def test_the_next_up_goes_on(running_up: RunningUp) -> None:
    code = BLOCK + "print(Secret.load('kept').get())"
    assert run_python(code, running_up.env, running_up.directory).split() == ["own", "hunter-2-hunter-2"]
    assert "next" not in (running_up.data / "secrets.json").read_text()
    with pytest.raises(AssertionError, match="while `up`, or another command that uses Prefect, is running"):
        run_python(
            "from deployments.cli import main; exit(main(['secrets', 'rotate']))", running_up.env, running_up.data
        )

    def taken_for_nothing() -> int:
        """Slots beyond those of runs that go on; it is ready for one that its schedule starts just now."""
        active = int(running_up.deployment("1Pass")["global_concurrency_limit"]["active_slots"])
        body = {"flow_runs": {"state": {"type": {"any_": ["PENDING", "RUNNING", "CANCELLING"]}}}}
        return active - len(running_up.ask("POST", "/api/flow_runs/filter", json=body).json())

    # Two questions, and a run may end between them; a slot that the runs before left taken stays so for minutes.
    wait_until(lambda: taken_for_nothing() <= 0, seconds=20)


@pytest.mark.prefect
@pytest.mark.torture
def test_a_killed_up_leaves_no_process_and_no_run_behind(running_up: RunningUp) -> None:
    run = running_up.run("1Pass", source="killed", pages=999)
    wait_until(lambda: running_up.seen("killed.pages"))
    remaining = running_up.stop(signal.SIGKILL)
    wait_until(lambda: not any(map(lives, remaining)), seconds=30)
    running_up.start()
    assert running_up.state(run)["type"] == "CRASHED"
    assert running_up.state(run)["message"].startswith("The process of this run ended before the run did.")
    assert list((running_up.data / "prefect" / "tmp").glob("*prefect*")) == []


@pytest.mark.prefect
@pytest.mark.torture
def test_ctrl_c_twice_stops_at_once(running_up: RunningUp) -> None:
    run = running_up.run("1Pass", source="hurried", pages=999, deaf=True)
    wait_until(lambda: running_up.seen("hurried.pages"))
    assert running_up.stop(signal.SIGINT, signal.SIGINT) == []
    assert running_up.seconds["stop"] < 4
    assert running_up.kept_state(run) == ("CANCELLED", "Stopped")


@pytest.mark.prefect
def test_nothing_of_all_this_left_this_machine(one_up: RunningUp) -> None:
    leaks = one_up.directory / "leaks"
    assert not leaks.exists(), leaks.read_text()
