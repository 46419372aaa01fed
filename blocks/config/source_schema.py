"""The rules for one source. Every member is looked at; nothing stops at the first fault."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from blocks import clock, durations, settings
from blocks.config import alert_thresholds
from blocks.config.source_config import SourceConfig
from blocks.events_api.hosts import HostError, normalise_base_url
from blocks.events_api.models import Api
from blocks.events_api.token import Claims, read_claims
from blocks.problems import Fault, join, kind_of, nearest, show
from blocks.secret import Secret, is_masked
from blocks.siem.privacy import processing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

NAME_MAX = 128
TOKEN_MAX = 8192  # about what a server takes as one header
EXPIRY_DAYS = 14
TOKEN_SETTING = f"{settings.PREFIX}API_TOKEN"

_API_VERSIONS = ("v2", "v1")
_SCHEMA_KEYS = ("type", "version")
_SOURCE_KEYS = ("sourceType", "schemaRef", "config")
_HOSTED_KEYS = ("id", "name", "state", "alive", "hashAlgorithm")  # what an export of the hosted source may hold too
_REQUIRED = ("name", "supported_apis")
_OPTIONAL = (
    "description",
    "category",
    "fields",
    "base_url",
    "api_token",
    "api_version",
    "collect_from",
    "silence_after",
    "lag_after",
)
_CONFIG_KEYS = (*_REQUIRED, *_OPTIONAL)
_APIS = {
    "sign-in": Api.SIGN_IN,
    **dict.fromkeys(("signinattempts", "signInAttempts", "sign-in-attempts"), Api.SIGN_IN),
    "itemUsage": Api.ITEM_USAGE,
    **dict.fromkeys(("itemusages", "itemUsages", "item-usages"), Api.ITEM_USAGE),
    "audit": Api.AUDIT,
    **dict.fromkeys(("auditevents", "auditEvents", "audit-events"), Api.AUDIT),
}
"""What `supported_apis` may call an API: its name, and the spellings of 1Password's own."""
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Checks:
    """Reads one source and collects what is wrong in `faults`, which the sources of a file share."""

    def __init__(self, faults: list[Fault], allowed_hosts: frozenset[str], token: str | None) -> None:
        self.faults = faults
        self._allowed_hosts = allowed_hosts
        self._token_outside = None if is_masked(token or "") else token
        self._warnings: list[str] = []

    def source(self, source: Mapping[str, object], path: str) -> SourceConfig | None:
        before = len(self.faults)
        unknown_keys(source, path, _SOURCE_KEYS, self.faults, (*_HOSTED_KEYS, "filters"))
        self._constant(source, path, "sourceType", "Universal")
        schema = self._object(source, path, "schemaRef")
        if schema is not None:
            unknown_keys(schema, f"{path}.schemaRef", _SCHEMA_KEYS, self.faults)
            self._constant(schema, f"{path}.schemaRef", "type", "1Password")
        filters = self.filters(source.get("filters"), source.get("hashAlgorithm"), path)
        members = self._object(source, path, "config")
        config = None if members is None else self.config(members, f"{path}.config")
        if config is None or len(self.faults) > before:
            return None
        return replace(config, filters=filters, hosted=hosted_members(source, config))

    def filters(self, given: object, algorithm: object, path: str) -> tuple[Mapping[str, Any], ...] | None:
        """The processing rules, which stand at `path`, and the algorithm of their hashes."""
        found = [
            *processing.faults(given, join(path, "filters")),
            *processing.faults_of_algorithm(algorithm, join(path, "hashAlgorithm")),
        ]
        self.faults += found
        if found or not isinstance(given, list):
            return None
        self._warnings += processing.warnings(given)
        return tuple(given)

    def config(self, members: Mapping[str, object], path: str) -> SourceConfig | None:
        before = len(self.faults)
        unknown_keys(members, path, _CONFIG_KEYS, self.faults)
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
                members, path, "silence_after", alert_thresholds.problem_of_silence, alert_thresholds.SILENCE_FORMS
            ),
            lag_after=self._bound(
                members, path, "lag_after", alert_thresholds.problem_of_lag, alert_thresholds.LAG_FORMS
            ),
        )
        if len(self.faults) > before:
            return None
        self._warnings += _warnings_of_claims(config, claims)
        return replace(config, warnings=tuple(self._warnings))

    def _fault(self, path: str, key: str, problem: str, expected: str) -> None:
        self.faults.append(Fault(join(path, key), problem, expected))

    def _constant(self, members: Mapping[str, object], path: str, key: str, value: str) -> None:
        found = members.get(key)
        if found == value:
            return
        problem = "it is missing" if found is None else f"it is {_shown(found)}"
        self._fault(path, key, problem, show(value))

    def _object(self, members: Mapping[str, object], path: str, key: str) -> Mapping[str, object] | None:
        found = members.get(key)
        if isinstance(found, dict):
            return found
        self._fault(path, key, "it is missing" if found is None else f"it is {kind_of(found)}", "an object")
        return None

    def _text(self, members: Mapping[str, object], path: str, key: str) -> str | None:
        """The text of a member, or None where it is absent, null or empty."""
        found = members.get(key)
        if found is None or isinstance(found, str):
            return found or None
        self._fault(path, key, f"it is {kind_of(found)}", "a text")
        return None

    def _line(self, members: Mapping[str, object], path: str, key: str) -> str | None:
        text = self._text(members, path, key)
        if text and (problem := _problem_of_line(text)):
            self._fault(path, key, problem, "one line of plain text")
        return text

    def _description(self, members: Mapping[str, object], path: str) -> str | None:
        text = self._text(members, path, "description")
        if text and any(char == "\0" or unicodedata.category(char) == "Cs" for char in text):
            self._fault(path, "description", "it holds a character that cannot be stored", "plain text")
        return text

    def _name(self, members: Mapping[str, object], path: str) -> str:
        expected = f"a name of 1 to {NAME_MAX} characters"
        count = len(self.faults)
        name = self._line(members, path, "name") or ""
        if len(self.faults) > count:
            return name
        if not name.strip():
            problem = "the name is empty" if members.get("name") is not None else "it is missing"
            self._fault(path, "name", problem, expected)
        elif name != name.strip():
            self._fault(path, "name", "the name has white space around it", show(name.strip()))
        elif len(name) > NAME_MAX:
            self._fault(path, "name", f"the name has {len(name)} characters", expected)
        return name

    def _fields(self, members: Mapping[str, object], path: str) -> dict[str, str | bool | int | float]:
        found = members.get("fields")
        if found is None:
            return {}
        if not isinstance(found, dict):
            self._fault(path, "fields", f"it is {kind_of(found)}", "an object")
            return {}
        return {key: value for key, value in found.items() if self._is_field(join(path, "fields"), key, value)}

    def _is_field(self, path: str, key: str, value: object) -> bool:
        if not key or _problem_of_line(key):
            self._fault(path, key, "the name of the field cannot be used", "one line of plain text")
        elif key == "_siemForward" and not isinstance(value, bool):
            self._fault(path, key, f"it is {kind_of(value)}", "true or false")
        elif not isinstance(value, str | bool | int | float):
            self._fault(path, key, f"it is {kind_of(value)}", "a text, a number, true or false")
        elif isinstance(value, str) and (problem := _problem_of_line(value)):
            self._fault(path, key, problem, "one line of plain text")
        else:
            return True
        return False

    def _token(self, members: Mapping[str, object], path: str) -> str | None:
        place = join(path, "api_token")
        token = self._text(members, path, "api_token")
        if token is None or is_masked(token):
            token, place = self._token_outside, TOKEN_SETTING
        if token is None:
            return None
        fault = fault_of_token(place, token)
        if fault is None:
            return token
        self.faults.append(fault)
        return None

    def _base_url(self, members: Mapping[str, object], path: str, token: str | None, claims: Claims | None) -> str:
        count = len(self.faults)
        text = self._text(members, path, "base_url")
        if len(self.faults) > count:
            return ""
        if text is None and claims and claims.host:
            text = claims.host
        if text is None and token is None:
            return ""  # the token that is still to come may name the host
        try:
            return normalise_base_url(text or "", self._allowed_hosts)
        except HostError as error:
            self._fault(path, "base_url", error.problem, error.expected)
            return ""

    def _supported_apis(self, members: Mapping[str, object], path: str) -> tuple[Api, ...]:
        found = members.get("supported_apis")
        if not isinstance(found, list) or not found:
            problem = "it is missing" if found is None else f"it is {kind_of(found)}"
            problem = "the list is empty" if found == [] else problem
            self._fault(path, "supported_apis", problem, f"a list of one or more of {', '.join(Api)}")
            return ()
        place = join(path, "supported_apis")
        return tuple(api for index, name in enumerate(found) if (api := self._api(place, index, name, found)))

    def _api(self, path: str, index: int, name: object, names: Sequence[object]) -> Api | None:
        place = join(path, index)
        if not isinstance(name, str):
            self.faults.append(Fault(place, f"it is {kind_of(name)}", f"one of {', '.join(Api)}"))
        elif name not in _APIS:
            near = nearest(name, _APIS)
            expected = show(_APIS[near]) if near else f"one of {', '.join(Api)}"
            self.faults.append(Fault(place, f"the API {show(name)} is not known", expected))
        elif _APIS[name] in apis_of(names[:index]):
            self.faults.append(Fault(place, f"the API {show(name)} is there twice", "each API once"))
        else:
            return _APIS[name]
        return None

    def _api_version(self, members: Mapping[str, object], path: str) -> str:
        found = members.get("api_version")
        if found is None or found in _API_VERSIONS:
            return str(found or "v2")
        self._fault(path, "api_version", f"it is {_shown(found)}", '"v2" or "v1"')
        return "v2"

    def _bound(
        self, members: Mapping[str, object], path: str, key: str, problem_of: Callable[[str], str], forms: str
    ) -> str | None:
        text = self._text(members, path, key)
        if text and (problem := problem_of(text)):
            self._fault(path, key, problem, forms)
        return text

    def _collect_from(self, members: Mapping[str, object], path: str) -> str | None:
        text = self._text(members, path, "collect_from")
        if text is None:
            return None
        if problem := durations.problem_of(text, clock.now_ns()):
            self._fault(path, "collect_from", problem, durations.FORMS)
        elif durations.is_too_old(text, clock.now_ns()):
            days = durations.DAYS_MAX
            self._warnings.append(f"collect_from is older than {days} days; the first run reads {days} days.")
        return text


def apis_of(names: Iterable[object]) -> tuple[Api, ...]:
    """The APIs of a list of names, without those that name none."""
    return tuple(_APIS[name] for name in names if isinstance(name, str) and name in _APIS)


def hosted_members(source: Mapping[str, Any], config: SourceConfig) -> dict[str, Any]:
    """What a source of a file without faults holds that only the hosted source knows, so that `export` gives it back.

    Members: those of `_HOSTED_KEYS`, `schemaRef` where it has more than a type, and `supported_apis` where their
    spelling is not our own.
    """
    found = {key: source[key] for key in _HOSTED_KEYS if key in source}
    if len(source["schemaRef"]) > 1:
        found["schemaRef"] = source["schemaRef"]
    names = source["config"]["supported_apis"]
    return found if names == list(config.supported_apis) else {**found, "supported_apis": names}


def fault_of_token(place: str, token: str) -> Fault | None:
    if token != token.strip():
        return Fault(place, "the token has white space around it", "the token alone, without it")
    if re.match(r"bearer\s", token, re.IGNORECASE):
        return Fault(place, "the token begins with the word Bearer", "the token alone, without it")
    if re.search(r"\s", token):
        return Fault(place, "the token has white space in it", "the whole token in one piece")
    if not token.isascii() or not token.isprintable() or '"' in token:
        return Fault(place, "the token holds a character that no token has", "the token as 1Password showed it")
    if len(token) > TOKEN_MAX:
        return Fault(place, f"the token has {len(token)} characters", "the token as 1Password showed it")
    return None


def _problem_of_line(text: str) -> str:
    for char in text:
        if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in _BIDI:
            return f"it holds the character U+{ord(char):04X}"
    return ""


def _shown(value: object) -> str:
    return show(value) if isinstance(value, str) else kind_of(value)


def _warnings_of_claims(config: SourceConfig, claims: Claims | None) -> list[str]:
    if config.api_token is None:
        return []
    if claims is None:
        return ["The token is not a JWT of three parts, as 1Password's are. Was it cut off when it was copied?"]
    found = (_other_host(config, claims), _expiry(claims), _missing_scopes(config, claims))
    return [text for text in found if text]


def _other_host(config: SourceConfig, claims: Claims) -> str:
    host = config.base_url.partition("://")[2]
    if claims.host in (None, host):
        return ""
    return f"The token was made for {claims.host}, but base_url is {config.base_url}; base_url is used."


def _expiry(claims: Claims) -> str:
    if claims.expires_at is None:
        return ""
    days = (claims.expires_at - clock.now()) / 86_400
    if days <= 0:
        return "The token has expired. Issue a new one in 1Password under Integrations, Events Reporting."
    return f"The token expires within {int(days) + 1} days." if days < EXPIRY_DAYS else ""


def _missing_scopes(config: SourceConfig, claims: Claims) -> str:
    missing = [api.path for api in config.supported_apis if claims.scopes and api.path not in claims.scopes]
    return f"The token does not name the scopes {', '.join(missing)} that supported_apis needs." if missing else ""


def unknown_keys(
    members: Mapping[str, object],
    path: str,
    known: tuple[str, ...],
    faults: list[Fault],
    passed_over: tuple[str, ...] = (),
) -> None:
    for key in members:
        if key in known or key in passed_over:
            continue
        near = nearest(key, known)
        expected = f"{show(near)}" if near else f"one of {', '.join(known)}"
        faults.append(Fault(join(path, key), "the key is not known", expected))
