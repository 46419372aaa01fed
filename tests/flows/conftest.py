"""The fixtures of `flows_support`."""

from flows_support import quick, source

__all__ = ["quick", "source"]
