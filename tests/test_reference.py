"""The reference is made from the code, and the committed pages are current."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

import pytest
from support.paths import ROOT
from support.reference import build, commands, metrics, store

from blocks import health_event_kinds
from blocks.settings import PREFIX, SETTINGS
from blocks.store.column_meanings import COLUMN_MEANINGS
from blocks.store.state_spans import BEGUN
from blocks.store.tables import table_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.reference.commands import Command

COMMANDS = list(commands.commands())


@pytest.mark.parametrize("page", build.PIECES)
def test_a_page_is_current(page: str) -> None:
    assert (build.REFERENCE / page).read_text() == build.build_page(page), "run `make reference`"


def test_no_template_is_left_without_a_page() -> None:
    assert {path.name for path in build.PAGES.glob("*.md")} == set(build.PIECES)


def sections() -> dict[str, str]:
    """The section of each command by its name."""
    page = (build.REFERENCE / "commands.md").read_text()
    found = re.split(r"^###? `onepassword-source ([\w -]+)`$", page, flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_section_has_the_arguments_and_options_of_the_command(command: Command) -> None:
    section = sections()[command.name]
    if command.is_group:
        assert command.entry.help in section
        return
    parameters: list[Any] = command.loaded.params
    for parameter in parameters:
        assert parameter.help
        assert parameter.help in section
        for flag in [*parameter.opts, *parameter.secondary_opts] if commands.is_option(parameter) else []:
            assert re.search(rf"`{re.escape(flag)}[ `]", section)
    assert command.entry.exit_sentence in section
    assert command.entry.example.replace("{program}", "onepassword-source") in section


def test_every_command_has_a_section() -> None:
    assert list(sections()) == [command.name for command in COMMANDS]


def test_a_command_says_what_its_exit_codes_mean(capsys: pytest.CaptureFixture[str]) -> None:
    from deployments import cli

    assert cli.main(["collect", "--help"]) == cli.DONE
    shown = " ".join(capsys.readouterr().out.split())
    assert "Exit code 1 if the source is in error, 3 if another run collects it." in shown
    assert "Without `up`, it starts a temporary Prefect server." in shown


def test_every_setting_is_on_the_page() -> None:
    page = (build.REFERENCE / "configuration.md").read_text()
    assert [one.name for one in SETTINGS if f"| `{PREFIX}{one.name}` |" not in page] == []


def raised_conditions() -> Iterator[str]:
    """The names of health events that the code gives to conditions."""
    for floor in ("blocks", "tasks", "flows", "deployments"):
        for path in (ROOT / floor).rglob("*.py"):
            for call in ast.walk(ast.parse(path.read_text())):
                if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Condition":
                    keywords = [one.value for one in call.keywords if one.arg == "name"]
                    for node in ast.walk(ast.Tuple([*call.args[1:2], *keywords], ast.Load())):
                        if isinstance(node, ast.Constant) and str(node.value)[0].isupper():
                            yield str(node.value)


def test_every_health_event_that_the_code_raises_is_described_and_no_other() -> None:
    from blocks.health import NOT_RUNNING
    from blocks.store.source_status import ERRORS

    assert {*raised_conditions(), NOT_RUNNING, *ERRORS} == set(health_event_kinds.NAMES)


def test_every_state_of_a_run_is_on_the_page() -> None:
    page = (build.REFERENCE / "states-and-errors.md").read_text()
    assert {state for state in BEGUN if f"*{state}*" not in page} == {"Stopping"}
    assert "`Stopped:`" in page


def test_every_column_has_a_meaning_and_no_meaning_is_left_over() -> None:
    used = set()
    for model in store.models():
        for column in table_of(model).columns:
            assert store.meaning(model, column.name)
            if not model.model_fields[column.name].description:
                used.add(column.name)
    assert set(COLUMN_MEANINGS) == used


def test_the_views_have_the_columns_of_a_real_store(engine: Any) -> None:
    from sqlalchemy import inspect

    found = {name: [one["name"] for one in inspect(engine).get_columns(name)] for name in store.view_columns()}
    assert found == store.view_columns()


def test_every_metric_is_on_the_page_with_its_labels() -> None:
    page = (build.REFERENCE / "metrics.md").read_text()
    for name, labels in metrics.names().items():
        row = next(line for line in page.splitlines() if f"| `{name.removeprefix('onepassword_source_')}` |" in line)
        assert all(f"`{label}`" in row for label in labels)
