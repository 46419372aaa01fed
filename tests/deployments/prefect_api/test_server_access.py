"""The secrets of this machine, and which Prefect a command uses."""

from __future__ import annotations

import base64
import json
import os
import ssl
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet
from support import own_environment

from blocks.errors import FirstPartyGenericError
from deployments import prefect_session
from deployments.prefect_api import server_access, server_secrets, server_settings, up_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def server(*, password: str | None) -> Iterator[str]:
    """A server that answers 200 to everybody, or to this password alone."""
    expected = "Basic " + base64.b64encode(f"admin:{password}".encode()).decode() if password else None

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            open_to_all = expected is None or self.path.endswith("/health")
            self.send_response(200 if open_to_all or self.headers["Authorization"] == expected else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{http.server_address[1]}/api"
        http.shutdown()


data = own_environment.data


def test_nothing_here_imports_prefect() -> None:
    modules = (
        "deployments.prefect_api.server_access, deployments.one_machine.up, deployments.prefect_api.deployment_specs"
    )
    code = f"import sys, {modules}; print('prefect' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_secrets_are_made_once_for_the_owner_alone(data: Path) -> None:
    first = server_secrets.load_secrets()
    assert server_secrets.load_secrets() == first
    assert stat.S_IMODE((data / "secrets.json").stat().st_mode) == 0o600
    assert [path.name for path in data.iterdir() if "secrets" in path.name] == ["secrets.json"]
    Fernet(first.encryption_key)
    assert len(first.api_password) >= 32
    assert first.api_password not in repr(first)


def test_processes_that_race_agree(data: Path) -> None:
    code = "from deployments.prefect_api.server_secrets import load_secrets; print(load_secrets().encryption_key)"
    racers = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(6)]
    assert len({racer.communicate(timeout=60)[0] for racer in racers}) == 1


def test_a_damaged_file_is_named_with_what_to_do(data: Path) -> None:
    server_secrets.load_secrets()
    (data / "secrets.json").write_text("{}")
    with pytest.raises(FirstPartyGenericError, match=r"secrets.json is damaged. Restore it from a backup; or remove"):
        server_secrets.load_secrets()


def test_no_new_key_is_made_for_blocks_that_an_old_one_encrypted(data: Path) -> None:
    server_secrets.load_secrets()
    (server_secrets.prefect_home() / "prefect.db").touch()
    (data / "secrets.json").unlink()
    with pytest.raises(FirstPartyGenericError, match=r"secrets.json is missing. Prefect's stored blocks"):
        server_secrets.load_secrets()


def test_a_file_that_others_could_read_is_closed_with_a_warning(data: Path) -> None:
    server_secrets.load_secrets()
    (data / "secrets.json").chmod(0o644)
    assert "could be read by other users" in server_access.activate().warnings[0]
    assert stat.S_IMODE((data / "secrets.json").stat().st_mode) == 0o600
    assert server_access.activate().warnings == ()


def test_the_environment_shuts_the_server_and_keeps_it_quiet(data: Path) -> None:
    variables = server_access.prefect_environment()
    kept = json.loads((data / "secrets.json").read_bytes())
    assert variables == {
        "PREFECT_HOME": str(data / "prefect"),
        "PREFECT_API_AUTH_STRING": f"admin:{kept['api_password']}",
        "PREFECT_SERVER_API_AUTH_STRING": f"admin:{kept['api_password']}",
        "PREFECT_SERVER_ENCRYPTION_KEY": kept["encryption_key"],
        "PREFECT_API_SSL_CERT_FILE": str(data / "prefect" / "authority.pem"),
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": "http://127.0.0.1:4200,http://localhost:4200",
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(data / "prefect" / "ui"),
        "DO_NOT_TRACK": "1",
        **server_settings.SERVER,
        **server_settings.retention(),
    }
    assert stat.S_IMODE((data / "prefect").stat().st_mode) == 0o700
    authorities = ssl.create_default_context(cafile=variables["PREFECT_API_SSL_CERT_FILE"]).get_ca_certs()
    assert len(authorities) == 1, "each of Prefect's clients reads them all"


def test_a_proxy_never_sees_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "intranet")
    variables = server_access.prefect_environment()
    assert variables["NO_PROXY"] == variables["no_proxy"] == "intranet,127.0.0.1,localhost,::1"


def test_a_running_up_is_found_and_a_stale_one_is_not() -> None:
    with server(password=server_secrets.load_secrets().api_password) as url:
        with up_lock.hold():
            assert server_access.find_running() is None
            up_lock.announce(url)
            assert server_access.activate() == server_access.PrefectAccess("own", url)
            announcement = up_lock.announcement_path().read_bytes()
        up_lock.announcement_path().write_bytes(announcement)
        assert server_access.find_running() is None
        assert server_access.activate().kind == "temporary"


@pytest.mark.parametrize("password", [None, "another"])
def test_a_server_that_is_not_ours_is_not_taken_for_up(password: str | None) -> None:
    with server(password=password) as url, up_lock.hold():
        up_lock.announce(url)
        assert server_access.find_running() is None


def test_a_server_of_the_users_own_is_used_as_it_is(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server(password="theirs") as url:
        os.environ["PREFECT_API_URL"] = url
        before = dict(os.environ)
        assert server_access.activate() == server_access.PrefectAccess("external", url)
        assert dict(os.environ) == before
        assert not (data / "secrets.json").exists()


def test_an_open_server_of_the_users_own_gets_a_warning() -> None:
    with server(password=None) as url:
        os.environ["PREFECT_API_URL"] = url
        (warning,) = server_access.activate().warnings
    assert warning.startswith(f"The Prefect server at {url} does not require a password")


def test_the_exports_survive_a_shell() -> None:
    variables = server_access.prefect_environment()
    script = server_access.shell_exports() + "env"
    env = {"PREFECT_API_URL": "http://gone", "PATH": os.environ["PATH"]}
    got = subprocess.check_output(["sh", "-c", script], text=True, env=env).splitlines()
    # Without a running `up` Prefect's command line must not start a server of its own: it has another database.
    variables["PREFECT_SERVER_EPHEMERAL_ENABLED"] = "false"
    assert {f"{name}={value}" for name, value in variables.items()} <= set(got)
    assert not [line for line in got if line.startswith("PREFECT_API_URL")]


def test_while_up_runs_and_does_not_answer_no_other_server_is_started_on_its_database(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(prefect_session, "UP_SECONDS", 0.2)
    monkeypatch.setattr(server_access, "ANSWER_SECONDS", 0.2)
    with up_lock.hold():
        up_lock.announce("http://127.0.0.1:9/api")
        with pytest.raises(FirstPartyGenericError, match="`up` is running, but its Prefect server does not answer"):
            prefect_session.prefect_session().__enter__()
    assert "its Prefect server does not answer yet; waiting" in capsys.readouterr().err
    assert "prefect" not in sys.modules, "not even imported"


def test_what_env_exported_is_not_taken_for_a_server_of_the_users_own() -> None:
    os.environ.update(server_access.environment_for("http://127.0.0.1:9/api"))
    assert server_access.activate().kind == "temporary"
    assert server_access.shell_exports().startswith("unset PREFECT_API_URL  # `onepassword-source up` does not run")
