"""Turns at the one processor that Python's threads share.

Work that needs the interpreter all the time gains nothing by being done in several threads at once: they take it from
each other every few milliseconds, and keep it from those that only want to send something. Such work waits for its
turn instead. While it is his turn, nobody waits for a server, or for a lock.
"""

from __future__ import annotations

import threading

cpu_lock = threading.Lock()
"""Held while many events are read from a database's rows, or made into records."""
