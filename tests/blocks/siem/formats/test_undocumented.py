"""The members of a body that are not documented: found where there are any, and cheap where there are none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from blocks.events_api.models import Api
from blocks.siem.formats import undocumented
from blocks.siem.formats.undocumented import undocumented_members


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ('{"category": "success", "new": 1}', {"new": 1}),
        ('{"client": {"app_name": "a", "new": 1}}', {"client": {"new": 1}}),
        ('{"client": {"new": 1}, "client": {"app_name": "a"}}', {}),  # the last of two members counts
        ('{"client": null, "location": "here", "details": [1]}', {}),
        ('{"country": {"new": 1}}', {}),  # documented, and of another type
        ('{"category": "\\ud800", "new": 1}', {"new": 1}),
        ('{"new": ' + "[" * 20_000 + "]" * 20_000 + "}", {}),
        ("[]", {}),
        ("", {}),
    ],
)
def test_the_members_that_are_not_documented(body: str, found: dict[str, Any]) -> None:
    assert undocumented_members(Api.SIGN_IN, body) == found


@pytest.mark.parametrize("api", list(Api))
def test_a_body_of_documented_members_alone_is_not_read_in_python(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_: object) -> dict[str, Any]:
        raise AssertionError("It was read.")

    monkeypatch.setattr("blocks.siem.formats.json_text.parse_object", never)
    for body in _documented_bodies(api):
        assert undocumented_members(api, body) == {}


def _documented_bodies(api: Api) -> list[str]:
    """All members, as null, and objects of all members."""
    members = undocumented.EVENTS[api.path]
    inner = {name: dict.fromkeys(shape) if isinstance(shape, dict) else 1.5 for name, shape in members.items()}
    return ["{}", json.dumps(dict.fromkeys(members)), json.dumps(inner)]
