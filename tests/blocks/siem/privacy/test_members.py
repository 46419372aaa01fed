"""Rules name members by a documented path, by a class, or as new."""

from __future__ import annotations

import pytest

from blocks.siem.privacy import members


def test_a_path_names_one_member_and_a_class_names_several() -> None:
    assert members.resolve("client.ip_address") == (("client", "ip_address"),)
    assert members.resolve("new:client.device.name") == (("client", "device", "name"),)
    assert set(members.resolve("@ips")) == {("client", "ip_address"), ("session", "ip")}


def test_documented_paths_are_objects_and_their_members() -> None:
    paths = members.documented_paths()
    assert {("user",), ("user", "email"), ("session", "ip"), ("action",)} <= set(paths)
    assert list(paths) == sorted(set(paths))


@pytest.mark.parametrize("name", ["user.email", "location", "@emails", "new:beam"])
def test_a_valid_name_has_no_problem(name: str) -> None:
    assert not list(members.name_problems(name, "$"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("user.emial", '"user.email", or "new:user.emial" if it is new'), ("new:", "names with dots between them")],
)
def test_an_unknown_name_is_reported_with_the_most_similar_one(name: str, expected: str) -> None:
    assert [problem.expected for problem in members.name_problems(name, "$")] == [expected]


def test_a_class_is_no_name_where_classes_are_not_allowed() -> None:
    assert list(members.name_problems("@emails", "$", classes=False))


@pytest.mark.parametrize(
    ("name", "removed", "count"), [("uuid", False, 1), ("account_uuid", True, 1), ("account_uuid", False, 0)]
)
def test_some_members_cannot_be_changed_or_removed(name: str, removed: bool, count: int) -> None:
    assert len(list(members.changed_member_problems(name, "$", removed=removed))) == count
