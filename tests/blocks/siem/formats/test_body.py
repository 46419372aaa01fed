"""Documented members of a body are read with their documented types; everything else is ignored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from blocks.events_api.models import Api
from blocks.events_api.vocabulary import EVENTS
from blocks.siem import added_names
from blocks.siem.formats import body as bodies
from blocks.siem.formats.body import INT64_MAX, Client, Location, SignIn, UserDetails


def parse(api: Api, **members: Any) -> Any:
    return bodies.parse(api, json.dumps(members))


def test_the_documented_members_are_read() -> None:
    found = parse(Api.SIGN_IN, category="success", target_user={"name": "Ana"}, client={"ip_address": "192.0.2.7"})
    assert found == SignIn(
        category="success", target_user=UserDetails(name="Ana"), client=Client(ip_address="192.0.2.7")
    )


@pytest.mark.parametrize("api", list(Api))
def test_every_documented_member_has_a_field(api: Api) -> None:
    """The store has the uuid and the time; the type and the account of a user are members of their objects."""
    elsewhere = {"uuid", "timestamp", "user_type", "user_account_uuid"}
    fields = set(bodies._TYPES[api].__struct_fields__) - set(added_names.MEMBERS.values())
    assert set(EVENTS[api.path]) - elsewhere == fields


@pytest.mark.parametrize(
    ("api", "members", "activity"),
    [
        (Api.SIGN_IN, {"category": "success", "action": "x"}, "success"),
        (Api.ITEM_USAGE, {"action": "fill", "category": "x"}, "fill"),
        (Api.AUDIT, {"action": "join"}, "join"),
        (Api.AUDIT, {}, None),
    ],
)
def test_the_activity_is_the_category_or_the_action(api: Api, members: dict[str, Any], activity: str | None) -> None:
    assert parse(api, **members).activity == activity


def test_a_member_of_another_type_is_ignored_and_the_others_stay() -> None:
    found = parse(Api.SIGN_IN, category=5, type="x", client={"ip_address": 7, "os_name": "Linux"}, location=[])
    assert (found.category, found.type, found.location) == (None, "x", None)
    assert found.client == Client(os_name="Linux")


@pytest.mark.parametrize(("number", "expected"), [(3, 3), (INT64_MAX, INT64_MAX), (2**64, None), (1.5, None)])
def test_a_number_beyond_64_bits_is_ignored(number: float, expected: int | None) -> None:
    assert parse(Api.ITEM_USAGE, used_version=number).used_version == expected


@pytest.mark.parametrize(("latitude", "expected"), [(-90.0, -90.0), (91, None), ("x", None)])
def test_a_latitude_is_one_on_earth(latitude: object, expected: float | None) -> None:
    found = parse(Api.AUDIT, location={"latitude": latitude, "city": "Berlin"})
    assert found.location == Location(city="Berlin", latitude=expected)


@pytest.mark.parametrize("body", ["", "[]", "5", "{", '{"a":' * 100_000, '{"\\ud800":1}'])
def test_any_text_gives_a_body(body: str) -> None:
    assert bodies.parse(Api.SIGN_IN, body) == SignIn()
