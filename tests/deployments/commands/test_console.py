"""The command `console` as a process: who may log in, that it only reads without Prefect, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
from support import fleet_store
from support.one_machine import free_port, wait_until

from blocks.store import schema
from blocks.store.engine import open_engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.processes

RUN = (sys.executable, "-m", "deployments.cli", "console")


@contextmanager
def console(directory: Path, *flags: str, **settings: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A running console, and its origin. What it prints is in `out`."""
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "ONEPASSWORD_"))}
    own = {"HOME": str(directory), "ONEPASSWORD_SOURCE_DATA_DIR": str(directory / "data"), **settings}
    with (directory / "out").open("w") as out:
        process = subprocess.Popen(
            [*RUN, "--port", str(port), *flags], env={**kept, **own}, stdout=out, stderr=out, text=True
        )
    origin = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(origin) or process.poll() is not None)
        yield origin, process
    finally:
        process.kill()
        process.wait()


def _answers(origin: str) -> bool:
    try:
        return httpx.get(f"{origin}/console/login").status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def logged_in(origin: str, password: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=origin) as client:
        client.post("/console/login", data={"password": password, "person": "Ada"})
        yield client


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store of three sources in the data directory."""
    (tmp_path / "data").mkdir(mode=0o700)
    url = f"sqlite:///{tmp_path / 'data' / 'events.db'}"
    engine = open_engine(url)
    schema.upgrade(engine)
    fleet_store.fill(engine, 3)
    engine.dispose()
    return url


def test_without_prefect_it_reads_and_offers_no_action(tmp_path: Path, store: str) -> None:
    with console(tmp_path) as (origin, _):
        password = json.loads((tmp_path / "data" / "secrets.json").read_bytes())["api_password"]
        output = (tmp_path / "out").read_text()
        assert password in output
        assert "only reads" in output
        with logged_in(origin, password) as client:
            page = client.get("/console/").text
            assert "team-000" in page
            assert "Add a source" not in page
            assert ">Prefect<" not in page
            source = client.get(f"/console/sources/{fleet_store._id(1)}").text
            assert "Collect now" not in source
            token = page.partition('name="csrf" value="')[2].partition('"')[0]
            answer = client.post(f"/console/sources/{fleet_store._id(1)}/stop", data={"csrf": token})
            assert answer.status_code == 404


def test_its_own_passwords_are_used_and_not_printed(tmp_path: Path, store: str) -> None:
    own = {
        "ONEPASSWORD_SOURCE_CONSOLE_PASSWORD": "of operators",
        "ONEPASSWORD_SOURCE_CONSOLE_VIEWER_PASSWORD": "of all",
    }
    with console(tmp_path, **own) as (origin, _):
        assert "of operators" not in (tmp_path / "out").read_text()
        for password in own.values():
            with logged_in(origin, password) as client:
                assert "team-000" in client.get("/console/").text
        with logged_in(origin, "wrong") as client:
            assert not client.cookies


def test_a_viewers_password_alone_is_refused(tmp_path: Path, store: str) -> None:
    with console(tmp_path, ONEPASSWORD_SOURCE_CONSOLE_VIEWER_PASSWORD="x") as (_, process):
        assert process.wait(60) == 1
        assert "CONSOLE_PASSWORD is not" in (tmp_path / "out").read_text()


def test_before_there_is_a_store_it_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    with console(tmp_path, ONEPASSWORD_SOURCE_CONSOLE_PASSWORD="x") as (origin, _), logged_in(origin, "x") as client:
        assert "There is no source yet" in client.get("/console/").text


def test_it_answers_to_its_own_names_only(tmp_path: Path, store: str) -> None:
    with console(tmp_path, "--public-url", "https://soc.example.com", ONEPASSWORD_SOURCE_CONSOLE_PASSWORD="x") as (
        origin,
        _,
    ):
        port = origin.rpartition(":")[2]
        for host, status in ((f"127.0.0.1:{port}", 200), ("soc.example.com", 200), ("evil.example", 400)):
            assert httpx.get(f"{origin}/console/login", headers={"Host": host}).status_code == status
        foreign = {"Origin": "https://evil.example"}
        assert httpx.post(f"{origin}/console/login", headers=foreign, data={"password": "x"}).status_code == 403
        own = {"Host": "soc.example.com"}
        answer = httpx.post(f"{origin}/console/login", headers=own, data={"password": "x"})
        assert "secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize(("proxies", "is_believed"), [("127.0.0.1", True), ("10.0.0.5", False), ("", False)])
def test_only_a_trusted_proxy_says_who_is_behind_it(
    tmp_path: Path, store: str, proxies: str, is_believed: bool
) -> None:
    own = {"ONEPASSWORD_SOURCE_CONSOLE_PASSWORD": "x", "ONEPASSWORD_SOURCE_TRUSTED_PROXIES": proxies}
    with console(tmp_path, **own) as (origin, _):
        for number in range(4):
            headers = {"X-Forwarded-For": f"192.0.2.{number}"}
            answer = httpx.post(f"{origin}/console/login", headers=headers, data={"password": "wrong"})
        assert (answer.status_code == 403) == is_believed
        headers = {"X-Forwarded-For": "192.0.2.9", "X-Forwarded-Proto": "https"}
        answer = httpx.post(f"{origin}/console/login", headers=headers, data={"password": "x"})
        assert ("secure" in answer.headers.get("set-cookie", "").lower()) == is_believed


def test_a_proxy_that_is_none_is_refused(tmp_path: Path, store: str) -> None:
    with console(tmp_path, ONEPASSWORD_SOURCE_TRUSTED_PROXIES="caddy") as (_, process):
        assert process.wait(60) == 2
        assert "TRUSTED_PROXIES has 'caddy', which is no address" in (tmp_path / "out").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_once(tmp_path: Path, store: str, number: int) -> None:
    with console(tmp_path, ONEPASSWORD_SOURCE_CONSOLE_PASSWORD="x") as (_, process):
        process.send_signal(number)
        process.wait(20)
        assert "Traceback" not in (tmp_path / "out").read_text()
