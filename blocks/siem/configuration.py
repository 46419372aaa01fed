"""The JSON configuration of SIEMs: the kinds of SIEM, and a file that is checked as a whole.

This module imports neither Prefect nor pydantic, so that commands which only need the kinds start fast. The block class
of a kind is imported when it is needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from blocks import json_file
from blocks.errors import ThirdPartyConfigError
from blocks.problems import ConfigurationError, Problem, check_keys, closest_match, describe_type, json_path, quote
from blocks.secret_references.secret_reader import SecretReader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from blocks.siem.base import SiemBlock

KINDS = ("sumo-logic", "splunk", "elasticsearch", "sentinel", "syslog", "otlp", "webhook", "archive")
"""The name of each kind in a file and on the command line. Its block is in the folder of that name."""
WRAPPER = '{"siem": {"name": …, "type": …, "sources": […], "config": {…}}}'
NAME_MAX = 128
_TOP_KEYS = ("api.version", "siem", "siems")
_KEYS = ("name", "type", "sources", "config")
_STAND_IN = "x" * 40  # passes every check of a secret's length


@dataclass(frozen=True, slots=True)
class SiemConfig:
    """One SIEM as a file configures it: its name, its kind, the sources whose events it gets, its block's settings.

    `missing_secrets` names the secrets that the file leaves open. They are requested from the user before the block is
    built.
    """

    name: str
    kind: str
    sources: tuple[str, ...]
    members: Mapping[str, Any]
    missing_secrets: tuple[str, ...] = ()


def holds_siems(document: object) -> bool:
    """Return whether a file that `json_file.decode` has read holds SIEMs, and not sources."""
    return isinstance(document, dict) and bool({"siem", "siems"} & set(document))


def parse_siems(document: object, *, secrets: SecretReader | None = None) -> list[SiemConfig]:
    """Return the SIEMs of a file that `json_file.decode` has read. Raises ConfigurationError with all problems.

    `secrets` reads the secrets that the file refers to. Without it a reference is a problem.
    """
    parser = _Parser(secrets or SecretReader(follows=False), list(json_file.repeated_keys(document)))
    configs = [parser.siem(value, path) for path, value in _entries(document, parser.problems)]
    names = [config.name for config in configs if config is not None]
    parser.problems += [
        Problem("$.siems", f"the name {quote(name)} is used more than once", "a name of its own for each SIEM")
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if parser.problems:
        raise ConfigurationError(parser.problems)
    return [config for config in configs if config is not None]


@cache
def block_class(kind: str) -> type[SiemBlock]:
    """Import the block class of a kind. Raises ThirdPartyConfigError if there is no such kind."""
    if kind not in KINDS:
        raise ThirdPartyConfigError(
            f"There is no kind of SIEM called {quote(kind)}.", hint=f"Use {expected_kind(kind)}.", code="kind"
        )
    module = import_module(f"blocks.siem.{kind.replace('-', '_')}.block")
    found: type[SiemBlock] = next(value for value in vars(module).values() if getattr(value, "kind", None) == kind)
    return found


def expected_kind(kind: object = None) -> str:
    """Return what to write instead of an unknown kind: the most similar kind, or all of them."""
    similar = closest_match(kind, KINDS) if isinstance(kind, str) else None
    return f'"{similar}"' if similar else f"one of {', '.join(KINDS)}"


def config_fields(kind: str) -> dict[str, bool]:
    """Return the members of a kind's `config`, and for each whether it is a secret."""
    block = block_class(kind)
    return {name: "SecretStr" in str(info.annotation) for name, info in block.setting_fields().items()}


def required_secrets(kind: str) -> tuple[str, ...]:
    """Return the secrets that a kind needs."""
    fields = block_class(kind).setting_fields()
    return tuple(name for name, secret in config_fields(kind).items() if secret and fields[name].is_required())


def build_block(config: SiemConfig) -> SiemBlock:
    """Return the block of a SIEM, not yet saved. Raises ConfigurationError."""
    return block_class(config.kind)(**config.members).ensure_valid()


def config_problems(config: SiemConfig, path: str) -> Sequence[Problem]:
    """Return the problems of a `config`, which is at `path`. A secret that is still missing is no problem."""
    from blocks.secret_block import PATH  # noqa: PLC0415 - imports Prefect

    stand_ins = dict.fromkeys(config.missing_secrets, _STAND_IN)
    try:
        block_class(config.kind)(**{**config.members, **stand_ins}).ensure_valid()
    except ConfigurationError as error:
        missing = {f"{PATH}.{name}" for name in config.missing_secrets}
        return [
            Problem(path + problem.path.removeprefix(PATH), problem.description, problem.expected)
            for problem in error.problems
            if problem.path not in missing
        ]
    return ()


@dataclass
class _Parser:
    """Reads values of a file, and collects their problems instead of stopping at the first one."""

    secrets: SecretReader
    problems: list[Problem] = field(default_factory=list)

    def siem(self, value: object, path: str) -> SiemConfig | None:
        if not isinstance(value, dict):
            self._report(path, f"it is {describe_type(value)}", f"an object: {WRAPPER}")
            return None
        check_keys(value, path, _KEYS, self.problems)
        before = len(self.problems)
        name = self._name(value.get("name"), json_path(path, "name"))
        sources = self._sources(value.get("sources"), json_path(path, "sources"))
        kind = self._kind(value.get("type"), json_path(path, "type"))
        members = value.get("config", {})
        if not isinstance(members, dict):
            self._report(json_path(path, "config"), f"it is {describe_type(members)}", "an object")
        elif kind is not None:
            config = self._config(SiemConfig(name, kind, sources, members), json_path(path, "config"))
            return config if len(self.problems) == before else None
        return None

    def _name(self, value: object, path: str) -> str:
        if isinstance(value, str) and value.strip() == value and 0 < len(value) <= NAME_MAX and value.isprintable():
            return value
        problem = "it is missing" if value is None else "it cannot be a name"
        self._report(path, problem, f"a text of 1 to {NAME_MAX} printable characters")
        return ""

    def _sources(self, value: object, path: str) -> tuple[str, ...]:
        if isinstance(value, list) and value and all(isinstance(name, str) and name for name in value):
            return tuple(dict.fromkeys(value))
        problem = "it is missing" if value is None else "it is not a list of names"
        self._report(path, problem, 'names of sources, such as ["1Pass"]')
        return ()

    def _kind(self, value: object, path: str) -> str | None:
        if isinstance(value, str) and value in KINDS:
            return value
        if value is None:
            problem = "it is missing"
        elif isinstance(value, str):
            problem = f"there is no kind of SIEM called {quote(value)}"
        else:
            problem = f"it is {describe_type(value)}"
        self._report(path, problem, expected_kind(value))
        return None

    def _config(self, config: SiemConfig, path: str) -> SiemConfig:
        fields = config_fields(config.kind)
        check_keys(config.members, path, tuple(fields), self.problems)
        given = {
            key: self.secrets.read(value, json_path(path, key), self.problems) if fields.get(key) else value
            for key, value in config.members.items()
            if key in fields
        }
        # A secret that is null in the file is requested from the user, whether it is required or not.
        nulls = [key for key, secret in fields.items() if secret and key in given and given[key] is None]
        required = [key for key in required_secrets(config.kind) if not given.get(key)]
        missing = tuple(dict.fromkeys([*required, *nulls]))
        members = {key: value for key, value in given.items() if key not in missing}
        parsed = SiemConfig(config.name, config.kind, config.sources, members, missing)
        self.problems += config_problems(parsed, path)
        return parsed

    def _report(self, path: str, description: str, expected: str) -> None:
        self.problems.append(Problem(path, description, expected))


def _entries(document: object, problems: list[Problem]) -> list[tuple[str, object]]:
    """Return each SIEM of a file with its JSON path."""
    if not isinstance(document, dict):
        problems.append(Problem("$", f"the file holds {describe_type(document)}", f"an object: {WRAPPER}"))
        return []
    check_keys(document, "$", _TOP_KEYS, problems, ("$schema",))  # editors read it
    if "siem" in document and "siems" in document:
        problems.append(Problem("$", "it has both siem and siems", f"one of the two: {WRAPPER}"))
        return []
    if "siem" in document:
        return [("$.siem", document["siem"])]
    siems = document.get("siems")
    if not isinstance(siems, list) or not siems:
        problems.append(Problem("$.siems", "it is not a list of SIEMs", f"one or more: {WRAPPER}"))
        return []
    return [(json_path("$.siems", index), value) for index, value in enumerate(siems)]
