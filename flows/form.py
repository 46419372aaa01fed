"""How the parameters of a flow look in the run form of the Prefect UI: a calendar, a choice, a line of text.

Without these types the form shows a choice between None and a value first. On a command line a time may also be a date
or a duration before now: only the form checks `date-time`, Prefect's API does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import WithJsonSchema

if TYPE_CHECKING:
    from prefect import Flow

ApiName = Literal["sign-in", "itemUsage", "audit"]
When = Annotated[str | None, WithJsonSchema({"type": "string", "format": "date-time"})]
Apis = Annotated[
    list[ApiName] | None,
    WithJsonSchema({"type": "array", "items": {"type": "string", "enum": list(get_args(ApiName))}}),
]
Line = Annotated[str | None, WithJsonSchema({"type": "string"})]


def leave_out_none(flow: Flow[..., Any]) -> None:
    """Remove None from the defaults of the form. The form would send it as a value, which Prefect rejects."""
    for shown in flow.parameters.properties.values():
        if shown.get("default", "") is None:
            del shown["default"]
