"""Send to Elasticsearch and OpenSearch by the bulk API, which is the same in both.

Each event is a `create` with its uuid as `_id`: data streams accept nothing else, and the answer for an existing event
is 409, which counts as sent. `_id` is unique within one backing index only. After the rollover of a data stream, an
event that is sent deferred is stored deferred; docs/siem/elasticsearch.md has remedies.

This uses httpx, not the vendors' clients: elasticsearch-py rejects OpenSearch (UnsupportedProductError), so one request
would need two clients, with transports, retries and error types of their own.

Sources: Elastic's and OpenSearch's references of the bulk API, Elastic's "Has privileges" and "Rejected requests".
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache
from typing import TYPE_CHECKING, NoReturn, TypeVar

import msgspec

from blocks import clock
from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api import api_errors
from blocks.events_api.models import Api
from blocks.http.transport_errors import is_transient
from blocks.siem.delivery.http import SiemHttpClient, is_html
from blocks.siem.delivery.protocol import ACCEPTED, NOT_TRIED, BatchResult, EncodedRecord, Limits, RejectedRecord
from blocks.siem.formats import metadata
from blocks.siem.formats.field_values import received_rfc3339, rfc3339, to_text
from blocks.siem.formats.json_text import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from blocks.http.client import HttpResponse
    from blocks.siem.delivery.protocol import Batch
    from blocks.siem.formats.event import FormattedEvent

NAME = "Elasticsearch/OpenSearch"
Decoded = TypeVar("Decoded")
DATASETS = {Api.SIGN_IN: "signin_attempts", Api.ITEM_USAGE: "item_usages", Api.AUDIT: "audit_events"}
"""The names in Elastic's own integration."""
ANSWER_MAX = 8 * 1024 * 1024  # bytes; a response has an item for each event, and a sentence for each rejected one
LIMITS = Limits(events=2000, bytes=5_000_000)  # both recommend a few megabytes; small hosted nodes accept at most 10 MB
ID_MAX = 512  # bytes; a longer `_id` invalidates the whole request
NDJSON = {"Content-Type": "application/x-ndjson"}
JSON = {"Content-Type": "application/json"}
_RESPONSE_FIELDS = ("status", "failure_store", "error.type", "error.reason", "error.caused_by.reason")
BULK = f"_bulk?filter_path=errors,{','.join(f'items.*.{member}' for member in _RESPONSE_FIELDS)}"
PROBE_ID = "onepassword-source-probe"
"""The `_id` of the test document. It is deleted after the check."""

_BAD_REQUEST, _CONFLICT = 400, 409
_PRIVILEGE = "create_doc"
_TARGET_ERROR_TYPES = frozenset({"index_closed_exception", "invalid_index_name_exception", "validation_exception"})
"""Error types of a 400 that does not depend on the event; validation: no more shards may be opened."""
_TARGET_ERROR_TEXTS = (
    "pipeline with id [",
    "Limit of total fields [",
    "Limit of mapping depth [",
    "FORBIDDEN/4/",  # index closed
    "FORBIDDEN/5/",  # index read-only, set by a user; 12 is for lack of disk space, and temporary
    "FORBIDDEN/6/",  # cluster read-only
    "FORBIDDEN/8/",  # index write
    "FORBIDDEN/13/",  # cluster read-only, deletes allowed
    "no write index is defined for alias [",
    "of type [constant_keyword]",  # several datasets into one data stream
)
_SAME_REASON_MIN = 3
"""If at least so many documents are all rejected for one reason, the cause is the mapping, not an event."""
_DOCUMENT_SPECIFIC = re.compile(r"\[\d+:\d+\]|id '[^']*'| ?Preview of field's value: .*", re.DOTALL)
"""The parts of a reason that differ from document to document."""
_NO_EXPLICIT_INDEX = "explicit index in bulk is not allowed"
"""Said of an index in an action where `rest.action.multi.allow_explicit_index` is false."""
_OF_PATH = frozenset({"403", "404", "405"})
"""What a proxy that judges by the path may answer to `_bulk` without an index."""
_UNNAMED = b'{"create":{'
_FAILURE_STORE = b'"failure_store"'
_TYPE = re.compile(r"[a-z0-9_]{1,80}")
_PREVIEW = re.compile(r" ?Preview of field's value: .*", re.DOTALL)


class _RootCause(msgspec.Struct):
    reason: str | None = None


class _Cause(msgspec.Struct):
    type: str = ""
    reason: str | None = None
    caused_by: _RootCause | None = None


class _Item(msgspec.Struct):
    status: int
    error: _Cause | None = None
    failure_store: str = ""


class _Bulk(msgspec.Struct):
    errors: bool
    items: list[dict[str, _Item]]


class _BulkSummary(msgspec.Struct):
    """The part of a response that is needed if there are no errors."""

    errors: bool
    items: list[dict[str, msgspec.Raw]]


class _Failure(msgspec.Struct):
    error: _Cause


class _Privileges(msgspec.Struct):
    has_all_requested: bool


class _Deleted(msgspec.Struct):
    result: str


class _Simulated(msgspec.Struct):
    """A simulated document. `error` is beside the result of the pipeline, or replaces it."""

    error: _Cause | None = None
    doc: _Simulated | None = None


class _Simulation(msgspec.Struct):
    docs: list[_Simulated]


_read_bulk = msgspec.json.Decoder(_Bulk).decode
_read_summary = msgspec.json.Decoder(_BulkSummary).decode
_read_failure = msgspec.json.Decoder(_Failure).decode
_read_privileges = msgspec.json.Decoder(_Privileges).decode
_read_deleted = msgspec.json.Decoder(_Deleted).decode
_read_simulation = msgspec.json.Decoder(_Simulation).decode


class ElasticsearchSender:
    """One cluster. `index` is the name of an index, an alias or a data stream; see `indices`.

    `authorization` is the header from `api_key_header` or `basic_header`, or empty. `secrets` are its parts.
    """

    limits = LIMITS

    def __init__(self, url: str, index: str, authorization: str = "", secrets: tuple[str, ...] = ()) -> None:
        self._indices = indices(index)
        # In the action and not in the path: VictoriaLogs and Fluent Bit know no other path than _bulk.
        self._actions = {api: _action(name) for api, name in self._indices.items()}
        self._by_path = False
        headers = {"Authorization": authorization} if authorization else {}
        hidden = (*secrets, authorization.partition(" ")[2])
        self._client = _ClusterClient(NAME, url, headers, secrets=hidden, answer_max=ANSWER_MAX)

    def __repr__(self) -> str:
        return f"ElasticsearchSender({sorted(self._indices.values())!r})"

    def encode(self, formatted: FormattedEvent) -> EncodedRecord:
        """Return the action and the document, on a line each."""
        action = self._actions[formatted.stream.api]
        data = b'%b"_id":%b}}\n%b\n' % (action, to_json(document_id(formatted.event.uuid)), document(formatted))
        return EncodedRecord(formatted.event, data)

    def send(self, batch: Batch) -> BatchResult:
        return self._bulk(self._indices[batch.stream.api], [record.data for record in batch.records])

    def _bulk(self, index: str, documents: Sequence[bytes]) -> BatchResult:
        response = self._posted_by_path(index, documents) if self._by_path else self._posted(index, documents)
        summary = _read(_read_summary, response)
        if len(summary.items) != len(documents):
            raise _not_bulk_error()
        # A document in the failure store of a data stream is a success for the cluster, but it is not in the stream.
        if summary.errors or _FAILURE_STORE in response.content:
            return _batch_result(_read(_read_bulk, response))
        return ACCEPTED

    def _posted(self, index: str, documents: Sequence[bytes]) -> HttpResponse:
        """By the path `_bulk`. What takes no index in an action, or lets no such path through, gets it in the path."""
        try:
            return self._client.post(BULK, b"".join(documents), NDJSON)
        except ThirdPartyConfigError as first:
            explicit_index = _NO_EXPLICIT_INDEX in first.message
            if not explicit_index and first.code not in _OF_PATH:
                raise
            try:
                response = self._posted_by_path(index, documents)
            except ThirdPartyConfigError as error:
                raise (error if explicit_index or error.code not in _OF_PATH else first) from None
            self._by_path = True
            return response

    def _posted_by_path(self, index: str, documents: Sequence[bytes]) -> HttpResponse:
        named = len(_action(index))
        content = b"".join([_UNNAMED + document[named:] for document in documents])
        return self._client.post(f"{index}/{BULK}", content, NDJSON)

    def check(self) -> str:
        """Check the privilege, and try a test document: written and deleted, or simulated by the cluster."""
        names = sorted(set(self._indices.values()))
        found = self._check_privilege(names)
        tried = [self._try_document(name) for name in names]
        if all(tried):
            return f"{found} {tried[0]}"
        return f"{found} {NOT_TRIED}"

    def _check_privilege(self, names: list[str]) -> str:
        try:
            may_write = self._has_privilege(names)
        except ThirdPartyConfigError as error:
            if error.code not in {"400", "404", "405"}:
                raise
            # OpenSearch, and a cluster without Elastic's security, cannot check privileges.
            if is_html(self._client.checked_request("GET", "")):
                raise _not_bulk_error() from None
            return "The cluster answers."
        if may_write:
            return f"The cluster accepts events into {', '.join(names)}."
        raise ThirdPartyConfigError(
            f"The key or user lacks the privilege {_PRIVILEGE} for {', '.join(names)}.",
            hint="Grant it, and also auto_configure if the data streams do not exist yet.",
            code="403",
        )

    def close(self) -> None:
        self._client.close()

    def _try_document(self, index: str) -> str:
        """Return the outcome of a test document, or an empty text if the cluster can neither delete nor simulate one.

        Raises ThirdPartyConfigError if the document is rejected.
        """
        if self._delete_probe(index):
            document = b'%b"_id":%b}}\n%b\n' % (_action(index), to_json(PROBE_ID), _probe())
            try:
                answer = self._bulk(index, [document])
            finally:
                deleted = self._delete_probe(index)
            for rejected in answer.rejected:
                _raise_rejected(_Cause(rejected.code, rejected.answer))
            deletion = "was deleted again" if deleted else f"could not be deleted: look for _id {PROBE_ID}"
            return f"It accepted a document without an event, which {deletion}."
        return self._simulate(index)

    def _delete_probe(self, index: str) -> bool:
        """Delete the test document. Returns False if that is not allowed: in a data stream, and with most keys."""
        response = self._client.request("DELETE", f"{index}/_doc/{PROBE_ID}")
        try:
            return _read_deleted(response.content).result in {"deleted", "not_found"}
        except ValueError:
            return False

    def _simulate(self, index: str) -> str:
        content = b'{"docs":[{"_index":%b,"_id":%b,"_source":%b}]}' % (to_json(index), to_json(PROBE_ID), _probe())
        response = self._client.request("POST", f"_ingest/{index}/_simulate", content, JSON)
        try:
            found = _read_simulation(response.content).docs[0]
        except (ValueError, IndexError):
            return ""
        if error := found.error or (found.doc.error if found.doc else None):
            _raise_rejected(error)
        return "Its simulation accepts a document without an event."

    def _has_privilege(self, names: list[str]) -> bool:
        content = to_json({"index": [{"names": names, "privileges": [_PRIVILEGE]}]})
        response = self._client.checked_request("POST", "_security/user/_has_privileges", content, JSON)
        try:
            return _read_privileges(response.content).has_all_requested
        except ValueError:
            raise _not_bulk_error() from None


class _ClusterClient(SiemHttpClient):
    """Reads the cluster's reason for rejecting a whole request."""

    def response_text(self, content: bytes) -> str:
        try:
            cause = _read_failure(content).error
        except ValueError:
            return super().response_text(content)
        kind = f": {cause.type}" if _TYPE.fullmatch(cause.type) else ""
        return kind + super().response_text((cause.reason or "").encode())


def indices(template: str) -> dict[Api, str]:
    """Return the index of each API. `{dataset}` is one of `DATASETS`, `{api}` the API's path, such as `itemusages`."""
    return {api: template.replace("{dataset}", DATASETS[api]).replace("{api}", api.path) for api in Api}


def _action(index: str) -> bytes:
    """The start of an action line, up to the `_id`."""
    return b'{"create":{"_index":%b,' % to_json(index)


def api_key_header(api_key: str) -> str:
    """Return the header for an API key, which is in the cluster's `encoded` form or `id:key`."""
    key = _base64(api_key) if ":" in api_key else api_key
    return f"ApiKey {api_errors.require_sendable(key)}"


def basic_header(user: str, password: str) -> str:
    return f"Basic {_base64(f'{user}:{password}')}"


def document_id(uuid: str) -> str:
    """Return the uuid, or a hash of it (64 hexadecimal digits) if it is too long for `_id`."""
    raw = uuid.encode(errors="surrogatepass")
    return uuid if len(raw) <= ID_MAX else hashlib.blake2b(raw, digest_size=32).hexdigest()


def document(formatted: FormattedEvent) -> bytes:
    """Return the stored document. ECS is unchanged. raw is a minimal ECS document with the body in `event.original`.

    A document that is not ECS gets the `@timestamp` that data streams require.
    """
    if formatted.format_name == "ecs":
        return formatted.document
    event, original = formatted.event, formatted.document
    time = rfc3339(event.time_ns).encode()
    if formatted.format_name != "raw":
        return b'{"@timestamp":"%b",%b' % (time, original[1:])
    return b'{"@timestamp":"%b","event":{"id":%b,"created":"%b","original":%b}%b%b' % (
        time,
        to_json(event.uuid),
        received_rfc3339(event.received_ns).encode(),
        to_json(original.decode()),
        b"" if formatted.account is None else b',"organization":{"id":%b}' % to_json(formatted.account),
        _shared_end(metadata.metadata_group(formatted.stream, formatted.event_id)),
    )


def _probe() -> bytes:
    """Return a test document, like those of `document` but without an event."""
    time = rfc3339(clock.now_ns()).encode()
    return b'{"@timestamp":"%b","event":{"id":%b}}' % (time, to_json(PROBE_ID))


@lru_cache(maxsize=1024)
def _shared_end(group: metadata.MetadataGroup) -> bytes:
    """Return the metadata as in the format ECS. Elasticsearch rejects a member `_source` at the top level."""
    ours = {name.removeprefix("_"): value for name, value in group.standard.items()}
    made: dict[str, object] = {"onepassword_source": {"api": group.stream.api.value, **ours}}
    if group.fields:
        made["labels"] = {name: to_text(value) for name, value in group.fields.items()}
    return b"," + to_json(made)[1:]


def _read(reader: Callable[[bytes], Decoded], response: HttpResponse) -> Decoded:
    try:
        return reader(response.content)
    except ValueError:
        raise _not_bulk_error() from None


def _batch_result(bulk: _Bulk) -> BatchResult:
    rejected, deferred = [], []
    items = _items(bulk)
    _require_some_accepted(items)
    for index, item in enumerate(items):
        if item.failure_store == "used":
            rejected.append(RejectedRecord(index, "failure-store", _IN_FAILURE_STORE))
        elif item.error is None or _exists_already(item):
            continue
        elif _concerns_target(item, item.error):
            _raise_rejected(item.error)
        elif _is_temporary(item, item.error):
            deferred.append(index)
        else:
            rejected.append(RejectedRecord(index, item.error.type or str(item.status), _reason(item.error)))
    return BatchResult(tuple(rejected), tuple(deferred))


_IN_FAILURE_STORE = "The data stream could not store it. It is in its failure store (INDEX::failures), with the reason."


def _require_some_accepted(items: list[_Item]) -> None:
    """Raises ThirdPartyConfigError if all documents are rejected for one reason: the mapping fits none of them."""
    errors = [item.error for item in items if item.status == _BAD_REQUEST and item.error is not None]
    if len(errors) == len(items) >= _SAME_REASON_MIN and len({_reason_pattern(error) for error in errors}) == 1:
        _raise_rejected(errors[0])


def _reason_pattern(error: _Cause) -> tuple[str, str]:
    return error.type, _DOCUMENT_SPECIFIC.sub("", error.reason or "")


def _items(bulk: _Bulk) -> list[_Item]:
    try:
        return [item for (item,) in map(dict.values, bulk.items)]
    except ValueError:
        raise _not_bulk_error() from None


def _exists_already(item: _Item) -> bool:
    return item.status == _CONFLICT and item.error is not None and item.error.type.startswith("version_conflict")


def _is_temporary(item: _Item, error: _Cause) -> bool:
    # A cluster that lacks disk space blocks writes, with 403 or 429, until there is some. Other blocks came before.
    blocked = error.type == "cluster_block_exception"
    return blocked or is_transient(item.status) or item.status == _CONFLICT


def _concerns_target(item: _Item, error: _Cause) -> bool:
    """Return whether the target would reject any event, so that the cause is not this one."""
    reason = f"{error.reason} {error.caused_by.reason if error.caused_by else ''}"
    blocked = error.type == "cluster_block_exception"
    known = error.type in _TARGET_ERROR_TYPES or any(words in reason for words in _TARGET_ERROR_TEXTS)
    return known or (item.status in api_errors.REJECTED and not blocked)


def _raise_rejected(error: _Cause) -> NoReturn:
    raise ThirdPartyConfigError(
        f"{NAME} accepts no events into this index: {error.type}: {_reason(error)}",
        hint="Check the index or data stream, its template and pipeline, and the privileges of the key or user.",
        code=error.type,
    )


def _reason(error: _Cause) -> str:
    """Return the reason for rejecting a document, without the value that it quotes."""
    text = _PREVIEW.sub("", error.reason or "")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[: api_errors.TEXT_MAX]


def _not_bulk_error() -> ThirdPartyGenericError:
    return ThirdPartyGenericError(
        f"The response does not come from {NAME}: it is not a response to a bulk request.",
        hint="Nothing counts as sent. Check the address, and look for a proxy in between.",
        code="invalid-body",
    )


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
