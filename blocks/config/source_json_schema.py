"""The JSON Schema of a file of sources, for editors. `apply` itself checks more: see `source_schema`."""

from __future__ import annotations

from typing import Any

from blocks.config.source_keys import SOURCE_KEYS, SourceKey
from blocks.secret_references.secret_json_schema import SECRET_SCHEMA
from blocks.siem.privacy import processing

_ANY: dict[str, Any] = {"id": {}, "name": {}, "state": {}, "alive": {}}
"""What an export of the hosted source has too. `apply` ignores it."""
_RULE = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": processing.NAME_MAX},
        "filterType": {"enum": list(processing.TYPES)},
        "regexp": {"type": "string", "description": "A pattern in the syntax of RE2."},
        "mask": {"type": ["string", "null"], "description": "Of a mask: what replaces the matches."},
    },
    "required": ["name", "filterType", "regexp"],
    "additionalProperties": False,
}


def source_file_schema() -> dict[str, Any]:
    """The schema of `{"source": …}` and of `{"sources": […]}`, without `$id`."""
    return {
        "title": "Sources",
        "description": "One source or several, as `onepassword-source apply` reads them and `export` writes one.",
        "type": "object",
        "properties": {
            "$schema": {},
            "api.version": {"const": "v1"},
            "source": {"$ref": "#/$defs/source"},
            "sources": {"type": "array", "items": {"$ref": "#/$defs/source"}, "minItems": 1},
        },
        "oneOf": [{"required": ["source"]}, {"required": ["sources"]}],
        "additionalProperties": False,
        "$defs": {"source": _source(), "config": _config(), "rule": _RULE, "secret": SECRET_SCHEMA},
    }


def _source() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "sourceType": {"const": "Universal"},
            "schemaRef": {
                "type": "object",
                "properties": {"type": {"const": "1Password"}, "version": {}},
                "required": ["type"],
                "additionalProperties": False,
            },
            "config": {"$ref": "#/$defs/config"},
            "filters": {
                "type": ["array", "null"],
                "items": {"$ref": "#/$defs/rule"},
                "maxItems": processing.RULES_MAX,
                "description": "Processing rules: what is sent to SIEMs and archives. Everything is stored.",
            },
            "hashAlgorithm": {"enum": [*processing.ALGORITHMS, None]},
            **_ANY,
        },
        "required": ["sourceType", "schemaRef", "config"],
        "additionalProperties": False,
    }


def _config() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {key.name: {**key.schema, "description": _described(key)} for key in SOURCE_KEYS},
        "required": [key.name for key in SOURCE_KEYS if key.required],
        "additionalProperties": False,
    }


def _described(key: SourceKey) -> str:
    default = key.default if key.default and key.default != "required" else ""
    return f"{key.meaning} Default: {default}." if default else key.meaning
