"""The block with what opens the Events API of one account: the base URL and the token."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import Field, HttpUrl, SecretStr

from blocks import settings
from blocks.events_api.hosts import HostError, normalise_base_url
from blocks.events_api.token import token_problem
from blocks.problems import ConfigurationError, Problem
from blocks.secret import is_masked
from blocks.secret_block import PATH, SecretBlock

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from blocks.events_api.client import EventsClient

NO_TOKEN = Problem(
    f"{PATH}.api_token", "there is no token in the block", "the token, which is not copied along with a block"
)


class OnePasswordCredentials(SecretBlock):
    """The token of a 1Password account, and the server that it is for.

    Example:
        ```python
        from blocks.events_api.credentials import OnePasswordCredentials

        credentials = OnePasswordCredentials.load("BLOCK_NAME")
        with credentials.get_client() as client:
            print(client.introspect().scopes)
        ```

    """

    _block_type_name: ClassVar[str | None] = "1Password Credentials"
    _block_type_slug: ClassVar[str | None] = "1password-credentials"
    _description: ClassVar[str | None] = "The base URL and the token for the 1Password Events API of one account."
    _documentation_url: ClassVar[HttpUrl | None] = HttpUrl("https://support.1password.com/events-reporting/")

    base_url: str = Field(
        title="Base URL",
        description=(
            "The Events API of your account: events.1password.com, events.1password.ca, events.1password.eu,"
            " or events.ent.1password.com for 1Password Enterprise. Other hosts must be allowed."
        ),
        examples=["https://events.1password.com"],
    )
    api_token: SecretStr = Field(
        title="API token",
        description=(
            "A bearer token, issued in 1Password under Integrations, Directory, Events Reporting."
            " It needs the features that are to be collected: sign-in attempts, item usages, audit events."
        ),
        # For the form only: a constraint of pydantic would reject the block before it can be corrected.
        json_schema_extra={"pattern": r"^\S+$"},
    )

    def validated(self) -> Self:
        """The block itself. Raises ConfigurationError with all that is wrong in it."""
        problems: list[Problem] = []
        try:
            normalise_base_url(self.base_url, settings.allowed_hosts())
        except HostError as error:
            problems.append(Problem(f"{PATH}.base_url", error.problem, error.expected))
        problems += _token_problems(self.api_token.get_secret_value())
        if problems:
            raise ConfigurationError(problems)
        return self

    def get_client(
        self, api_version: str = "v2", *, slot: Callable[[], AbstractContextManager[None]] | None = None
    ) -> EventsClient:
        """A client for the account, to be closed after use. Raises ConfigurationError.

        Each request is made within a rate-limit `slot`, which may wait or raise: see `EventsClient`.
        """
        from blocks.events_api.client import EventsClient  # noqa: PLC0415 - httpx is needed only here

        self.validated()
        base_url = normalise_base_url(self.base_url, settings.allowed_hosts())
        token = self.api_token.get_secret_value()
        return EventsClient(base_url, token, api_version=api_version, slot=slot)


def _token_problems(token: str) -> list[Problem]:
    if is_masked(token):
        return [NO_TOKEN]
    problem = token_problem(NO_TOKEN.path, token)
    return [problem] if problem else []
