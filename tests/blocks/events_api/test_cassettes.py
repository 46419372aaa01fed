"""Recorded answers of each endpoint and each form of error, replayed to the client without any network.

They are recorded from the sandbox, under the name of 1Password's server and without what is secret or changes:

    .venv/bin/python tests/blocks/events_api/test_cassettes.py
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import vcr  # type: ignore[import-untyped]
import yaml
from support.paths import TESTS
from vcr.errors import CannotOverwriteExistingCassetteException  # type: ignore[import-untyped]

from blocks.errors import CursorRejectedError, SourceError, ThirdPartyGenericError, TokenError
from blocks.events_api.client import EventsClient
from blocks.events_api.models import Api
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from vcr.request import Request  # type: ignore[import-untyped]

CASSETTES = TESTS / "cassettes"
SERVER = "https://events.1password.com"
TOKEN = "a-token-that-is-in-no-cassette"
START_NS = 1772000000 * 10**9
UNTIL = "2026-03-04T05:06:07Z"
CHANGING = {"date", "server"}


@dataclass(frozen=True)
class Scene:
    """What the client requests, and the faults that are injected into the sandbox meanwhile."""

    name: str
    ask: Callable[[EventsClient], Any]
    version: str = "v2"
    injected: tuple[dict[str, Any], ...] = field(default=())


def all_pages(client: EventsClient) -> dict[Api, list[Any]]:
    return {api: two_pages(client, api) for api in Api}


def two_pages(client: EventsClient, api: Api) -> list[Any]:
    first = client.first_page(api, START_NS, limit=2)
    return [first, client.next_page(api, first.cursor)]


def first_page(client: EventsClient) -> Any:
    return client.first_page(Api.AUDIT, START_NS)


def bad_cursor(client: EventsClient) -> Any:
    return client.next_page(Api.AUDIT, "a-cursor-of-long-ago")


def introspection(client: EventsClient) -> Any:
    return client.introspect()


SCENES = [
    Scene("introspection_v2", introspection),
    Scene("introspection_v1", introspection, injected=({"kind": "404", "api": "introspect", "version": 2},)),
    Scene("introspection_refused", introspection, injected=({"kind": "401"},)),
    Scene("pages_v1", all_pages, version="v1"),
    Scene("pages_v2", all_pages),
    Scene("error_form_v1", bad_cursor, version="v1"),
    Scene("error_form_v2", bad_cursor),
    Scene("not_found_as_text", introspection, injected=({"kind": "404"},)),
    Scene("bad_gateway_as_html", first_page, injected=({"kind": "502"},)),
    Scene("unavailable_as_text", first_page, injected=({"kind": "503"},)),
    Scene("too_many_requests", first_page, injected=({"kind": "429", "form": "empty", "retry_after": 30},)),
    Scene("server_error", first_page, injected=({"kind": "500"},)),
]
NAMES = [scene.name for scene in SCENES]


def record(directory: Path) -> None:
    """Record every scene, each from the sandbox's first event on."""
    recorder = vcr.VCR(record_mode="all", before_record_request=_scrubbed, before_record_response=_steady)
    with running_sandbox(events=30, seed=7, until=UNTIL, gzip=False) as sandbox:
        for scene in SCENES:
            (directory / f"{scene.name}.yaml").unlink(missing_ok=True)
            sandbox.clear_faults()
            for fault in scene.injected:
                sandbox.fault(**fault)
            with (
                recorder.use_cassette(directory / f"{scene.name}.yaml"),
                EventsClient(sandbox.base_url, sandbox.token, api_version=scene.version) as client,
            ):
                outcome(scene, client)


def _scrubbed(request: Request) -> Request:
    request.uri = re.sub(r"^http://[^/]*", SERVER, request.uri)
    request.headers = {name: request.headers[name] for name in ("accept", "content-type") if name in request.headers}
    return request


def _steady(response: dict[str, Any]) -> dict[str, Any]:
    headers = {name: value for name, value in response["headers"].items() if name.lower() not in CHANGING}
    return {**response, "headers": headers}


def outcome(scene: Scene, client: EventsClient) -> Any:
    """What the client makes of the scene: an answer or an error."""
    try:
        return scene.ask(client)
    except SourceError as error:
        return error


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a test went to the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


PLAYER = vcr.VCR(record_mode="none", match_on=("method", "scheme", "host", "port", "path", "query", "body"))


def replayed(name: str) -> Any:
    scene = next(one for one in SCENES if one.name == name)
    with (
        PLAYER.use_cassette(CASSETTES / f"{name}.yaml") as cassette,
        EventsClient(SERVER, TOKEN, api_version=scene.version) as client,
    ):
        found = outcome(scene, client)
        assert cassette.all_played
    return found


def interactions(name: str, directory: Path = CASSETTES) -> list[dict[str, Any]]:
    return list(yaml.safe_load((directory / f"{name}.yaml").read_text())["interactions"])


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_pages(version: str) -> None:
    found = replayed(f"pages_{version}")
    exchanges = [(one["request"], one["response"]) for one in interactions(f"pages_{version}")]
    assert [request["uri"] for request, _ in exchanges] == [
        f"{SERVER}/api/{version}/{api.path}" for api in Api for _ in range(2)
    ]
    for page, (_, response) in zip([page for pages in found.values() for page in pages], exchanges, strict=True):
        assert len(page.events) == 2
        assert response["body"]["string"].endswith(f'"items":[{",".join(event.body for event in page.events)}]}}')


@pytest.mark.usefixtures("offline")
def test_introspections() -> None:
    token = replayed("introspection_v2")
    assert token.scopes == replayed("introspection_v1").scopes == {api.path for api in Api}
    assert (token.uuid, len(token.account_uuid)) == (replayed("introspection_v1").uuid, 26)
    assert replayed("introspection_v1").account_uuid is None


ERRORS: list[tuple[str, type[SourceError], str, str]] = [
    ("introspection_refused", TokenError, "401", "refuses the token (401: Unauthorized)"),
    ("error_form_v1", CursorRejectedError, "400", "(400: "),
    ("error_form_v2", CursorRejectedError, "400", "(400: "),
    ("not_found_as_text", TokenError, "404", "404: 404 page not found"),
    ("bad_gateway_as_html", ThirdPartyGenericError, "502", "answered 502."),
    ("unavailable_as_text", ThirdPartyGenericError, "503", "answered 503."),
    ("too_many_requests", ThirdPartyGenericError, "429", "too many requests"),
    ("server_error", ThirdPartyGenericError, "500", "answered 500."),
]


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(("name", "kind", "code", "text"), ERRORS, ids=[one[0] for one in ERRORS])
def test_errors(name: str, kind: type[SourceError], code: str, text: str) -> None:
    error = replayed(name)
    assert type(error) is kind
    assert (error.code, text in str(error)) == (code, True), str(error)


@pytest.mark.usefixtures("offline")
def test_the_wish_to_wait_is_in_an_answer_without_a_body() -> None:
    assert replayed("too_many_requests").retry_after == 30.0
    assert interactions("too_many_requests")[0]["response"]["body"]["string"] == ""


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("error_form_v1", r'\{"Error":\{"Message":".+"\}\}'),
        ("error_form_v2", r'\{"status":400,"message":".+"\}'),
        ("not_found_as_text", r"404 page not found\n"),
        ("bad_gateway_as_html", r"<html>.*</html>\n"),
    ],
)
def test_each_form_of_an_error_is_recorded(name: str, form: str) -> None:
    assert re.fullmatch(form, interactions(name)[0]["response"]["body"]["string"])


@pytest.mark.usefixtures("offline")
def test_an_unexpected_request_fails_and_does_not_go_out() -> None:
    with PLAYER.use_cassette(CASSETTES / "pages_v2.yaml"), EventsClient(SERVER, TOKEN) as client:
        for unexpected in (introspection, first_page, bad_cursor):
            with pytest.raises(CannotOverwriteExistingCassetteException):
                unexpected(client)
    with pytest.raises(AssertionError, match="went to the network"), EventsClient(SERVER, TOKEN) as client:
        introspection(client)  # without a cassette it would have


@pytest.mark.parametrize("name", NAMES)
def test_a_cassette_holds_no_token_and_no_other_host(name: str) -> None:
    text = (CASSETTES / f"{name}.yaml").read_text()
    assert not re.search(r"(?i)authorization|bearer|cookie|\beyJ[\w-]|" + TOKEN, text)
    assert set(re.findall(r"https?://([^/\s\"']+)", text)) == {"events.1password.com"}
    assert not re.search(r"localhost|127\.0\.0\.1|\[::1\]", text)
    assert set(re.findall(r"@([\w.-]+)", text)) <= {"example.org"}


def test_every_scene_is_on_tape_and_nothing_else() -> None:
    assert sorted(path.stem for path in CASSETTES.glob("*.yaml")) == sorted(NAMES)


def test_recording_again_makes_the_same_requests_and_statuses(tmp_path: Path) -> None:
    record(tmp_path)
    for name in NAMES:
        assert [_gist(one) for one in interactions(name, tmp_path)] == [_gist(one) for one in interactions(name)]


def _gist(interaction: dict[str, Any]) -> tuple[str, str, int]:
    request, response = interaction["request"], interaction["response"]
    return request["method"], request["uri"], response["status"]["code"]


if __name__ == "__main__":
    CASSETTES.mkdir(exist_ok=True)
    record(CASSETTES)
