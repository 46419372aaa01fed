"""The format ECS beside what the ingest pipelines of Elastic make of the same event (package 1password, ECS 8.11).

`fixtures/ecs/members.json` holds events of our own and, by path, what the pipelines make of each: read off their
processors, without what their GeoIP database adds. Whatever differs stands here, and in the documentation.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.formats import event, stream
from support.paths import ROOT

from blocks.events_api.models import Api
from blocks.siem.formats import registry

if TYPE_CHECKING:
    from collections.abc import Iterator

CASES = json.loads((ROOT / "tests/fixtures/ecs/members.json").read_text())
DOCUMENTATION = (ROOT / "docs/siem/formats.md").read_text()

OTHERWISE = {"@timestamp"}
"""Members that both have, with another value: nine digits instead of three."""
BESIDES = (
    "event.id",
    "event.created",
    "event.module",
    "event.dataset",
    "event.original",
    "organization.id",
    "user.name",
    "source.geo",
    "onepassword.user_type",
    "onepassword.user_account_uuid",
    "data_stream",
    "onepassword_source",
    "labels",
    "tags",
)
"""Members that the pipelines do not make, or make of what only an agent of Elastic knows."""


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, one in value.items():
            yield from flat(one, f"{path}.{name}" if path else name)
    else:
        yield path, value


def made(case: dict[str, Any]) -> dict[str, Any]:
    one = event(json.dumps(case["body"], ensure_ascii=False))
    document = json.loads(registry.format_event("ecs", one, stream(Api(case["api"]), account=None)).document)
    document["onepassword"]["uuid"] = case["body"]["uuid"]  # the store's, which is the test's own here
    return dict(flat(document))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["body"]["uuid"][:5] + case["body"]["uuid"][-1])
def test_each_member_is_that_of_the_pipeline(case: dict[str, Any]) -> None:
    found = made(case)
    expected = {path: value for path, value in case["expected"].items() if path not in OTHERWISE}
    assert {path: found.get(path) for path in expected} == expected
    besides = [path for path in found if path not in case["expected"]]
    assert [path for path in besides if not path.startswith(BESIDES)] == []


def test_every_difference_is_needed_and_documented() -> None:
    seen = {path for case in CASES for path in made(case)}
    table = DOCUMENTATION.split("## ecs")[1].split("\n## ")[0]
    for name in (*OTHERWISE, *BESIDES):
        assert any(path.startswith(name) for path in seen), name
        assert f"`{name}`" in table, name


def test_the_country_is_a_code_where_1password_has_one() -> None:
    code_and_name, code_alone = made(CASES[0]), made(CASES[1])
    assert code_and_name["source.geo.country_iso_code"] == "NZ"
    assert code_and_name["source.geo.country_name"] == "New Zealand"
    assert code_alone["source.geo.country_iso_code"] == "FR"
