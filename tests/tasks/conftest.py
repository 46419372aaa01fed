"""The fixtures of `support.stored_block`."""

from support.stored_block import stored

__all__ = ["stored"]
