"""OCSF's objects, made from the parts of a body. An object is None if the body has no data for it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import msgspec

from blocks.siem.formats import body
from blocks.siem.formats.field_values import country_code, is_ip, to_milliseconds
from blocks.siem.formats.ocsf.activity import OTHER, UNKNOWN

_USER = 1
_EMAIL = re.compile(r"[a-zA-Z0-9!#$%&'*+-/=?^_`{|}~.]+@[a-zA-Z0-9-]+\.[a-zA-Z0-9-.]+")  # OCSF's email_t
_IP_MAX = 40  # characters of OCSF's ip_t
# Beginnings of 1Password's names of operating systems, and OCSF's types for them.
_SYSTEMS = {
    "windows": (100, "Windows"),
    "linux": (200, "Linux"),
    "android": (201, "Android"),
    "mac": (300, "macOS"),
    "ios": (301, "iOS"),
    "ipados": (302, "iPadOS"),
}

Text = str | None


class OcsfObject(msgspec.Struct, gc=False, omit_defaults=True):
    """An object of OCSF. None is not written."""


class OcsfReference(OcsfObject):
    """An object with an id and a type: an account, a group, a service, a resource."""

    uid: Text = None
    name: Text = None
    type: Text = None


class OcsfUser(OcsfObject):
    uid: Text = None
    name: Text = None
    full_name: Text = None
    email_addr: Text = None
    account: OcsfReference | None = None
    type_id: int | None = None
    type: Text = None


class OcsfLocation(OcsfObject):
    city: Text = None
    region: Text = None
    country: Text = None
    lat: float | None = None
    long: float | None = None


class OcsfEndpoint(OcsfObject):
    ip: Text = None
    name: Text = None
    location: OcsfLocation | None = None


class OperatingSystem(OcsfObject):
    name: str
    type_id: int
    type: str
    version: Text = None


class OcsfDevice(OcsfObject):
    """A device. 1Password does not provide its type."""

    type_id: int
    type: str
    uid: Text = None
    name: Text = None
    ip: Text = None
    os: OperatingSystem | None = None


class OcsfSession(OcsfObject):
    """`created_time` is in milliseconds since 1970."""

    uid: Text = None
    created_time: int | None = None


class OcsfActor(OcsfObject):
    user: OcsfUser | None = None
    app_name: Text = None
    session: OcsfSession | None = None


class OcsfEntity(OcsfObject):
    type_id: int
    type: str
    uid: Text = None
    name: Text = None
    version: Text = None
    data: dict[str, Any] | None = None


UNKNOWN_NAME = "Unknown"
"""The name if a class requires a user, a group or an entity, and the event has none."""
UNKNOWN_USER = OcsfUser(name=UNKNOWN_NAME)


def user(person: body.UserDetails, uid: str | None, account: str | None, kind: str | None) -> OcsfUser | None:
    """Return a user. `name` is the e-mail address for sign-in, even if a rule has masked it."""
    uid, email = uid or person.uuid or None, person.email or None
    if not (uid or email or account):
        return None
    found = OcsfUser(uid, email, person.name or None, email if email and is_email(email) else None)
    if account:
        found.account = OcsfReference(account)
    if kind:
        found.type_id, found.type = (_USER, "User") if kind == "user" else (OTHER, kind)
    return found


@lru_cache(maxsize=4096)
def is_email(value: str) -> bool:
    return _EMAIL.fullmatch(value) is not None


def endpoint(ip: str | None, place: body.Location | None, country: str | None = None) -> OcsfEndpoint | None:
    """Return the source of a request. A masked or hashed address is a `name`; for `country` see `location`."""
    if not ip:
        return None
    where = location(place, country) if place else None
    return OcsfEndpoint(ip, None, where) if _is_address(ip) else OcsfEndpoint(None, ip, where)


def _is_address(value: str) -> bool:
    return len(value) <= _IP_MAX and is_ip(value)


def location(place: body.Location, country: str | None = None) -> OcsfLocation | None:
    """Return a location. Its country is a code, from here or from `country` (of a sign-in attempt), else a name."""
    if not (place.city or place.region or place.country):
        return None
    code = country_code(place.country) or country_code(country)
    found = OcsfLocation(place.city or None, place.region or None, code or place.country or None)
    if place.latitude is not None and place.longitude is not None:
        found.lat, found.long = place.latitude, place.longitude
    return found


def device(client: body.Client) -> OcsfDevice | None:
    """Return the device of a client."""
    ip, name = client.ip_address, client.platform_name
    address = ip if ip and _is_address(ip) else None
    if not (name or address):
        return None
    system = _system(client.os_name, client.os_version or None) if client.os_name else None
    return OcsfDevice(UNKNOWN, UNKNOWN_NAME, None, name or None, address, system)


@lru_cache(maxsize=1024)
def _system(name: str, version: str | None) -> OperatingSystem:
    lower = name.lower()
    type_id, caption = next((found for start, found in _SYSTEMS.items() if lower.startswith(start)), (OTHER, name))
    return OperatingSystem(name, type_id, caption, version)


def session(raw: body.Session) -> OcsfSession | None:
    uid, created = raw.uuid or None, to_milliseconds(raw.login_time)
    return None if uid is None and created is None else OcsfSession(uid, created)


def reference(uid: str | None, name: str | None = None) -> OcsfReference:
    """Return a reference to a group by its id, with its name if that is known."""
    return OcsfReference(uid, name or (None if uid else UNKNOWN_NAME))


def unmapped(**members: Any) -> dict[str, Any] | None:
    """Return the documented members that OCSF has no attribute for, under 1Password's names.

    Members that are not documented are in `raw_data` only.
    """
    return {name: value for name, value in members.items() if value is not None} or None


def client_versions(client: body.Client) -> body.Client | None:
    """Return the versions of the app and the browser: OCSF's device has attributes for neither."""
    if client.app_version is None and client.platform_version is None:
        return None
    return body.Client(app_version=client.app_version, platform_version=client.platform_version)
