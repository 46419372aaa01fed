"""The names of blocks and deployments on a Prefect server: valid, distinct, and the same for ever."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from support.source_documents import line

from blocks.prefect_names import block_name, deployment_name


@pytest.mark.parametrize("name", ["1Pass", "Zürich - Büro (EU)", "a.b_c d", "日本"])
def test_a_deployment_bears_the_name_itself(name: str) -> None:
    assert deployment_name(name) == name


@pytest.mark.parametrize("name", ["a/b", "50%", "R&D", "<x>"])
def test_what_prefect_does_not_allow_becomes_dashes_and_a_hash(name: str) -> None:
    assert not set("/%&<>") & set(deployment_name(name))
    assert deployment_name(name) != deployment_name(name.translate(str.maketrans("/%&<>", "-----")))


def test_the_names_never_change() -> None:
    assert deployment_name("R&D / EU") == "R-D - EU-602a2c855f"
    assert block_name("1Pass") == "1pass-4ccf816974"
    assert block_name("日本") == "source-a376300a18"
    assert block_name("Zürich - Büro") == "zurich-buro-d4e932493e"


@settings(deadline=None)
@given(line, line)
def test_every_name_has_a_block_name_of_its_own(one: str, other: str) -> None:
    name = block_name(one)
    assert len(name) <= 60
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not name.startswith("-")
    assert (name == block_name(other)) == (one == other)
    assert (deployment_name(one) == deployment_name(other)) == (one == other)
