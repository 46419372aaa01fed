"""Forward all events of a store to one SIEM as the flow does, without Prefect, in a process that a test may kill.

Reads {"url", "kind", "members"} from standard input, and reports {"sent", "seconds", "cpu", "most"} at the end: seconds
of forwarding by the wall and of this process, and the most memory in bytes that the process had, imports and all.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocks.errors import ThirdPartyGenericError
from blocks.siem.configuration import block_class
from blocks.store import sources
from blocks.store.engine import open_engine
from blocks.store.forwarding import forward_pairs, positions
from tasks.forward import StreamForwarder
from tasks.support.siem import make_preparer

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from blocks.siem.base import SiemBlock
    from blocks.store.forwarding.positions import PositionView

PAUSE = 0.2  # seconds after an attempt that failed, where the flow would wait for longer


def main() -> None:
    job = json.loads(sys.stdin.buffer.read())
    engine = open_engine(job["url"])
    block = block_class(job["kind"])(**job["members"]).ensure_valid()
    (source_id,) = sources.ids_by_name(engine).values()
    pair, _ = forward_pairs.save(engine, source_id, "target", block.kind, block.public_settings(), "")
    views = positions.of_pair(engine, pair.id)
    started, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(len(views)) as pool:
        sent = sum(pool.map(lambda view: _forward(engine, source_id, block, view), views))
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    sys.stdout.write(json.dumps({"sent": sent, "seconds": seconds, "cpu": cpu, "most": _most()}))


def _most() -> int:
    # Not ru_maxrss: that counts what the parent had when it made this process.
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def _forward(engine: Engine, source_id: str, block: SiemBlock, view: PositionView) -> int:
    while True:
        claim = positions.acquire(engine, view, "forwarder")
        assert claim is not None  # a killed one had the same name
        with contextlib.closing(block.get_sender()) as sender:
            preparer: Any = make_preparer(engine, source_id, view.api, block, sender)
            try:
                return StreamForwarder(engine, claim, preparer).forward().sent
            except ThirdPartyGenericError as error:
                sys.stderr.write(f"{view.api}: {error}\n")
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
