"""The block of a source as the steps of a run load it, and the stores that a process has opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest
from prefect.exceptions import PrefectException
from pydantic import SecretStr
from sqlalchemy import text
from support.moving_clock import START_NS
from support.values import SOURCE

from blocks.errors import (
    FirstPartyGenericError,
    ThirdPartyConfigError,
    ThirdPartyGenericError,
    TokenError,
)
from blocks.events_api.credentials import OnePasswordCredentials
from blocks.events_api.models import Api
from blocks.problems import ConfigurationError
from blocks.source import OnePasswordSource
from blocks.store import schema, sources
from blocks.store.block import EventStore
from tasks.support import source
from tasks.support.source import YEAR_2200

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine
    from support.stored_block import StoredBlock

SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
REJECTED = TokenError("The Events API refuses the token.", code="401")


def token(**claims: Any) -> str:
    return jwt.encode(claims, "k" * 32, algorithm="HS256")


# The block


@SQLITE
def test_the_block_is_the_present_one_at_each_load(stored: StoredBlock) -> None:
    assert source.loaded_id(SOURCE.name) is None
    assert source.load_source(SOURCE.name).description == ""
    stored.edit(description="edited")
    assert source.load_source(SOURCE.name).description == "edited"
    assert stored.loads == 2
    assert source.loaded_id(SOURCE.name) == SOURCE.id


@SQLITE
def test_a_source_without_a_block_is_an_error_of_the_configuration(stored: StoredBlock) -> None:
    with pytest.raises(ThirdPartyConfigError) as raised:
        source.load_source("missing")
    assert (raised.value.code, str(raised.value)) == (
        "configuration",
        (
            "There is no source named 'missing'. Create it with `onepassword-source apply FILE`. "
            "`onepassword-source status` lists your sources."
        ),
    )


@SQLITE
@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("no"),
        PrefectException("It failed."),
        RuntimeError("the client is closed"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_a_prefect_that_does_not_answer_is_an_error_of_ours(stored: StoredBlock, failure: Exception) -> None:
    stored.failure = failure
    with pytest.raises(FirstPartyGenericError) as raised:
        source.load_source(SOURCE.name)
    assert (raised.value.code, str(raised.value)) == (
        "prefect",
        (
            f"The Prefect API did not give the source's configuration ({type(failure).__name__}). Check that "
            "`onepassword-source up` runs, or the server of PREFECT_API_URL."
        ),
    )
    assert source.loaded_id(SOURCE.name) is None


@SQLITE
def test_a_block_that_is_not_valid_is_an_error_and_its_id_is_known(stored: StoredBlock) -> None:
    stored.edit(collect_from="yesterday")
    with pytest.raises(ConfigurationError, match=r"block\.collect_from"):
        source.load_source(SOURCE.name)
    assert source.loaded_id(SOURCE.name) == SOURCE.id


class Seconds:
    """A monotonic clock that the test sets."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@SQLITE
def test_the_steps_of_a_run_share_a_block_for_a_minute(stored: StoredBlock, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Seconds()
    monkeypatch.setattr(source, "time", clock)
    source.shared_source(SOURCE.name)
    source.shared_source(SOURCE.name)
    assert stored.loads == 2, "nothing is shared that no step has loaded to share it"
    block = source.load_and_share(SOURCE.name)
    clock.now += 60
    assert source.shared_source(SOURCE.name) is block
    clock.now += 0.5
    assert source.shared_source(SOURCE.name) is not block
    assert stored.loads == 4


@SQLITE
def test_a_failed_step_lets_the_next_attempt_load_the_block(stored: StoredBlock) -> None:
    block = source.load_and_share(SOURCE.name)
    source.forget_source("another")
    assert source.shared_source(SOURCE.name) is block
    source.forget_source(SOURCE.name)
    source.forget_source(SOURCE.name)
    assert source.shared_source(SOURCE.name) is not block


# Its name


@SQLITE
def test_a_run_that_was_queued_before_a_rename_uses_the_present_name(stored: StoredBlock, engine: Engine) -> None:
    sources.save(engine, SOURCE)
    assert source.current_name(SOURCE.name, SOURCE.id) == SOURCE.name
    assert stored.loads == 0
    with engine.begin() as connection:
        connection.execute(text("UPDATE sources SET name = 'acme'"))
    assert source.current_name(SOURCE.name, SOURCE.id) == SOURCE.name, "the block is not renamed yet"
    stored.edit(name="acme")
    assert source.current_name(SOURCE.name, SOURCE.id) == "acme"
    loads = stored.loads
    assert source.current_name(SOURCE.name, "2" * 32) == SOURCE.name
    assert stored.loads == loads


def test_a_run_without_an_id_keeps_its_name_and_opens_no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "default_store", pytest.fail)
    assert source.current_name(SOURCE.name, None) == SOURCE.name


@SQLITE
def test_a_store_that_does_not_answer_changes_no_name(stored: StoredBlock, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE sources RENAME TO away"))
    assert source.current_name(SOURCE.name, SOURCE.id) == SOURCE.name


# A token that was replaced while it was in use


@SQLITE
def test_a_rejected_token_that_was_replaced_meanwhile_is_retried(stored: StoredBlock) -> None:
    before = source.load_source(SOURCE.name).fingerprint()
    assert source.after_rotation(SOURCE.name, REJECTED, before) is REJECTED
    stored.edit(credentials={"base_url": "http://127.0.0.1:9", "api_token": "another"})
    replaced = source.after_rotation(SOURCE.name, REJECTED, before)
    assert (type(replaced), replaced.code, str(replaced)) == (
        ThirdPartyGenericError,
        "token-replaced",
        "The token was replaced while it was in use.",
    )


@SQLITE
def test_every_other_error_stays_and_loads_nothing(stored: StoredBlock) -> None:
    error = ThirdPartyConfigError("It is refused.", code="403")
    assert source.after_rotation(SOURCE.name, error, "of before") is error
    assert stored.loads == 0
    stored.failure = httpx.ConnectError("no")
    assert source.after_rotation(SOURCE.name, REJECTED, "of before") is REJECTED


# Stores


def block(**members: Any) -> OnePasswordSource:
    credentials = OnePasswordCredentials(base_url="events.1password.com", api_token=SecretStr("t"))
    values: dict[str, Any] = {"name": "1Pass", "supported_apis": ["audit"], "source_id": "a" * 32}
    return OnePasswordSource(**{**values, "credentials": credentials, **members})


def test_a_source_has_its_own_store_or_that_of_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{tmp_path / 'default.db'}")
    own = EventStore(url=SecretStr(f"sqlite:///{tmp_path / 'own.db'}"))
    first, second = source.open_store(block()), source.open_store(block(source_id="b" * 32, store=own))
    assert (first.url.database, second.url.database) == (str(tmp_path / "default.db"), str(tmp_path / "own.db"))
    assert source.open_store(block()) is first is source.default_store()
    assert source.store_if_open("a" * 32) is first
    assert source.store_if_open("b" * 32) is second
    assert source.store_if_open("c" * 32) is None
    assert schema.version(second) == schema.HEAD, "an older store, or none, is upgraded"


def test_a_store_is_registered_unless_the_source_has_one(engine: Engine) -> None:
    other: Any = object()
    source.register_store("a" * 32, engine)
    source.register_store("a" * 32, other)
    assert source.store_if_open("a" * 32) is engine


def test_a_store_that_cannot_be_upgraded_is_closed_and_reopened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []

    class Failing:
        def dispose(self) -> None:
            closed.append("closed")

    def fail(_: object) -> None:
        raise FirstPartyGenericError("The disk is full.")

    monkeypatch.setenv("ONEPASSWORD_SOURCE_DATABASE_URL", f"sqlite:///{tmp_path / 'events.db'}")
    with monkeypatch.context() as broken:
        broken.setattr(source, "open_engine", lambda _: Failing())
        broken.setattr(source.schema, "upgrade", fail)
        with pytest.raises(FirstPartyGenericError, match=r"^The disk is full\.$"):
            source.open_store(block())
    assert closed == ["closed"]
    assert source.store_if_open("a" * 32) is None
    assert schema.version(source.open_store(block())) == schema.HEAD


# What the store keeps


def test_the_store_keeps_everything_except_the_token() -> None:
    made = block(
        name="1Pass",
        description="d",
        category="c",
        fields={"team": "blue"},
        supported_apis=["audit", "sign-in"],
        api_version="v1",
        collect_from="7d",
        lag_after="1h",
        filters=[{"name": "a"}],
        credentials=OnePasswordCredentials(
            base_url="https://events.1password.com", api_token=SecretStr(token(exp=START_NS // 10**9))
        ),
    )
    assert source.source_record(made) == sources.SourceRecord(
        id="a" * 32,
        name="1Pass",
        description="d",
        category="c",
        fields={"team": "blue"},
        base_url="https://events.1password.com",
        apis=(Api.AUDIT, Api.SIGN_IN),
        api_version="v1",
        collect_from="7d",
        fingerprint=made.fingerprint(),
        lag_after="1h",
        token_expires_ns=START_NS,
        processing_rules={"filters": [{"name": "a"}]},
    )
    assert source.source_record(block()).lag_after is None


@pytest.mark.parametrize(
    ("shown", "expires_ns"),
    [
        (token(exp=1.5), 1_500_000_000),
        (token(exp=YEAR_2200 - 2), (YEAR_2200 - 2) * 10**9),
        (token(exp=YEAR_2200), None),
        (token(exp=0), None),
        (token(exp=-5), None),
        (token(), None),
        ("no-jwt", None),
    ],
    ids=["a part of a second", "before 2200", "in 2200", "0", "before 1970", "never", "no JWT"],
)
def test_a_token_says_when_it_expires_or_it_does_not(shown: str, expires_ns: int | None) -> None:
    made = block(
        credentials=OnePasswordCredentials(base_url="https://events.1password.com", api_token=SecretStr(shown))
    )
    assert source.source_record(made).token_expires_ns == expires_ns
