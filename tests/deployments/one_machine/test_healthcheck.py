"""The health check of the container, against real servers."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from support.certificates import HERE, certificate, server_context
from support.one_machine import free_port

from deployments.one_machine import healthcheck

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path


class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503 if self.path == "/ill" else 200)
        self.end_headers()
        self.wfile.write(b'{"healthy":%s}' % (b"false" if self.path == "/ill" else b"true"))

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[str]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Health)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http{'s' if context else ''}://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_it_says_what_the_page_says() -> None:
    with serving() as url:
        assert healthcheck.check(f"{url}/healthz") == (0, '{"healthy":true}')
        assert healthcheck.check(f"{url}/ill") == (1, '503 {"healthy":false}')


def test_no_answer_is_unhealthy() -> None:
    code, text = healthcheck.check(f"http://127.0.0.1:{free_port()}/healthz")
    assert (code, "does not answer" in text) == (1, True)
    assert healthcheck.check("not-a-url")[0] == 1


def test_a_proxy_is_not_used_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    with serving() as url:
        assert healthcheck.check(f"{url}/healthz")[0] == 0


def test_a_certificate_for_another_name_is_good_enough_on_loopback(tmp_path: Path) -> None:
    with serving(server_context(tmp_path, certificate(HERE))) as url:
        assert healthcheck.check(f"{url}/healthz")[0] == 0


def test_as_the_image_calls_it_it_checks_the_port_of_the_settings() -> None:
    with serving() as url:
        env = {"ONEPASSWORD_SOURCE_PORT": url.rpartition(":")[2]}
        command = [sys.executable, "-P", "-m", "deployments.one_machine.healthcheck"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, '{"healthy":true}\n'), done.stderr


def test_it_imports_nothing_that_is_slow() -> None:
    code = (
        "import sys, deployments.one_machine.healthcheck; print(*{'prefect', 'httpx', 'sqlalchemy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
