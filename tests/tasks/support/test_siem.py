"""What forwarding loads: the store of the source, the block of the SIEM, and what goes with each event."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prefect.exceptions import ObjectNotFound, PrefectException
from pydantic import SecretStr
from sqlalchemy import text
from support.forwarding import FakeSender
from support.values import SOURCE

from blocks.config.name_file import NamedObject
from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError
from blocks.events_api.models import Api
from blocks.prefect_names import block_name
from blocks.problems import ConfigurationError
from blocks.siem.configuration import KINDS
from blocks.siem.elasticsearch.block import Elasticsearch
from blocks.siem.formats.event import OutgoingEvent
from blocks.siem.webhook.block import Webhook
from blocks.store import names, sources
from blocks.store.engine import open_engine
from tasks.support import siem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from blocks.siem.base import SiemBlock
    from blocks.siem.delivery.prepare import Preparer

AWAY = [
    httpx.ConnectError("no"),
    PrefectException("It failed."),
    RuntimeError("the client is closed"),
]
WEBHOOK = Webhook(url=SecretStr("https://example.com/events"))


def raising(error: Exception) -> Callable[..., Any]:
    def load(*_: object) -> Any:
        raise error

    return load


def type_name(error: Exception) -> str:
    return type(error).__name__


# The store of a source


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(siem, "default_store", lambda: "the default store")
    monkeypatch.setattr(siem, "open_store", lambda block: f"the store of {block}")


def test_a_source_has_the_store_of_its_block(stores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(siem.OnePasswordSource, "load", lambda name: f"block {name}")
    assert siem.source_store("1Pass") == f"the store of block {block_name('1Pass')}"  # type: ignore[comparison-overlap]


@pytest.mark.parametrize(
    "error",
    [ValueError("not found"), ObjectNotFound(Exception("none")), ThirdPartyConfigError("It is not valid.")],
    ids=type_name,
)
def test_a_source_without_a_usable_block_has_the_default_store(
    stores: None, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(siem.OnePasswordSource, "load", raising(error))
    assert siem.source_store("1Pass") == "the default store"  # type: ignore[comparison-overlap]


@pytest.mark.parametrize("error", AWAY, ids=type_name)
def test_a_prefect_that_does_not_answer_gives_no_store(
    stores: None, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(siem.OnePasswordSource, "load", raising(error))
    with pytest.raises(FirstPartyGenericError) as raised:
        siem.source_store("1Pass")
    assert (raised.value.code, str(raised.value)) == (
        "prefect",
        (
            f"The Prefect API did not give the configuration of the source ({type(error).__name__}). Check that "
            "`onepassword-source up` runs, or the server of PREFECT_API_URL."
        ),
    )


# The block of a SIEM


class Documents:
    """The documents of a Prefect server, by kind and name, and those that were requested."""

    def __init__(self, **blocks: SiemBlock | Exception) -> None:
        self.blocks = blocks
        self.requested: list[tuple[str, str]] = []

    def block_class(self, kind: str) -> Any:
        return SimpleNamespace(load=lambda name: self._load(kind, name))

    def _load(self, kind: str, name: str) -> SiemBlock:
        self.requested.append((kind, name))
        found = self.blocks.get(f"{kind}/{name}".replace("-", "_").replace("/", "__"), ValueError("none"))
        if isinstance(found, Exception):
            raise found
        return found


def stored(monkeypatch: pytest.MonkeyPatch, **blocks: SiemBlock | Exception) -> Documents:
    documents = Documents(**blocks)
    monkeypatch.setattr(siem, "block_class", documents.block_class)
    return documents


SOC = block_name("soc").replace("-", "_")


def test_a_siem_is_found_by_its_kind_and_name(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = stored(monkeypatch, **{f"webhook__{SOC}": WEBHOOK})
    assert siem.load_siem("soc", "webhook") is WEBHOOK
    assert documents.requested == [("webhook", block_name("soc"))]


def test_a_siem_that_a_person_entered_in_the_ui_is_found_by_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = stored(monkeypatch, webhook__soc=WEBHOOK)
    assert siem.load_siem("soc", "webhook") is WEBHOOK
    assert documents.requested == [("webhook", block_name("soc")), ("webhook", "soc")]


def test_a_siem_is_found_among_all_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = stored(monkeypatch, webhook__soc=WEBHOOK)
    assert siem.load_siem("soc") is WEBHOOK
    kinds = KINDS[: KINDS.index("webhook") + 1]
    assert documents.requested == [(kind, name) for kind in kinds for name in (block_name("soc"), "soc")]


@pytest.mark.parametrize("kind", [None, "splunk"])
def test_a_siem_without_a_block_is_an_error_of_the_configuration(
    monkeypatch: pytest.MonkeyPatch, kind: str | None
) -> None:
    stored(monkeypatch, **{f"webhook__{SOC}": ObjectNotFound(Exception("none"))})
    with pytest.raises(ThirdPartyConfigError) as raised:
        siem.load_siem("soc", kind)
    assert (raised.value.code, str(raised.value)) == (
        "no-block",
        (
            "The Prefect server has no configuration of a SIEM named 'soc'. Give it again with `onepassword-source "
            "apply FILE` or `siem add`; what it has not got still waits."
        ),
    )


def test_a_block_that_is_not_valid_is_no_other_one(monkeypatch: pytest.MonkeyPatch) -> None:
    invalid = Webhook(url=SecretStr(""))
    stored(monkeypatch, **{f"webhook__{SOC}": invalid, "webhook__soc": WEBHOOK})
    with pytest.raises(ConfigurationError, match=r"block\.url"):
        siem.load_siem("soc")


@pytest.mark.parametrize("error", AWAY, ids=type_name)
def test_a_prefect_that_does_not_answer_gives_no_block(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    stored(monkeypatch, **{f"webhook__{SOC}": error})
    with pytest.raises(FirstPartyGenericError) as raised:
        siem.load_siem("soc", "webhook")
    assert str(raised.value) == (
        f"The Prefect API did not give the configuration of the SIEM ({type(error).__name__}). Check that "
        "`onepassword-source up` runs, or the server of PREFECT_API_URL."
    )


@pytest.mark.parametrize(
    ("name", "own"), [("soc", True), ("my-soc-2", True), ("SOC", False), ("my soc", False), ("soc\n", False)]
)
def test_only_a_name_that_the_ui_allows_may_be_that_of_the_block(name: str, own: bool) -> None:
    assert siem.block_names(name) == ((block_name(name), name) if own else (block_name(name),))


# What goes with each event


@pytest.fixture
def store(migrated_sqlite: Path, tmp_path: Path) -> Iterator[Engine]:
    shutil.copy(migrated_sqlite, tmp_path / "events.db")
    engine = open_engine(f"sqlite:///{tmp_path / 'events.db'}")
    sources.save(engine, SOURCE)
    names.save(engine, [NamedObject("v1", "vault", "Payroll")])
    yield engine
    engine.dispose()


def change(engine: Engine, **values: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE sources SET " + ", ".join(f"{name} = :{name}" for name in values)), values)


def make(engine: Engine, block: SiemBlock, sender: FakeSender | None = None) -> Preparer:
    return siem.make_preparer(engine, SOURCE.id, Api.AUDIT, block, sender or FakeSender())


def test_a_preparer_knows_what_the_store_and_the_block_say(store: Engine) -> None:
    change(store, account_uuid="ACCOUNT")
    sender = FakeSender()
    made = make(store, WEBHOOK, sender)
    assert (made.sender, made.format_name, made.names) == (sender, "raw", {})
    assert asdict(made.stream) == {
        "api": Api.AUDIT,
        "source": "1Pass",
        "category": "sec/1password",
        "fields": {},
        "account": "ACCOUNT",
        "classifier": None,
        "namespace": "default",
    }
    assert made.rules.empty


def test_only_a_source_whose_events_are_for_siems_has_a_classifier(store: Engine) -> None:
    block = WEBHOOK.model_copy(update={"classifier": "parser"})
    assert make(store, block).stream.classifier is None
    change(store, fields='{"_siemForward": true}')
    stream = make(store, block).stream
    assert (stream.classifier, stream.fields) == ("parser", {"_siemForward": True})


def test_a_siem_that_asks_for_names_gets_them(store: Engine) -> None:
    assert make(store, WEBHOOK.model_copy(update={"with_names": True})).names == {"v1": "Payroll"}


def test_a_siem_has_the_namespace_of_its_own(store: Engine) -> None:
    block = Elasticsearch(url="https://example.com", api_key=SecretStr("k"), index="logs-1password.{dataset}-prod")
    assert make(store, block).stream.namespace == "prod"


@pytest.mark.parametrize(
    ("rules", "body"),
    [
        ('{"filters": [{"name": "a", "filterType": "Mask", "regexp": "(Wen)", "mask": "x"}]}', '{"who": "xdy"}'),
        (
            '{"filters": [{"name": "a", "filterType": "Hash", "regexp": "(Wendy)"}], "hashAlgorithm": "MD5"}',
            '{"who": "c76a34da758cd9990482a75c7fab4df0"}',
        ),
    ],
    ids=["mask", "hash"],
)
def test_the_rules_of_the_source_are_applied(store: Engine, rules: str, body: str) -> None:
    change(store, processing_rules=rules)
    outcome = make(store, WEBHOOK).apply_rules(OutgoingEvent(1, "U", 1, 1, '{"who": "Wendy"}'))
    assert json.loads(outcome.body) == json.loads(body)


def test_rules_that_are_not_valid_let_nothing_through(store: Engine) -> None:
    change(
        store,
        processing_rules='{"filters": [{"name": "a", "filterType": "Exclude", "regexp": "("}], "hashAlgorithm": "A"}',
    )
    with pytest.raises(ConfigurationError) as raised:
        make(store, WEBHOOK)
    assert [problem.path for problem in raised.value.problems] == ["1Pass.filters[0].regexp", "1Pass"]
