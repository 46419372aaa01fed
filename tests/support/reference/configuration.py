"""The keys of a source's file, the settings, and the members of each kind of SIEM."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from support.reference.markdown import code, table

from blocks.config.source_keys import FILTERS_MEANING, SOURCE_KEYS
from blocks.settings import PREFIX, SETTINGS
from blocks.siem.base import SHARED_FIELDS
from blocks.siem.configuration import KINDS, block_class, config_fields

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


def source_keys() -> str:
    rows = [(code(key.name), key.default, key.meaning) for key in SOURCE_KEYS]
    return table(("key in `config`", "default", "meaning"), [*rows, ("`filters`", "", FILTERS_MEANING)])


def settings() -> str:
    return table(
        ("variable", "default", "meaning"), ((code(PREFIX + one.name), one.default, one.meaning) for one in SETTINGS)
    )


def shared_siem_members() -> str:
    """The members that `config` of every SIEM has. Their defaults are those of Splunk if kinds differ."""
    return _members("splunk", shared=True)


def siem_sections() -> str:
    parts = []
    for kind in KINDS:
        block = block_class(kind)
        first = (block.__doc__ or "").split("\n\n")[0].strip()
        parts += [f"## `{kind}`", f"{first} Delivery: {block.guarantee}. See [its page](../siem/{kind}.md)."]
        default = block.model_fields["event_format"].default
        parts += [f"`event_format` is `{default}` by default.", _members(kind, shared=False)]
    return "\n\n".join(parts)


def _members(kind: str, *, shared: bool) -> str:
    fields, secrets = block_class(kind).setting_fields(), config_fields(kind)
    rows = [
        (code(name), _type(kind, name, secret=secrets[name]), _default(info), _meaning(info))
        for name, info in fields.items()
        if (name in SHARED_FIELDS) == shared
    ]
    return table(("member", "type", "default", "meaning"), rows)


def _meaning(info: FieldInfo) -> str:
    return re.sub(r"(\{\".*?\}+)", r"`\1`", info.description or "")


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True)
    if hasattr(value, "get_secret_value"):
        return "none"
    return "none" if value in ("", [], {}, None) else code(json.dumps(value).strip('"'))


def _type(kind: str, name: str, *, secret: bool) -> str:
    if secret:
        return "secret"
    schema: dict[str, Any] = block_class(kind).model_json_schema()["properties"][name]
    allowed = schema.get("enum") or [each["const"] for each in schema.get("anyOf", []) if "const" in each]
    if allowed:
        return ", ".join(code(str(value)) for value in allowed)
    types = [schema["type"]] if "type" in schema else [each.get("type", "") for each in schema.get("anyOf", [])]
    words = {"string": "text", "integer": "number", "number": "number", "boolean": "true or false", "null": ""}
    return " or ".join(filter(None, (words.get(one, "list" if one == "array" else one) for one in types)))
