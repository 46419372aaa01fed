"""The base of all SIEM blocks: what a person can set for each of them."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr

from blocks.problems import ConfigurationError, Problem
from blocks.secret import is_masked
from blocks.secret_block import PATH, SecretBlock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

    from blocks.events_api.models import Api
    from blocks.siem.delivery.protocol import Sender

Shape = Literal["raw", "ecs", "ocsf"]
ClassifierName = Literal["event-id", "parser"]


SHARED = frozenset({"shape", "classifier", "rules", "hash_key"})
"""What a person can set for each of them alike."""
HASH_KEY_MIN = 16  # characters; a shorter key can be guessed by whoever knows one address and its hash


class SiemBlock(SecretBlock):
    """One SIEM, or one archive, that events are forwarded to.

    A block is opened with `get_sender`. What is wrong in it comes from `validated`, all at once.
    """

    kind: ClassVar[str]
    """What it is called in a JSON file and on the command line, such as splunk."""
    is_archive: ClassVar[bool] = False
    """Whether it takes events that are not meant for a SIEM too (`_siemForward` is not true)."""
    guarantee: ClassVar[str]
    """What is promised of an event's copies, in a few words for the table of SIEMs."""

    shape: Shape = Field(
        default="raw",
        description="The form of each event: raw as 1Password sent it, or ECS (Elastic), or OCSF.",
    )
    classifier: ClassifierName = Field(
        default="event-id",
        title="Told by",
        description=(
            "How Sumo Logic's SIEM is told what an event is: event-id sends _siemEventID (such as signin-success),"
            " parser sends _siemParser."
        ),
    )
    rules: list[dict[str, Any]] = Field(
        default_factory=list,
        title="Privacy rules",
        description=(
            "What is kept from this SIEM, in order: keep or drop events, mask, hash or remove members."
            ' Such as {"remove": ["location"]} or {"drop": {"action": ["fill"]}}.'
        ),
        examples=[[{"mask": ["user.email", "target_user.email"]}]],
    )
    hash_key: SecretStr = Field(
        default=SecretStr(""),
        title="Key for hashes",
        description=(
            f"With which members are hashed, where a rule says so: {HASH_KEY_MIN} random characters or more."
            " Keep it, to find a person again."
        ),
    )

    @classmethod
    def model_json_schema(cls, *how: Any, **also: Any) -> dict[str, Any]:
        """The form: what this SIEM alone has comes first."""
        schema = super().model_json_schema(*how, **also)
        members = schema.get("properties", {})
        schema["properties"] = dict(sorted(members.items(), key=lambda member: member[0] in SHARED))
        return schema

    def data_stream_namespace(self, api: Api) -> str:  # noqa: ARG002 - not every index has one for all
        """The `data_stream.namespace` of an API's events in the shape ECS."""
        return "default"

    @abstractmethod
    def get_sender(self) -> Sender:
        """A connection, to be closed after use. Raises ConfigurationError, and ThirdPartyConfigError."""

    def problems(self) -> Iterator[Problem]:
        """All that is wrong in what this SIEM alone has; `PATH` is where the paths begin."""
        return iter(())

    def ensure_valid(self) -> Self:
        """The block itself. Raises ConfigurationError with all that is wrong in it."""
        found = [*self._secret_problems(), *self.problems(), *self._rule_problems()]
        if found:
            raise ConfigurationError(found)
        return self

    def public_settings(self) -> dict[str, Any]:
        """What may be shown of it, and kept in the store: all but its secrets."""
        return {name: value for name, value in self._members().items() if not isinstance(value, SecretStr)}

    def fingerprint(self) -> str:
        """32 hexadecimal characters that change with whatever is sent, or where; its secrets are not in them.

        They are stored, so that whoever reads the store could try secrets: each try takes as long as `_slow` does.
        """
        plain = {
            name: _slow(f"{self.kind}.{name}", value.get_secret_value()) if isinstance(value, SecretStr) else value
            for name, value in self._members().items()
        }
        return hashlib.blake2b(json.dumps(plain, sort_keys=True).encode(), digest_size=16).hexdigest()

    @classmethod
    def setting_fields(cls) -> dict[str, FieldInfo]:
        """The members that a person sets, in the order of the form."""
        return {name: one for name, one in cls.model_fields.items() if name not in _OF_PREFECT}

    def _members(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.setting_fields()}

    def _rule_problems(self) -> Iterator[Problem]:
        from blocks.siem.privacy import rules  # noqa: PLC0415 - pydantic models of its own

        key = self.hash_key.get_secret_value()
        yield from rules.problems(self.rules, f"{PATH}.rules", has_key=bool(key))
        if 0 < len(key) < HASH_KEY_MIN and not is_masked(key) and rules.hashes(self.rules):
            expected = f"{HASH_KEY_MIN} random characters or more, such as: openssl rand -hex 32"
            yield Problem(f"{PATH}.hash_key", "it is too short to hash with", expected)

    def _secret_problems(self) -> Iterator[Problem]:
        for name, value in self._members().items():
            if isinstance(value, SecretStr) and (text := value.get_secret_value()) and is_masked(text):
                yield Problem(f"{PATH}.{name}", "there are only asterisks", "the secret, which is not copied along")


@lru_cache(maxsize=256)
def _slow(member: str, secret: str) -> str:
    """What stands for a secret in a fingerprint: about 10 ms and 4 MB, once in a process. Nothing for an empty one.

    The salt is fixed: in any process, the same secret of the same member must come to the same.
    """
    if not secret:
        return ""
    salt = f"onepassword-source.{member}".encode()
    return hashlib.scrypt(secret.encode(errors="surrogatepass"), salt=salt, n=2**12, r=8, p=1, dklen=32).hex()


_OF_PREFECT = set(SecretBlock.model_fields)
