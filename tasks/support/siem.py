"""What forwarding needs: the source's store, the present block of the SIEM, and the metadata of each event."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

import httpx
from prefect.exceptions import ObjectNotFound, PrefectException

from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError
from blocks.prefect_names import block_name
from blocks.problems import ConfigurationError
from blocks.siem.configuration import KINDS, block_class
from blocks.siem.delivery.prepare import Preparer
from blocks.siem.formats.event import StreamMetadata
from blocks.siem.privacy import processing
from blocks.siem.privacy.rules import parse
from blocks.source import OnePasswordSource
from blocks.store import fields, names
from blocks.store.forwarding import forward_pairs
from tasks.support.source import default_store, open_store

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.events_api.models import Api
    from blocks.siem.base import SiemBlock
    from blocks.siem.delivery.protocol import Sender
    from blocks.siem.privacy.processing import ProcessingRules
    from blocks.store.forwarding.forward_pairs import SourceMetadata

_UI_NAME = re.compile(r"[a-z0-9-]+")  # a block name that Prefect's UI allows


def source_store(source: str) -> Engine:
    """The store of a source. The token is not needed, so an invalid block does not stop forwarding.

    Raises FirstPartyGenericError if the store or the Prefect API does not answer. The default store is no substitute
    then: the source may have a store of its own.
    """
    try:
        block = cast("OnePasswordSource", OnePasswordSource.load(block_name(source)))
    except (ValueError, ObjectNotFound, ThirdPartyConfigError):
        return default_store()
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        raise _prefect_error("source", error) from None
    return open_store(block)


def load_siem(name: str, kind: str | None = None) -> SiemBlock:
    """The present block of a SIEM, validated; of any kind if `kind` is None.

    Raises ThirdPartyConfigError if there is no such block or it is not valid, FirstPartyGenericError if the Prefect API
    does not answer.
    """
    for one in [kind] if kind else KINDS:
        if found := _load(name, one):
            return found.ensure_valid()
    raise ThirdPartyConfigError(
        f"The Prefect server has no configuration of a SIEM named {name!r}.",
        hint="Give it again with `onepassword-source apply FILE` or `siem add`; what it has not got still waits.",
        code="no-block",
    )


def make_preparer(engine: Engine, source_id: str, api: Api, block: SiemBlock, sender: Sender) -> Preparer:
    """The preparer that encodes the events of one API of a source for a SIEM."""
    about = forward_pairs.source_metadata(engine, source_id)
    stream = StreamMetadata(
        api=api,
        source=about.name,
        category=about.category,
        fields=fields.filter_fields(engine, about.fields).kept,
        account=about.account,
        classifier=block.classifier if about.for_siem else None,
        namespace=block.data_stream_namespace(api),
    )
    rules = parse(block.rules, block.hash_key.get_secret_value())
    known_names = names.name_by_uuid(engine) if block.with_names else {}
    return Preparer(sender, rules, block.event_format, stream, _processing_rules(about), known_names)


def _processing_rules(about: SourceMetadata) -> ProcessingRules:
    """Raises ConfigurationError if the rules are not valid: nothing is sent that they might filter."""
    filters, algorithm = about.processing_rules.get("filters", []), about.processing_rules.get("hashAlgorithm")
    found = [
        *processing.problems(filters, f"{about.name}.filters"),
        *processing.algorithm_problems(algorithm, about.name),
    ]
    if found:
        raise ConfigurationError(found)
    return processing.parse(filters, algorithm)


def _load(name: str, kind: str) -> SiemBlock | None:
    """By the block name that `siem add` uses, or by the name that a person entered in the UI."""
    return next((found for one in block_names(name) if (found := _loaded(one, kind))), None)


def block_names(name: str) -> tuple[str, ...]:
    """The names that the block of a SIEM may have on the Prefect server."""
    return (block_name(name), name) if _UI_NAME.fullmatch(name) else (block_name(name),)


def _loaded(document: str, kind: str) -> SiemBlock | None:
    try:
        return cast("SiemBlock", block_class(kind).load(document))
    except (ValueError, ObjectNotFound):
        return None
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        raise _prefect_error("SIEM", error) from None


def _prefect_error(of: str, error: Exception) -> FirstPartyGenericError:
    return FirstPartyGenericError(
        f"The Prefect API did not give the configuration of the {of} ({type(error).__name__}).",
        hint="Check that `onepassword-source up` runs, or the server of PREFECT_API_URL.",
        code="prefect",
    )
