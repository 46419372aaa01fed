"""SIEMs, configuration keys, settings, dependencies and links: the documentation has them. See test_reference, too."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from support.paths import ROOT

from blocks.config.source_config import SourceConfig
from blocks.settings import SETTINGS
from blocks.siem.base import SiemBlock
from blocks.siem.configuration import KINDS as KINDS_OF_SIEM
from blocks.siem.configuration import block_class, config_fields, parse_siems
from deployments.sandbox.__main__ import parser
from deployments.sandbox.faults import KINDS

if TYPE_CHECKING:
    from pathlib import Path

DOCS = ROOT / "docs"
CONFIGURATION_PAGE = (DOCS / "reference" / "configuration.md").read_text()
SANDBOX_PAGE = (DOCS / "reference" / "sandbox.md").read_text()
FORWARD_PAGE = (DOCS / "how-to" / "forward.md").read_text()
SANDBOX_FLAGS = sorted({flag for action in parser("x")._actions for flag in action.option_strings if flag[:2] == "--"})


@pytest.mark.parametrize("kind", KINDS_OF_SIEM)
def test_every_kind_of_siem_stands_in_the_table_and_has_a_page_with_a_working_example(kind: str) -> None:
    row = next(line for line in FORWARD_PAGE.splitlines() if line.startswith(f"| [`{kind}`]"))
    assert f"(../siem/{kind}.md)" in row
    assert f" {block_class(kind).model_fields['event_format'].default} " in row.replace("`", " ")
    page = (ROOT / "docs" / "siem" / f"{kind}.md").read_text()
    examples = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", page, re.DOTALL) if '"siem"' in text]
    assert examples, page
    for example in examples:
        assert all(config.kind == kind for config in parse_siems(_with_plain_secrets(example)))


@pytest.mark.parametrize("kind", KINDS_OF_SIEM)
def test_every_member_of_a_siem_stands_in_its_page(kind: str) -> None:
    page = (ROOT / "docs" / "siem" / f"{kind}.md").read_text()
    shared = set(SiemBlock.setting_fields())
    documented = [name for name in config_fields(kind) if f"`{name}`" in page or f'"{name}"' in page]
    assert set(config_fields(kind)) - shared - set(documented) == set()


def _with_plain_secrets(document: dict[str, Any]) -> dict[str, Any]:
    """The same with secrets that need no variable of the environment."""
    address = "https://endpoint4.collection.sumologic.com/receiver/v1/http/ZaVnC4dhaV0"
    text = re.sub(r'\{"env": "[A-Z_]*URL"\}', json.dumps(address), json.dumps(document))
    text = re.sub(r'\{"env": "[A-Z_]+"\}', '"0123456789abcdef0123456789abcdef"', text)
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize("flag", [flag for flag in SANDBOX_FLAGS if flag not in {"--help", "--no-bulk"}])
def test_every_flag_of_the_sandbox(flag: str) -> None:
    assert f"`{flag}" in SANDBOX_PAGE


def test_no_setting_is_read_that_is_not_listed() -> None:
    listed = {setting.name for setting in SETTINGS}
    code = "\n".join(
        path.read_text()
        for floor in ("blocks", "tasks", "flows", "deployments")
        for path in (ROOT / floor).rglob("*.py")
    )
    assert set(re.findall(r"ONEPASSWORD_SOURCE_([A-Z_]+)", code)) <= listed
    assert set(re.findall(r'\bread\("([A-Z_]+)"\)', code)) <= listed


KEYS = [name for name in SourceConfig.__dataclass_fields__ if name not in {"warnings", "hosted"}]


@pytest.mark.parametrize("key", KEYS)
def test_every_key_of_the_configuration(key: str) -> None:
    assert f"| `{key}` |" in CONFIGURATION_PAGE


def test_the_page_of_the_sandbox_has_the_number_of_faults() -> None:
    assert f"{len(KINDS)} faults on demand" in SANDBOX_PAGE


def test_every_dependency_has_its_reason() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["dev"]
    table = (DOCS / "dependencies.md").read_text()
    for requirement in wanted:
        name = re.match(r"[A-Za-z0-9-]+", requirement)
        assert name
        assert name[0] in table


def test_the_locks_hold_names_versions_and_hashes_alone() -> None:
    line = re.compile(r"[a-z0-9._-]+(\[[a-z0-9,._-]+\])?==\S+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")
    locks = [
        path for directory in ("*.lock", "deployments/**/*.lock", "tests/**/*.lock") for path in ROOT.glob(directory)
    ]
    assert len(locks) >= 6
    for lock in locks:
        assert [text for text in lock.read_text().splitlines() if not line.fullmatch(text)] == []


PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(DOCS.rglob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []
