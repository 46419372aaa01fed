"""The JSON Schema of a file of SIEMs, for editors, made from the blocks. `apply` itself checks more."""

from __future__ import annotations

from typing import Any

from blocks.secret_references.secret_json_schema import SECRET_SCHEMA
from blocks.siem.configuration import KINDS, NAME_MAX, block_class, config_fields, required_secrets


def siem_file_schema() -> dict[str, Any]:
    """The schema of `{"siem": …}` and of `{"siems": […]}`, without `$id`."""
    return {
        "title": "SIEMs",
        "description": "One SIEM or archive, or several, as `onepassword-source apply` reads them.",
        "type": "object",
        "properties": {
            "$schema": {"type": "string"},
            "api.version": {},
            "siem": {"$ref": "#/$defs/siem"},
            "siems": {"type": "array", "items": {"$ref": "#/$defs/siem"}, "minItems": 1},
        },
        "oneOf": [{"required": ["siem"]}, {"required": ["siems"]}],
        "additionalProperties": False,
        "$defs": {"siem": _siem(), "secret": SECRET_SCHEMA, **{kind: _config(kind) for kind in KINDS}},
    }


def _siem() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": NAME_MAX},
            "type": {"enum": list(KINDS)},
            "sources": {
                "type": "array",
                "items": {"type": "string", "minLength": 1},
                "minItems": 1,
                "description": "The names of the sources whose events it gets.",
            },
            "config": {"type": "object"},
        },
        "required": ["name", "type", "sources"],
        "additionalProperties": False,
        "allOf": [
            {
                "if": {"properties": {"type": {"const": kind}}, "required": ["type"]},
                "then": {"properties": {"config": {"$ref": f"#/$defs/{kind}"}}},
            }
            for kind in KINDS
        ],
    }


def _config(kind: str) -> dict[str, Any]:
    """The members of a kind's `config`. A required secret may be absent: then you type it."""
    fields, properties = block_class(kind).setting_fields(), block_class(kind).model_json_schema()["properties"]
    secrets = config_fields(kind)
    typed = set(required_secrets(kind))
    return {
        "type": "object",
        "properties": {
            name: _secret(properties[name]) if secrets[name] else _plain(properties[name]) for name in fields
        },
        "required": [name for name, info in fields.items() if info.is_required() and name not in typed],
        "additionalProperties": False,
    }


def _secret(form: dict[str, Any]) -> dict[str, Any]:
    return {"$ref": "#/$defs/secret", "description": form.get("description", "")}


def _plain(form: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in form.items() if name not in {"title", "format", "writeOnly", "position"}}
