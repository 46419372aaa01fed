"""Events a second to each kind of SIEM, beside the bare loop that sends the same bytes to the same receiver.

And the most memory of the forwarding process, all in, with a tenth of the events and with all of them.

One process forwards a store of events (SQLite), its three streams side by side as the flow does, without Prefect. The
receiver is a process of its own. The floor is one thread of httpx, which posts the requests of the same run again,
one after the other, from memory: bodies made and compressed beforehand, nothing read from a store, nothing kept.

Wall time means little on a busy machine. So the CPU time (user and system) per event of each side is shown too. With
a core for each process the loop needs its own and the receiver's time for an event, one after the other, and the
forwarder the longer of both, side by side: `cores free` is the ratio that this comes to.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx
from collect import console
from rich import box
from rich.console import Console
from rich.table import Table
from support import siem_store, siem_targets
from support.siem_targets import HTTP, Forwarder

from blocks.siem.configuration import block_class
from blocks.siem.delivery.deliver import split_batches
from blocks.siem.delivery.prepare import FilteredEvent
from blocks.siem.delivery.protocol import Batch
from blocks.store import sources
from blocks.store.engine import open_engine
from blocks.store.forwarding import forward_pairs, positions, unsent_events
from blocks.store.forwarding.unsent_events import UnsentEvents
from tasks.support.siem import make_preparer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.siem_targets import Target

Post = tuple[str, httpx.URL, bytes, dict[str, str]]


@dataclass
class Floor:
    """The bare loop. Times are seconds, of the wall and of its thread's CPU."""

    seconds: float
    cpu: float
    megabytes: float


@dataclass
class Run:
    kind: str
    format_name: str
    events: int
    seconds: float
    floor: Floor | None
    cpu: float
    receiver_cpu: float
    most: int
    most_of_tenth: int


def main() -> int:
    chosen = _parser().parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-forward-") as directory:
        filled, tenth = Path(directory) / "events.db", Path(directory) / "tenth.db"
        with console.status(f"{chosen.events:,} events"):
            siem_store.fill(f"sqlite:///{tenth}", chosen.events // 10)
            siem_store.fill(f"sqlite:///{filled}", chosen.events)
        pairs = [(kind, format_name) for kind in chosen.kinds.split(",") for format_name in chosen.formats.split(",")]
        runs = [_measure(filled, tenth, kind, format_name) for kind, format_name in pairs]
    _show(runs)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=300_000, help="(%(default)s)")
    parser.add_argument("--kinds", default=",".join(siem_targets.KINDS), help="(%(default)s)")
    parser.add_argument("--formats", default="raw", help="raw, ecs, ocsf; several with commas (%(default)s)")
    return parser


def _measure(filled: Path, tenth: Path, kind: str, format_name: str) -> Run:
    _, small, _ = _run(tenth, kind, format_name, floor=False)
    floor, run, receiver_cpu = _run(filled, kind, format_name, floor=kind in HTTP)
    return Run(
        kind, format_name, run["sent"], run["seconds"], floor, run["cpu"], receiver_cpu, run["most"], small["most"]
    )


def _run(filled: Path, kind: str, format_name: str, *, floor: bool) -> tuple[Floor | None, dict[str, Any], float]:
    """The bare loop, what the forwarder reports, and the CPU seconds of the receiver meanwhile."""
    directory = Path(tempfile.mkdtemp(dir=filled.parent))
    shutil.copy(filled, directory / "events.db")
    url = f"sqlite:///{directory / 'events.db'}"
    with console.status(f"{kind}, {format_name}"), siem_targets.running(kind, directory) as target:
        target.format_name = format_name
        forwarder = Forwarder(url, target)
        idle = target.cpu_seconds()
        forwarder.start()
        forwarder.finish()
        receiver_cpu = target.cpu_seconds() - idle
        said = forwarder.said
        arrived = target.arrived()
        measured = _floor(url, target) if floor else None
    shutil.rmtree(directory)
    if len(arrived) != said["sent"]:
        raise RuntimeError(f"{said['sent']:,} events were sent to {kind}, {len(arrived):,} came.")
    return measured, said, receiver_cpu


def _floor(url: str, target: Target) -> Floor:
    posts = list(_posts(url, target))
    with httpx.Client(timeout=60, trust_env=False) as http:
        started, cpu = time.perf_counter(), time.thread_time()
        for method, address, content, headers in posts:
            http.request(method, address, content=content, headers=headers).raise_for_status()
        seconds, cpu = time.perf_counter() - started, time.thread_time() - cpu
    return Floor(seconds, cpu, sum(len(post[2]) for post in posts) / 1e6)


def _posts(url: str, target: Target) -> Iterator[Post]:
    engine = open_engine(url)
    block = block_class(target.kind)(**target.config)
    kept: list[Post] = []
    (source_id,) = sources.ids_by_name(engine).values()
    with contextlib.closing(block.get_sender()) as sender, _record_posts(kept):
        for view in positions.of_pair(engine, _pair(engine)):
            preparer: Any = make_preparer(engine, source_id, view.api, block, sender)
            for batch in unsent_events.batches(UnsentEvents(engine, view.stream_id, 0), sender.limits.events):
                made = [preparer.prepare(event) for event in batch.events]
                records = [one for one in made if not isinstance(one, FilteredEvent)]
                for chosen in split_batches(records, sender.limits.events, sender.limits.bytes):
                    sender.send(Batch(f"floor-{chosen[0].event.id}", preparer.stream, chosen))
    engine.dispose()
    return iter(kept)


@contextlib.contextmanager
def _record_posts(posts: list[Post]) -> Iterator[None]:
    """Requests that are made within it are kept too, as they go over the wire."""
    send = httpx.Client.send

    def keep(self: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        posts.append((request.method, request.url, request.read(), dict(request.headers)))
        return send(self, request, **options)

    httpx.Client.send = keep  # type: ignore[method-assign]
    try:
        yield
    finally:
        httpx.Client.send = send  # type: ignore[method-assign]


def _pair(engine: Any) -> str:
    return forward_pairs.find_all(engine)[0].id


def _show(runs: list[Run]) -> None:
    table = Table(box=box.MARKDOWN)
    for heading in (
        "to",
        "format",
        "events a second",
        "the bare loop",
        "to the loop",
        "MB sent",
        "CPU µs an event",
        "the loop's",
        "the receiver's",
        "CPU to the loop",
        "cores free",
        "peak memory, a tenth",
        "and all",
    ):
        table.add_column(heading, justify="left" if heading in {"to", "format"} else "right")
    for run in runs:
        table.add_row(
            run.kind,
            run.format_name,
            f"{run.events / run.seconds:,.0f}",
            *_beside_floor(run),
            f"{run.most_of_tenth / 1e6:,.0f} MB",
            f"{run.most / 1e6:,.0f} MB",
        )
    Console(width=200).print(table)


def _beside_floor(run: Run) -> list[str]:
    own = f"{run.cpu / run.events * 1e6:.1f}"
    if run.floor is None:
        return ["", "", "", own, "", "", "", ""]
    floor, receiver = run.floor, run.receiver_cpu
    return [
        f"{run.events / floor.seconds:,.0f}",
        f"{floor.seconds / run.seconds:.2f}",
        f"{floor.megabytes:,.0f}",
        own,
        f"{floor.cpu / run.events * 1e6:.1f}",
        f"{receiver / run.events * 1e6:.1f}",
        f"{floor.cpu / run.cpu:.2f}",
        f"{(floor.cpu + receiver) / max(run.cpu, receiver):.2f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
