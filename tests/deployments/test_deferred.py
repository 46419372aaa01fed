"""The modules that are imported at their first use: each name that the type checker knows can be loaded."""

from __future__ import annotations

import ast
import inspect

import pytest

from deployments import deferred


def _typed() -> dict[str, str]:
    (block,) = [node for node in ast.parse(inspect.getsource(deferred)).body if isinstance(node, ast.If)]
    return {
        name.asname or name.name: f"{node.module}.{name.name}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }


def test_both_lists_have_the_same_modules() -> None:
    assert _typed() == deferred._MODULES


@pytest.mark.parametrize("name", deferred._MODULES)
def test_a_name_is_its_module(name: str) -> None:
    assert getattr(deferred, name).__name__ == deferred._MODULES[name]


def test_another_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'unknown'"):
        _ = deferred.unknown
