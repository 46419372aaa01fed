"""The fixtures of `flows_support`."""

from support.flow_runs import quick, source

__all__ = ["quick", "source"]
