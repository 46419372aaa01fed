"""How a flow's parameters look in the run form of the Prefect UI: a calendar, a list to choose from, a line of text.

The form would else first ask whether a value is to be None. From a command line a time may be a date or a duration
before now too: forms check that, Prefect does not.
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
    """Take None out of the form's defaults: it would send that as the value, and Prefect refuse it."""
    for shown in flow.parameters.properties.values():
        if shown.get("default", "") is None:
            del shown["default"]
