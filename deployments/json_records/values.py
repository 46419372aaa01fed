"""Values that have the same form in all records."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from blocks.events_api.models import Api
from blocks.store.source_health import STATES

Time = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$")]
"""RFC 3339 in UTC, with all known digits."""
Count = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]
ApiName = Annotated[str, Meta(extra_json_schema={"enum": [str(api) for api in Api]})]
Health = Annotated[str, Meta(extra_json_schema={"enum": list(STATES)})]
Severity = Annotated[str, Meta(extra_json_schema={"enum": ["Error", "Warning"]})]
ErrorType = Annotated[
    str,
    Meta(extra_json_schema={"enum": ["ThirdPartyConfigError", "ThirdPartyGenericError", "FirstPartyGenericError"]}),
]
Change = Annotated[
    str,
    Meta(extra_json_schema={"enum": ["created", "updated", "revived", "unchanged", "deleted", "refused"]}),
]
FileChangeName = Annotated[
    str, Meta(extra_json_schema={"enum": ["written", "updated", "unchanged", "kept", "removed"]})
]
