"""Replace the token of a source: the new one is checked first, and all that is wrong with it is said at once.

Prefect is imported inside the functions: its settings come from the environment (see `prefect_access.activate`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SecretStr

from blocks import settings
from blocks.config.source_file import with_token
from blocks.prefect_names import block_name
from deployments import token_checks

if TYPE_CHECKING:
    from deployments.lifecycle import Managed


def check(source: Managed, token: str, *, unchecked: bool = False) -> token_checks.Checked:
    """Introspect the token that is to replace the one of `source`; nothing is changed.

    Raises ThirdPartyConfigError with all that is wrong with it, and ThirdPartyGenericError where the API cannot be
    reached, unless `unchecked`.
    """
    config = with_token(source.valid_block().config(), token, allowed_hosts=settings.allowed_hosts())
    return token_checks.examine(config, source.known.account_uuid, unchecked=unchecked)


def replace(source: Managed, token: str, *, checked: bool = True) -> None:
    """Put the token into the encrypted block, end the runs with the old one, and forget the errors."""
    from blocks.store import lifecycle, sources  # noqa: PLC0415 - 0.5 s
    from deployments.prefect_api import source_runs  # noqa: PLC0415
    from tasks.support.source import source_record  # noqa: PLC0415 - imports Prefect

    block = source.valid_block()
    block.credentials.api_token = SecretStr(token)
    name = block.credentials._block_document_name  # noqa: SLF001 - Prefect has no other way to tell
    block.credentials.save(name or block_name(source.name), overwrite=True)
    if name is None:
        block.save(block_name(source.name), overwrite=True)
    source_runs.end(source.engine, source.known.id, source_runs.SHORT_SECONDS)
    sources.put(source.engine, source_record(block))
    lifecycle.restart(source.engine, source.known, "token", checked=checked)
