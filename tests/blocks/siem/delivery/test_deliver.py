"""Delivery: batches are limited by group, count and bytes, halved, deferred, rejected; each event is sent once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.forwarding import FakeSender, outgoing, preparer, records

from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.siem.delivery.deliver import (
    ANSWER_MAX,
    PAUSE_MAX,
    PAUSE_SECONDS,
    TRIES,
    DeliveryResult,
    deliver,
    deliver_hour,
    split_batches,
)
from blocks.siem.delivery.protocol import (
    ACCEPTED,
    BatchResult,
    EncodedRecord,
    Limits,
    RejectedRecord,
    RequestRejectedError,
    TooLargeError,
)
from blocks.siem.privacy.rules import parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from blocks.siem.delivery.protocol import Batch
    from blocks.siem.formats.event import FormattedEvent, OutgoingEvent, StreamMetadata


def ids_of(batches: Sequence[Sequence[EncodedRecord]]) -> list[list[int]]:
    return [[record.event.id for record in batch] for batch in batches]


def too_large(most: int) -> object:
    def answer(batch: Batch) -> BatchResult:
        if len(batch.records) > most:
            raise TooLargeError("It does not take so large a request (413).", code="413")
        return ACCEPTED

    return answer


def delivered(sender: FakeSender, number: int = 8, waits: list[float] | None = None) -> DeliveryResult:
    waits = [] if waits is None else waits
    return deliver("pair-1", outgoing(*range(1, number + 1)), preparer(sender), waits.append)


def refused(done: DeliveryResult) -> list[tuple[int, str]]:
    return [(one.event.id, one.answer) for one in done.rejected]


def test_it_is_cut_by_count() -> None:
    assert ids_of(list(split_batches(records(1, 2, 3, 4, 5), 2, 100))) == [[1, 2], [3, 4], [5]]


def test_it_is_cut_by_bytes_and_what_is_larger_alone_goes_alone() -> None:
    made = [*records(1, 2, size=4), *records(3, size=50), *records(4, 5, 6, size=5)]
    assert ids_of(list(split_batches(made, 10, 10))) == [[1, 2], [3], [4, 5], [6]]


def test_what_is_of_one_group_goes_together_in_the_order_of_the_groups() -> None:
    made = [*records(1, group=("b",)), *records(2, group=("a",)), *records(3, group=("b",)), *records(4)]
    assert ids_of(list(split_batches(made, 10, 100))) == [[1, 3], [2], [4]]


def test_nothing_is_cut_of_nothing() -> None:
    assert list(split_batches([], 10, 100)) == []
    sender = FakeSender()
    assert deliver("pair-1", [], preparer(sender)) == DeliveryResult()
    assert sender.batches == []


@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from("abc")), max_size=40), st.integers(1, 9), st.integers(1, 30)
)
def test_each_record_is_in_one_cut_and_no_cut_is_too_large(made: list[tuple[int, str]], events: int, size: int) -> None:
    given_records = [records(id_, size=length, group=(group,))[0] for id_, (length, group) in enumerate(made)]
    found = list(split_batches(given_records, events, size))
    assert sorted(id_ for ids in ids_of(found) for id_ in ids) == list(range(len(made)))
    for batch in found:
        assert len({record.group for record in batch}) == 1
        assert 1 <= len(batch) <= events
        assert len(batch) == 1 or sum(len(record.data) for record in batch) <= size
        assert ids_of([batch])[0] == sorted(ids_of([batch])[0])


def test_all_of_it_is_sent() -> None:
    sender = FakeSender()
    assert delivered(sender) == DeliveryResult(sent=8)
    assert sender.ids == [[1, 2, 3, 4, 5, 6, 7, 8]]


def test_what_a_rule_drops_is_kept_back_and_the_rest_is_sent() -> None:
    sender = FakeSender()
    rules = parse([{"drop": {"action": ["fill"]}}], "")
    events = [*outgoing(1, body='{"action":"fill"}'), *outgoing(2, body='{"action":"reveal"}')]
    assert deliver("pair-1", events, preparer(sender, rules)) == DeliveryResult(sent=1, filtered=1)
    assert sender.ids == [[2]]


def test_if_rules_filter_all_events_no_request_is_made() -> None:
    sender = FakeSender()
    rules = parse([{"drop": {"api": [str(Api.AUDIT)]}}], "")
    assert deliver("pair-1", outgoing(1, 2), preparer(sender, rules)) == DeliveryResult(filtered=2)
    assert sender.batches == []


def test_413_halves_the_request_until_it_is_accepted() -> None:
    sender = FakeSender(too_large(2))  # type: ignore[arg-type]
    assert delivered(sender) == DeliveryResult(sent=8)
    assert sender.ids == [
        [1, 2, 3, 4, 5, 6, 7, 8],
        [1, 2, 3, 4],
        [1, 2],
        [3, 4],
        [5, 6, 7, 8],
        [5, 6],
        [7, 8],
    ]


def test_one_event_that_is_too_large_is_rejected_and_the_others_are_sent() -> None:
    def answer(batch: Batch) -> BatchResult:
        if 3 in [record.event.id for record in batch.records]:
            raise TooLargeError("It does not take so large a request (413).", hint="Cut it.", code="413")
        return ACCEPTED

    sender = FakeSender(answer)
    done = delivered(sender)
    assert done.sent == 7
    assert [(one.event.id, one.code, one.answer) for one in done.rejected] == [
        (3, "413", "It does not take so large a request (413). Cut it.")
    ]
    assert sorted(sender.accepted) == [1, 2, 4, 5, 6, 7, 8]


def test_deferred_events_are_sent_again_and_rejected_ones_are_not() -> None:
    answers = iter(
        [
            BatchResult(
                rejected=(RejectedRecord(0, "400", "first"), RejectedRecord(5, "400", "sixth")),
                deferred=(1, 3, 7),
                retry_after=2.0,
            ),
            BatchResult(rejected=(RejectedRecord(1, "400", "fourth"),), deferred=(2,)),  # of 2, 4, 8
            ACCEPTED,
        ]
    )
    waits: list[float] = []
    sender = FakeSender(lambda _: next(answers))
    done = delivered(sender, waits=waits)
    assert sender.ids == [[1, 2, 3, 4, 5, 6, 7, 8], [2, 4, 8], [8]]
    assert refused(done) == [(1, "first"), (6, "sixth"), (4, "fourth")]
    assert done.sent == 5
    assert sender.accepted == dict.fromkeys([2, 3, 5, 7, 8], 1)
    assert waits == [2.0, PAUSE_SECONDS * 2]


def test_413_to_what_was_put_off_halves_that_alone() -> None:
    """What was taken before it is not sent twice, and what was rejected is not reported twice."""

    def answer(batch: Batch) -> BatchResult:
        if len(batch.records) == 8:
            return BatchResult(rejected=(RejectedRecord(0, "400", "no"),), deferred=(1, 2, 3, 4))
        if len(batch.records) == 4:
            raise TooLargeError("It does not take so large a request (413).", code="413")
        return ACCEPTED

    sender = FakeSender(answer)
    done = delivered(sender)
    assert sender.ids == [[1, 2, 3, 4, 5, 6, 7, 8], [2, 3, 4, 5], [2, 3], [4, 5]]
    assert (done.sent, refused(done)) == (7, [(1, "no")])
    assert sender.accepted == dict.fromkeys(range(2, 9), 1)


def test_what_is_put_off_again_and_again_is_an_error_that_passes() -> None:
    waits: list[float] = []
    sender = FakeSender(lambda batch: BatchResult(deferred=tuple(range(len(batch.records))), retry_after=100))
    with pytest.raises(ThirdPartyGenericError, match="deferred 8 events") as raised:
        delivered(sender, waits=waits)
    assert raised.value.code == "deferred"
    assert len(sender.batches) == TRIES
    assert waits == [PAUSE_MAX] * (TRIES - 1), "nothing is waited for behind the last try"


@pytest.mark.parametrize(
    "error", [ThirdPartyGenericError("503"), ThirdPartyConfigError("401"), ValueError("a problem")]
)
def test_an_error_leaves_as_it_is(error: Exception) -> None:
    def answer(batch: Batch) -> BatchResult:
        if batch.records[0].event.id > 4:
            raise error
        return ACCEPTED

    sender = FakeSender(answer, Limits(events=4))
    with pytest.raises(type(error)) as raised:
        delivered(sender)
    assert raised.value is error


def test_a_long_answer_is_cut() -> None:
    sender = FakeSender(lambda _: BatchResult(rejected=(RejectedRecord(0, "400", "x" * 10_000),)))
    assert len(delivered(sender, 1).rejected[0].answer) == ANSWER_MAX


def test_the_same_events_have_the_same_name() -> None:
    names = []
    for _ in range(2):
        sender = FakeSender(limits=Limits(events=3))
        delivered(sender)
        names.append(sender.names)
    assert names[0] == names[1]
    assert [name.rpartition("-")[0] for name in names[0]] == ["pair-1-1-3", "pair-1-4-6", "pair-1-7-8"]


def test_what_is_left_of_a_request_has_another_name_though_it_begins_and_ends_with_the_same_events() -> None:
    """Else a SIEM that remembers names would take it for the whole, and not look at it."""
    answers = iter([BatchResult(rejected=(RejectedRecord(1, "400", "no"),), deferred=(0, 2)), ACCEPTED])
    sender = FakeSender(lambda _: next(answers))
    delivered(sender, 3)
    assert sender.ids == [[1, 2, 3], [1, 3]]
    assert len(set(sender.names)) == 2


@given(st.data())
def test_each_event_is_accepted_once_or_rejected_once_for_any_answers(data: st.DataObject) -> None:
    tries: dict[int, int] = {}

    def answer(batch: Batch) -> BatchResult:
        if len(batch.records) > 1 and data.draw(st.integers(0, 4)) == 0:
            raise TooLargeError("too large", code="413")
        said = [data.draw(st.sampled_from(["yes", "yes", "no", "later"])) for _ in batch.records]
        ids = [record.event.id for record in batch.records]
        for place, id_ in enumerate(ids):
            tries[id_] = tries.get(id_, 0) + 1
            if said[place] == "later" and tries[id_] >= TRIES:
                said[place] = "yes"
        no = tuple(RejectedRecord(place, "400", str(ids[place])) for place, one in enumerate(said) if one == "no")
        return BatchResult(no, tuple(place for place, one in enumerate(said) if one == "later"))

    class Grouped(FakeSender):
        def encode(self, formatted: FormattedEvent) -> EncodedRecord:
            return EncodedRecord(formatted.event, formatted.document, (str(formatted.event.id % 3),))

    sender = Grouped(answer, Limits(events=5, bytes=1000))
    done = delivered(sender, 17)
    turned = [one.event.id for one in done.rejected]
    assert [str(id_) for id_ in turned] == [one.answer for one in done.rejected]
    assert len(set(turned)) == len(turned)
    assert set(sender.accepted) | set(turned) == set(range(1, 18))
    assert not set(sender.accepted) & set(turned)
    assert set(sender.accepted.values()) <= {1}
    assert done.sent == len(sender.accepted)


def unusable(*bad: int) -> object:
    """A SIEM that refuses every request with one of these in it, and does not say which."""

    def answer(batch: Batch) -> BatchResult:
        if any(record.event.id in bad for record in batch.records):
            raise RequestRejectedError("It cannot use what it was sent (400).", code="400")
        return ACCEPTED

    return answer


@given(st.sets(st.integers(1, 20), max_size=12).filter(lambda bad: not {1, 2, 3} <= bad))
def test_an_invalid_event_is_found_and_the_others_are_accepted_once(bad: set[int]) -> None:
    sender = FakeSender(unusable(*bad), Limits(events=20, bytes=1_000_000))  # type: ignore[arg-type]
    done = delivered(sender, 20)
    assert sorted(one.event.id for one in done.rejected) == sorted(bad)
    assert dict(sender.accepted) == {id_: 1 for id_ in range(1, 21) if id_ not in bad}
    assert done.sent == 20 - len(bad)


def test_a_siem_that_rejects_everything_gets_few_requests_and_is_a_configuration_error() -> None:
    sender = FakeSender(unusable(*range(1, 1001)), Limits(events=1000, bytes=1_000_000))  # type: ignore[arg-type]
    with pytest.raises(ThirdPartyConfigError, match=r"\(400\)"):
        delivered(sender, 1000)
    assert len(sender.batches) <= 16


def test_one_event_alone_that_it_cannot_use_is_a_matter_for_a_person() -> None:
    with pytest.raises(RequestRejectedError):
        delivered(FakeSender(unusable(1)), 1)  # type: ignore[arg-type]


# An hour for an archive


@dataclass
class Hour:
    """Ten events, two at a time."""

    size: int = 10
    count: int = 0
    read: int = 0

    def events(self) -> Iterator[Sequence[OutgoingEvent]]:
        while self.count < self.size:
            chunk = outgoing(*range(self.count + 1, min(self.count + 2, self.size) + 1), body='{"action":"fill"}')
            self.count += len(chunk)
            self.read += len(chunk)
            yield chunk

    def halve(self) -> None:
        self.size, self.count = max(self.count // 2, 1), 0


@dataclass
class Archived(FakeSender):
    """Takes objects of so many events; what was read of the hour when each of its records was there."""

    most: int = 100
    objects: list[list[int]] = field(default_factory=list)
    hour: Hour = field(default_factory=Hour)
    ahead: list[int] = field(default_factory=list)

    def send_object(self, _stamp: StreamMetadata, records: Iterator[Sequence[EncodedRecord]]) -> None:
        made = []
        for some in records:
            made += [record.event.id for record in some]
            self.ahead.append(self.hour.read - len(made))
        if len(made) > self.most:
            raise TooLargeError("It is too large (413).", code="413")
        self.objects.append(made)


def test_an_hour_is_read_while_it_is_written() -> None:
    sender = Archived()
    assert deliver_hour(sender.hour, preparer(sender)) == DeliveryResult(sent=10)
    assert sender.objects == [list(range(1, 11))]
    assert sender.ahead == [0] * 5


def test_an_object_that_is_too_large_is_written_with_half_of_its_events() -> None:
    sender = Archived(most=3)
    assert deliver_hour(sender.hour, preparer(sender)) == DeliveryResult(sent=2)
    assert sender.objects == [[1, 2]]
    assert sender.hour.count == 2


def test_a_single_event_that_is_too_large_is_rejected_and_the_next_ones_remain() -> None:
    sender = Archived(most=0)
    assert refused(deliver_hour(sender.hour, preparer(sender))) == [(1, "It is too large (413).")]
    assert sender.hour.count == 1


def test_an_object_ends_where_it_is_large_enough() -> None:
    sender = Archived(limits=Limits(events=100, bytes=60, hourly=True))
    assert deliver_hour(sender.hour, preparer(sender)) == DeliveryResult(sent=4)
    assert sender.hour.count == 4


def test_of_an_hour_that_a_rule_drops_nothing_is_written() -> None:
    sender = Archived()
    rules = parse([{"drop": {"action": ["fill"]}}], "")
    assert deliver_hour(sender.hour, preparer(sender, rules)) == DeliveryResult(filtered=10)
    assert sender.objects == [[]]
