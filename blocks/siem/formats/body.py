"""The documented members of a body, of API v1 and v2 together. Each has its documented type, or is absent.

Members of another type and undocumented members are ignored here. The original body keeps both.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec

from blocks.events_api.models import Api
from blocks.siem.formats import json_text

INT64_MAX = 2**63 - 1
Text = str | None
Whole = Annotated[int, msgspec.Meta(ge=-INT64_MAX, le=INT64_MAX)] | None
Latitude = Annotated[float, msgspec.Meta(ge=-90, le=90)] | None
Longitude = Annotated[float, msgspec.Meta(ge=-180, le=180)] | None


class BodyPart(msgspec.Struct, gc=False, omit_defaults=True):
    """A part of a body. When it is encoded, absent members are omitted."""


class UserDetails(BodyPart):
    uuid: Text = None
    name: Text = None
    email: Text = None
    user_type: Text = None
    user_account_uuid: Text = None


class Client(BodyPart):
    app_name: Text = None
    app_version: Text = None
    platform_name: Text = None
    platform_version: Text = None
    os_name: Text = None
    os_version: Text = None
    ip_address: Text = None


class Location(BodyPart):
    """`latitude` and `longitude` are degrees."""

    country: Text = None
    region: Text = None
    city: Text = None
    latitude: Latitude = None
    longitude: Longitude = None


class Details(BodyPart):
    value: Text = None


class Session(BodyPart):
    uuid: Text = None
    login_time: Text = None
    device_uuid: Text = None
    ip: Text = None


class SignIn(BodyPart):
    """A sign-in attempt."""

    session_uuid: Text = None
    category: Text = None
    type: Text = None
    country: Text = None
    account_uuid: Text = None
    details: Details | None = None
    target_user: UserDetails | None = None
    client: Client | None = None
    location: Location | None = None

    @property
    def activity(self) -> str | None:
        return self.category


class ItemUsage(BodyPart):
    """An item usage. Names are there if the SIEM gets them (see `added_names`)."""

    used_version: Whole = None
    vault_uuid: Text = None
    vault_name: Text = None
    item_uuid: Text = None
    item_name: Text = None
    action: Text = None
    account_uuid: Text = None
    user: UserDetails | None = None
    client: Client | None = None
    location: Location | None = None

    @property
    def activity(self) -> str | None:
        return self.action


class Audit(BodyPart):
    """An audit event. Names are there if the SIEM gets them (see `added_names`)."""

    actor_uuid: Text = None
    actor_type: Text = None
    actor_account_uuid: Text = None
    account_uuid: Text = None
    action: Text = None
    object_type: Text = None
    object_uuid: Text = None
    object_name: Text = None
    aux_id: Whole = None
    aux_uuid: Text = None
    aux_name: Text = None
    aux_info: Text = None
    actor_details: UserDetails | None = None
    object_details: UserDetails | None = None
    aux_details: UserDetails | None = None
    session: Session | None = None
    location: Location | None = None

    @property
    def activity(self) -> str | None:
        return self.action


Kind = TypeVar("Kind", bound=BodyPart)
Body = SignIn | ItemUsage | Audit
NO_PERSON, NO_CLIENT, NO_SESSION, NO_LOCATION = UserDetails(), Client(), Session(), Location()
"""Stand-ins for absent parts. They are shared, so never change them."""

_TYPES: dict[Api, type[Body]] = {Api.SIGN_IN: SignIn, Api.ITEM_USAGE: ItemUsage, Api.AUDIT: Audit}
_DECODE = {api: msgspec.json.Decoder(kind).decode for api, kind in _TYPES.items()}


def parse(api: Api, body: str) -> Body:
    """Parse the documented members of a body. Raises nothing, whatever the body holds."""
    try:
        return _DECODE[api](body)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return _fitting(json_text.parse_object(body), _TYPES[api])


def _fitting(members: dict[str, Any], kind: type[Kind]) -> Kind:
    """Return a part with the members whose types fit. An object that does not fit keeps its own fitting members."""
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        value = members.get(field.name)
        try:
            found[field.name] = msgspec.convert(value, field.type)
        except ValueError:  # also raised if a name in an object is a lone surrogate
            if isinstance(value, dict) and (part := _part(field.type)):
                found[field.name] = _fitting(value, part)
    return kind(**found)


def _part(annotation: Any) -> type[BodyPart] | None:
    inside = getattr(annotation, "__args__", ())
    return next((one for one in inside if isinstance(one, type) and issubclass(one, BodyPart)), None)
