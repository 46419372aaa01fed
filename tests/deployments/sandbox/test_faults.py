"""Every fault that the sandbox can inject, as a client sees it."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from deployments.sandbox.faults import KINDS
from deployments.sandbox.process import SandboxProcess, running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

APIS = ("signinattempts", "itemusages", "auditevents")
FROM_THE_START = {"limit": 10, "start_time": "2020-01-01T00:00:00Z"}
ALL_AT_ONCE = {"limit": 1000, "start_time": "2020-01-01T00:00:00Z"}


@pytest.fixture(scope="module")
def running() -> Iterator[SandboxProcess]:
    with running_sandbox(events=90, gzip=False) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: SandboxProcess) -> Iterator[SandboxProcess]:
    yield running
    running.clear_faults()
    running.clear_requests()


def first(sandbox: SandboxProcess, api: str = "auditevents", version: int = 2) -> httpx.Response:
    return sandbox.post(api, FROM_THE_START, version)


def whole(sandbox: SandboxProcess, api: str = "auditevents") -> list[Any]:
    return list(sandbox.post(api, ALL_AT_ONCE).json()["items"])


STATUSES = [
    ("400", 400, '{"status":400,"message":"Bad Request"}'),
    ("401", 401, '{"status":401,"message":"Unauthorized"}'),
    ("403", 403, '{"status":403,"message":"Forbidden"}'),
    ("404", 404, "404 page not found\n"),
    ("408", 408, "Request Timeout"),
    ("425", 425, "Too Early"),
    ("429", 429, '{"status":429,"message":"Too Many Requests"}'),
    ("500", 500, '{"status":500,"message":"Internal Server Error"}'),
    ("502", 502, "<html><title>502</title><h1>502 Bad Gateway</h1></html>\n"),
    ("503", 503, "upstream connect error or disconnect/reset before headers. reset reason: overflow."),
    ("504", 504, "<html><title>504</title><h1>504 Gateway Timeout</h1></html>\n"),
    ("revoked", 401, '{"status":401,"message":"Unauthorized"}'),
    ("rejected_first", 400, '{"status":400,"message":"Bad Request"}'),
]


@pytest.mark.parametrize(("kind", "status", "body"), STATUSES)
def test_a_status_as_often_as_requested(sandbox: SandboxProcess, kind: str, status: int, body: str) -> None:
    sandbox.fault(kind, api="auditevents", times=2)
    answers = [first(sandbox) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [status, status, 200]
    assert answers[0].text == body
    assert "retry-after" not in answers[0].headers


@pytest.mark.parametrize("kind", ["429", "503"])
@pytest.mark.parametrize("wait", [2, "Wed, 04 Mar 2026 05:06:07 GMT"])
def test_a_status_with_retry_after(sandbox: SandboxProcess, kind: str, wait: object) -> None:
    sandbox.fault(kind, times=1, retry_after=wait)
    assert first(sandbox).headers["retry-after"] == str(wait)


@pytest.mark.parametrize(
    ("form", "body"),
    [
        ("v1", '{"Error":{"Message":"Internal Server Error"}}'),
        ("v2", '{"status":500,"message":"Internal Server Error"}'),
        ("text", "Internal Server Error"),
        ("empty", ""),
        ("html", "<html><title>500</title><h1>500 Internal Server Error</h1></html>\n"),
    ],
)
def test_a_status_in_each_form(sandbox: SandboxProcess, form: str, body: str) -> None:
    sandbox.fault("500", form=form)
    assert first(sandbox).text == body


def test_v1_has_its_own_error_form(sandbox: SandboxProcess) -> None:
    sandbox.fault("500")
    assert first(sandbox, version=1).json() == {"Error": {"Message": "Internal Server Error"}}
    assert sandbox.introspect(1).json() == {"Error": {"Message": "Internal Server Error"}}


def test_a_fault_strikes_its_api_alone(sandbox: SandboxProcess) -> None:
    sandbox.fault("500", api="auditevents")
    assert [first(sandbox, api).status_code for api in APIS] == [200, 200, 500]
    assert sandbox.introspect().status_code == 200


def test_introspection_can_fail_alone(sandbox: SandboxProcess) -> None:
    sandbox.fault("500", api="introspect", version=2)
    assert [sandbox.introspect(2).status_code, sandbox.introspect(1).status_code] == [500, 200]
    assert first(sandbox).status_code == 200


def test_a_fault_may_let_requests_pass_first(sandbox: SandboxProcess) -> None:
    sandbox.fault("500", skip=2, times=1)
    assert [first(sandbox).status_code for _ in range(4)] == [200, 200, 500, 200]


def test_a_rejected_cursor_leaves_first_requests_alone(sandbox: SandboxProcess) -> None:
    sandbox.fault("rejected_cursor")
    page = first(sandbox)
    assert page.status_code == 200
    assert sandbox.post("auditevents", {"cursor": page.json()["cursor"]}).status_code == 400


def test_rejected_first_leaves_cursors_alone(sandbox: SandboxProcess) -> None:
    cursor = first(sandbox).json()["cursor"]
    sandbox.fault("rejected_first")
    assert sandbox.post("auditevents", {"cursor": cursor}).status_code == 200


def test_a_revoked_token_fails_everywhere(sandbox: SandboxProcess) -> None:
    sandbox.fault("revoked")
    answers = [sandbox.introspect(1), sandbox.introspect(2), *(first(sandbox, api) for api in APIS)]
    assert {answer.status_code for answer in answers} == {401}


def test_a_lost_scope_shows_in_introspection(sandbox: SandboxProcess) -> None:
    sandbox.fault("lost_scope", api="auditevents")
    assert sandbox.introspect().json()["features"] == ["itemusages", "signinattempts"]
    assert [first(sandbox, api).status_code for api in APIS] == [200, 200, 401]


@pytest.mark.parametrize("sent", [0, 200])
def test_a_reset_is_a_reset(sandbox: SandboxProcess, sent: int) -> None:
    sandbox.fault("reset", times=1, sent=sent)
    with pytest.raises(httpx.ReadError, match="reset by peer"):
        first(sandbox)
    assert first(sandbox).status_code == 200


@pytest.mark.parametrize("after_headers", [False, True])
def test_a_stall_lasts_until_the_client_gives_up(sandbox: SandboxProcess, *, after_headers: bool) -> None:
    sandbox.fault("stall", times=1, after_headers=after_headers)
    headers = {"Authorization": f"Bearer {sandbox.token}"}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{sandbox.base_url}/api/v2/auditevents", json={}, headers=headers, timeout=0.2)
    assert first(sandbox).status_code == 200


def test_a_truncated_body_ends_before_its_length(sandbox: SandboxProcess) -> None:
    sandbox.fault("truncated", times=1)
    with pytest.raises(httpx.RemoteProtocolError, match=r"received 300 bytes, expected \d{3}"):
        first(sandbox)


def test_bad_json_says_that_it_is_json(sandbox: SandboxProcess) -> None:
    sandbox.fault("bad_json", times=1)
    page = first(sandbox)
    assert (page.status_code, page.headers["content-type"]) == (200, "application/json")
    with pytest.raises(json.JSONDecodeError):
        page.json()


def test_a_captive_portal_answers_200(sandbox: SandboxProcess) -> None:
    sandbox.fault("html", times=1)
    assert first(sandbox).headers["content-type"].startswith("text/html")


def test_a_redirect_leads_elsewhere(sandbox: SandboxProcess) -> None:
    sandbox.fault("redirect", times=1)
    assert first(sandbox).headers["location"] == "https://events.example.invalid/"
    sandbox.fault("redirect", times=1, status=307, location="http://127.0.0.2:1/")
    page = first(sandbox)
    assert (page.status_code, page.headers["location"]) == (307, "http://127.0.0.2:1/")


@pytest.mark.parametrize("chunked", [False, True])
def test_an_oversized_response_has_the_requested_size(sandbox: SandboxProcess, *, chunked: bool) -> None:
    sandbox.fault("oversized", times=1, bytes=3_000_000, chunked=chunked)
    page = first(sandbox)
    assert len(page.content) == 3_000_000
    assert ("content-length" in page.headers) is not chunked
    assert len(page.json()["items"]) == 1


def test_an_oversized_answer_may_be_small_until_it_is_unpacked(sandbox: SandboxProcess) -> None:
    sandbox.fault("oversized", times=1, bytes=3_000_000, gzip=True)
    headers = {"Authorization": f"Bearer {sandbox.token}"}
    with httpx.stream("POST", f"{sandbox.base_url}/api/v2/auditevents", json={}, headers=headers) as page:
        packed = b"".join(page.iter_raw())
    assert len(packed) < 10_000
    assert len(gzip.decompress(packed)) == 3_000_000


def test_any_body_can_be_requested(sandbox: SandboxProcess) -> None:
    sandbox.fault("body", times=1, body='{"cursor":null}', status=203, content_type="text/x")
    page = first(sandbox)
    assert (page.status_code, page.text, page.headers["content-type"][:6]) == (203, '{"cursor":null}', "text/x")


def test_a_delay_delays(sandbox: SandboxProcess) -> None:
    sandbox.fault("delay", times=1, seconds=0.2)
    begun = time.monotonic()
    assert first(sandbox).status_code == 200
    assert time.monotonic() - begun >= 0.2


@pytest.mark.parametrize("kind", ["empty_page", "null_items", "no_items"])
def test_an_empty_page_holds_nothing_back_for_good(sandbox: SandboxProcess, kind: str) -> None:
    sandbox.fault(kind, times=1)
    empty = first(sandbox).json()
    assert (empty.get("items"), empty["has_more"]) == ([] if kind == "empty_page" else None, True)
    assert ("items" in empty) is (kind != "no_items")
    after = sandbox.post("auditevents", {"cursor": empty["cursor"]}).json()
    assert after["items"] == first(sandbox).json()["items"]


def test_endless_pages_have_ever_new_cursors(sandbox: SandboxProcess) -> None:
    sandbox.fault("endless_pages")
    page, cursors = first(sandbox).json(), set()
    for _ in range(20):
        assert (page["items"], page["has_more"]) == ([], True)
        cursors.add(page["cursor"])
        page = sandbox.post("auditevents", {"cursor": page["cursor"]}).json()
    assert len(cursors) == 20
    sandbox.clear_faults()
    assert sandbox.post("auditevents", {"cursor": page["cursor"]}).json()["items"] == first(sandbox).json()["items"]


def test_a_stuck_cursor_does_not_move(sandbox: SandboxProcess) -> None:
    cursor = first(sandbox).json()["cursor"]
    sandbox.fault("stuck_cursor")
    page = sandbox.post("auditevents", {"cursor": cursor}).json()
    assert page == {"cursor": cursor, "has_more": True, "items": []}


def test_a_repeated_page_comes_again(sandbox: SandboxProcess) -> None:
    cursor = first(sandbox).json()["cursor"]
    sandbox.fault("repeated_page")
    page = sandbox.post("auditevents", {"cursor": cursor}).json()
    assert (page["cursor"], page["has_more"], len(page["items"])) == (cursor, True, 10)


@pytest.mark.parametrize(("where", "extra"), [("within", (3, 3)), ("between", (0, 3)), ("both", (3, 6))])
def test_duplicates_lose_nothing(sandbox: SandboxProcess, where: str, extra: tuple[int, int]) -> None:
    sandbox.fault("duplicates", where=where)
    one = first(sandbox).json()
    two = sandbox.post("auditevents", {"cursor": one["cursor"]}).json()
    assert (len(one["items"]) - 10, len(two["items"]) - 10) == extra
    served = [item["uuid"] for page in (one, two) for item in page["items"]]
    truth = [json.loads(body)["uuid"] for body in sandbox.events("auditevents")]
    assert set(served) == set(truth[:20])


def test_a_page_in_reverse_order(sandbox: SandboxProcess) -> None:
    truth = whole(sandbox)
    sandbox.fault("reversed")
    assert whole(sandbox) == truth[::-1]


def test_a_page_that_leaves_events_out(sandbox: SandboxProcess) -> None:
    truth = whole(sandbox)
    sandbox.fault("omitted", times=1, count=3)
    page = first(sandbox).json()
    assert page["items"] == truth[:7], "a page here is of ten events"
    after = sandbox.post("auditevents", {"cursor": page["cursor"]}).json()
    assert after["items"][0] == truth[10], "the cursor leaves them behind"
    sandbox.fault("omitted", times=1, count=9999)
    assert whole(sandbox) == []
    assert whole(sandbox) == truth


@pytest.mark.parametrize("kind", ["no_cursor", "no_has_more"])
def test_a_page_without_a_member(sandbox: SandboxProcess, kind: str) -> None:
    sandbox.fault(kind)
    page = first(sandbox).json()
    assert page.keys() == {"cursor", "has_more", "items"} - {kind.removeprefix("no_")}
    assert len(page["items"]) == 10


ITEM_KINDS = [name for name, kind in KINDS.items() if kind.stage == "item"]


@pytest.mark.parametrize("kind", ITEM_KINDS)
@pytest.mark.parametrize("api", APIS)
def test_altered_events_are_altered_alike_in_pages_and_in_the_truth(
    sandbox: SandboxProcess, api: str, kind: str
) -> None:
    before = sandbox.events(api)
    sandbox.fault(kind, api=api, every=7, times=4)
    truth = sandbox.events(api)
    assert [number for number in range(30) if truth[number] != before[number]] == [0, 7, 14, 21]
    for _ in range(2):
        assert sandbox.post(api, ALL_AT_ONCE).content.endswith(b'"items":[' + b",".join(truth) + b"]}")
    sandbox.clear_faults()
    assert sandbox.events(api) == before


def altered(sandbox: SandboxProcess, kind: str, api: str = "auditevents", **options: int) -> list[bytes]:
    sandbox._call_control("POST", "faults", {"kind": kind, "api": api, "every": 1, **options})
    return sandbox.events(api)


def test_events_without_a_uuid(sandbox: SandboxProcess) -> None:
    read = [json.loads(body).get("uuid", "absent") for body in altered(sandbox, "no_uuid")]
    assert read[:4] == ["absent", None, 42, ""]


def test_events_with_an_unreadable_time(sandbox: SandboxProcess) -> None:
    read = [json.loads(body).get("timestamp", "absent") for body in altered(sandbox, "unreadable_time")]
    assert read[:5] == ["yesterday", "absent", None, 1772600767, "2026-02-30T25:61:61Z"]


def test_events_that_are_no_objects(sandbox: SandboxProcess) -> None:
    assert altered(sandbox, "not_an_object")[:5] == [b"null", b"42", b'"an event"', b"[]", b"true"]


def test_unknown_members(sandbox: SandboxProcess) -> None:
    read = json.loads(altered(sandbox, "unknown_members")[0])
    assert read["x_risk"] == {"score": 0.5, "why": ["new", None, {}]}


@pytest.mark.parametrize(
    ("api", "names"),
    [("signinattempts", ("category", "type")), ("itemusages", ("action",)), ("auditevents", ("action", "object_type"))],
)
def test_unknown_values(sandbox: SandboxProcess, api: str, names: tuple[str, ...]) -> None:
    read = json.loads(altered(sandbox, "unknown_values", api)[0])
    assert all(read[name].endswith("_of_tomorrow") for name in names)


def test_huge_numbers(sandbox: SandboxProcess) -> None:
    read = json.loads(altered(sandbox, "huge_numbers", "itemusages")[0])
    assert (read["used_version"], read["x_whole"], read["x_real"]) == (2**64, 2**127, float("inf"))


def test_nul_escapes(sandbox: SandboxProcess) -> None:
    body = altered(sandbox, "nul_escapes")[0]
    assert b"\0" not in body
    read = json.loads(body)
    assert (read["x_note"], read["actor_details"]["name"][0]) == ("a\0b", "\0")


def test_lone_surrogates(sandbox: SandboxProcess) -> None:
    read = json.loads(altered(sandbox, "lone_surrogates")[0])
    assert (read["x_note"], read["actor_details"]["name"][0]) == ("a\udfffb", "\ud800")


def test_a_big_event(sandbox: SandboxProcess) -> None:
    assert len(altered(sandbox, "big_event", times=1)[0]) > 1_000_000
    sandbox.clear_faults()
    assert 2_000 < len(altered(sandbox, "big_event", bytes=2000)[0]) < 4_000


def test_an_answer_fault_and_a_page_fault_can_both_be_there(sandbox: SandboxProcess) -> None:
    sandbox.fault("500", times=1)
    sandbox.fault("empty_page", times=1)
    assert first(sandbox).status_code == 500
    assert first(sandbox).json()["items"] == []
    assert len(first(sandbox).json()["items"]) == 10


def test_faults_are_listed_counted_and_removed_one_by_one(sandbox: SandboxProcess) -> None:
    kept = sandbox.fault("500", api="auditevents")
    removed = sandbox.fault("503")
    first(sandbox)
    assert [(fault["id"], fault["kind"], fault["met"]) for fault in sandbox.faults()] == [
        (kept, "500", 1),
        (removed, "503", 0),
    ]
    assert sandbox._http.delete(f"/_sandbox/faults?id={removed}").status_code == 204
    assert sandbox._http.delete(f"/_sandbox/faults?id={removed}").status_code == 404
    assert [fault["id"] for fault in sandbox.faults()] == [kept]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"kind": "earthquake"}, "there is no fault 'earthquake'; there are: 400"),
        ({"kind": "500", "seconds": 1}, "fault '500' has no option 'seconds'; its options: form, retry_after"),
        ({"kind": "500", "api": "audit"}, "api must be one of None, signinattempts"),
        ({"kind": "500", "times": -1}, "times must be a whole number of at least 0"),
        ({"kind": "500", "on": "monday"}, "on must be one of any, first, cursor"),
        ({"kind": "no_uuid", "every": 0}, "every must be a whole number of at least 1"),
        ({"kind": "429", "form": "morse"}, "form must be one of json, v1, v2"),
        ({"kind": "duplicates", "where": "nowhere"}, "where must be one of both"),
        ({"kind": "reset", "sent": "all"}, "sent must be like 0, not 'all'"),
        ({"kind": "delay", "seconds": None}, "seconds must be like 1.0, not None"),
    ],
)
def test_a_fault_that_does_not_exist_is_explained(sandbox: SandboxProcess, fault: dict[str, Any], message: str) -> None:
    answer = sandbox._http.post("/_sandbox/faults", json=fault)
    assert answer.status_code == 400
    assert message in answer.text


def test_every_kind_is_listed_and_tested(sandbox: SandboxProcess) -> None:
    listed = sandbox._http.get("/_sandbox/kinds").json()
    assert set(listed) == set(KINDS)
    source = Path(__file__).read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f'"{kind}"' not in source] == []


def test_faults_can_be_given_at_the_start() -> None:
    flags = [
        "--fault",
        "500:auditevents:1",
        "--fault",
        "stuck_cursor:itemusages",
        "--fault",
        '{"kind":"429","skip":1,"retry_after":3}',
    ]
    with running_sandbox(*flags, events=90) as sandbox:
        assert [fault["kind"] for fault in sandbox.faults()] == ["500", "stuck_cursor", "429"]
        assert [first(sandbox).status_code for _ in range(2)] == [500, 200]
        assert first(sandbox).headers["retry-after"] == "3"
    with running_sandbox(events=90, faults=[{"kind": "503", "times": 1}]) as sandbox:
        assert [first(sandbox).status_code for _ in range(2)] == [503, 200]


def test_a_wrong_fault_at_the_start_is_explained() -> None:
    command = [sys.executable, "-m", "deployments.sandbox", "--fault", "earthquake"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 2
    assert "there is no fault 'earthquake'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_broken_connections_leave_no_noise_behind(capfd: pytest.CaptureFixture[str]) -> None:
    with running_sandbox(events=90) as sandbox:
        for kind, sent in (("reset", 0), ("reset", 100), ("truncated", 100)):
            sandbox.fault(kind, times=1, sent=sent)
            with pytest.raises(httpx.TransportError):
                first(sandbox)
        sandbox.fault("oversized", times=1, bytes=50_000_000)
        with httpx.stream("POST", f"{sandbox.base_url}/api/v2/auditevents", json={}) as page:
            assert page.status_code == 200
        assert first(sandbox).status_code == 200
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("fault", [{"kind": "stall"}, {"kind": "delay", "seconds": 3600}])
def test_a_waiting_client_does_not_keep_the_sandbox_from_stopping(
    capfd: pytest.CaptureFixture[str], fault: dict[str, Any]
) -> None:
    with running_sandbox(events=90, faults=[fault]) as sandbox:
        host, port = sandbox.base_url.removeprefix("http://").split(":")
        waiting = socket.create_connection((host, int(port)), timeout=30)
        head = (
            "POST /api/v2/auditevents HTTP/1.1",
            "Host: x",
            f"Authorization: Bearer {sandbox.token}",
            "Content-Length: 2",
        )
        waiting.sendall("\r\n".join((*head, "", "{}")).encode())
        while not sandbox.requests()["total"]:
            pass
        begun = time.monotonic()
    assert time.monotonic() - begun < 3
    waiting.close()
    assert capfd.readouterr().err == ""
