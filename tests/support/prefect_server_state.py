"""The state of a Prefect server, for tests without a server."""

from __future__ import annotations

from deployments.prefect_api.server_state import ServerState, WorkerState

HOSTILE = "<script>x</script>\u202e\x1b[31m"


class FakeServer:
    """Replaces `server_state`."""

    def __init__(self) -> None:
        workers = (WorkerState("up", online=True, seen_ns=1), WorkerState(HOSTILE, online=False, seen_ns=None))
        self.state = ServerState("http://127.0.0.1:1/api", "3.9", "pool", pool_paused=False, workers=workers)
        self.error: Exception | None = None

    def read_state(self) -> ServerState:
        if self.error is not None:
            raise self.error
        return self.state
