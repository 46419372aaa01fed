"""Names from files: what `op`, Connect and the SDKs print, CSV, and files that are none of these."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.config import name_file
from blocks.config.name_file import NamedObject, parse_names, read_bounded
from blocks.errors import SourceError
from blocks.problems import ConfigurationError

VAULT, ITEM, USER, GROUP = "vvvv2222", "iiii2222", "UUUU2222", "gggg2222"
TIMES = {"created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z"}
OP_VAULT = {"id": VAULT, "name": "Payroll", "content_version": 7}
OP_ITEM = {
    **TIMES,
    "id": ITEM,
    "title": "Bank",
    "version": 3,
    "vault": {"id": VAULT, "name": "Payroll"},
    "category": "LOGIN",
    "last_edited_by": USER,
    "additional_information": "ana's account number",
    "urls": [{"href": "https://bank.example"}],
}
OP_USER = {"id": USER, "name": "Ana", "email": "ana@example.org", "type": "MEMBER", "state": "ACTIVE"}
OP_GROUP = {"id": GROUP, "name": "Owners", "description": "", "state": "ACTIVE", "created_at": "2026-01-02T03:04:05Z"}


def parsed(*entries: Any, kind: str | None = None) -> list[NamedObject]:
    return list(parse_names(json.dumps(entries).encode(), kind).objects)


def problem_of(data: bytes) -> str:
    with pytest.raises(ConfigurationError) as error:
        parse_names(data)
    return str(error.value)


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        (OP_VAULT, NamedObject(VAULT, "vault", "Payroll")),
        ({"id": VAULT, "name": "Payroll"}, NamedObject(VAULT, "vault", "Payroll")),
        ({**OP_VAULT, **TIMES, "type": "USER_CREATED", "items": 4}, NamedObject(VAULT, "vault", "Payroll")),
        ({"id": VAULT, "name": "P", "attributeVersion": 1, "items": 0}, NamedObject(VAULT, "vault", "P")),  # Connect
        ({"id": VAULT, "title": "P", "vault_type": "x", "description": ""}, NamedObject(VAULT, "vault", "P")),  # SDK
        ({"id": VAULT, "title": "P", "vaultType": "x"}, NamedObject(VAULT, "vault", "P")),
        ({"id": VAULT, "title": "P"}, NamedObject(VAULT, "vault", "P")),
        (OP_ITEM, NamedObject(ITEM, "item", "Bank", VAULT)),
        ({"id": ITEM, "title": "B", "category": "Login", "vault_id": VAULT}, NamedObject(ITEM, "item", "B", VAULT)),
        ({"id": ITEM, "title": "B", "category": "Login", "vaultId": VAULT}, NamedObject(ITEM, "item", "B", VAULT)),
        ({"uuid": ITEM, "title": "B", "updatedAt": "2021"}, NamedObject(ITEM, "item", "B")),
        (OP_USER, NamedObject(USER, "user", "Ana", None, "ana@example.org")),
        (
            {**OP_USER, "type": "SERVICE_ACCOUNT", "name": "ci"},
            NamedObject(USER, "service_account", "ci", None, "ana@example.org"),
        ),
        (
            {"id": USER, "display_name": "Ana", "email": "ana@example.org", "path": "accounts/x/users/y"},
            NamedObject(USER, "user", "Ana", None, "ana@example.org"),
        ),
        (OP_GROUP, NamedObject(GROUP, "group", "Owners")),
        ({**OP_GROUP, **TIMES, "type": "OWNERS"}, NamedObject(GROUP, "group", "Owners")),
        ({"id": GROUP, "title": "O", "group_type": "x", "state": "active"}, NamedObject(GROUP, "group", "O")),
        ({"id": "d1", "name": "Laptop", "kind": "device"}, NamedObject("d1", "device", "Laptop")),
        ({"id": ITEM, "title": "\0a\ud800 "}, NamedObject(ITEM, "vault", "\N{REPLACEMENT CHARACTER}a?")),
    ],
)
def test_every_spelling_is_understood(entry: dict[str, Any], named: NamedObject) -> None:
    assert parsed(entry) == [named]
    assert parse_names(json.dumps(entry).encode()).objects == (named,)  # as `op … get` prints it


def test_nothing_else_of_an_item_is_read() -> None:
    assert "account number" not in repr(parsed(OP_ITEM))
    assert "bank.example" not in repr(parsed(OP_ITEM))


def test_an_option_says_the_kind_unless_the_entry_does() -> None:
    found = parsed({"id": "a", "name": "x"}, {"id": "b", "name": "y", "kind": "item"}, kind="group")
    assert [one.kind for one in found] == ["group", "item"]


def test_each_id_counts_once_and_the_last_entry_wins() -> None:
    assert [one.name for one in parsed({"id": "a", "name": "x"}, {"id": "a", "name": "y"})] == ["y"]


def test_an_entry_without_a_name_is_counted() -> None:
    found = parse_names(b'[{"id": "a", "title": "", "category": "LOGIN"}, {"id": "b"}, {"id": "c", "name": "x"}]')
    assert (found.unnamed, [one.uuid for one in found.objects]) == (2, ["c"])
    assert parse_names(b"[]").objects == ()


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"uuid,kind,name,vault_uuid\na,item,Bank,v\n", NamedObject("a", "item", "Bank", "v")),
        (b"\xef\xbb\xbfUUID;Kind;Name\r\na;group;Owners\r\n", NamedObject("a", "group", "Owners")),
        (b"name\tuuid\nPayroll\ta\n\n", NamedObject("a", "vault", "Payroll")),
        (b'uuid,title\na,"Bank, ""the"" big\none"\n', NamedObject("a", "item", 'Bank, "the" big\none')),
        (
            b"uuid,kind,name,email\na,user,Ana,a@b.example\n",
            NamedObject("a", "user", "Ana", None, "a@b.example"),
        ),
        (b"uuid,kind,name\na,item,=1+1", NamedObject("a", "item", "=1+1")),
    ],
)
def test_csv(data: bytes, named: NamedObject) -> None:
    assert parse_names(data).objects == (named,)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "line 1: there is no column uuid"),
        (b"hello\n", "line 1: there is no column uuid"),
        (b"uuid,kind\na,item\n", "line 1: there is no column uuid, or none for the name"),
        (b"uuid,name,name\n", 'line 1: the column "name" is there twice'),
        (b"uuid,kind,name\na,vault,x\nb,valt,y\n", 'line 3: the kind of "b" is "valt"; expected vault.'),
        (b"uuid,kind,name\na,vault,x,y\n", "line 2: it has 4 values; expected 3 as the header."),
        (b'uuid,kind,name\na,vault,"x\n', "line 2: it is not CSV"),
        (b"uuid,kind,name\n,vault,x\n", "line 2: it has no id"),
        (b"uuid,name\na,\xff\n", "the byte 0xff at offset 12"),
        (b'[{"id": "a", "name": "x"}, 7]', "$[1]: it is a number; expected an object with id and name."),
        (b'[{"id": "a", "name": "x"}, {"name": "x"}]', "$[1]: it has no id"),
        (b'[{"id": 7, "name": "x"}]', "$[0].id: it is a number; expected a text."),
        (b'{"id": "a", "name": ["x"]}', "$.name: it is a list; expected a text."),
        (b'{"id": "a", "name": "x", "kind": 7}', 'the kind of "a" is a number'),
        (b'{"id": "a\\u001b[2J", "name": "x"}', 'its id "a\\u001b[2J" is too long or not printable'),
        (b'{"id": "%s", "name": "x"}' % (b"a" * 201), "is too long or not printable"),
        (b'{"id": "a", "name": "%s"}' % (b"a" * 1001), "its name has 1,001 characters; expected at most 1,000."),
        (b'[{"id": "a", "name": "x"}', "the file is not JSON"),
    ],
)
def test_a_problem_names_its_line_or_its_entry(data: bytes, problem: str) -> None:
    assert problem in problem_of(data)


def test_all_problems_stand_in_one_error_but_not_thousands() -> None:
    assert problem_of(json.dumps([{"name": "x"}, {"id": 1, "name": "x"}]).encode()).count("expected") == 3
    many = problem_of(json.dumps([{"name": "x"}] * 1000).encode())
    assert "980 more entries have problems" in many
    assert many.count("\n") == 21


def test_a_file_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_file, "FILE_MAX", 10)
    assert read_bounded(io.BytesIO(b"0123456789"), "x") == b"0123456789"
    endless = io.BytesIO(b"0" * 10_000)
    with pytest.raises(ConfigurationError, match="x: it is larger than"):
        read_bounded(endless, "x")
    assert endless.tell() == 11


MEMBERS = ("id", "uuid", "name", "title", "vault", "vault_id", "kind", "email", "category")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4),
    max_leaves=12,
)
CSV = st.text(alphabet='uidname,;\n"x\t', max_size=60)


@given(JSON.map(json.dumps).map(str.encode) | CSV.map(str.encode) | st.binary(max_size=60))
def test_any_file_is_read_or_has_a_problem(data: bytes) -> None:
    try:
        found = parse_names(data)
    except SourceError:
        return
    for one in found.objects:
        assert one.uuid.isprintable()
        assert one.name.encode()
        assert "\0" not in one.name + (one.vault_uuid or "") + (one.email or "")
        assert one.kind in name_file.KINDS
