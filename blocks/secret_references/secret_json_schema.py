"""The JSON Schema of a secret in a file for `apply`: what `SecretReader` reads."""

from __future__ import annotations

from typing import Any


def _reference(member: str, meaning: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {member: {"type": "string", "minLength": 1, "description": meaning}},
        "required": [member],
        "additionalProperties": False,
    }


SECRET_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": ["string", "null"], "description": "The secret, or `op://…`; null: you type it."},
        _reference("file", "The absolute path of a file that holds the secret."),
        _reference("env", "A variable of the command's environment."),
    ]
}
