"""A cluster with the bulk API, as Elastic and OpenSearch document it. An index stores each `_id` once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from receivers.request import VendorResponse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from receivers.request import Request

OF_CLUSTER = frozenset({"_id", "_index", "_source", "_routing", "_ignored", "_field_names", "_type"})
ID_MAX = 512
CONFLICT = (
    "version_conflict_engine_exception",
    "[{id}]: version conflict, document already exists (current version 1)",
)
REJECTED = ("es_rejected_execution_exception", "rejected execution of coordinating operation [primary_operations=9]")
PARSING = (
    "document_parsing_exception",
    (
        "[1:9] failed to parse field [source.ip] of type [ip] in document with id '{id}'. "
        "Preview of field's value: 'Ann Example'"
    ),
)


class Elasticsearch:
    """`busy`: how many of the next bulks reject every second item with 429. `denies`: the error of all items.

    `privileged`: whether the key may write. `opensearch`: it has none of Elastic's own endpoints. `deletes`: it may
    delete, and the indices are no data streams. `explicit`: an action may name an index
    (`rest.action.multi.allow_explicit_index`). `proxied`: a proxy before it lets only paths through that begin with an
    index.
    """

    def __init__(self) -> None:
        self.documents: dict[tuple[str, str], Any] = {}
        self.busy = 0
        self.denies: tuple[int, str, str] | None = None
        self.privileged = True
        self.opensearch = False
        self.deletes = False
        self.explicit = True
        self.proxied = False
        self._remembered: frozenset[str] = frozenset()
        self._lock = threading.Lock()

    def remember(self, ids: Iterable[str]) -> None:
        """Load the ids that this cluster stored before it was killed."""
        self._remembered = frozenset(ids)

    def respond(self, request: Request) -> VendorResponse:
        parts = urlsplit(request.path)
        *index, verb = parts.path.strip("/").split("/")
        if verb == "_has_privileges":
            return self._privileges()
        if request.method == "DELETE":
            return self._delete(index[0], verb)
        if verb != "_bulk":
            return _json(200, {"version": {"number": "9.2.0"}})
        if request.headers.get("content-type") != "application/x-ndjson":
            return _failed(406, "media_type_header_exception", "Content-Type is not supported")
        if self.proxied and not index:
            return VendorResponse([], 403, {"Content-Type": "text/html"}, b"<h1>403 Forbidden</h1>")
        with self._lock:
            return self._bulk(request, index[0] if index else "", parse_qs(parts.query))

    def roll_over(self) -> None:
        """Start a new backing index, which has no ids yet."""
        self.documents = {(f"{index}-old", id_): document for (index, id_), document in self.documents.items()}

    def _delete(self, index: str, id_: str) -> VendorResponse:
        if not self.deletes:
            return _failed(400, "illegal_argument_exception", "only write ops with an op_type of create are allowed")
        found = self.documents.pop((index, id_), None) is not None
        return _json(200 if found else 404, {"_index": index, "result": "deleted" if found else "not_found"})

    def _privileges(self) -> VendorResponse:
        if self.opensearch:
            return _json(400, {"error": "no handler found for uri [/_security/user/_has_privileges] and method [POST]"})
        return _json(200, {"username": "writer", "has_all_requested": self.privileged, "index": {}})

    def _bulk(self, request: Request, index: str, query: dict[str, list[str]]) -> VendorResponse:
        lines = request.body.split(b"\n")
        if lines.pop() != b"":
            return _failed(400, "illegal_argument_exception", "The bulk request must be terminated by a newline [\\n]")
        if not self.explicit and any("_index" in _action.decode(line)["create"] for line in lines[::2]):
            return _failed(400, "illegal_argument_exception", "explicit index in bulk is not allowed")
        taken: list[str] = []
        items = [
            self._item(index, action, line, request, place, taken)
            for place, (action, line) in enumerate(zip(lines[::2], lines[1::2], strict=True))
        ]
        self.busy = max(self.busy - 1, 0)
        if any(len(item["_id"].encode()) > ID_MAX for item in items):
            return _failed(400, "action_request_validation_exception", "Validation Failed: 1: id is too long")
        errors = any("error" in item for item in items)
        answer: dict[str, Any] = {"took": 7, "errors": errors, "items": [{"create": item} for item in items]}
        if "filter_path" in query:
            answer = {"errors": errors, "items": [{"create": _filtered(item)} for item in items]}
        return VendorResponse(taken, 200, {"Content-Type": "application/json"}, msgspec.json.encode(answer))

    def _item(  # noqa: PLR0917
        self, path_index: str, action: bytes, line: bytes, request: Request, place: int, taken: list[str]
    ) -> dict[str, Any]:
        create = _action.decode(action)["create"]
        index, id_ = create.get("_index", path_index), create["_id"]
        item = {"_index": index, "_id": id_}
        if self.denies:
            return _refused(item, *self.denies)
        if self.busy and place % 2:
            return _refused(item, 429, *REJECTED)
        if (index, id_) in self.documents or id_ in self._remembered:
            return _refused(item, 409, *CONFLICT)
        wrong = _wrong(line)
        if wrong or (request.half and place % 2):
            return _refused(item, 400, *(wrong or PARSING))
        self.documents[index, id_] = line
        taken.append(id_)
        return {**item, "_version": 1, "result": "created", "status": 201}


def _wrong(line: bytes) -> tuple[str, str] | None:
    try:
        document = _members.decode(line)
    except ValueError as error:
        return "document_parsing_exception", str(error)
    if "@timestamp" not in document:
        return "document_parsing_exception", "data stream timestamp field [@timestamp] is missing"
    if own := OF_CLUSTER & document.keys():
        return (
            "document_parsing_exception",
            f"Field [{min(own)}] is a metadata field and cannot be added inside a document",
        )
    return None


def _refused(item: dict[str, Any], status: int, kind: str, reason: str) -> dict[str, Any]:
    error = {"type": kind, "reason": reason.replace("{id}", item["_id"]), "index": item["_index"], "shard": "0"}
    return {**item, "status": status, "error": error}


def _filtered(item: dict[str, Any]) -> dict[str, Any]:
    error = item.get("error")
    kept = {"error": {"type": error["type"], "reason": error["reason"]}} if error else {}
    return {"status": item["status"], **kept}


def _failed(status: int, kind: str, reason: str) -> VendorResponse:
    return _json(status, {"error": {"root_cause": [], "type": kind, "reason": reason}, "status": status})


def _json(status: int, value: object) -> VendorResponse:
    return VendorResponse([], status, {"Content-Type": "application/json"}, msgspec.json.encode(value))


_action = msgspec.json.Decoder(dict[str, dict[str, str]])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])  # read to its end, but without a tree of objects
vendor = Elasticsearch
