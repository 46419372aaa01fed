"""A lock for work that needs the CPU all the time.

Python's threads share one interpreter. Several threads that compute gain nothing from running at once: they interrupt
each other every few milliseconds, and delay the threads that only want to send something. So such work holds this lock.
Never wait for a server or for another lock while you hold it.
"""

from __future__ import annotations

import threading

cpu_lock = threading.Lock()
"""Held while many events are read from database rows, or encoded."""
