"""The rules for one source. Every member is looked at; nothing stops at the first problem."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from blocks import clock, settings
from blocks.config import alert_thresholds, first_run
from blocks.config.source_config import SourceConfig
from blocks.config.source_keys import API_NAMES, API_VERSIONS, HOSTED_KEYS, NAME_MAX, SOURCE_KEYS
from blocks.durations import DAYS_MAX
from blocks.events_api.hosts import HostError, normalise_base_url
from blocks.events_api.models import Api
from blocks.events_api.token import TokenClaims, read_claims, token_problem
from blocks.problems import Problem, check_keys, closest_match, describe_type, json_path, quote
from blocks.secret import Secret, is_masked
from blocks.secret_references.secret_reader import SecretReader
from blocks.siem.privacy import processing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

TOKEN_SETTING = f"{settings.PREFIX}API_TOKEN"

_SCHEMA_KEYS = ("type", "version")
_SOURCE_KEYS = ("sourceType", "schemaRef", "config")
_CONFIG_KEYS = tuple(key.name for key in SOURCE_KEYS)
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class SourceValidator:
    """Reads one source and collects what is wrong in `problems`, which the sources of a file share."""

    def __init__(
        self,
        problems: list[Problem],
        allowed_hosts: frozenset[str],
        token: str | None,
        secrets: SecretReader | None = None,
    ) -> None:
        """Without `secrets`, a token that is a reference (a file, a variable, op://) is a problem."""
        self.problems = problems
        self._secrets = secrets or SecretReader(follows=False)
        self._allowed_hosts = allowed_hosts
        self._token_outside = None if is_masked(token or "") else token
        self._warnings: list[str] = []

    def source(self, source: Mapping[str, object], path: str) -> SourceConfig | None:
        before = len(self.problems)
        check_keys(source, path, _SOURCE_KEYS, self.problems, (*HOSTED_KEYS, "filters"))
        self._constant(source, path, "sourceType", "Universal")
        schema = self._object(source, path, "schemaRef")
        if schema is not None:
            check_keys(schema, f"{path}.schemaRef", _SCHEMA_KEYS, self.problems)
            self._constant(schema, f"{path}.schemaRef", "type", "1Password")
        filters = self.filters(source.get("filters"), source.get("hashAlgorithm"), path)
        members = self._object(source, path, "config")
        config = None if members is None else self.config(members, f"{path}.config")
        if config is None or len(self.problems) > before:
            return None
        return replace(config, filters=filters, hosted=hosted_members(source, config))

    def filters(self, rules: object, algorithm: object, path: str) -> tuple[Mapping[str, Any], ...] | None:
        """The processing rules, which stand at `path`, and the algorithm of their hashes."""
        problems = [
            *processing.problems(rules, json_path(path, "filters")),
            *processing.algorithm_problems(algorithm, json_path(path, "hashAlgorithm")),
        ]
        self.problems += problems
        if problems or not isinstance(rules, list):
            return None
        self._warnings += processing.warnings(rules)
        return tuple(rules)

    def config(self, members: Mapping[str, object], path: str) -> SourceConfig | None:
        before = len(self.problems)
        check_keys(members, path, _CONFIG_KEYS, self.problems)
        token = self._token(members, path)
        claims = read_claims(token) if token else None
        config = SourceConfig(
            name=self._name(members, path),
            description=self._description(members, path),
            category=self._line(members, path, "category"),
            fields=self._fields(members, path),
            base_url=self._base_url(members, path, token, claims),
            api_token=Secret(token) if token else None,
            supported_apis=self._supported_apis(members, path),
            api_version=self._api_version(members, path),
            collect_from=self._collect_from(members, path),
            silence_after=self._bound(
                members, path, "silence_after", alert_thresholds.silence_problem, alert_thresholds.SILENCE_FORMS
            ),
            lag_after=self._bound(members, path, "lag_after", alert_thresholds.lag_problem, alert_thresholds.LAG_FORMS),
        )
        if len(self.problems) > before:
            return None
        self._warnings += _warnings_of_claims(config, claims)
        return replace(config, warnings=tuple(self._warnings))

    def _add(self, path: str, key: str, problem: str, expected: str) -> None:
        self.problems.append(Problem(json_path(path, key), problem, expected))

    def _constant(self, members: Mapping[str, object], path: str, key: str, value: str) -> None:
        found = members.get(key)
        if found == value:
            return
        problem = "it is missing" if found is None else f"it is {_shown(found)}"
        self._add(path, key, problem, quote(value))

    def _object(self, members: Mapping[str, object], path: str, key: str) -> Mapping[str, object] | None:
        found = members.get(key)
        if isinstance(found, dict):
            return found
        self._add(path, key, "it is missing" if found is None else f"it is {describe_type(found)}", "an object")
        return None

    def _text(self, members: Mapping[str, object], path: str, key: str) -> str | None:
        """The text of a member, or None where it is absent, null or empty."""
        found = members.get(key)
        if found is None or isinstance(found, str):
            return found or None
        self._add(path, key, f"it is {describe_type(found)}", "a text")
        return None

    def _line(self, members: Mapping[str, object], path: str, key: str) -> str | None:
        text = self._text(members, path, key)
        if text and (problem := _problem_of_line(text)):
            self._add(path, key, problem, "one line of plain text")
        return text

    def _description(self, members: Mapping[str, object], path: str) -> str | None:
        text = self._text(members, path, "description")
        if text and any(char == "\0" or unicodedata.category(char) == "Cs" for char in text):
            self._add(path, "description", "it holds a character that cannot be stored", "plain text")
        return text

    def _name(self, members: Mapping[str, object], path: str) -> str:
        expected = f"a name of 1 to {NAME_MAX} characters"
        count = len(self.problems)
        name = self._line(members, path, "name") or ""
        if len(self.problems) > count:
            return name
        if not name.strip():
            problem = "the name is empty" if members.get("name") is not None else "it is missing"
            self._add(path, "name", problem, expected)
        elif name != name.strip():
            self._add(path, "name", "the name has white space around it", quote(name.strip()))
        elif len(name) > NAME_MAX:
            self._add(path, "name", f"the name has {len(name)} characters", expected)
        return name

    def _fields(self, members: Mapping[str, object], path: str) -> dict[str, str | bool | int | float]:
        found = members.get("fields")
        if found is None:
            return {}
        if not isinstance(found, dict):
            self._add(path, "fields", f"it is {describe_type(found)}", "an object")
            return {}
        return {key: value for key, value in found.items() if self._is_field(json_path(path, "fields"), key, value)}

    def _is_field(self, path: str, key: str, value: object) -> bool:
        if not key or _problem_of_line(key):
            self._add(path, key, "the name of the field cannot be used", "one line of plain text")
        elif key == "_siemForward" and not isinstance(value, bool):
            self._add(path, key, f"it is {describe_type(value)}", "true or false")
        elif not isinstance(value, str | bool | int | float):
            self._add(path, key, f"it is {describe_type(value)}", "a text, a number, true or false")
        elif isinstance(value, str) and (problem := _problem_of_line(value)):
            self._add(path, key, problem, "one line of plain text")
        else:
            return True
        return False

    def _token(self, members: Mapping[str, object], path: str) -> str | None:
        place, count = json_path(path, "api_token"), len(self.problems)
        given = self._secrets.read(members.get("api_token"), place, self.problems)
        token = self._text({"api_token": given}, path, "api_token")
        if len(self.problems) > count:
            return None
        if token is None or is_masked(token):
            token, place = self._token_outside, TOKEN_SETTING
        if token is None:
            return None
        problem = token_problem(place, token)
        if problem is None:
            return token
        self.problems.append(problem)
        return None

    def _base_url(self, members: Mapping[str, object], path: str, token: str | None, claims: TokenClaims | None) -> str:
        count = len(self.problems)
        text = self._text(members, path, "base_url")
        if len(self.problems) > count:
            return ""
        if text is None and claims and claims.host:
            text = claims.host
        if text is None and token is None:
            return ""  # the token that is still to come may name the host
        try:
            return normalise_base_url(text or "", self._allowed_hosts)
        except HostError as error:
            self._add(path, "base_url", error.problem, error.expected)
            return ""

    def _supported_apis(self, members: Mapping[str, object], path: str) -> tuple[Api, ...]:
        found = members.get("supported_apis")
        if not isinstance(found, list) or not found:
            problem = "it is missing" if found is None else f"it is {describe_type(found)}"
            problem = "the list is empty" if found == [] else problem
            self._add(path, "supported_apis", problem, f"a list of one or more of {', '.join(Api)}")
            return ()
        place = json_path(path, "supported_apis")
        return tuple(api for index, name in enumerate(found) if (api := self._api(place, index, name, found)))

    def _api(self, path: str, index: int, name: object, names: Sequence[object]) -> Api | None:
        place = json_path(path, index)
        if not isinstance(name, str):
            self.problems.append(Problem(place, f"it is {describe_type(name)}", f"one of {', '.join(Api)}"))
        elif name not in API_NAMES:
            near = closest_match(name, API_NAMES)
            expected = quote(API_NAMES[near]) if near else f"one of {', '.join(Api)}"
            self.problems.append(Problem(place, f"the API {quote(name)} is not known", expected))
        elif API_NAMES[name] in read_apis(names[:index]):
            self.problems.append(Problem(place, f"the API {quote(name)} is there twice", "each API once"))
        else:
            return API_NAMES[name]
        return None

    def _api_version(self, members: Mapping[str, object], path: str) -> str:
        found = members.get("api_version")
        if found is None or found in API_VERSIONS:
            return str(found or "v2")
        self._add(path, "api_version", f"it is {_shown(found)}", '"v2" or "v1"')
        return "v2"

    def _bound(
        self, members: Mapping[str, object], path: str, key: str, problem_of: Callable[[str], str], forms: str
    ) -> str | None:
        text = self._text(members, path, key)
        if text and (problem := problem_of(text)):
            self._add(path, key, problem, forms)
        return text

    def _collect_from(self, members: Mapping[str, object], path: str) -> str | None:
        text = self._text(members, path, "collect_from")
        if text is None:
            return None
        if problem := first_run.start_problem(text, clock.now_ns()):
            self._add(path, "collect_from", problem, first_run.LOOKBACK_FORMS)
        elif first_run.is_too_old(text, clock.now_ns()):
            self._warnings.append(f"collect_from is older than {DAYS_MAX} days; the first run reads {DAYS_MAX} days.")
        return text


def read_apis(names: Iterable[object]) -> tuple[Api, ...]:
    """The APIs of a list of names, without those that name none."""
    return tuple(API_NAMES[name] for name in names if isinstance(name, str) and name in API_NAMES)


def hosted_members(source: Mapping[str, Any], config: SourceConfig) -> dict[str, Any]:
    """What a source of a file without problems holds that only the hosted source knows, so that `export` gives it back.

    Members: those of `HOSTED_KEYS`, `schemaRef` where it has more than a type, and `supported_apis` where their
    spelling is not our own.
    """
    found = {key: source[key] for key in HOSTED_KEYS if key in source}
    if len(source["schemaRef"]) > 1:
        found["schemaRef"] = source["schemaRef"]
    names = source["config"]["supported_apis"]
    return found if names == list(config.supported_apis) else {**found, "supported_apis": names}


def _problem_of_line(text: str) -> str:
    for char in text:
        if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in _BIDI:
            return f"it holds the character U+{ord(char):04X}"
    return ""


def _shown(value: object) -> str:
    return quote(value) if isinstance(value, str) else describe_type(value)


def _warnings_of_claims(config: SourceConfig, claims: TokenClaims | None) -> list[str]:
    if config.api_token is None:
        return []
    if claims is None:
        return ["The token is not a JWT of three parts, as 1Password's are. Was it cut off when it was copied?"]
    found = (_other_host(config, claims), _expiry(claims), _missing_scopes(config, claims))
    return [text for text in found if text]


def _other_host(config: SourceConfig, claims: TokenClaims) -> str:
    host = config.base_url.partition("://")[2]
    if claims.host in (None, host):
        return ""
    return f"The token was made for {claims.host}, but base_url is {config.base_url}; base_url is used."


def _expiry(claims: TokenClaims) -> str:
    if claims.expires_at is None:
        return ""
    days = (claims.expires_at - clock.now()) / 86_400
    if days <= 0:
        return "The token has expired. Issue a new one in 1Password under Integrations, Events Reporting."
    return f"The token expires within {int(days) + 1} days." if days < max(alert_thresholds.TOKEN_EXPIRES_DAYS) else ""


def _missing_scopes(config: SourceConfig, claims: TokenClaims) -> str:
    missing = [api.path for api in config.supported_apis if claims.scopes and api.path not in claims.scopes]
    return f"The token does not name the scopes {', '.join(missing)} that supported_apis needs." if missing else ""
