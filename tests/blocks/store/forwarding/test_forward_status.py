"""What `siem status` shows of a pair, from the store alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from support.forwarding import SIEM, FakeSender, Pair
from support.values import SOURCE

from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.store import sources
from blocks.store.forwarding import forward_pairs, forward_status, positions

if TYPE_CHECKING:
    from sqlalchemy import Engine


def waiting(engine: Engine, api: Api = Api.AUDIT) -> tuple[int, int | None]:
    (found,) = forward_status.pairs(engine, SIEM)
    (one,) = [one for one in found.positions if one.api == api]
    return one.waiting, one.oldest_ns


def counted(engine: Engine, pair: Pair, api: Api = Api.AUDIT) -> tuple[int, int | None]:
    """The same, the slow way."""
    query = "SELECT count(*), min(received_ns) FROM events WHERE stream_id = :stream AND id > :sent"
    bounds = {"stream": pair.filled.id_of(api), "sent": pair.view(api).acknowledged_id}
    with engine.connect() as connection:
        number, oldest = connection.execute(text(query), bounds).one()
    return number, oldest


def test_what_waits_is_what_is_behind_the_position_wherever_that_is(engine: Engine) -> None:
    pair = Pair.create(engine)
    for api, new in ((Api.AUDIT, 3), (Api.SIGN_IN, 2), (Api.AUDIT, 1), (Api.ITEM_USAGE, 4), (Api.AUDIT, 2)):
        pair.filled.commit(api, new)
    for api in Api:
        stream_id = pair.view(api).stream_id
        for acknowledged_id in (0, *pair.ids(api)):
            with engine.begin() as connection:
                positions.move_within(connection, pair.record.id, stream_id, acknowledged_id)
            assert waiting(engine, api) == counted(engine, pair, api)


def test_events_of_a_time_before_there_was_a_chain_wait_too(engine: Engine) -> None:
    pair = Pair.create(engine)
    pair.filled.commit(Api.AUDIT, 5)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM chain"))
        connection.execute(text("UPDATE streams SET link = 0, link_digest = NULL, link_id = NULL"))
    pair.filled.commit(Api.SIGN_IN, 2)
    pair.filled.commit(Api.AUDIT, 3)
    assert waiting(engine)[0] == 8
    pair.forward(FakeSender())
    assert waiting(engine) == (0, None)


def test_the_state_of_a_pair(engine: Engine) -> None:
    pair = Pair.create(engine)

    def state() -> str:
        return forward_status.pairs(engine)[0].state

    assert state() == "ok"
    pair.filled.commit(Api.AUDIT, 1)
    assert state() == "waiting"
    claim = pair.claim()
    busy = ThirdPartyGenericError("Splunk is busy.", code="503")
    positions.record_failure(engine, claim, busy)
    assert (state(), in_error(engine)) == ("retrying", False)
    positions.stop(engine, claim, busy, "first")
    assert (state(), in_error(engine)) == ("ThirdPartyGenericError", True)
    forward_pairs.set_paused(engine, pair.record, paused=True)
    assert state() == "paused"
    pair.filled.change("UPDATE sources SET deleted_ns = 1")
    assert (state(), in_error(engine)) == ("source deleted", False)


def in_error(engine: Engine) -> bool:
    return forward_status.pairs(engine)[0].in_error


def test_one_that_cannot_be_opened_is_in_error_though_each_run_tries_again(engine: Engine) -> None:
    pair = Pair.create(engine)
    positions.record_pair_failure(engine, pair.record.id, ThirdPartyConfigError("There is no block.", code="no-block"))
    (found,) = forward_status.pairs(engine)
    assert (found.state, found.in_error) == ("ThirdPartyConfigError", True)
    assert {(one.stopped, one.in_error) for one in found.positions} == {(False, True)}
    for api in Api:
        pair.forward(FakeSender(), api)
    assert not in_error(engine)


@pytest.mark.parametrize(("kind", "state"), [("webhook", "withheld"), ("archive", "waiting")])
@pytest.mark.parametrize("value", [False, 1, "yes", None])
def test_a_pair_whose_source_does_not_forward_is_not_well(engine: Engine, kind: str, state: str, value: object) -> None:
    pair = Pair.create(engine, kind)
    pair.filled.commit(Api.AUDIT, 1)
    assert forward_status.pairs(engine)[0].state == "waiting"
    sources.save(engine, replace(SOURCE, fields={} if value is None else {"_siemForward": value}))
    (found,) = forward_status.pairs(engine)
    assert (found.state, found.for_siem) == (state, False)


def test_an_unknown_siem_is_named_with_those_there_are(engine: Engine) -> None:
    Pair.create(engine)
    with pytest.raises(ThirdPartyConfigError, match="There is no SIEM named 'sock' in the store; there are: soc"):
        forward_status.pairs(engine, "sock")
