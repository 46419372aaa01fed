"""A verifier of hash chains that shares no code with the program, written from the documentation alone.

python independent_verifier.py events.db
"""

import hashlib
import sqlite3
import struct
import sys

EVENTS = """SELECT id, uuid, time_ns, received_ns, body, NULL FROM events WHERE stream_id = :s AND id BETWEEN :a AND :b
UNION ALL SELECT event_id, uuid, time_ns, received_ns, NULL, digest FROM pruned_events
WHERE stream_id = :s AND event_id BETWEEN :a AND :b ORDER BY 1"""


def verify(path: str) -> dict[str, int]:
    """By stream: the number of the first damaged link of its chain; 0 for an intact chain."""
    store, found = sqlite3.connect(f"file:{path}?mode=ro", uri=True), {}
    for stream, api, newest in store.execute("SELECT id, api, link FROM streams").fetchall():
        before, expected, found[api] = hashlib.sha256(b"onepassword-source chain 1").digest(), 1, 0
        chain = "SELECT number, first_id, last_id, api_version, committed_ns, digest FROM chain WHERE stream_id = ?"
        for number, first, last, version, committed, digest in store.execute(f"{chain} ORDER BY number", (stream,)):
            events = store.execute(EVENTS, {"s": stream, "a": first, "b": last}).fetchall()
            link = before + struct.pack(">qqq", number, committed, len(events)) + version.encode() + b"\0"
            link += b"".join(struct.pack(">q", time) for _, _, time, _, _, _ in events)
            link += b"".join(uuid.encode() + b"\n" for _, uuid, _, _, _, _ in events)
            link += b"".join(kept or hashlib.sha256(body.encode()).digest() for *_, body, kept in events)
            fits = hashlib.sha256(link).digest() == digest and {row[3] for row in events} == {committed}
            if not found[api] and not (fits and number == expected):
                found[api] = min(number, expected)
            before, expected = digest, number + 1
        if not found[api] and expected != newest + 1:
            found[api] = expected
    store.close()
    return found


if __name__ == "__main__":
    sys.stdout.write(f"{verify(sys.argv[1])}\n")
