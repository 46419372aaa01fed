"""The sandbox's Events API, as a client meets it: introspection, tokens, first pages, cursors, refusals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from deployments.sandbox.process import SandboxProcess, running_sandbox
from deployments.sandbox.queries import BadRequestError, read_query

if TYPE_CHECKING:
    from collections.abc import Iterator

APIS = ("signinattempts", "itemusages", "auditevents")
FROM_THE_START = {"limit": 1000, "start_time": "2020-01-01T00:00:00Z"}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with running_sandbox(events=900, seed=5, until="2026-03-04T05:06:07Z") as running:
        yield running


def pages(sandbox: SandboxProcess, api: str, query: dict[str, Any], version: int = 2) -> list[dict[str, Any]]:
    read = [sandbox.post(api, query, version).json()]
    while read[-1]["has_more"]:
        read.append(sandbox.post(api, {"cursor": read[-1]["cursor"]}, version).json())
    return read


def uuids(read: list[dict[str, Any]]) -> list[str]:
    return [item["uuid"] for page in read for item in page["items"]]


def test_introspection_v2_is_snake_case_with_the_account(sandbox: SandboxProcess) -> None:
    introspection = sandbox.introspect().json()
    assert set(introspection) == {"uuid", "issued_at", "features", "account_uuid"}
    assert introspection["features"] == ["auditevents", "itemusages", "signinattempts"]


def test_introspection_v1_is_pascal_case_without_the_account(sandbox: SandboxProcess) -> None:
    assert set(sandbox.introspect(1).json()) == {"UUID", "IssuedAt", "Features"}


def test_the_token_bears_the_claims_of_1password(sandbox: SandboxProcess) -> None:
    assert jwt.get_unverified_header(sandbox.token)["alg"] == "ES256"
    claims = jwt.decode(sandbox.token, options={"verify_signature": False})
    assert claims["aud"] == [sandbox.base_url.removeprefix("http://")]
    assert claims["1password.com/fts"] == sorted(APIS)
    assert claims["1password.com/auuid"] == sandbox.introspect().json()["account_uuid"]
    assert "exp" not in claims
    assert claims["iat"] > 0


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("api", APIS)
def test_every_event_comes_once_byte_for_byte(sandbox: SandboxProcess, api: str, version: int) -> None:
    page = sandbox.post(api, FROM_THE_START, version)
    truth = sandbox.events(api, version)
    assert len(truth) == 300
    assert page.content.endswith(b'"items":[' + b",".join(truth) + b"]}")


@pytest.mark.parametrize("limit", [1, 7, 100, 299, 300, 301])
def test_the_page_size_rides_in_the_cursor(sandbox: SandboxProcess, limit: int) -> None:
    if limit == 1:
        read = [sandbox.post("auditevents", {**FROM_THE_START, "limit": 1}).json()]
        read.append(sandbox.post("auditevents", {"cursor": read[0]["cursor"]}).json())
        assert [len(page["items"]) for page in read] == [1, 1]
        return
    read = pages(sandbox, "auditevents", {**FROM_THE_START, "limit": limit})
    assert {len(page["items"]) for page in read[:-1]} <= {limit}
    assert uuids(read) == [json.loads(body)["uuid"] for body in sandbox.events("auditevents")]


def test_a_full_last_page_has_more_and_an_empty_page_follows(sandbox: SandboxProcess) -> None:
    read = pages(sandbox, "itemusages", {**FROM_THE_START, "limit": 300})
    assert [(len(page["items"]), page["has_more"]) for page in read] == [(300, True), (0, False)]


def test_at_the_end_the_same_cursor_comes_again(sandbox: SandboxProcess) -> None:
    last = pages(sandbox, "itemusages", FROM_THE_START)[-1]["cursor"]
    again = [sandbox.post("itemusages", {"cursor": last}).json() for _ in range(3)]
    assert again == [{"cursor": last, "has_more": False, "items": []}] * 3


def test_an_empty_result_has_a_cursor_too(sandbox: SandboxProcess) -> None:
    page = sandbox.post("auditevents", {}).json()
    assert page["items"] == []
    assert page["cursor"]


def test_the_defaults_are_one_hundred_and_one_hour_before_the_end() -> None:
    with running_sandbox(events=900, days=0.125, until="2026-03-04T05:06:07Z") as sandbox:
        page = sandbox.post("signinattempts", {"end_time": "2026-03-04T05:00:00Z"}).json()
        assert len(page["items"]) == 100
        assert page["items"][0]["timestamp"] >= "2026-03-04T04:00:00Z"
        late = sandbox.post("signinattempts", {"end_time": "2026-03-04T05:06:08Z", "limit": 1000}).json()
        assert len(late["items"]) == pytest.approx(100, abs=1)


def test_start_is_inclusive_and_end_is_not(sandbox: SandboxProcess) -> None:
    events = [json.loads(body) for body in sandbox.events("auditevents")]
    first, last = sorted(event["timestamp"] for event in events[100:110])[:: len(events[100:110]) - 1]
    read = pages(sandbox, "auditevents", {"limit": 10, "start_time": first, "end_time": last})
    times = [item["timestamp"] for page in read for item in page["items"]]
    assert first in times
    assert last not in times


def test_times_may_have_an_offset(sandbox: SandboxProcess) -> None:
    in_utc = {"limit": 1000, "start_time": "2026-03-03T05:00:00.5Z", "end_time": "2026-03-04T00:00:00Z"}
    shifted = {"limit": 1000, "start_time": "2026-03-03T02:00:00.500-03:00", "end_time": "2026-03-04T02:00:00+02:00"}
    assert sandbox.post("auditevents", in_utc).content == sandbox.post("auditevents", shifted).content
    assert sandbox.post("auditevents", in_utc).json()["items"]


def test_null_members_count_as_absent(sandbox: SandboxProcess) -> None:
    query = {**FROM_THE_START, "cursor": None, "end_time": None}
    assert len(sandbox.post("auditevents", query).json()["items"]) == 300


def test_late_item_usages_stand_behind_younger_ones(sandbox: SandboxProcess) -> None:
    times = [json.loads(body)["timestamp"] for body in sandbox.events("itemusages")]
    assert times != sorted(times)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"limit": 1001}, "limit must be a whole number from 1 to 1000"),
        ({"limit": 0}, "limit must be"),
        ({"limit": "10"}, "limit must be"),
        ({"limit": True}, "limit must be"),
        ({"start_time": "yesterday"}, "start_time must be an RFC 3339 time"),
        ({"start_time": 5}, "start_time must be an RFC 3339 time"),
        ({"end_time": "2026-03-04T05:06:07"}, "end_time must be an RFC 3339 time"),
        ({"start_time": "2026-01-02T00:00:00Z", "end_time": "2026-01-01T00:00:00Z"}, "start_time is after end_time"),
        ({"cursor": ""}, "invalid cursor"),
        ({"cursor": "bm90IG9uZQ"}, "invalid cursor"),
        ({"cursor": "ümlaut"}, "invalid cursor"),
        ({"cursor": 5}, "invalid cursor"),
        ({"cursor": "bm90IG9uZQ", "limit": 10}, "cursor cannot be combined"),
        ([], "not a JSON object"),
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
    ],
)
def test_a_wrong_request_is_answered_with_400(sandbox: SandboxProcess, query: object, message: str) -> None:
    response = sandbox.post("auditevents", query)
    assert response.status_code == 400
    assert response.json()["status"] == 400
    assert message in response.json()["message"]


def test_a_cursor_is_bound_to_its_api_its_version_and_its_sandbox(sandbox: SandboxProcess) -> None:
    cursor = sandbox.post("auditevents", FROM_THE_START, 1).json()["cursor"]
    assert sandbox.post("auditevents", {"cursor": cursor}, 1).status_code == 200
    assert sandbox.post("auditevents", {"cursor": cursor}, 2).status_code == 400
    assert sandbox.post("itemusages", {"cursor": cursor}, 1).status_code == 400
    altered = ("B" if cursor[20] != "B" else "C").join((cursor[:20], cursor[21:]))
    assert sandbox.post("auditevents", {"cursor": altered}, 1).status_code == 400
    with running_sandbox(seed=6) as another:
        assert another.post("auditevents", {"cursor": cursor}, 1).status_code == 400


def test_v1_and_v2_write_errors_in_their_own_form(sandbox: SandboxProcess) -> None:
    assert set(sandbox.post("auditevents", {"limit": 0}, 1).json()) == {"Error"}
    assert set(sandbox.post("auditevents", {"limit": 0}, 2).json()) == {"status", "message"}


@pytest.mark.parametrize("path", ["/api/v1/introspect", "/api/v2/unknown", "/api/v3/auditevents", "/", "/api/v2"])
def test_other_paths_are_plain_text(sandbox: SandboxProcess, path: str) -> None:
    answer = sandbox._http.post(path)
    assert (answer.status_code, answer.text) == (404, "404 page not found\n")


def test_a_wrong_method_is_plain_text_too(sandbox: SandboxProcess) -> None:
    assert sandbox._http.get("/api/v2/auditevents").text == "404 page not found\n"


def test_without_a_token_or_with_another_scheme_it_is_401(sandbox: SandboxProcess) -> None:
    assert sandbox._http.post("/api/v1/auditevents").json() == {"Error": {"Message": "Unauthorized"}}
    basic = {"Authorization": f"Basic {sandbox.token}"}
    assert sandbox._http.get("/api/v2/auth/introspect", headers=basic).status_code == 401


def test_a_text_that_is_no_token_is_not_found(sandbox: SandboxProcess) -> None:
    cut_off = sandbox.token[:40]
    assert sandbox.post("auditevents", {}, token=cut_off).text == "404 page not found\n"
    assert sandbox.introspect(token="a.b.c").text == "404 page not found\n"


def test_expired_revoked_forged_and_foreign_tokens_look_alike(sandbox: SandboxProcess) -> None:
    revoked = sandbox.issue_token()
    assert sandbox.introspect(token=revoked).status_code == 200
    sandbox.revoke(revoked)
    expired = sandbox.issue_token(expires_in=-1)
    foreign = sandbox.issue_token(audience="events.1password.ca")
    with running_sandbox(seed=99) as another:
        forged = another.token
    answers = [sandbox.post("auditevents", {}, token=bad) for bad in (revoked, expired, foreign, forged)]
    assert {(answer.status_code, answer.text) for answer in answers} == {
        (401, '{"status":401,"message":"Unauthorized"}')
    }
    assert {sandbox.introspect(token=bad).status_code for bad in (revoked, expired, foreign, forged)} == {401}


def test_an_old_token_names_no_host_and_is_good(sandbox: SandboxProcess) -> None:
    old = sandbox.issue_token(audience="com.1password.streamingservice")
    assert sandbox.introspect(token=old).status_code == 200


def test_a_token_is_good_for_its_scopes_only(sandbox: SandboxProcess) -> None:
    narrow = sandbox.issue_token(["itemusages"])
    assert sandbox.introspect(token=narrow).json()["features"] == ["itemusages"]
    assert sandbox.post("itemusages", {}, token=narrow).status_code == 200
    assert sandbox.post("auditevents", {}, token=narrow).status_code == 401


def test_a_token_of_another_account_says_so(sandbox: SandboxProcess) -> None:
    other = sandbox.issue_token(account="OTHER2ACCOUNT2OTHER2ACCOUN")
    assert sandbox.introspect(token=other).json()["account_uuid"] == "OTHER2ACCOUNT2OTHER2ACCOUN"


def test_a_token_outlives_a_restart_with_the_same_seed() -> None:
    with running_sandbox(seed=8) as first:
        token = first.token
    with running_sandbox(seed=8) as second:
        assert second.introspect(token=token).status_code == 200


@pytest.mark.parametrize("flags", [{}, {"gzip": False}, {"bulk": True}, {"bulk": True, "gzip": True}])
def test_gzip_is_on_but_not_in_bulk(flags: dict[str, bool]) -> None:
    expected = flags.get("gzip", not flags.get("bulk"))
    with running_sandbox(events=300, **flags) as sandbox:
        page = sandbox.post("auditevents", FROM_THE_START)
        assert page.headers.get("content-encoding") == ("gzip" if expected else None)
        assert len(page.json()["items"]) == 100
        plain = sandbox._http.post(
            "/api/v2/auditevents",
            json=FROM_THE_START,
            headers={"Authorization": f"Bearer {sandbox.token}", "Accept-Encoding": "identity"},
        )
        assert "content-encoding" not in plain.headers


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 1.0},
        {"end_time": "1677-09-21T00:12:44Z"},
        {"end_time": "1600-01-01T00:00:00Z"},
        {"start_time": "0001-01-01T00:00:00Z", "end_time": "9999-12-31T23:59:59Z"},
    ],
)
def test_what_is_legal_but_seldom_is_answered(sandbox: SandboxProcess, query: object) -> None:
    assert sandbox.post("auditevents", query).status_code == 200


@pytest.mark.parametrize("raw", [b"[" * 200_000, b'{"limit": NaN}', b'{"limit": 1e400}', b'{"limit": 1.5}', b"\xff"])
def test_what_no_request_can_be_is_rejected(raw: bytes) -> None:
    with pytest.raises(BadRequestError):
        read_query(raw, 2, "auditevents", 1, 10**18)
