"""Elasticsearch and OpenSearch: bulk requests, what is said of each item, and what may not be written."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from receivers.elasticsearch import Elasticsearch as Cluster
from receivers.process import running_receiver
from receivers.server import Receiver, receiving
from support import siems as support
from support.siem_conformance import Arrived, HttpConformance

from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.siem.delivery.protocol import BatchResult
from blocks.siem.elasticsearch.block import INDEX, Elasticsearch
from blocks.siem.elasticsearch.sender import ElasticsearchSender, api_key_header, basic_header, document_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from receivers.behaviour import Kind
    from receivers.request import Request

    from blocks.siem.delivery.protocol import Sender

KEY = "VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw=="
SIGN_INS = "logs-1password.signin_attempts-default"
AUDITS = "logs-1password.audit_events-default"


class TestElasticsearch(HttpConformance):
    module = "blocks.siem.elasticsearch.sender"
    secrets = (KEY,)
    vendor = Cluster

    def block_at(self, url: str) -> Elasticsearch:
        return Elasticsearch(url=url, api_key=SecretStr(KEY), event_format="raw")

    def arrived_in(self, request: Request) -> Iterator[Arrived]:
        if "_bulk" in request.path:
            lines = request.body.split(b"\n")
            for action, line in zip(lines[:-1:2], lines[1::2], strict=True):
                yield arrived(json.loads(action)["create"]["_id"], line)

    def faulty(self) -> tuple[Elasticsearch, set[str]]:
        block = Elasticsearch(url="http://10.0.0.1", index="Logs", api_key=SecretStr(KEY), username="ann")
        return block, {"block.url", "block.index", "block.api_key"}

    @pytest.mark.parametrize("kind", ["reset", "drop"])
    def test_a_connection_that_breaks_off_is_made_again(self, receiver: Receiver, sender: Sender, kind: Kind) -> None:
        receiver.behave(kind, None)
        with pytest.raises(ThirdPartyGenericError):
            self._send_one(sender)
        receiver.clear()
        self._send_one(sender)
        assert receiver.arrived().total() == 1, "its id was known, whether or not the answer came"


def arrived(uuid: str, line: bytes) -> Arrived:
    stored = json.loads(line)
    if "category" in stored.get("event", {}) or "event" not in stored:
        is_ocsf = "event" not in stored
        start = f'{{"@timestamp":"{stored["@timestamp"]}",'.encode()
        return Arrived(b"{" + line.removeprefix(start) if is_ocsf else line, uuid, {}, metadata_of(stored))
    event = stored["event"]
    facts = {"uuid": event["id"], "time": stored["@timestamp"], "received": event["created"]}
    facts["api"] = stored["onepassword_source"]["api"]
    if "organization" in stored:
        facts["account"] = stored["organization"]["id"]
    return Arrived(event["original"].encode(), uuid, facts, metadata_of(stored))


def metadata_of(stored: dict[str, Any]) -> dict[str, Any]:
    ours = {f"_{name}": value for name, value in stored.get("onepassword_source", {}).items() if name != "api"}
    tags = {tag["name"]: tag["value"] for tag in stored.get("metadata", {}).get("tags", [])}
    return ours | stored.get("labels", {}) | tags


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def receiver(cluster: Cluster) -> Iterator[Receiver]:
    with receiving(cluster) as running:
        yield running


@pytest.fixture
def sender(receiver: Receiver) -> Iterator[ElasticsearchSender]:
    opened = ElasticsearchSender(receiver.url, INDEX, api_key_header(KEY), (KEY,))
    yield opened
    opened.close()


def send(sender: ElasticsearchSender, n: int = 10, api: Api = Api.SIGN_IN) -> BatchResult:
    return sender.send(support.batch(sender, support.events(api)[:n], support.stream(api), "ecs"))


@pytest.mark.parametrize(
    ("api", "index"),
    [
        (Api.SIGN_IN, SIGN_INS),
        (Api.ITEM_USAGE, "logs-1password.item_usages-default"),
        (Api.AUDIT, "logs-1password.audit_events-default"),
    ],
)
def test_each_api_has_the_data_stream_of_elastics_integration(
    cluster: Cluster, sender: ElasticsearchSender, api: Api, index: str
) -> None:
    assert send(sender, api=api) == BatchResult()
    assert {name for name, _ in cluster.documents} == {index}


@pytest.mark.parametrize("form", ["explicit", "proxied"])
def test_a_cluster_without_an_index_in_actions_gets_it_in_the_path(
    cluster: Cluster, receiver: Receiver, sender: ElasticsearchSender, form: str
) -> None:
    setattr(cluster, form, form == "proxied")
    assert [send(sender), send(sender, api=Api.AUDIT)] == [BatchResult(), BatchResult()]
    assert {name for name, _ in cluster.documents} == {SIGN_INS, AUDITS}
    assert [request.path.partition("?")[0] for request in receiver.requests] == [
        "/_bulk",
        f"/{SIGN_INS}/_bulk",
        f"/{AUDITS}/_bulk",
    ]
    first, second, _ = (request.body.split(b"\n") for request in receiver.requests)
    assert json.loads(second[0]) == {"create": {"_id": json.loads(first[0])["create"]["_id"]}}
    assert second[1::2] == first[1::2]


def test_a_check_writes_where_no_action_may_name_an_index(cluster: Cluster, sender: ElasticsearchSender) -> None:
    cluster.explicit, cluster.deletes = False, True
    assert "It accepted a document without an event, which was deleted again." in sender.check()
    assert not cluster.documents


def test_a_key_without_permission_fails_at_the_first_response(receiver: Receiver, sender: ElasticsearchSender) -> None:
    receiver.behave("answer", None, status=403)
    with pytest.raises(ThirdPartyConfigError, match=r"denies access \(403") as raised:
        send(sender)
    assert raised.value.code == "403"
    receiver.clear()
    assert send(sender) == BatchResult()
    assert receiver.requests[-1].path.startswith("/_bulk?")


def test_a_bulk_is_packed_ndjson_with_the_key_and_asks_for_a_short_answer(
    receiver: Receiver, sender: ElasticsearchSender
) -> None:
    send(sender)
    (request,) = receiver.requests
    assert request.path.startswith("/_bulk?filter_path=errors,items.*.status,items.*.failure_store")
    assert json.loads(request.body.partition(b"\n")[0])["create"]["_index"] == SIGN_INS
    assert request.headers["authorization"] == f"ApiKey {KEY}"
    assert (request.headers["content-type"], request.headers["content-encoding"]) == ("application/x-ndjson", "gzip")


def test_an_event_that_is_there_already_counts_as_sent_and_is_not_stored_twice(
    receiver: Receiver, cluster: Cluster, sender: ElasticsearchSender
) -> None:
    send(sender, 10)
    assert send(sender, 20) == BatchResult()
    assert len(cluster.documents) == 20
    assert set(receiver.arrived().values()) == {1}


def test_after_a_rollover_an_event_that_is_sent_again_is_stored_again(
    receiver: Receiver, cluster: Cluster, sender: ElasticsearchSender
) -> None:
    send(sender)
    cluster.roll_over()
    send(sender)
    assert set(receiver.arrived().values()) == {2}


def test_a_killed_cluster_still_knows_what_it_has(tmp_path: Path) -> None:
    with running_receiver("elasticsearch", tmp_path / "taken") as process:
        sender = ElasticsearchSender(process.url, INDEX)
        process.behave("drop")
        with pytest.raises(ThirdPartyGenericError):
            send(sender)
        process.kill()
        process.start()
        assert send(sender) == BatchResult()
        sender.close()
        assert set(process.arrived().values()) == {1}


def test_rejected_items_have_their_reason_without_the_quoted_value(
    receiver: Receiver, cluster: Cluster, sender: ElasticsearchSender
) -> None:
    receiver.behave("half")
    answer = send(sender)
    assert [one.index for one in answer.rejected] == [1, 3, 5, 7, 9]
    assert len(cluster.documents) == 5
    first = answer.rejected[0]
    assert first.code == "document_parsing_exception"
    assert "failed to parse field [source.ip] of type [ip]" in first.answer
    assert "Ann Example" not in first.answer


def test_items_that_a_busy_cluster_puts_off_are_sent_again(
    receiver: Receiver, cluster: Cluster, sender: ElasticsearchSender
) -> None:
    cluster.busy = 1
    batch = support.batch(sender, support.events(Api.SIGN_IN)[:10])
    assert sender.send(batch) == BatchResult(deferred=(1, 3, 5, 7, 9))
    assert sender.send(batch) == BatchResult()
    assert set(receiver.arrived().values()) == {1}
    assert len(cluster.documents) == 10


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, "circuit_breaking_exception"),
        (429, "cluster_block_exception"),
        (403, "cluster_block_exception"),
        (403, "cluster_block_exception: index [logs] blocked by: [FORBIDDEN/12/index read-only / allow delete (api)];"),
        (503, "unavailable_shards_exception"),
        (429, "es_rejected_execution_exception"),
        (500, "exception"),
        (409, "some_other_conflict"),
    ],
)
def test_a_temporary_error_defers_events_and_rejects_none(
    cluster: Cluster, sender: ElasticsearchSender, status: int, kind: str
) -> None:
    kind, _, reason = kind.partition(": ")
    cluster.denies = (status, kind, reason or "for now")
    assert send(sender, 2) == BatchResult(deferred=(0, 1))


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (403, "security_exception", "action [indices:data/write/bulk[s]] is unauthorized for API key id [x]"),
        (404, "index_not_found_exception", "no such index [logs] and [action.auto_create_index] is [false]"),
        (400, "validation_exception", "this action would add [2] shards, but this cluster has [1000]/[1000]"),
        (400, "index_closed_exception", "closed"),
        (400, "invalid_index_name_exception", "Invalid index name [Logs], must be lowercase"),
        (400, "illegal_argument_exception", "pipeline with id [none] does not exist"),
        (
            400,
            "illegal_argument_exception",
            "Limit of total fields [1000] has been exceeded while adding new fields [1]",
        ),
        (403, "cluster_block_exception", "index [logs] blocked by: [FORBIDDEN/8/index write (api)];"),
        (403, "cluster_block_exception", "index [logs] blocked by: [FORBIDDEN/5/index read-only (api)];"),
        (403, "cluster_block_exception", "index [logs] blocked by: [FORBIDDEN/4/index closed];"),
        (400, "mapper_parsing_exception", "failed to parse field [event] of type [keyword] in document with id '{id}'"),
        (400, "illegal_argument_exception", "no write index is defined for alias [events]."),
        (
            400,
            "document_parsing_exception",
            "[1:9] failed to parse field [data_stream.dataset] of type [constant_keyword]",
        ),
    ],
)
def test_an_index_that_accepts_no_event_rejects_none_of_them(
    cluster: Cluster, sender: ElasticsearchSender, status: int, kind: str, reason: str
) -> None:
    cluster.denies = (status, kind, reason)
    with pytest.raises(ThirdPartyConfigError, match=kind) as raised:
        send(sender)
    assert raised.value.code == kind


def test_a_document_in_the_failure_store_is_not_in_the_data_stream(
    receiver: Receiver, sender: ElasticsearchSender
) -> None:
    one, other = ({"create": {"status": 201}}, {"create": {"status": 201, "failure_store": "used"}})
    receiver.behave("answer", body=json.dumps({"errors": False, "items": [one, other]}))
    (refused,) = send(sender, 2).rejected
    assert (refused.index, refused.code) == (1, "failure-store")
    assert "failure store" in refused.answer
    receiver.behave("answer", body=json.dumps({"errors": False, "items": [one, one]}))
    assert send(sender, 2) == BatchResult()


def test_what_a_limit_has_below_its_error_stops_too(receiver: Receiver, sender: ElasticsearchSender) -> None:
    deeper = {"type": "illegal_argument_exception", "reason": "Limit of total fields [1000] has been exceeded"}
    error = {"type": "document_parsing_exception", "reason": "failed to parse", "caused_by": deeper}
    items = [{"create": {"status": 201}}, {"create": {"status": 400, "error": error}}]
    receiver.behave("answer", body=json.dumps({"errors": True, "items": items}))
    with pytest.raises(ThirdPartyConfigError, match="document_parsing_exception"):
        send(sender, 2)


def test_documents_that_all_fail_for_one_reason_stop_and_others_are_rejected(
    receiver: Receiver, sender: ElasticsearchSender
) -> None:
    def failed(reason: str) -> dict[str, Any]:
        return {"create": {"status": 400, "error": {"type": "document_parsing_exception", "reason": reason}}}

    alike = [failed(f"[1:{at}] failed to parse field [a] in document with id '{at}'") for at in range(3)]
    receiver.behave("answer", body=json.dumps({"errors": True, "items": alike}))
    with pytest.raises(ThirdPartyConfigError):
        send(sender, 3)
    for items, refused in [
        ([*alike, {"create": {"status": 201}}], 3),
        (alike[:2], 2),
        ([*alike[:2], failed("failed to parse field [b]")], 3),
    ]:
        receiver.behave("answer", body=json.dumps({"errors": True, "items": items}))
        assert len(send(sender, len(items)).rejected) == refused


def test_a_check_writes_a_document_and_deletes_it_again_where_it_may(
    receiver: Receiver, cluster: Cluster, sender: ElasticsearchSender
) -> None:
    cluster.deletes = True
    assert sender.check().endswith("It accepted a document without an event, which was deleted again.")
    assert cluster.documents == {}
    assert [one.path.partition("?")[0] for one in receiver.requests[1:4]] == [
        "/logs-1password.audit_events-default/_doc/onepassword-source-probe",
        "/_bulk",
        "/logs-1password.audit_events-default/_doc/onepassword-source-probe",
    ]
    cluster.denies = (400, "illegal_argument_exception", "pipeline with id [none] does not exist")
    with pytest.raises(ThirdPartyConfigError, match="pipeline with id"):
        sender.check()
    assert cluster.documents == {}


def test_a_check_tries_a_document_by_the_clusters_dry_run(receiver: Receiver, sender: ElasticsearchSender) -> None:
    good = {"docs": [{"doc": {"_id": "x", "_index": "y", "_source": {}}}]}
    receiver.behave("answer", None, body=json.dumps(good), path="/_simulate")
    assert sender.check().endswith("Its simulation accepts a document without an event.")
    receiver.clear()
    for bad in ({"doc": {"error": {"type": "mapper", "reason": "no"}}}, {"error": {"type": "mapper", "reason": "no"}}):
        receiver.behave("answer", body=json.dumps({"docs": [bad]}), path="/_simulate")
        with pytest.raises(ThirdPartyConfigError, match="mapper: no"):
            sender.check()
    assert sender.check().endswith("No event was sent: the first one will show whether events are accepted.")
    assert not [one for one in receiver.requests if "/_bulk" in one.path]


@pytest.mark.parametrize(
    "body",
    [
        "<html>Please sign in</html>",
        "{}",
        '{"errors":false,"items":[]}',
        '{"errors":false,"items":[1,2]}',
        '{"errors":true,"items":[{},{}]}',
        '{"errors":true,"items":[{"create":{"status":201},"x":{"status":201}},{"create":{"status":201}}]}',
    ],
)
def test_an_answer_of_success_that_is_no_bulk_answer_is_none(
    receiver: Receiver, sender: ElasticsearchSender, body: str
) -> None:
    receiver.behave("answer", status=200, body=body)
    with pytest.raises(ThirdPartyGenericError) as raised:
        send(sender, 2)
    assert raised.value.code == "invalid-body"


def test_the_clusters_reason_for_a_whole_request_is_reported(receiver: Receiver, sender: ElasticsearchSender) -> None:
    reason = {"error": {"type": "security_exception", "reason": f"the key {KEY} is revoked"}, "status": 401}
    receiver.behave("answer", status=401, body=json.dumps(reason))
    with pytest.raises(ThirdPartyConfigError, match=r"401: security_exception: the key \*\*\* is revoked"):
        send(sender)


def test_a_uuid_that_is_too_long_for_an_id_holds_nothing_up(cluster: Cluster, sender: ElasticsearchSender) -> None:
    long = support.event(uuid="é" * 257)
    assert sender.send(support.batch(sender, [long])) == BatchResult()
    ((_, made),) = cluster.documents
    assert (len(made), document_id("é" * 256)) == (64, "é" * 256)


def test_no_document_of_any_format_has_a_member_of_the_clusters_own(
    cluster: Cluster, sender: ElasticsearchSender
) -> None:
    for format_name in support.FORMATS:
        for api in Api:
            support.send_all(sender, support.formatted(api, 50, format_name))
    assert len(cluster.documents) == 150
    assert not [line for line in cluster.documents.values() if b'{"_' in line[:2]]


def test_raw_has_the_body_in_event_original_as_elastics_pipeline_wants_it(
    cluster: Cluster, sender: ElasticsearchSender
) -> None:
    one = support.event(category="success")
    sender.send(support.batch(sender, [one]))
    stored = json.loads(cluster.documents[SIGN_INS, one.uuid])
    assert stored == {
        "@timestamp": "2026-03-04T05:06:07.089000000Z",
        "event": {"id": one.uuid, "created": "2026-03-04T05:10:07.123456789Z", "original": one.body},
        "organization": {"id": support.ACCOUNT},
        "onepassword_source": {
            "api": "sign-in",
            "siemForward": True,
            "siemVendor": "1Password",
            "siemProduct": "1Password",
            "siemFormat": "JSON",
            "siemEventID": "signin-success",
            "source": "1Pass",
            "sourceCategory": "sec/1password",
        },
        "labels": {"team": "blue", "tier": "2"},
    }


def test_a_check_asks_whether_the_key_may_write(cluster: Cluster, sender: ElasticsearchSender) -> None:
    assert SIGN_INS in sender.check()
    cluster.privileged = False
    with pytest.raises(ThirdPartyConfigError, match="create_doc"):
        sender.check()


def test_a_check_of_opensearch_is_content_with_an_answer(cluster: Cluster, sender: ElasticsearchSender) -> None:
    cluster.opensearch = True
    assert sender.check().startswith("The cluster answers.")


def test_a_page_of_html_is_no_opensearch(receiver: Receiver, sender: ElasticsearchSender) -> None:
    receiver.behave("answer", None, status=405, path="_has_privileges")
    receiver.behave("answer", None, body="<html>Sign in</html>")
    with pytest.raises(ThirdPartyGenericError) as raised:
        sender.check()
    assert raised.value.code == "invalid-body"


def test_a_key_is_sent_as_the_cluster_gives_it_or_as_its_two_parts() -> None:
    assert api_key_header(KEY) == api_key_header(base64.b64decode(KEY).decode()) == f"ApiKey {KEY}"
    assert basic_header("ann", "pässword") == f"Basic {base64.b64encode('ann:pässword'.encode()).decode()}"
