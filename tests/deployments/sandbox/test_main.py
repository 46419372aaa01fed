"""The command line of the sandbox: flags become options, and each problem is one line and an exit code."""

from __future__ import annotations

import argparse
import io
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from deployments.sandbox import __main__ as program
from deployments.sandbox.faults import KINDS
from deployments.sandbox.options import SandboxOptionError, SandboxOptions
from deployments.sandbox.rate_limiter import RequestWindow
from deployments.sandbox.server import SandboxStartError

if TYPE_CHECKING:
    from collections.abc import Callable


class Server:
    """Stands for `serve`: it says that it listens, and then ends as the test has it."""

    def __init__(self) -> None:
        self.options = SandboxOptions()
        self.stop_with: object = None
        self.ends_with: BaseException | None = None

    def __call__(self, options: SandboxOptions, *, ready: Callable[[str, str], None], stop_with: object) -> None:
        self.options, self.stop_with = options, stop_with
        ready("http://127.0.0.1:1", "t.o.ken")
        if self.ends_with is not None:
            raise self.ends_with


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    own = Server()
    monkeypatch.setattr(program, "serve", own)
    return own


@pytest.mark.parametrize(
    ("flags", "members"),
    [
        ([], {}),
        (["--port", "8080", "--events", "5", "--seed", "2"], {"port": 8080, "events": 5, "seed": 2}),
        (["--days", "0.5", "--rate", "1.5"], {"days": 0.5, "rate": 1.5}),
        (["--until", "2026-01-01T00:00:00Z"], {"until": "2026-01-01T00:00:00Z"}),
        (["--bulk", "--gzip"], {"bulk": True, "gzip": True}),
        (["--no-bulk", "--no-gzip"], {"bulk": False, "gzip": False}),
        (["--rate-limits"], {"rate_windows": (RequestWindow(600, 60.0), RequestWindow(30_000, 3600.0))}),
        (["--rate-window", "5/0.5"], {"rate_windows": (RequestWindow(5, 0.5),)}),
        (
            ["--rate-limits", "--rate-window", "5/1", "--rate-window", "9/2"],
            {"rate_windows": (RequestWindow(5, 1.0), RequestWindow(9, 2.0))},
        ),
        (
            ["--fault", "500", "--fault", '{"kind": "429", "retry_after": 2}'],
            {"faults": ({"kind": "500", "api": None, "times": None}, {"kind": "429", "retry_after": 2})},
        ),
    ],
)
def test_flags_become_options(server: Server, flags: list[str], members: dict[str, Any]) -> None:
    assert program.main(flags) == 0
    assert server.options == SandboxOptions(**members)
    assert server.stop_with is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("500", {"kind": "500", "api": None, "times": None}),
        ("500:auditevents", {"kind": "500", "api": "auditevents", "times": None}),
        ("500:auditevents:3", {"kind": "500", "api": "auditevents", "times": 3}),
        ("500::3", {"kind": "500", "api": None, "times": 3}),
        ("500:auditevents:", {"kind": "500", "api": "auditevents", "times": None}),
        ('{"kind": "delay", "seconds": 2}', {"kind": "delay", "seconds": 2}),
    ],
)
def test_a_fault_is_a_kind_or_json(text: str, fault: dict[str, Any]) -> None:
    assert program.read_fault(text) == fault


@pytest.mark.parametrize("text", ["{", '{"kind"}', "500:auditevents:often", "500:a:1:2"])
def test_a_fault_that_is_neither_is_quoted(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as raised:
        program.read_fault(text)
    assert str(raised.value) == (
        f'{text!r} is neither KIND[:API[:TIMES]] nor JSON such as {{"kind": "429", "retry_after": 2}}'
    )


@pytest.mark.parametrize("text", ["600", "600/", "/60", "many/60", "600/soon", "1.5/60"])
def test_a_window_that_is_none_is_quoted(server: Server, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        program.main(["--rate-window", text])
    assert ended.value.code == 2
    assert f"argument --rate-window: {text!r} is not N/SECONDS, such as 600/60" in capsys.readouterr().err
    assert server.options.rate_windows == ()


def test_a_script_gets_one_json_line(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([]) == 0
    assert server.ends_with is None
    assert json.loads(capsys.readouterr().out) == {"base_url": "http://127.0.0.1:1", "token": "t.o.ken"}


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(("flags", "notified"), [([], True), (["--json"], False)])
def test_a_caller_gets_address_and_token_in_place_of_the_output_but_not_with_json(
    flags: list[str], *, notified: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[tuple[str, str]] = []
    assert program.main(flags, ready=lambda *given: calls.append(given)) == 0
    assert calls == ([("http://127.0.0.1:1", "t.o.ken")] if notified else [])
    assert bool(capsys.readouterr().out) is not notified


def test_it_may_stop_when_standard_input_ends(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    own = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdin", own)
    assert program.main(["--stop-with-stdin"]) == 0
    assert server.stop_with is own.buffer


@pytest.mark.parametrize("error", [SandboxStartError("Port 1 cannot be used."), SandboxOptionError("days must be")])
def test_a_problem_is_one_line_and_code_2(server: Server, error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    server.ends_with = error
    assert program.main([], prog="onepassword-source sandbox") == 2
    assert capsys.readouterr().err == f"onepassword-source sandbox: {error}\n"


def test_an_option_that_cannot_be_is_a_problem_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--events", "-1"]) == 2
    assert capsys.readouterr().err == "python -m deployments.sandbox: events must be 0 or more, not -1\n"


def test_ctrl_c_ends_it_well(server: Server) -> None:
    server.ends_with = KeyboardInterrupt()
    assert program.main([]) == 0


def test_the_help_explains_each_fault_and_fits_a_terminal() -> None:
    parser = program.parser("sandbox")
    kinds = (parser.epilog or "").splitlines()
    assert kinds[0] == "kinds of faults:"
    assert kinds[-1] == "Example: sandbox --port 8080 --rate 30 --fault 500"
    assert max(map(len, kinds)) <= 79
    words = " ".join(kinds).split()
    for name, kind in KINDS.items():
        expected = [name, *kind.meaning.split()]
        assert any(words[at : at + len(expected)] == expected for at in range(len(words))), name
    indented = [line for line in kinds[1:-2] if line.startswith("   ")]
    assert indented
    assert all(line.startswith(" " * 19) and line[19] != " " for line in indented)
