"""The keys of a source's file: which there are, what they mean, and what values they take.

`source_schema` checks a file against them, and the reference and the JSON Schema of the file are made from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from blocks.durations import DAYS_MAX
from blocks.events_api.models import Api

NAME_MAX = 128
API_VERSIONS = ("v2", "v1")
API_NAMES: Mapping[str, Api] = {
    "sign-in": Api.SIGN_IN,
    **dict.fromkeys(("signinattempts", "signInAttempts", "sign-in-attempts"), Api.SIGN_IN),
    "itemUsage": Api.ITEM_USAGE,
    **dict.fromkeys(("itemusages", "itemUsages", "item-usages"), Api.ITEM_USAGE),
    "audit": Api.AUDIT,
    **dict.fromkeys(("auditevents", "auditEvents", "audit-events"), Api.AUDIT),
}
"""What `supported_apis` may call an API: its name, and the spellings of 1Password's own."""
_TEXT: Mapping[str, Any] = {"type": ["string", "null"]}


@dataclass(frozen=True, slots=True)
class SourceKey:
    """A key of `config`. `default` and `meaning` are Markdown; `schema` is the JSON Schema of its value."""

    name: str
    default: str
    meaning: str
    schema: Mapping[str, Any] = field(default_factory=lambda: _TEXT)
    required: bool = False


SOURCE_KEYS = (
    SourceKey(
        "name",
        "required",
        "Unique. The deployment has the same name.",
        {"type": "string", "minLength": 1, "maxLength": NAME_MAX},
        required=True,
    ),
    SourceKey("description", "", "Free text."),
    SourceKey("category", "", "Source category, sent to SIEMs."),
    SourceKey(
        "fields",
        "",
        "JSON map of metadata, sent to SIEMs. `_siemForward` is one of them.",
        {
            "type": ["object", "null"],
            "properties": {"_siemForward": {"type": "boolean"}},
            "additionalProperties": {"type": ["string", "boolean", "number"]},
        },
    ),
    SourceKey(
        "base_url",
        "required, unless the token names its host",
        "With or without `https://`. The token is only sent to 1Password's hosts, to loopback, and to the hosts in"
        " `ONEPASSWORD_SOURCE_ALLOWED_HOSTS`.",
    ),
    SourceKey(
        "api_token",
        "required",
        'In the file, as it is or as a [reference](../how-to/secrets.md) (`{"file": "/path"}`, `{"env": "NAME"}`,'
        " `op://vault/item/field`); in `ONEPASSWORD_SOURCE_API_TOKEN`; or typed without echo. `********` counts as"
        " missing.",
        {"$ref": "#/$defs/secret"},
    ),
    SourceKey(
        "supported_apis",
        "required",
        "One or more of `sign-in`, `itemUsage` and `audit` (the hosted source does not document `audit`)."
        " `signinattempts`, `itemusages`, `auditevents` work too, also spelled `auditEvents` or `audit-events`.",
        {"type": "array", "items": {"enum": list(API_NAMES)}, "minItems": 1, "uniqueItems": True},
        required=True,
    ),
    SourceKey("api_version", "`v2`", "or `v1`", {"enum": [*API_VERSIONS, None]}),
    SourceKey(
        "collect_from",
        "`24h`",
        "How far back the first run reads: `90m`, `24h`, `7d`, `2w`, a date, or RFC 3339. At most"
        f" {DAYS_MAX} days, which is what 1Password keeps.",
    ),
    SourceKey(
        "silence_after",
        "`24h`, or longer for an API that is often silent for longer",
        "Warn if an API returns no event for this long: a duration, `off`, or one value for each API:"
        " `sign-in=24h, itemUsage=7d, audit=off`.",
    ),
    SourceKey("lag_after", "`1h`", "Warn if an API was not read to its end for this long; `off` disables the warning."),
)
FILTERS_MEANING = (
    "Beside `config`, not inside: processing rules as in Sumo Logic. They include, exclude, mask or hash what is sent"
    " to SIEMs and archives, never what is stored (see [rules](../siem/rules.md)). `hashAlgorithm` beside it is `MD5`"
    " (default) or `SHA-256`."
)
HOSTED_KEYS = ("id", "name", "state", "alive", "hashAlgorithm")
"""What an export of the hosted source may hold too."""
