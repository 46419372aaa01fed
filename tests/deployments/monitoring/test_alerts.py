"""The alert rules, checked and unit-tested by promtool."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.grafana import DIRECTORY
from support.paths import ROOT
from support.prometheus import promtool
from support.reference import metrics

ALERTS = DIRECTORY / "alerts.yaml"
UNIT_TESTS = sorted(Path(__file__).parent.glob("alert_tests*.yaml"))
PAGE = ROOT / "docs" / "how-to" / "monitoring.md"


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def test_promtool_accepts_the_rules() -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", str(ALERTS))


@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_each_rule_fires_when_it_should_and_with_its_texts(path: Path) -> None:
    assert "SUCCESS" in promtool("test", "rules", str(path))


def test_every_rule_has_a_unit_test_and_stands_on_the_page() -> None:
    tests = "".join(path.read_text() for path in UNIT_TESTS)
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names)
    for name in names:
        assert f"- name: {name}\n" in tests, "it fires"
        assert f"alertname: {name}, exp_alerts: []" in tests, "it does not fire"
        assert f"`{name}`" in PAGE.read_text()


def test_a_rule_reads_metrics_that_there_are_and_says_what_to_do() -> None:
    for rule in rules():
        named = set(re.findall(r"\bonepassword_source_\w+", rule["expr"]))
        assert named <= set(metrics.names())
        assert named or "node_textfile_mtime_seconds" in rule["expr"]
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "description"}


def test_promtool_finds_a_wrong_rule(tmp_path: Path) -> None:
    wrong = tmp_path / "alerts.yaml"
    wrong.write_text(ALERTS.read_text().replace("max by (source)", "max by source"))
    with pytest.raises(AssertionError, match="could not parse expression"):
        promtool("check", "rules", str(wrong))
