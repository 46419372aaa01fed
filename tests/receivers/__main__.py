"""`python -m receivers VENDOR --file FILE [--port PORT]`: prints its URL on one line, and serves until it is ended.

VENDOR is a module of this folder with a `vendor` to call. What was taken before is read from the file.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from receivers.server import Receiver


def main() -> None:
    parser = argparse.ArgumentParser(prog="receivers")
    parser.add_argument("vendor")
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    vendor = importlib.import_module(f"receivers.{options.vendor}").vendor()
    receiver = Receiver(vendor, port=options.port, file=options.file, keep=False)
    print(receiver.url, flush=True)  # noqa: T201 - the parent process reads the address
    receiver.serve()


if __name__ == "__main__":
    main()
