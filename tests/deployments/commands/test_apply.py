"""`apply`, through a real Prefect server, and how it keeps the token to itself."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from support.command_calls import CommandCalls, write_document
from support.fake_op import REFERENCE, FakeOp
from support.terminal import in_terminal, without_announcements

from blocks.prefect_names import block_name
from blocks.store import source_status
from deployments import cli

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = [sys.executable, "-m", "deployments.cli"]
TOKEN = "a-token.that-no-output.may-show"
UNREACHABLE = "http://127.0.0.1:9"
"""Nothing listens there, so `apply` cannot check a token, and is run with --unchecked."""
CREATED = {"problem": "", "restarted": False, "stopped": False, "flow_run_id": None, "dropped_fields": []}
NASTY = "[red]x[/red] /%&<> 日本"


def config(name: str, **members: Any) -> dict[str, Any]:
    members = {
        "base_url": UNREACHABLE,
        "api_token": TOKEN,
        "supported_apis": ["itemUsage", "sign-in"],
        **members,
    }
    return {"sourceType": "Universal", "schemaRef": {"type": "1Password"}, "config": {"name": name, **members}}


@pytest.fixture(autouse=True)
def _own_directory(own_directory: Path) -> None:
    """Each test applies files of its own."""


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)[5:40]


def write(*configs: dict[str, Any], mode: int = 0o600) -> Path:
    return write_document("source.json", {"source": configs[0]} if len(configs) == 1 else {"sources": configs}, mode)


class UncheckedCalls(CommandCalls):
    """Commands, with tokens that no server can check."""

    def __call__(self, *arguments: str, code: int = cli.DONE) -> str:
        unchecked = ["--unchecked"] if arguments[0] == "apply" else []
        return super().__call__(*arguments, *unchecked, code=code)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Iterator[UncheckedCalls]:
    calls = UncheckedCalls(capsys)
    yield calls
    assert TOKEN not in calls.shown


def block(name: str) -> Any:
    from deployments import sources as applied

    found = applied.find(name)
    assert found is not None
    return found


def update_block(name: str, **members: Any) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import BlockDocumentUpdate

    with get_client(sync_client=True) as client:
        document = client.read_block_document_by_name(block_name(name), "1password-source")
        client.update_block_document(document.id, BlockDocumentUpdate(data=members, merge_existing_data=True))


def streams(name: str) -> tuple[str, list[tuple[int, str]]]:
    (source,) = source_status.sources(source_status.open_store(), name)
    return source.id, [(stream.id, stream.api) for stream in source.streams]


@pytest.mark.prefect
def test_created_unchanged_updated_and_the_streams_stay(call: CommandCalls, name: str) -> None:
    write(config(name))
    assert call("apply", "source.json") == f"{name}: created (itemUsage, sign-in).\n"
    first = streams(name)
    assert call("status", name).startswith(f"{name}  not run yet  {UNREACHABLE}\n  Pending\n")
    assert call("apply", "source.json") == f"{name}: unchanged (itemUsage, sign-in).\n"
    write(config(name, description="other", supported_apis=["sign-in", "itemUsage", "audit"]))
    assert call("apply", "source.json") == f"{name}: updated (sign-in, itemUsage, audit).\n"
    again = streams(name)
    assert (again[0], again[1][:2]) == first
    assert block(name).description == "other"


@pytest.mark.prefect
def test_a_list_of_sources_and_json_for_a_script(call: CommandCalls, name: str) -> None:
    write(config(name), config(NASTY, supported_apis=["audit"], base_url="http://127.0.0.1:19", api_token="other"))
    assert json.loads(call("apply", "source.json", "--json")) == [
        {"source": name, "change": "created", "apis": ["itemUsage", "sign-in"], **CREATED},
        {"source": NASTY, "change": "created", "apis": ["audit"], **CREATED},
    ]
    assert call("apply", "source.json").splitlines()[1] == f"{NASTY}: unchanged (audit)."


class Requests:
    """Counts the requests to Prefect, and rejects those with `rejected` in them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.rejected = b""
        send = httpx.Client.send

        def counted(client: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
            self.count += 1
            if self.rejected and self.rejected in request.content:
                raise httpx.HTTPStatusError("no", request=request, response=httpx.Response(400, request=request))
            return send(client, request, **options)

        monkeypatch.setattr(httpx.Client, "send", counted)


@pytest.mark.prefect
def test_many_sources_that_have_not_changed_cost_no_more_requests_than_one(
    call: CommandCalls, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deployments import sources as applied

    names = [f"{name} {number:02}" for number in range(12)]
    write(*map(config, names))
    assert call("apply", "source.json").count(": created") == len(names)
    requests = Requests(monkeypatch)
    assert call("apply", "source.json").count(": unchanged") == len(names)
    of_many = requests.count
    applied.deploy_all()  # other tests leave sources whose deployments it makes again
    requests.count = 0
    assert set(names) <= set(applied.deploy_all())
    assert requests.count < len(names), "up reads them in bulk too"
    requests.count = 0
    write(config(names[0]))
    call("apply", "source.json")
    assert of_many == requests.count


@pytest.mark.prefect
def test_what_was_applied_before_an_error_stays(
    call: CommandCalls, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{name} {number:02}" for number in range(12)]
    write(*map(config, names))
    requests = Requests(monkeypatch)
    requests.rejected = f'"name":"{block_name(names[1])}"'.encode()
    assert "answered 400." in call("apply", "source.json", code=cli.IN_ERROR)
    requests.rejected = b""
    message = call("apply", "source.json").splitlines()
    assert message[0] == f"{names[0]}: unchanged (itemUsage, sign-in)."
    assert message[1] == f"{names[1]}: created (itemUsage, sign-in)."
    assert message[-1] == f"{names[-1]}: created (itemUsage, sign-in)."


@pytest.mark.prefect
def test_a_source_that_only_the_store_knows_keeps_its_id(call: CommandCalls, name: str) -> None:
    write(config(name))
    call("apply", "source.json")
    before = streams(name)
    block(name).delete(block_name(name))
    assert call("apply", "source.json") == f"{name}: created (itemUsage, sign-in).\n"
    assert streams(name) == before


@pytest.mark.prefect
def test_a_block_that_was_made_invalid_in_the_ui_is_mended(call: CommandCalls, name: str) -> None:
    write(config(name))
    call("apply", "source.json")
    before = streams(name)
    update_block(name, supported_apis=["nonsense"], source_id="x")
    assert call("apply", "source.json") == f"{name}: updated (itemUsage, sign-in).\n"
    assert (streams(name), block(name).supported_apis) == (before, ["itemUsage", "sign-in"])


@pytest.mark.prefect
def test_debug_does_not_show_the_token(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    write(config(name))
    assert cli.main(["--debug", "apply", "source.json", "--unchecked"]) == cli.DONE
    out, err = capfd.readouterr()
    assert ": created" in out
    assert TOKEN not in out + err


@pytest.mark.prefect
def test_a_token_comes_from_the_environment_if_the_file_masks_it(
    call: CommandCalls, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(config(name, api_token="********"))
    monkeypatch.setenv("ONEPASSWORD_SOURCE_API_TOKEN", TOKEN)
    call("apply", "source.json")
    assert block(name).credentials.api_token.get_secret_value() == TOKEN
    assert "ONEPASSWORD_SOURCE_API_TOKEN" not in os.environ


@pytest.mark.prefect
def test_a_token_in_a_file_is_read_at_each_apply_and_never_exported(
    call: CommandCalls, name: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    write(config(name, api_token={"file": str(file)}))
    call("apply", "source.json")
    assert block(name).credentials.api_token.get_secret_value() == TOKEN
    file.write_text(f"{TOKEN}-rotated\n")
    assert block(name).credentials.api_token.get_secret_value() == TOKEN
    assert call("apply", "source.json").startswith(f"{name}: updated")
    assert block(name).credentials.api_token.get_secret_value() == f"{TOKEN}-rotated"
    exported = json.loads(call("export", name))
    assert exported["source"]["config"]["api_token"] == "********"


@pytest.mark.prefect
def test_a_token_in_1password_is_read_with_its_own_command(
    call: CommandCalls, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    op = FakeOp(tmp_path / "bin")
    op.use(monkeypatch, secret=TOKEN)
    write(config(name, api_token=REFERENCE))
    call("apply", "source.json")
    assert block(name).credentials.api_token.get_secret_value() == TOKEN
    write(config(name, api_token=None))
    monkeypatch.setenv("ONEPASSWORD_SOURCE_API_TOKEN", REFERENCE)
    assert call("apply", "source.json") == f"{name}: unchanged (itemUsage, sign-in).\n"
    assert len(op.calls) == 2


def test_a_reference_that_leads_nowhere_is_a_problem_of_the_file(
    call: CommandCalls, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    op = FakeOp(tmp_path / "bin")
    op.use(monkeypatch)
    op.sign_out()
    write(config(name, api_token=REFERENCE), config(f"{name} 2", api_token={"file": str(tmp_path / "missing")}))
    lines = call("apply", "source.json", code=cli.WRONG_USE).splitlines()
    assert lines[0] == "onepassword-source: The configuration has 2 problems:"
    assert lines[1].startswith("  $.sources[0].config.api_token: 1Password is not signed in")
    assert lines[2].startswith("  $.sources[1].config.api_token: the file ")


@pytest.mark.prefect
def test_standard_input_and_the_warnings(
    call: CommandCalls, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = json.dumps({"sources": [config(name), config(f"{name} 2")]}).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert cli.main(["apply", "-", "--unchecked"]) == cli.DONE
    out, err = capsys.readouterr()
    assert out.count(": created") == 2
    assert f'Warning: {name} 2: It has the token of "{name}", so both collect the events of the same' in err
    assert f"Warning: {name}: The token is not a JWT of three parts" in err


def test_a_file_with_a_token_that_others_may_read_gets_a_warning(call: CommandCalls, name: str) -> None:
    write(config(name, supported_apis=["nope"]), mode=0o640)
    shown = call("apply", "source.json", code=cli.WRONG_USE)
    assert shown.startswith("Warning: source.json holds a token and is open to others (mode 0640). Run chmod 600")


def test_all_problems_of_a_file_are_reported_and_nothing_is_stored(
    call: CommandCalls, tmp_path: Path, name: str
) -> None:
    bad = config("", supported_apis=["itemUsage", "audits"], api_token=f"{TOKEN} x", bas_url="x")
    write(config(name), bad)
    lines = call("apply", "source.json", code=cli.WRONG_USE).splitlines()
    assert lines[0] == "onepassword-source: The configuration has 4 problems:"
    assert len(lines) == 5
    assert all(line.startswith("  $.sources[1].config.") and "; expected " in line for line in lines[1:])
    assert os.listdir(tmp_path) == ["source.json"]  # noqa: PTH208


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is not JSON"),
        (b"\xff\xfe", "UTF-8"),
        (b"{", "JSON"),
        (b"[]", "$: the file holds a list; expected an object"),
        (b'{"source": {"name": "\x1b[31m"}}', "JSON"),
    ],
)
def test_what_is_no_configuration_is_one_line(
    data: bytes, message: str, call: CommandCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    shown = call("apply", "-", code=cli.WRONG_USE)
    assert shown.startswith("onepassword-source: ")
    assert message in shown
    assert shown.count("\n") == 1
    assert "\x1b" not in shown


def test_without_a_terminal_a_missing_token_is_an_error(
    call: CommandCalls, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(config(name, api_token=""))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    shown = call("apply", "source.json", code=cli.WRONG_USE)
    assert "Put it into the file as api_token" in shown
    assert "or set ONEPASSWORD_SOURCE_API_TOKEN." in shown


def test_a_missing_token_is_typed_without_echo() -> None:
    write(config("1Pass", api_token="********"))
    code, shown = in_terminal([*COMMAND, "apply", "source.json"], [("API token of 1Pass: ", f"{TOKEN} x\n")])
    assert code == cli.WRONG_USE
    assert "the token has white space in it" in shown
    assert TOKEN not in shown


def test_ctrl_c_at_the_question_is_no_error() -> None:
    write(config("1Pass", api_token=None))
    code, shown = in_terminal([*COMMAND, "apply", "source.json"], [("API token of 1Pass: ", "\x03")])
    assert (code, shown.splitlines()[-1]) == (cli.INTERRUPTED, "onepassword-source: Stopped.")


@pytest.mark.processes
@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "http://127.0.0.1:9/api",
            "The Prefect server at http://127.0.0.1:9/api does not answer. Check PREFECT_API_URL",
        ),
        ("nonsense", "The Prefect server at nonsense does not answer. Check PREFECT_API_URL, or unset it."),
    ],
)
def test_a_missing_prefect_server_is_one_line(url: str, message: str) -> None:
    write(config("1Pass"))
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    command = [*COMMAND, "apply", "source.json"]
    done = subprocess.run(command, env={**env, "PREFECT_API_URL": url}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (cli.IN_ERROR, "")
    warning, complaint = without_announcements(done.stderr)
    assert warning.startswith("Warning: 1Pass: The token is not a JWT")
    assert complaint.startswith(f"onepassword-source: {message}")
