"""The signatures of `onepassword-source secrets …`."""

from __future__ import annotations

from typing import Annotated

import typer

from deployments.cli_options import MACHINE

PROGRAM = "onepassword-source"


def rotate(
    password_only: Annotated[
        bool, typer.Option("--password-only", help="Keep the encryption key: only the login changes.")
    ] = False,
    key_only: Annotated[
        bool, typer.Option("--key-only", help="Keep the API password: only the encryption of the blocks changes.")
    ] = False,
) -> None:
    """Make a new API password and a new encryption key for this machine's Prefect; all blocks stay readable."""
    from deployments.commands.secrets import run  # noqa: PLC0415

    run(password_only=password_only, key_only=key_only)


def add(app: typer.Typer) -> None:
    """Register the commands."""
    secrets = typer.Typer(
        help="Renew what keeps this machine's own Prefect shut.",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    )
    secrets.command(epilog=f"Example: {PROGRAM} secrets rotate")(rotate)
    app.add_typer(secrets, name="secrets", rich_help_panel=MACHINE)

    @secrets.callback()
    def _group() -> None:
        """Renew what keeps this machine's own Prefect shut."""
