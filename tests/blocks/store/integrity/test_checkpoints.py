"""What a chain alone cannot show is found with a checkpoint that was saved elsewhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event as database_event
from support.chains import Filled, fill
from support.moving_clock import MovingClock
from support.values import SOURCE
from whenever import Instant

from blocks.errors import ThirdPartyConfigError
from blocks.events_api.models import Api
from blocks.store import prune
from blocks.store.integrity import checkpoints, verification
from blocks.store.integrity.digests import ORIGIN, body_digest, link_digest

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.store.integrity.checkpoints import Checkpoint
    from blocks.store.sources import SourceRecord


CHAIN = "chain WHERE stream_id = {audit} AND number"


def head(filled: Filled) -> Checkpoint:
    present = checkpoints.current(filled.engine, SOURCE.id)
    assert present
    (parsed,) = checkpoints.parse(present.line())
    assert parsed == present
    return parsed


def compared(filled: Filled, *kept: Checkpoint) -> dict[str, str]:
    """The verdict of each API, of the last of these heads."""
    proofs = verification.verify(filled.engine, SOURCE.id, link_numbers=checkpoints.links_of(kept))
    return {one.api: one.verdict for one in checkpoints.compare(kept, SOURCE.id, proofs)}


ALL_LEAD = dict.fromkeys(Api, "leads")


def test_a_head_is_one_line_with_all_that_is_needed(filled: Filled, moving: MovingClock) -> None:
    line = head(filled).line()
    document = json.loads(line)
    assert line.isascii()
    assert "\n" not in line
    assert (document["source"], document["source_id"], document["time"]) == (
        SOURCE.name,
        SOURCE.id,
        "2026-09-21T14:13:20Z",
    )
    ((digest, committed_ns),) = filled.ask(
        "SELECT digest, committed_ns FROM chain WHERE stream_id = {audit} AND number = 6"
    )
    assert document["heads"]["audit"] == {
        "link": 6,
        "digest": bytes(digest).hex(),
        "events": 24,
        "committed": Instant.from_timestamp(committed_ns, unit="nanosecond").format_iso(),
    }


def test_it_is_one_read(filled: Filled) -> None:
    statements: list[str] = []
    database_event.listen(filled.engine, "before_cursor_execute", lambda *document: statements.append(document[2]))
    checkpoints.current(filled.engine, SOURCE.id)
    assert [one.split()[0] for one in statements if one != "BEGIN"] == ["SELECT"]


def test_before_the_first_event_it_is_the_origin(engine: Engine, source: SourceRecord) -> None:
    filled = Filled(engine)
    kept = head(filled)
    assert kept.links[Api.AUDIT] == checkpoints.CheckpointLink(0, ORIGIN.hex(), 0)
    fill(engine)
    assert compared(filled, kept) == ALL_LEAD


def test_a_store_that_grew_and_was_pruned_leads_to_each_head(filled: Filled) -> None:
    kept = [head(filled)]
    for turn in range(3):
        filled.commit(Api.AUDIT, turn)
        kept.append(head(filled))
    for target in prune.targets(filled.engine):
        ids = [row[0] for row in filled.ask(f"SELECT id FROM events WHERE stream_id = {target.stream_id} AND id < 40")]
        prune._remove(filled.engine, target, prune.RetentionRule(2**62, 2**62), prune._digests(filled.engine, ids))
        kept.append(head(filled))
    for one in kept:
        assert compared(filled, one) == ALL_LEAD
    proofs = verification.verify(filled.engine, SOURCE.id, link_numbers=checkpoints.links_of(kept))
    assert [one.matches for one in checkpoints.compare(kept, SOURCE.id, proofs)] == [True] * 3 * len(kept)


FOURTH = f"SELECT number, digest, last_id FROM {CHAIN} = 4"
SHORTENED = (
    f"DELETE FROM events WHERE stream_id = {{audit}} AND id >= (SELECT first_id FROM {CHAIN} = 5)",
    f"DELETE FROM {CHAIN} > 4",
    f"UPDATE streams SET (link, link_digest, link_id) = ({FOURTH}) WHERE id = {{audit}}",
)


def test_a_chain_that_was_cut_short_is_sound_and_does_not_lead_to_the_head(filled: Filled) -> None:
    kept = head(filled)
    filled.change(*SHORTENED)
    assert filled.prove()[Api.AUDIT].damaged == 0
    assert compared(filled, kept) == ALL_LEAD | {Api.AUDIT: "shorter"}
    filled.commit(Api.AUDIT, 1)
    filled.commit(Api.AUDIT, 2)  # as many links as before, and others
    assert compared(filled, kept) == ALL_LEAD | {Api.AUDIT: "rewritten"}


def forge(filled: Filled) -> None:
    """Rewrite the whole chain of the audit stream with the program's own code."""
    before = ORIGIN
    with filled.engine.connect() as connection:
        found = list(verification.links(connection, filled.id_of(Api.AUDIT)))
    for link in found:
        rows = filled.ask(
            "SELECT uuid, time_ns, body FROM events WHERE stream_id = {audit} "
            f"AND id BETWEEN {link.first_id} AND {link.last_id} ORDER BY id"
        )
        uuids, times, bodies = ([row[place] for row in rows] for place in range(3))
        digests = map(body_digest, bodies)
        before = link_digest(before, link.number, link.api_version, link.committed_ns, uuids, times, digests)
        filled.change(
            f"UPDATE chain SET digest = :digest WHERE stream_id = {{audit}} AND number = {link.number}", digest=before
        )
    filled.change("UPDATE streams SET link_digest = :digest WHERE id = {audit}", digest=before)


def test_a_rewritten_chain_is_sound_and_does_not_match_the_checkpoint(filled: Filled) -> None:
    kept = head(filled)
    forge(filled)
    assert compared(filled, kept) == ALL_LEAD  # it is the same one
    filled.change("UPDATE events SET body = replace(body, 'é', 'e') WHERE id = {third[1]}")
    assert filled.damaged()[Api.AUDIT] == (3, "changed")
    forge(filled)
    assert filled.damaged() == dict.fromkeys(Api, None)
    assert compared(filled, kept) == ALL_LEAD | {Api.AUDIT: "rewritten"}


def test_the_right_digest_at_the_end_of_a_damaged_walk_is_not_enough(filled: Filled) -> None:
    early = head(filled)
    filled.commit(Api.AUDIT, 3)
    late = head(filled)
    filled.change("UPDATE events SET body = '' WHERE id = (SELECT max(id) FROM events WHERE stream_id = {audit})")
    assert compared(filled, early) == ALL_LEAD
    assert compared(filled, late) == ALL_LEAD | {Api.AUDIT: "damaged"}


def test_events_from_before_the_chain_are_counted_in_the_head(filled: Filled) -> None:
    filled.change("DELETE FROM chain", "UPDATE streams SET link = 0, link_digest = NULL, link_id = NULL")
    early = head(filled)
    filled.commit(Api.AUDIT, 3)
    late = head(filled)
    assert compared(filled, early) == compared(filled, late) == ALL_LEAD
    filled.change("DELETE FROM events WHERE id = (SELECT min(id) FROM events WHERE stream_id = {audit})")
    assert filled.damaged()[Api.AUDIT] is None
    assert compared(filled, early) == compared(filled, late) == ALL_LEAD | {Api.AUDIT: "other count"}


def test_a_head_of_another_source_or_api(filled: Filled) -> None:
    kept = head(filled)
    other = checkpoints.Checkpoint("Other", "f" * 32, kept.time, kept.links)
    assert compared(filled, other) == dict.fromkeys(Api, "other source")
    unknown = checkpoints.Checkpoint(kept.source, kept.source_id, kept.time, {"logins": kept.links[Api.AUDIT]})
    assert compared(filled, unknown) == {"logins": "unknown API"}


def test_some_apis_alone(filled: Filled) -> None:
    kept = checkpoints.current(filled.engine, SOURCE.id, (Api.AUDIT,))
    assert kept
    assert list(kept.links) == [Api.AUDIT]
    proofs = verification.verify(filled.engine, SOURCE.id, [Api.AUDIT], checkpoints.links_of([head(filled)]))
    checked = checkpoints.compare([head(filled)], SOURCE.id, proofs, [Api.AUDIT])
    assert [(one.api, one.verdict) for one in checked] == [(Api.AUDIT, "leads")]


def test_a_line_of_a_log_is_a_head_too(filled: Filled) -> None:
    kept = head(filled)
    log = f"\n10:00:00.123 | INFO | Flow run 'x' - Head of the hash chains: {kept.line()}\n\n{kept.line()}\n"
    assert checkpoints.parse(log) == [kept, kept]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no checkpoint in it"),
        ("\n \n", "there is no checkpoint in it"),
        ("{}", "line 1 is not a checkpoint"),
        ("\nno head", "line 2 is not a checkpoint"),
        ('{"source":"s","source_id":"i","time":"t","heads":{"audit":{"link":1,"digest":"xyz","events":1}}}', "line 1"),
        ('{"source":"s","source_id":"i","time":"t","heads":{"audit":{"link":"1","digest":"00","events":1}}}', "line 1"),
    ],
)
def test_what_is_no_head_is_said_and_not_shown(text: str, message: str) -> None:
    with pytest.raises(ThirdPartyConfigError, match=message) as raised:
        checkpoints.parse(text)
    assert "no head\n" not in str(raised.value)
    assert "verify NAME --print-checkpoint" in str(raised.value)


def test_a_source_is_found_by_name_and_by_id_deleted_or_not(filled: Filled) -> None:
    assert checkpoints.find(filled.engine, SOURCE.name) == checkpoints.find(filled.engine, SOURCE.id)
    filled.change("UPDATE sources SET deleted_ns = 1")
    assert checkpoints.find(filled.engine, SOURCE.id) == checkpoints.ChainedSource(SOURCE.id, SOURCE.name, tuple(Api))
    with pytest.raises(ThirdPartyConfigError, match="no source named 'Other'"):
        checkpoints.find(filled.engine, "Other")
    assert checkpoints.current(filled.engine, "other") is None


def test_a_tampered_row_fails_no_run(filled: Filled) -> None:
    if filled.engine.dialect.name == "postgresql":
        return
    values: list[Any] = ["'x'", "x'00'"]
    for value in values:
        filled.change(f"UPDATE streams SET link_digest = {value}", f"UPDATE chain SET committed_ns = {value}")
        assert checkpoints.current(filled.engine, SOURCE.id)
