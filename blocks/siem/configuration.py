"""The JSON configuration of SIEMs: read, checked as a whole, all problems at once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import SecretStr

from blocks import json_file
from blocks.problems import ConfigurationError, Problem, check_keys, describe_type, json_path, quote
from blocks.secret_block import PATH
from blocks.siem.kinds import KINDS, block_class, expected_kind
from blocks.siem.siem_config import SiemConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blocks.siem.base import SiemBlock

WRAPPER = '{"siem": {"name": …, "type": …, "sources": […], "config": {…}}}'
NAME_MAX = 128
_TOP_KEYS = ("api.version", "siem", "siems")
_KEYS = ("name", "type", "sources", "config")


@dataclass
class _Reader:
    problems: list[Problem] = field(default_factory=list)

    def siem(self, value: object, path: str) -> SiemConfig | None:
        if not isinstance(value, dict):
            self.problems.append(Problem(path, f"it is {describe_type(value)}", f"an object: {WRAPPER}"))
            return None
        check_keys(value, path, _KEYS, self.problems)
        before = len(self.problems)
        name = self._name(value.get("name"), json_path(path, "name"))
        sources = self._sources(value.get("sources"), json_path(path, "sources"))
        kind = self._kind(value.get("type"), json_path(path, "type"))
        members = value.get("config", {})
        if not isinstance(members, dict):
            self.problems.append(Problem(json_path(path, "config"), f"it is {describe_type(members)}", "an object"))
        elif kind is not None:
            config = self._config(SiemConfig(name, kind, sources, members), json_path(path, "config"))
            return config if len(self.problems) == before else None
        return None

    def _name(self, value: object, path: str) -> str:
        if isinstance(value, str) and value.strip() == value and 0 < len(value) <= NAME_MAX and value.isprintable():
            return value
        problem = "it is missing" if value is None else "it cannot be a name"
        self.problems.append(Problem(path, problem, f"a text of 1 to {NAME_MAX} printable characters"))
        return ""

    def _sources(self, value: object, path: str) -> tuple[str, ...]:
        if isinstance(value, list) and value and all(isinstance(one, str) and one for one in value):
            return tuple(dict.fromkeys(value))
        problem = "it is missing" if value is None else "it is no list of names"
        self.problems.append(Problem(path, problem, 'names of sources, such as ["1Pass"]'))
        return ()

    def _kind(self, value: object, path: str) -> str | None:
        if isinstance(value, str) and value in KINDS:
            return value
        problem = (
            f"there is no kind of SIEM called {quote(value)}"
            if isinstance(value, str)
            else f"it is {describe_type(value)}"
        )
        self.problems.append(Problem(path, "it is missing" if value is None else problem, expected_kind(value)))
        return None

    def _config(self, config: SiemConfig, path: str) -> SiemConfig | None:
        known = config_fields(config.kind)
        check_keys(config.members, path, tuple(known), self.problems)
        given = {
            key: self._secret(value, json_path(path, key)) if known.get(key) else value
            for key, value in config.members.items()
            if key in known
        }
        # null is a wish to be asked
        nulls = [key for key, secret in known.items() if secret and key in given and given[key] is None]
        asked = tuple(dict.fromkeys([*(key for key in required_secrets(config.kind) if not given.get(key)), *nulls]))
        given = {key: value for key, value in given.items() if key not in asked}
        found = SiemConfig(config.name, config.kind, config.sources, given, asked)
        self.problems += config_problems(found, path)
        return found

    def _secret(self, value: object, path: str) -> object:
        """A secret may stand in the file, or be that of an environment variable: {"env": "SPLUNK_TOKEN"}."""
        if not isinstance(value, dict):
            return value
        name = value.get("env")
        if set(value) != {"env"} or not isinstance(name, str) or not name:
            self.problems.append(
                Problem(path, "it is no secret", 'a text, or {"env": "NAME"} of a variable that holds it')
            )
            return ""
        found = os.environ.get(name, "")
        if not found:
            self.problems.append(
                Problem(path, f"the environment variable {quote(name)} is not set", "one that holds it")
            )
        return found


def parse_siems(document: object) -> list[SiemConfig]:
    """The SIEMs of a file that `strict_json.decode` has read. Raises ConfigurationError with all its problems."""
    reader = _Reader(list(json_file.repeated_keys(document)))
    found = [reader.siem(value, path) for path, value in _listed(document, reader.problems)]
    names = [one.name for one in found if one is not None]
    reader.problems += [
        Problem("$.siems", f"the name {quote(name)} stands there more than once", "each name once")
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if reader.problems:
        raise ConfigurationError(reader.problems)
    return [one for one in found if one is not None]


def config_fields(kind: str) -> dict[str, bool]:
    """The members of its `config`, and whether each is a secret."""
    block = block_class(kind)
    return {name: "SecretStr" in str(one.annotation) for name, one in block.setting_fields().items()}


def required_secrets(kind: str) -> tuple[str, ...]:
    """Its secrets without which it cannot be used."""
    fields = block_class(kind).setting_fields()
    return tuple(name for name, secret in config_fields(kind).items() if secret and fields[name].is_required())


def build_block(config: SiemConfig) -> SiemBlock:
    """The block of a SIEM, not yet saved. Raises ConfigurationError."""
    return block_class(config.kind)(**config.members).ensure_valid()


def config_problems(config: SiemConfig, path: str) -> Sequence[Problem]:
    """What is wrong in the members of `config`; secrets that are still to be asked for are none of it."""
    stand_ins = {name: SecretStr("x" * 40) for name in config.missing_secrets}
    try:
        block_class(config.kind)(**{**config.members, **stand_ins}).ensure_valid()
    except ConfigurationError as error:
        asked = {f"{PATH}.{name}" for name in config.missing_secrets}
        return [
            Problem(path + problem.path.removeprefix(PATH), problem.description, problem.expected)
            for problem in error.problems
            if problem.path not in asked
        ]
    return ()


def _listed(document: object, problems: list[Problem]) -> list[tuple[str, object]]:
    if not isinstance(document, dict):
        problems.append(Problem("$", f"the file holds {describe_type(document)}", f"an object: {WRAPPER}"))
        return []
    check_keys(document, "$", _TOP_KEYS, problems)
    if "siem" in document and "siems" in document:
        problems.append(Problem("$", "both siem and siems are there", f"one of the two: {WRAPPER}"))
        return []
    if "siem" in document:
        return [("$.siem", document["siem"])]
    siems = document.get("siems")
    if not isinstance(siems, list) or not siems:
        problems.append(Problem("$.siems", "it is no list of SIEMs", f"one or more: {WRAPPER}"))
        return []
    return [(json_path("$.siems", index), one) for index, one in enumerate(siems)]
