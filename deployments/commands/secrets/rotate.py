"""`onepassword-source secrets rotate`: a new API password, a new encryption key, or both."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError
from deployments.commands.support.options import Json
from deployments.prefect_api import server_access, server_secrets
from deployments.terminal_output import print_json, print_line

if TYPE_CHECKING:
    from deployments.json_records.store import RotateRecord

DATABASES = ("PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL")

DETAILS = """
The encryption key is that of Prefect's blocks. Older backups of Prefect's database need the older secrets.json.
"""


def command(
    password_only: Annotated[
        bool, typer.Option("--password-only", help="Keep the encryption key: only the login changes.")
    ] = False,
    key_only: Annotated[
        bool, typer.Option("--key-only", help="Keep the API password: only the encryption of the blocks changes.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Rotate the password, the key, or both, and print what to do next."""
    if password_only and key_only:
        raise ThirdPartyConfigError(
            "--password-only and --key-only exclude each other.", hint="Leave both out to rotate both."
        )
    _refuse_another_prefect()
    blocks = server_secrets.rotate(password=not key_only, key=not password_only)
    if as_json:
        answer: RotateRecord = {"password_rotated": not key_only, "key_rotated": not password_only, "blocks": blocks}
        print_json(answer)
        return
    if not key_only:
        print_line("The API password is new. Log in to the Prefect UI with the one that `up` prints.")
    if not password_only:
        print_line(f"The encryption key is new. {blocks:,} blocks are encrypted with it.")
        print_line("Older backups of Prefect's database need the older secrets.json.")
    print_line('In each shell that uses Prefect\'s own commands: eval "$(onepassword-source env)"')


def _refuse_another_prefect() -> None:
    if (url := server_access.external_url()) is not None:
        raise FirstPartyGenericError(
            f"PREFECT_API_URL is set to {url}. Its secrets are not on this machine. Nothing was changed.",
            hint="Rotate them where it runs, or unset PREFECT_API_URL to rotate those of this machine's Prefect.",
        )
    if named := next((name for name in DATABASES if os.environ.get(name)), None):
        raise FirstPartyGenericError(
            f"{named} is set, so Prefect's blocks are in your own database, which this command does not change.",
            hint="Unset it if this machine's Prefect has its own database.",
        )
