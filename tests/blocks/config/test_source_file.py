"""The JSON file of sources: read as a whole, and written back as it was."""

from __future__ import annotations

import copy
import json
import os
import pickle
import stat
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.paths import FIXTURES
from support.source_documents import (
    EXPORT,
    NONE,
    TOKEN,
    config_of,
    line,
    one_source,
    parse,
    problems_of,
    several,
    the_problem,
    token,
)

from blocks.config.source_file import (
    ConfigurationError,
    SourceConfig,
    parse_sources,
    read_file,
    to_json,
    with_token,
)
from blocks.errors import ThirdPartyConfigError
from blocks.events_api.hosts import HOSTS
from blocks.events_api.models import Api
from blocks.secret import Secret
from blocks.source import OnePasswordSource

# The form


def test_an_exported_file_works_unchanged() -> None:
    (config,) = parse(EXPORT)
    assert config == SourceConfig(
        name="1Pass",
        description=None,
        category="sec/1password",
        fields={"_siemForward": True, "team": "blue"},
        base_url="https://events.1password.com",
        api_token=Secret(TOKEN),
        supported_apis=(Api.ITEM_USAGE, Api.SIGN_IN),
        api_version="v2",
        collect_from=None,
    )
    assert config.warnings == ()


READ_BACK = (FIXTURES / "sumo_read_back.json").read_bytes()


def test_what_sumo_logic_gives_back_is_applied_and_given_back_as_it_was_read() -> None:
    (config,) = parse(READ_BACK, token=TOKEN)
    assert config.supported_apis == (Api.ITEM_USAGE, Api.SIGN_IN, Api.AUDIT)
    assert config.filters is not None
    assert [rule["name"] for rule in config.filters] == ["mask mail", "no fills"]
    assert config.warnings == ()
    given_back = json.loads(to_json(config))["source"]
    before = json.loads(READ_BACK)["source"]
    assert {name: given_back[name] for name in before if name != "config"} == {
        name: value for name, value in before.items() if name != "config"
    }
    for name, value in before["config"].items():
        assert given_back["config"][name] == value
    filters = json.dumps(given_back["filters"], separators=(",", ":"), ensure_ascii=False)
    assert filters.encode() in READ_BACK
    assert parse(to_json(config).encode(), token=TOKEN) == [config]


def test_what_sumo_logic_gives_back_stays_in_the_block() -> None:
    (config,) = parse(READ_BACK, token=TOKEN)
    block = OnePasswordSource.from_config(config)
    assert block.validated().config() == config
    assert to_json(block.config()) == to_json(config)
    assert block.processing_rules() == {"filters": list(config.filters or ())}
    assert with_token(config, token(jti="2"), allowed_hosts=NONE).filters == config.filters
    block.supported_apis = ["audit"]
    assert json.loads(to_json(block.config()))["source"]["config"]["supported_apis"] == ["audit"]
    block.filters = [{"name": "x", "filterType": "Mask", "regexp": "("}]
    with pytest.raises(ConfigurationError, match=r"block\.filters\[0\]\.regexp"):
        block.validated()


@pytest.mark.parametrize("filters", [[], None])
def test_what_an_export_holds_beside_the_configuration_changes_nothing_else(filters: object) -> None:
    document = copy.deepcopy(EXPORT)
    document["source"] |= {
        "id": 7,
        "name": "1Pass",
        "state": {"state": "Collecting"},
        "alive": True,
        "filters": filters,
    }
    document["source"]["schemaRef"]["version"] = "1.0.0"
    (config,) = parse(document)
    assert replace(config, filters=None, hosted={}) == one_source()
    given_back = json.loads(to_json(config, mask=False))
    assert parse(given_back) == [config]
    given_back["source"].setdefault("filters", None)
    assert given_back["source"] | {"config": None} == document["source"] | {"config": None}


def test_a_list_of_sources() -> None:
    configs = parse(several({}, {"name": "2Pass", "supported_apis": ["audit"], "api_token": token(jti="2")}))
    assert [config.name for config in configs] == ["1Pass", "2Pass"]
    assert configs[1].supported_apis == (Api.AUDIT,)


def test_the_byte_order_mark_of_an_editor_does_no_harm() -> None:
    assert parse(b"\xef\xbb\xbf" + json.dumps(EXPORT).encode()) == parse(EXPORT)


# Every problem has its place, what is wrong, and what would be right


@pytest.mark.parametrize(
    ("data", "description"),
    [
        (b"", "line 1, column 1"),
        (b'{"source": 1,\n "sources" 2}', "line 2, column 12"),
        (b'{"source": "\n"}', "line 1, column 13"),
        (b"{'source': 1}", "line 1, column 2"),
        (b'{"a": 1} x', "line 1, column 10"),
        (b'{"a": NaN}', "NaN is no JSON value"),
        (b'{"a": -Infinity}', "-Infinity is no JSON value"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": ' + b"1" * 5000 + b"}", "more than 300 digits"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": "\xff"}', "not UTF-8: the byte 0xff at offset 7"),
        (b'\xef\xbb\xbf{"a": "\xff"}', "not UTF-8: the byte 0xff at offset 10"),
        (json.dumps(EXPORT).encode("utf-16"), "UTF-16"),
        (json.dumps(EXPORT).encode("utf-32"), "UTF-16 or UTF-32"),
    ],
)
def test_what_is_no_json(data: bytes, description: str) -> None:
    problem = the_problem(data)
    assert problem.path == "$"
    assert description in problem.description


@pytest.mark.parametrize(
    ("document", "path", "description", "expected"),
    [
        ([], "$", "a list", '"source"'),
        (None, "$", "null", '"source"'),
        ({}, "$", "there is no source", "one of the two"),
        ({"source": {}, "sources": []}, "$", "both", "one of the two"),
        (EXPORT["source"], "$", "without its wrapper", '{"api.version": "v1", "source": {…}}'),
        (EXPORT["source"]["config"], "$", "without its wrapper", '"source"'),
        ({"sources": []}, "$.sources", "the list is empty", "a list of sources"),
        ({"sources": {}}, "$.sources", "an object", "a list of sources"),
        ({"sources": [EXPORT["source"], 3]}, "$.sources[1]", "a number", "an object"),
        ({"source": "x"}, "$.source", "a text", "an object"),
        ({**EXPORT, "api.version": "v2"}, '$["api.version"]', "not known", '"v1"'),
        ({**EXPORT, "Sources": []}, "$.Sources", "not known", '"sources"'),
    ],
)
def test_the_wrapper(document: Any, path: str, description: str, expected: str) -> None:
    problem = the_problem(document)
    assert problem.path == path
    assert description in problem.description
    assert expected in problem.expected


def test_a_name_twice_in_one_file_even_beside_other_problems() -> None:
    problems = problems_of(several({}, {"name": "2Pass"}, {"supported_apis": []}))
    assert [problem.path for problem in problems] == ["$.sources[2].config.supported_apis", "$.sources[2].config.name"]
    assert problems[1].description == 'the name "1Pass" is used before, at $.sources[0].config.name'


def test_a_key_twice_in_one_object() -> None:
    text = json.dumps(EXPORT).replace('"name": "1Pass"', '"name": "1Pass", "name": "2Pass"')
    problem = the_problem(text.encode())
    assert (problem.path, problem.description) == ("$.source.config.name", "the key stands there more than once")


def test_the_text_of_the_error_is_one_line_for_a_problem_and_a_list_for_more() -> None:
    with pytest.raises(ThirdPartyConfigError) as raised:
        parse(config_of(api_version="v9"))
    assert str(raised.value) == '$.source.config.api_version: it is "v9"; expected "v2" or "v1".'
    with pytest.raises(ThirdPartyConfigError) as raised:
        parse(config_of(api_version="v9", name=""))
    assert str(raised.value).splitlines()[0] == "The configuration has 2 problems:"
    assert len(str(raised.value).splitlines()) == 3


def test_the_error_survives_prefects_pickle() -> None:
    with pytest.raises(ConfigurationError) as raised:
        parse(config_of(api_version="v9"))
    again = pickle.loads(pickle.dumps(raised.value))  # noqa: S301 - our own bytes
    assert (again.problems, str(again), again.name) == (
        raised.value.problems,
        str(raised.value),
        "ThirdPartyConfigError",
    )


def test_two_sources_with_one_token_get_a_warning() -> None:
    first, second = parse(several({}, {"name": "2Pass"}))
    assert first.warnings == ()
    assert 'the token of "1Pass"' in second.warnings[0]


# Nothing shows a token


def test_nothing_shows_the_token() -> None:
    config = one_source()
    shown = [repr(config), str(config), f"{config.api_token}", repr(asdict(config)), repr([config.api_token])]
    assert not [text for text in shown if TOKEN in text]
    assert TOKEN not in to_json(config)
    assert TOKEN.encode() not in pickle.dumps(config)
    assert pickle.loads(pickle.dumps(config)).api_token == Secret("********")  # noqa: S301 - our own bytes


def test_copies_keep_the_token() -> None:
    assert copy.deepcopy(one_source()).api_token == copy.copy(one_source()).api_token == Secret(TOKEN)


# Reading the file


def test_a_file_with_a_token_that_others_may_read_gets_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "source.json"
    path.write_text(json.dumps(EXPORT))
    path.chmod(0o640)
    data, warning = read_file(path)
    assert parse(data) == parse(EXPORT)
    assert warning is not None
    assert "(mode 0640)" in warning
    assert f"chmod 600 {path}" in warning


def test_a_private_file_and_one_without_a_token_get_none(tmp_path: Path) -> None:
    path = tmp_path / "source.json"
    path.write_text(json.dumps(EXPORT))
    path.chmod(0o600)
    assert read_file(path)[1] is None
    path.write_text(to_json(parse(EXPORT)[0]))
    path.chmod(0o644)
    assert read_file(path)[1] is None


def test_a_pipe_is_read_without_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    path.chmod(0o666)
    writer = threading.Thread(target=path.write_text, args=(json.dumps(EXPORT),))
    writer.start()
    data, warning = read_file(path)
    writer.join()
    assert (parse(data), warning) == (parse(EXPORT), None)


def test_a_file_that_is_not_there_and_a_directory(tmp_path: Path) -> None:
    for path, problem in ((tmp_path / "none.json", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigurationError) as raised:
            read_file(path)
        assert raised.value.problems[0].path == str(path)
        assert problem in raised.value.problems[0].description


def test_a_file_that_is_no_configuration_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    path.write_bytes(b" " * (1024 * 1024 + 1))
    with pytest.raises(ConfigurationError, match="larger than 1 MiB"):
        read_file(path)


def test_the_mode_stays_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "source.json"
    path.write_text(json.dumps(EXPORT))
    path.chmod(0o644)
    read_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


# Writing it back


def test_the_export_is_written_as_it_was_read() -> None:
    text = json.dumps(EXPORT, indent=2, ensure_ascii=False) + "\n"
    assert to_json(parse(text.encode())[0], mask=False) == text


def test_a_list_is_written_as_it_was_read() -> None:
    document = several(
        {"api_token": token(jti="1"), "fields": {"z": 1, "a": 2.5, "m": False}},
        {"name": "2Pass ☂", "base_url": "http://127.0.0.1:8000", "api_version": "v1", "collect_from": "7d"},
    )
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    assert to_json(parse(text.encode()), mask=False) == text


def test_masked_text_can_be_read_again() -> None:
    config = one_source()
    (again,) = parse(to_json(config).encode())
    assert again == replace(config, api_token=None)
    assert '"api_token": "********"' in to_json(config)


names = line.map(str.strip).filter(bool)
values = st.one_of(line, st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False))
configs = st.builds(
    SourceConfig,
    name=names,
    description=st.none() | line,
    category=st.none() | line,
    fields=st.dictionaries(line.filter(lambda key: key != "_siemForward"), values, max_size=4),
    base_url=st.sampled_from([f"https://{host}" for host in HOSTS] + ["http://127.0.0.1:8000", "https://[::1]"]),
    api_token=st.none() | st.text("abcXYZ019-_.", min_size=1).map(Secret),
    supported_apis=st.permutations(list(Api)).flatmap(lambda apis: st.integers(1, 3).map(lambda n: tuple(apis[:n]))),
    api_version=st.sampled_from(["v1", "v2"]),
    collect_from=st.none()
    | st.sampled_from(["0m", "90m", "24h", "120d", "2w", "2026-11-01", "2026-11-01T01:02:03.5+01:00"]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(configs, min_size=1, max_size=3, unique_by=lambda config: config.name))
def test_whatever_was_written_is_read_back_the_same(written: list[SourceConfig]) -> None:
    text = to_json(written, mask=False)
    read = parse(text.encode())
    assert read == written
    assert to_json(read, mask=False) == text
    assert [list(config.fields) for config in read] == [list(config.fields) for config in written]
    assert parse(to_json(written[0], mask=False).encode()) == written[:1]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def read_or_reject(data: bytes) -> None:
    try:
        text = to_json(parse_sources(data, allowed_hosts=NONE, token=None))
    except ConfigurationError as error:
        text = str(error)
    assert text.encode()  # it can be printed: there is no lone surrogate in it


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_read_or_rejected(data: bytes) -> None:
    read_or_reject(data)


@settings(deadline=None)
@given(json_values)
def test_any_json_is_read_or_rejected(value: Any) -> None:
    read_or_reject(json.dumps(value).encode())


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from([*EXPORT["source"]["config"], "api_version", "collect_from", "x"]), json_values),
    st.dictionaries(
        st.sampled_from(["sourceType", "schemaRef", "config", "filters", "\ud800"]), json_values, max_size=2
    ),
)
def test_any_value_in_any_place_is_read_or_rejected(config: dict[str, Any], source: dict[str, Any]) -> None:
    document = config_of(**config)
    document["source"] |= source
    read_or_reject(json.dumps(document).encode())
    read_or_reject(json.dumps({"sources": [document["source"], document["source"]]}).encode())


@settings(deadline=None)
@given(st.integers(0, 400), st.sampled_from([b"", b"\x00", b"\xff", b'"', b"{", b"1e9999"]))
def test_a_file_cut_off_or_damaged_anywhere_is_read_or_rejected(place: int, damage: bytes) -> None:
    data = json.dumps(EXPORT).encode()
    read_or_reject(data[:place])
    read_or_reject(data[:place] + damage + data[place:])
