"""Faults of the network that the tests of the flow do not inject, in short: the source recovers from each by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.certificates import ELSEWHERE, HERE, certificate, write_authority
from support.flow_runs import QuickClock, Source, outcome
from torture.network import front, health_events_of, kept_of, new_source
from torture.outcome import Row, request_count

from blocks.events_api.models import Api
from deployments.sandbox.process import running_sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.prefect


@pytest.fixture
def source(tmp_path: Path, quick: QuickClock) -> Iterator[Source]:
    with running_sandbox(events=300, days=3) as sandbox:
        made = new_source(sandbox, tmp_path)
        made.save()
        yield made


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        pytest.param("html", {}, marks=pytest.mark.torture),
        ("reset", {"sent": 300}),
        ("truncated", {}),
        pytest.param("redirect", {}, marks=pytest.mark.torture),
    ],
    ids=["html", "reset", "truncated", "redirect"],
)
def test_a_moment(  # noqa: PLR0917 - fixtures
    kind: str, options: dict[str, Any], source: Source, quick: QuickClock, row: Row, tmp_path: Path
) -> None:
    row.fault, row.times = f"{kind}, three times", 3
    with front(tmp_path) as elsewhere:
        more = {"location": f"{elsewhere.base_url}/api"} if kind == "redirect" else options
        source.sandbox.fault(kind, api=Api.AUDIT.path, times=3, **more)
        assert outcome(source.collect()) == "Collected"
        assert elsewhere.requests == []
    assert len(quick.waits) == 3
    assert health_events_of(source) == []
    row.compare(source.url, source.sandbox, source.name)
    row.count_requests(source.sandbox, 3 + 3)


@pytest.mark.torture
def test_a_certificate_of_another_name(
    source: Source, quick: QuickClock, row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is mended nothing is sent, and so no token."""
    monkeypatch.setenv("SSL_CERT_FILE", write_authority(tmp_path / "authority.pem"))
    row.fault, row.times = "TLS: wrong name, until it is mended", 1
    with front(tmp_path, source.sandbox) as between:
        between.shows(certificate(ELSEWHERE))
        source.save(base_url=between.base_url, supported_apis=["audit"])
        seen: list[int] = []
        delay = quick.engine_delay

        def mend(seconds: float) -> float:
            seen.append(len(between.requests))
            between.shows(certificate(HERE))
            return delay(seconds)

        monkeypatch.setattr(quick, "engine_delay", mend)
        assert outcome(source.collect()) == "Collected"
    assert seen == [0]
    assert health_events_of(source) == []
    source.save()
    assert outcome(source.collect()) == "Collected"
    row.compare(source.url, source.sandbox, source.name)
    row.count_requests(source.sandbox, 1 + 3)


@pytest.mark.torture
def test_a_rejected_cursor_is_reported_once(source: Source, row: Row) -> None:
    row.fault, row.times = "rejected cursor", 1
    source.collect()
    source.sandbox.arrive(Api.AUDIT.path, 3)
    source.sandbox.fault("rejected_cursor", api=Api.AUDIT.path, times=1)
    assert outcome(source.collect()) == "Collected"
    assert health_events_of(source) == [("CursorRejected", "Warning", "cursor/audit")]
    assert outcome(source.collect()) == "Collected", "with the new cursor, which is taken"
    assert health_events_of(source) == [
        ("CursorRejected", "Warning", "cursor/audit"),
        ("Recovered", "Warning", "cursor/audit"),
    ]
    row.compare(source.url, source.sandbox, source.name)
    row.count_requests(source.sandbox, 3 + 4 + 3)


@pytest.mark.torture
def test_poison_and_a_megabyte_between_good_events(source: Source, row: Row) -> None:
    row.fault, row.times = "poison and 1 MB between good events", 6
    source.sandbox.fault("no_uuid", api=Api.AUDIT.path, times=4, every=20)
    source.sandbox.fault("big_event", api=Api.SIGN_IN.path, times=2, every=30)
    assert outcome(source.collect()) == "Collected"
    for api in Api:
        assert sorted(kept_of(source, api)) == sorted(source.sandbox.events(api.path, "v2"))
    assert sorted(health_events_of(source)) == [
        ("EventsQuarantined", "Warning", "quarantine/audit"),
        ("UnknownMember", "Warning", "unknown/sign-in"),
    ]
    row.events, row.lost, row.twice = 300, 0, 0
    row.count_requests(source.sandbox, 3)


@pytest.mark.torture
def test_two_sources_of_one_account(source: Source, row: Row, tmp_path: Path) -> None:
    row.fault, row.times = "two sources of one account", 2
    other = new_source(source.sandbox, tmp_path)
    other.save()
    for one in (source, other, source):
        assert outcome(one.collect()) == "Collected"
    for one in (source, other):
        assert health_events_of(one) == [("SharedAccount", "Warning", "shared-account")]
        row.compare(one.url, one.sandbox, one.name)
    assert request_count(source.sandbox) == 9
