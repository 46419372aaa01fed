"""Sends one message through a notification block, without a Prefect server. Block and message come on standard input.

The process prints only the name of the error, because the address of the block and its other fields are secrets.
"""

from __future__ import annotations

import signal
import sys
from typing import Any

import msgspec

LIMIT_SECONDS = 60


def send(request: dict[str, Any]) -> None:
    """Send `subject` and `body` through the block whose document is `block`. Raises any error of the block's class."""
    from prefect.blocks.abstract import NotificationBlock  # noqa: PLC0415
    from prefect.blocks.core import Block  # noqa: PLC0415 - a second, and only this process pays it
    from prefect.client.schemas.objects import BlockDocument  # noqa: PLC0415 - as above

    document = BlockDocument.model_validate(request["block"])
    if document.block_schema is None:
        raise ValueError("the block has no schema")
    block = Block.get_block_class_from_schema(document.block_schema).model_validate(document.data)
    if not isinstance(block, NotificationBlock):
        raise TypeError("the block cannot notify")
    with block.raise_on_failure():
        block.notify(body=request["body"], subject=request["subject"])  # type: ignore[unused-coroutine]


def main() -> int:
    """Send within the time limit. Returns 1 if it failed."""
    signal.alarm(LIMIT_SECONDS)  # also if the parent process is gone
    try:
        send(msgspec.json.decode(sys.stdin.buffer.read()))
    except Exception as error:  # noqa: BLE001 - whatever a block's class raises; its text may hold secrets
        sys.stdout.write(type(error).__name__)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
