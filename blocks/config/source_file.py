"""The JSON configuration of sources: read, checked as a whole, and written back in the same form."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from blocks import json_file
from blocks.config.source_config import SourceConfig
from blocks.config.source_schema import TOKEN_SETTING, SourceValidator, read_apis
from blocks.prefect_names import block_name, deployment_name
from blocks.problems import ConfigurationError, Problem, check_keys, describe_type, json_path, quote
from blocks.secret import MASK, Secret, is_masked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from blocks.secret_references.secret_reader import SecretReader

__all__ = [
    "EXPECTED",
    "ConfigurationError",
    "Problem",
    "Secret",
    "SourceConfig",
    "block_name",
    "check_members",
    "deployment_name",
    "parse_sources",
    "read_file",
    "to_json",
    "with_token",
]

FILE_MAX = 1024 * 1024
EXPECTED = "one JSON object; `onepassword-source apply --help` ends with an example"
_TOP_KEYS = ("api.version", "source", "sources")
_HELD_TOKEN = re.compile(rb'"api_token"\s*:\s*"(?!\**"|op://)')


def parse_sources(
    data: bytes, *, allowed_hosts: frozenset[str], token: str | None = None, secrets: SecretReader | None = None
) -> list[SourceConfig]:
    """The sources of a JSON file. `token` stands in where the file holds none.

    `secrets` reads tokens that the file refers to. Without it a reference is a problem, as for JSON from a browser.
    Raises ConfigurationError with all problems of the file at once.
    """
    document = json_file.decode(data, EXPECTED)
    problems = list(json_file.repeated_keys(document))
    sources = _sources(document, problems)
    read = [SourceValidator(problems, allowed_hosts, token, secrets).source(source, path) for path, source in sources]
    problems += _names_used_twice(sources)
    if problems:
        raise ConfigurationError(problems)
    return _warn_of_shared_tokens([config for config in read if config])


def check_members(
    members: Mapping[str, object],
    *,
    allowed_hosts: frozenset[str],
    token: str | None = None,
    path: str = "$",
    filters: Sequence[Mapping[str, Any]] | None = None,
    hosted: Mapping[str, Any] | None = None,
) -> SourceConfig:
    """The configuration of one source from the members of `config`. Raises ConfigurationError.

    `filters` and `hosted` are as SourceConfig has them.
    """
    checks, beside = SourceValidator([], allowed_hosts, token), dict(hosted or {})
    rules = checks.filters(None if filters is None else list(filters), beside.get("hashAlgorithm"), path)
    config = checks.config(members, path)
    if config is None or checks.problems:
        raise ConfigurationError(checks.problems)
    return replace(config, filters=rules, hosted=beside)


def with_token(config: SourceConfig, token: str, *, allowed_hosts: frozenset[str]) -> SourceConfig:
    """The same configuration with a token that was entered apart. Raises ConfigurationError."""
    if is_masked(token):
        raise ConfigurationError([Problem("$.api_token", "there is no token", "the token of your account")])
    members = {**_members(config, mask=False), "api_token": token}
    checked = check_members(members, allowed_hosts=allowed_hosts, filters=config.filters, hosted=config.hosted)
    return replace(checked, warnings=tuple(dict.fromkeys((*config.warnings, *checked.warnings))))


def to_json(configs: SourceConfig | Sequence[SourceConfig], *, mask: bool = True) -> str:
    """The configuration in the form that `parse_sources` reads: `source` for one, `sources` for a list.

    Without `mask` the text holds the tokens; with it, the tokens have to be given again.
    """
    if isinstance(configs, SourceConfig):
        document: dict[str, object] = {"api.version": "v1", "source": _source(configs, mask=mask)}
    else:
        document = {"api.version": "v1", "sources": [_source(config, mask=mask) for config in configs]}
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def read_file(path: Path) -> tuple[bytes, str | None]:
    """The bytes of a file, and a warning where it holds a token that others on this machine may read.

    Raises ConfigurationError where it cannot be read or is larger than 1 MiB.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(FILE_MAX + 1)
    except OSError as error:
        problem = f"the file cannot be read: {error.strerror or type(error).__name__}"
        raise ConfigurationError([Problem(str(path), problem, "a JSON file that you may read")]) from None
    if len(data) > FILE_MAX:
        raise ConfigurationError([Problem(str(path), "the file is larger than 1 MiB", "a source's JSON")])
    return data, _open_to_others(path, mode, data)


def _open_to_others(path: Path, mode: int, data: bytes) -> str | None:
    shared = os.name == "posix" and stat.S_ISREG(mode) and mode & 0o077
    if not shared or not _HELD_TOKEN.search(data):
        return None
    return (
        f"{path} holds a token and is open to others (mode {stat.S_IMODE(mode):04o})."
        f" Run chmod 600 {shlex.quote(str(path))}, or take the token out of it and give it in {TOKEN_SETTING}."
    )


def _sources(document: object, problems: list[Problem]) -> list[tuple[str, Mapping[str, object]]]:
    wrapper = '{"api.version": "v1", "source": {…}}'
    if not isinstance(document, dict):
        problems.append(Problem("$", f"the file holds {describe_type(document)}", f"an object: {wrapper}"))
        return []
    if not {"source", "sources"} & set(document) and {"config", "schemaRef", "name"} & set(document):
        problems.append(Problem("$", "the source stands there without its wrapper", wrapper))
        return []
    check_keys(document, "$", _TOP_KEYS, problems, ("$schema",))  # editors read it
    if document.get("api.version", "v1") != "v1":
        problems.append(Problem(json_path("$", "api.version"), "this version is not known", '"v1"'))
    if ("source" in document) == ("sources" in document):
        problem = "both source and sources are there" if "source" in document else "there is no source"
        problems.append(Problem("$", problem, f"one of the two: {wrapper}"))
        return []
    return _listed(document, problems)


def _listed(document: Mapping[str, object], problems: list[Problem]) -> list[tuple[str, Mapping[str, object]]]:
    if "source" in document:
        places = [("$.source", document["source"])]
    else:
        sources = document["sources"]
        if not isinstance(sources, list) or not sources:
            problem = "the list is empty" if sources == [] else f"it is {describe_type(sources)}"
            problems.append(Problem("$.sources", problem, "a list of sources"))
            return []
        places = [(json_path("$.sources", index), source) for index, source in enumerate(sources)]
    found: list[tuple[str, Mapping[str, object]]] = []
    for path, source in places:
        if isinstance(source, dict):
            found.append((path, source))
        else:
            problems.append(
                Problem(path, f"it is {describe_type(source)}", "an object with sourceType, schemaRef, config")
            )
    return found


def _names_used_twice(sources: Iterable[tuple[str, Mapping[str, object]]]) -> list[Problem]:
    first: dict[str, str] = {}
    problems = []
    for path, source in sources:
        config = source.get("config")
        name = config.get("name") if isinstance(config, dict) else None
        if not isinstance(name, str):
            continue
        place = f"{path}.config.name"
        if first.setdefault(name, place) != place:
            problem = f"the name {quote(name)} is used before, at {first[name]}"
            problems.append(Problem(place, problem, "a name of its own for each source"))
    return problems


def _warn_of_shared_tokens(configs: list[SourceConfig]) -> list[SourceConfig]:
    first: dict[Secret, str] = {}
    warned = []
    for config in configs:
        if config.api_token in first:
            other = quote(first[config.api_token])
            text = f"It has the token of {other}, so both collect the events of the same account."
            warned.append(replace(config, warnings=(*config.warnings, text)))
        else:
            warned.append(config)
        if config.api_token:
            first.setdefault(config.api_token, config.name)
    return warned


def _source(config: SourceConfig, *, mask: bool) -> dict[str, object]:
    """What was read beside `config` is written as it was read, and so are the names of the APIs."""
    hosted = dict(config.hosted)
    names = hosted.pop("supported_apis", None)
    members = _members(config, mask=mask)
    if isinstance(names, list) and read_apis(names) == config.supported_apis:
        members["supported_apis"] = names
    source = {"sourceType": "Universal", "schemaRef": {"type": "1Password"}, **hosted, "config": members}
    return source if config.filters is None else {**source, "filters": list(config.filters)}


def _members(config: SourceConfig, *, mask: bool) -> dict[str, object]:
    token = MASK if mask or config.api_token is None else config.api_token.get_secret_value()
    members: dict[str, object] = {
        "name": config.name,
        "description": config.description,
        "category": config.category,
        "fields": config.fields,
        "base_url": config.base_url.removeprefix("https://") or None,
        "api_token": token,
        "supported_apis": list(config.supported_apis),
    }
    if config.api_version != "v2":
        members["api_version"] = config.api_version
    for name in ("collect_from", "silence_after", "lag_after"):
        if (value := getattr(config, name)) is not None:
            members[name] = value
    return members
