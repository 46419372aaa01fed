"""The base of all SIEM blocks: the fields that every SIEM has, and how a block is checked."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr, model_validator

from blocks.problems import ConfigurationError, Problem
from blocks.secret import is_masked
from blocks.secret_block import PATH, SecretBlock
from blocks.secret_references.secret_reader import is_reference, unread_reference
from blocks.siem.formats.event import Classifier
from blocks.siem.privacy import rules as privacy_rules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

    from blocks.events_api.models import Api
    from blocks.siem.delivery.protocol import Sender

EventFormat = Literal["raw", "ecs", "ocsf"]

SHARED_FIELDS = frozenset({"event_format", "classifier", "with_names", "rules", "hash_key"})
"""The fields that every SIEM has. The form shows them last."""
HASH_KEY_MIN = 16  # characters; a shorter key can be guessed by someone who knows one address and its hash
_OLD_NAMES = {"shape": "event_format"}
"""Fields that were renamed: a block that was stored under the old name still loads."""
_LATER_FIELDS = frozenset({"with_names"})
"""Fields that came later. While one is not set, the fingerprint stays as it was without it: an upgrade changes none."""


class SiemBlock(SecretBlock):
    """One SIEM, or one archive, that events are forwarded to.

    `get_sender` opens a connection. `ensure_valid` raises one error with all problems of the configuration.
    """

    kind: ClassVar[str]
    """The name of this kind of SIEM in a JSON file and on the command line, such as splunk."""
    is_archive: ClassVar[bool] = False
    """Whether it also gets events for which forwarding to SIEMs is not enabled (`_siemForward` is not true)."""
    guarantee: ClassVar[str]
    """How often an event may arrive, in a few words for the table of SIEMs."""

    event_format: EventFormat = Field(
        default="raw",
        description="The format of each event: raw as 1Password sent it, or ECS (Elastic), or OCSF.",
    )
    classifier: Classifier = Field(
        default="event-id",
        title="Classifier",
        description=(
            "How Sumo Logic's SIEM recognizes the type of an event: event-id sends _siemEventID (such as"
            " signin-success), parser sends _siemParser."
        ),
    )
    with_names: bool = Field(
        default=False,
        title="With names",
        description=(
            "Add imported names beside the ids of vaults, items, groups and others, such as vault_name. They are"
            " personal data. Privacy rules apply to them."
        ),
    )
    rules: list[dict[str, Any]] = Field(
        default_factory=list,
        title="Privacy rules",
        description=(
            "What this SIEM does not get, in order: keep or drop events, mask, hash or remove members."
            ' Such as {"remove": ["location"]} or {"drop": {"action": ["fill"]}}.'
        ),
        examples=[[{"mask": ["user.email", "target_user.email"]}]],
    )
    hash_key: SecretStr = Field(
        default=SecretStr(""),
        title="Key for hashes",
        description=(
            f"The key with which rules hash members: {HASH_KEY_MIN} random characters or more."
            " Keep it, so that you can find a person again."
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _rename_old_fields(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {_OLD_NAMES.get(name, name): value for name, value in values.items()}

    @classmethod
    def model_json_schema(cls, *how: Any, **also: Any) -> dict[str, Any]:
        """Return the form, with the fields that only this SIEM has first."""
        schema = super().model_json_schema(*how, **also)
        members = schema.get("properties", {})
        schema["properties"] = dict(sorted(members.items(), key=lambda member: member[0] in SHARED_FIELDS))
        return schema

    def data_stream_namespace(self, api: Api) -> str:  # noqa: ARG002 - the same for all APIs, unless a SIEM overrides it
        """Return the `data_stream.namespace` of an API's events in the format ECS."""
        return "default"

    @abstractmethod
    def get_sender(self) -> Sender:
        """Open a connection, to be closed after use. Raises ConfigurationError and ThirdPartyConfigError."""

    def problems(self) -> Iterator[Problem]:
        """Yield the problems of the fields that only this SIEM has. Their paths begin with `PATH`."""
        return iter(())

    def ensure_valid(self) -> Self:
        """Return the block itself. Raises ConfigurationError with all its problems."""
        problems = [*self._secret_problems(), *self.problems(), *self._rule_problems()]
        if problems:
            raise ConfigurationError(problems)
        return self

    def public_settings(self) -> dict[str, Any]:
        """Return all settings except secrets: what may be shown, and kept in the store."""
        return {name: value for name, value in self._settings().items() if not isinstance(value, SecretStr)}

    def fingerprint(self) -> str:
        """Return 32 hexadecimal digits that change with every setting, secrets included.

        The store keeps fingerprints. A reader of the store could test guesses of a secret against one, so each secret
        goes through a slow hash first.
        """
        plain = {
            name: _slow_hash(f"{self.kind}.{name}", value.get_secret_value()) if isinstance(value, SecretStr) else value
            for name, value in self._settings().items()
            if value or name not in _LATER_FIELDS
        }
        return hashlib.blake2b(json.dumps(plain, sort_keys=True).encode(), digest_size=16).hexdigest()

    @classmethod
    def setting_fields(cls) -> dict[str, FieldInfo]:
        """Return the fields that a user sets, in the order of the form."""
        return {name: info for name, info in cls.model_fields.items() if name not in _PREFECT_FIELDS}

    def _settings(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.setting_fields()}

    def _rule_problems(self) -> Iterator[Problem]:
        key = self.hash_key.get_secret_value()
        yield from privacy_rules.problems(self.rules, f"{PATH}.rules", has_key=bool(key))
        if 0 < len(key) < HASH_KEY_MIN and not is_masked(key) and privacy_rules.hashes(self.rules):
            expected = f"{HASH_KEY_MIN} random characters or more, such as: openssl rand -hex 32"
            yield Problem(f"{PATH}.hash_key", "it is too short for a key of hashes", expected)

    def _secret_problems(self) -> Iterator[Problem]:
        for name, value in self._settings().items():
            if isinstance(value, SecretStr) and (text := value.get_secret_value()) and is_masked(text):
                yield Problem(f"{PATH}.{name}", "it holds asterisks only", "the secret itself; a copy masks it")
            elif isinstance(value, SecretStr) and is_reference(text):
                yield unread_reference(f"{PATH}.{name}")


@lru_cache(maxsize=256)
def _slow_hash(member: str, secret: str) -> str:
    """Return the scrypt of a secret (about 10 ms and 4 MB), or an empty text for an empty secret.

    The salt is fixed, because every process must get the same fingerprint for the same secret of the same member.
    """
    if not secret:
        return ""
    salt = f"onepassword-source.{member}".encode()
    return hashlib.scrypt(secret.encode(errors="surrogatepass"), salt=salt, n=2**12, r=8, p=1, dklen=32).hex()


_PREFECT_FIELDS = set(SecretBlock.model_fields)
