"""Reads and writes blocks on the Prefect server in bulk. `Block.load` and `Block.save` make up to ten requests each.

This module imports Prefect, so call `server_access.activate` before it is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect.client.schemas.actions import BlockDocumentCreate, BlockDocumentUpdate
from prefect.client.schemas.objects import BlockDocument
from prefect.exceptions import ObjectAlreadyExists

from blocks.secret_block import SecretBlock

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from prefect.client.orchestration import SyncPrefectClient

PAGE = 100


def read_named(
    client: SyncPrefectClient, slugs: Sequence[str], names: Iterable[str], *, include_secrets: bool = False
) -> list[BlockDocument]:
    """The documents of these block types that have one of these names."""
    wanted = list(dict.fromkeys(names))
    size = max(PAGE // len(slugs), 1)  # so that one page holds all matches
    found: list[BlockDocument] = []
    for start in range(0, len(wanted), size):
        of_name = {"name": {"any_": wanted[start : start + size]}}
        found += _page(client, slugs, {"block_documents": of_name, "include_secrets": include_secrets})
    return found


def read_all(client: SyncPrefectClient, slug: str) -> list[BlockDocument]:
    """All documents of one block type, by name, without their secrets."""
    found: list[BlockDocument] = []
    while True:
        page = _page(client, [slug], {"offset": len(found)})
        found += page
        if len(page) < PAGE:
            return found


def save(
    client: SyncPrefectClient,
    block: SecretBlock,
    name: str,
    document_id: UUID | None,
    nested: Mapping[str, UUID] | None = None,
) -> UUID:
    """Write a block under a name, over the document `document_id` if that is not None. Returns the id of the document.

    `nested` maps members that are blocks to the ids of their documents. The type of the block must be registered.
    """
    kind = type(block)
    schema = kind._block_schema_id  # noqa: SLF001 - Prefect has no other way
    data = _data(block, nested or {})
    if document_id is None:
        made = BlockDocumentCreate(
            name=name,
            data=data,
            block_schema_id=schema,
            block_type_id=kind._block_type_id,  # noqa: SLF001 - as above
        )
        try:
            return client.create_block_document(made).id
        except ObjectAlreadyExists:  # another process has just made it
            document_id = client.read_block_document_by_name(name, kind.get_block_type_slug(), include_secrets=False).id
    client.update_block_document(document_id, BlockDocumentUpdate(data=data, block_schema_id=schema))
    return document_id


def nested_id(document: BlockDocument, member: str) -> UUID | None:
    """The id of the document that a member of `document` refers to, or None."""
    reference = document.block_document_references.get(member) or {}
    found = (reference.get("block_document") or {}).get("id")
    return UUID(str(found)) if found else None


def _page(client: SyncPrefectClient, slugs: Sequence[str], query: dict[str, Any]) -> list[BlockDocument]:
    # The client's own method takes no filter, and the server's list by type is one response of any size.

    of_type = {"block_types": {"slug": {"any_": list(slugs)}}, "limit": PAGE}
    answer = client.request("POST", "/block_documents/filter", json={**of_type, **query})
    return BlockDocument.model_validate_list(answer.json())


def _data(block: SecretBlock, nested: Mapping[str, UUID]) -> dict[str, Any]:
    own = set(type(block).model_fields) - set(SecretBlock.model_fields)
    data = block.model_dump(mode="json", include=own - set(nested), context={"include_secrets": True})
    # As null: Prefect shows an empty string like a secret that is set.
    data |= dict.fromkeys(block.unset_secrets() & set(data))
    references = {member: {"$ref": {"block_document_id": str(id_)}} for member, id_ in nested.items()}
    return {name: value for name, value in data.items() if name in own} | references
