"""The Helm chart: linted, rendered with several sets of values, and every document checked.

A cluster is not needed. `helm` and the schemas of Kubernetes are what tests/install/install.sh installs.
"""

from __future__ import annotations

import copy
import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from install import tools
from install.files.pod_security import RULES, containers, violations
from support.paths import ROOT

from blocks.settings import PREFIX, SETTINGS
from deployments.cli import app
from deployments.secret_files import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHART = ROOT / "deployments" / "kubernetes" / "onepassword-source"
PAGE = (ROOT / "docs" / "install" / "kubernetes.md").read_text()
KUBERNETES = ("1.25", "1.34")
"""The oldest version that the chart allows, and a recent one."""
WITHOUT_SCHEMA = {"ServiceMonitor"}
"""Kinds that the Prometheus Operator defines."""

PEER = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}
MINIMAL: dict[str, Any] = {
    "migrations": {"enabled": False},
    "console": {"enabled": False},
    "networkPolicy": {"enabled": False},
    "server": {"persistence": {"enabled": False}},
    "worker": {"replicas": 1, "podDisruptionBudget": {"enabled": False}},
}
EVERYTHING: dict[str, Any] = {
    "image": {
        "repository": "registry.example.com/onepassword-source",
        "digest": "sha256:" + "0123456789abcdef" * 4,
        "pullSecrets": [{"name": "registry"}],
    },
    "sources": {
        "existingSecret": "sources",
        "extraEnv": [{"name": "SPLUNK_TOKEN", "valueFrom": {"secretKeyRef": {"name": "splunk", "key": "token"}}}],
    },
    "settings": {"ONEPASSWORD_SOURCE_RATE_LIMITS": "off", "HTTPS_PROXY": "http://proxy.example.com:3128"},
    "server": {
        "publicUrl": "https://prefect.example.com",
        "tls": {"existingSecret": "server-tls"},
        "persistence": {"storageClass": "fast"},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "soc", "operator": "Exists", "effect": "NoSchedule"}],
    },
    "console": {"replicas": 2, "publicUrl": "https://console.example.com:8443"},
    "worker": {"autoscaling": {"enabled": True}, "affinity": {"nodeAffinity": {}}},
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "annotations": {"a/b": "c"},
        "tlsSecret": "soc-tls",
        "trustedProxies": ["10.42.7.0/24", "fd00::5"],
    },
    "networkPolicy": {
        "ingressFrom": [PEER],
        "metricsFrom": [PEER],
        "database": {"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]},
        "extraEgress": [{"ports": [{"protocol": "TCP", "port": 6514}]}],
    },
    "serviceMonitor": {"enabled": True, "labels": {"release": "p"}, "basicAuth": {"existingSecret": "metrics"}},
    "podLabels": {"team": "soc"},
    "podAnnotations": {"a": "b"},
}
SETS = {"default": {}, "minimal": MINIMAL, "everything": EVERYTHING}


@pytest.fixture(scope="module")
def helm() -> Path:
    return tools.helm()


@pytest.fixture
def template(helm: Path, tmp_path: Path) -> Template:
    return Template(helm, tmp_path)


class Template:
    """`helm template` with a set of values."""

    def __init__(self, helm: Path, directory: Path) -> None:
        self._helm = helm
        self._file = directory / "values.yaml"

    def run(self, values: dict[str, Any], *command: str) -> subprocess.CompletedProcess[str]:
        self._file.write_text(yaml.safe_dump(values))
        arguments = [*command, "--values", self._file]
        return subprocess.run([self._helm, *arguments], capture_output=True, text=True, check=False)

    def text(self, values: dict[str, Any], release: str = "soc") -> str:
        done = self.run(values, "template", release, str(CHART), "--namespace", "security")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def documents(self, values: dict[str, Any]) -> list[dict[str, Any]]:
        return [one for one in yaml.safe_load_all(self.text(values)) if one]

    def error(self, values: dict[str, Any]) -> str:
        done = self.run(values, "template", "soc", str(CHART))
        assert done.returncode != 0, done.stdout
        return done.stderr


def pods(documents: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name of each pod template's owner, and its specification."""
    for one in documents:
        if "template" in one.get("spec", {}):
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]


@pytest.mark.parametrize("name", SETS)
def test_lint_finds_nothing(template: Template, name: str) -> None:
    done = template.run(SETS[name], "lint", "--strict", str(CHART))
    assert (done.returncode, "[WARNING]" in done.stdout) == (0, False), done.stdout + done.stderr


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("name", SETS)
def test_every_document_is_valid(template: Template, tmp_path: Path, name: str, version: str) -> None:
    documents = [one for one in template.documents(SETS[name]) if one["kind"] not in WITHOUT_SCHEMA]
    assert len(documents) >= 4
    assert tools.validate(documents, version, tmp_path) == ""


def test_an_unknown_member_would_be_found(template: Template, tmp_path: Path) -> None:
    documents = template.documents({})
    server = next(one for one in documents if one["kind"] == "Deployment")
    server["spec"]["template"]["spec"]["enableServiceLink"] = False
    assert "enableServiceLink" in tools.validate(documents, KUBERNETES[-1], tmp_path)


@pytest.mark.parametrize("name", SETS)
def test_every_pod_obeys_the_restricted_standard(template: Template, name: str) -> None:
    found = dict(pods(template.documents(SETS[name])))
    assert len(found) == {"default": 4, "minimal": 2, "everything": 5}[name]
    assert [(owner, violations(pod)) for owner, pod in found.items() if violations(pod)] == []


BREACHES: dict[str, dict[str, Any]] = {
    "HostProcess": {"securityContext": {"windowsOptions": {"hostProcess": True}}},
    "Host namespaces": {"hostPID": True},
    "Privileged containers": {"container": {"securityContext": {"privileged": True}}},
    "HostPath volumes and volume types": {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]},
    "Host ports": {"container": {"ports": [{"containerPort": 4200, "hostPort": 4200}]}},
    "Host probes and lifecycle hooks": {"container": {"livenessProbe": {"httpGet": {"host": "10.0.0.1", "port": 80}}}},
    "AppArmor": {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}},
    "SELinux": {"securityContext": {"seLinuxOptions": {"type": "spc_t"}}},
    "/proc mount type": {"container": {"securityContext": {"procMount": "Unmasked"}}},
    "Sysctls": {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
    "Privilege escalation": {"container": {"securityContext": {"allowPrivilegeEscalation": None}}},
    "Running as non-root": {"container": {"securityContext": {"runAsNonRoot": False}}},
    "Running as non-root user": {"securityContext": {"runAsUser": 0}},
    "Seccomp": {"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
    "Capabilities": {"container": {"securityContext": {"capabilities": {"drop": ["NET_RAW"]}}}},
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_of_the_standard_can_be_broken(template: Template, rule: str) -> None:
    pod = copy.deepcopy(dict(pods(template.documents({})))["soc-onepassword-source-worker"])
    breach = copy.deepcopy(BREACHES[rule])
    _merge(pod["containers"][0], breach.pop("container", {}))
    _merge(pod, breach)
    assert violations(pod) == [rule]


def _merge(target: dict[str, Any], change: dict[str, Any]) -> None:
    for name, value in change.items():
        if isinstance(value, dict) and isinstance(target.get(name), dict):
            _merge(target[name], value)
        else:
            target[name] = value


@pytest.mark.parametrize("name", SETS)
def test_no_pod_gets_a_token_or_variables_of_services(template: Template, name: str) -> None:
    documents = template.documents(SETS[name])
    for owner, pod in pods(documents):
        assert (owner, pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (owner, False, False)
    accounts = [one for one in documents if one["kind"] == "ServiceAccount"]
    assert [one["automountServiceAccountToken"] for one in accounts] == [False]


@pytest.mark.parametrize("name", SETS)
def test_secrets_are_files_of_existing_secrets_and_each_pod_gets_its_own_alone(template: Template, name: str) -> None:
    documents = template.documents(SETS[name])
    assert "Secret" not in {one["kind"] for one in documents}
    for owner, pod in pods(documents):
        (volume,) = [one["secret"] for one in pod["volumes"] if one["name"] == "secrets"]
        mounted = {f"/run/secrets/onepassword-source/{item['path']}" for item in volume["items"]}
        (container,) = containers(pod)
        variables = {one["name"]: one.get("value", "") for one in container["env"]}
        files = {variable: value for variable, value in variables.items() if variable.endswith("_FILE")}
        assert set(files) - {"PREFECT_API_SSL_CERT_FILE"} <= {f"{one}_FILE" for one in VARIABLES}, owner
        assert {value for variable, value in files.items() if variable != "PREFECT_API_SSL_CERT_FILE"} == mounted, owner
        assert not set(variables) & set(VARIABLES), owner


@pytest.mark.parametrize("name", SETS)
def test_commands_flags_and_settings_exist(template: Template, name: str) -> None:
    settings = {PREFIX + setting.name for setting in SETTINGS}
    for owner, pod in pods(template.documents(SETS[name])):
        (container,) = containers(pod)
        if "command" not in container:
            command, *arguments = container["args"]
            known = {flag for parameter in app.load(command).params for flag in parameter.opts}
            assert {one for one in arguments if one.startswith("--")} <= known, owner
        variables = {one["name"].removesuffix("_FILE") for one in container["env"]}
        assert {one for one in variables if one.startswith(PREFIX)} <= settings, owner


@pytest.mark.parametrize(("name", "proxies"), [("default", None), ("everything", "10.42.7.0/24,fd00::5")])
def test_what_the_ingress_leads_to_gets_its_addresses(template: Template, name: str, proxies: str | None) -> None:
    found = {
        owner.rpartition("-")[2]: variable["value"]
        for owner, pod in pods(template.documents(SETS[name]))
        for variable in containers(pod)[0]["env"]
        if variable["name"] == f"{PREFIX}TRUSTED_PROXIES"
    }
    assert found == ({} if proxies is None else {"console": proxies, "server": proxies})


@pytest.mark.parametrize("name", SETS)
def test_every_selector_selects_the_pods_that_it_is_meant_for(template: Template, name: str) -> None:
    documents = template.documents(SETS[name])
    labels = [one["spec"]["template"]["metadata"]["labels"] for one in documents if "template" in one.get("spec", {})]
    for one in documents:
        spec = one.get("spec", {})
        selector = spec.get("podSelector") or spec.get("selector") or {}
        selector = selector.get("matchLabels", selector)
        if one["kind"] in {"ServiceMonitor", "ServiceAccount"} or not selector:
            continue
        matched = [found for found in labels if selector.items() <= found.items()]
        disabled = one["kind"] == "NetworkPolicy" and not matched
        assert len(matched) == 1 or disabled, one["metadata"]["name"]


def test_every_container_has_probes_or_ends_and_bounded_memory(template: Template) -> None:
    documents = template.documents(EVERYTHING)
    jobs = {one["metadata"]["name"] for one in documents if one["kind"] == "Job"}
    for owner, pod in pods(documents):
        (container,) = containers(pod)
        assert {"memory"} <= set(container["resources"]["limits"]), owner
        assert {"memory", "cpu"} <= set(container["resources"]["requests"]), owner
        probes = {"startupProbe", "livenessProbe", "readinessProbe"}
        assert (probes & set(container) == probes) != (owner in jobs), owner


def test_migrations_run_before_and_sources_are_applied_after(template: Template) -> None:
    jobs = {one["metadata"]["name"]: one["metadata"] for one in template.documents(EVERYTHING) if one["kind"] == "Job"}
    hooks = {name.rpartition("-")[2]: one["annotations"]["helm.sh/hook"] for name, one in jobs.items()}
    assert hooks == {"migrate": "pre-install,pre-upgrade", "apply": "post-install,post-upgrade"}
    # What a hook needs before the release exists cannot come from the release.
    migrate = next(pod for owner, pod in pods(template.documents(EVERYTHING)) if owner.endswith("-migrate"))
    assert "serviceAccountName" not in migrate


def test_autoscaling_counts_workers_by_their_cpu(template: Template) -> None:
    documents = template.documents(EVERYTHING)
    (scaler,) = [one["spec"] for one in documents if one["kind"] == "HorizontalPodAutoscaler"]
    (worker,) = [
        one for one in documents if one["kind"] == "Deployment" and one["metadata"]["name"].endswith("-worker")
    ]
    assert scaler["scaleTargetRef"]["name"] == worker["metadata"]["name"]
    assert "replicas" not in worker["spec"], "an upgrade would undo what the autoscaler has set"
    assert "cpu" in worker["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]
    assert [one["resource"]["name"] for one in scaler["metrics"]] == ["cpu"]


def test_without_tls_no_pod_of_others_reaches_the_server(template: Template) -> None:
    policies = {
        one["metadata"]["name"].removeprefix("soc-onepassword-source-"): one["spec"]
        for one in template.documents({})
        if one["kind"] == "NetworkPolicy"
    }
    assert set(policies) == {"server", "worker", "console", "apply", "migrate"}
    assert all(spec["policyTypes"] == ["Ingress", "Egress"] for spec in policies.values())
    ((rule,),) = [policies["server"]["ingress"]]
    own = {"app.kubernetes.io/name": "onepassword-source", "app.kubernetes.io/instance": "soc"}
    assert rule["from"] == [{"podSelector": {"matchLabels": own}}]
    assert all(policies[name]["ingress"] == [] for name in ("worker", "console", "apply", "migrate"))


def test_with_a_certificate_the_pods_speak_https_to_the_server(template: Template) -> None:
    found = dict(pods(template.documents(EVERYTHING)))
    for component in ("worker", "console", "apply"):
        variables = {
            one["name"]: one.get("value")
            for one in found[f"soc-onepassword-source-{component}"]["containers"][0]["env"]
        }
        assert variables["PREFECT_API_URL"] == "https://soc-onepassword-source-server:4200/api"
        assert variables["PREFECT_API_SSL_CERT_FILE"] == "/run/tls/ca.crt"
    server = found["soc-onepassword-source-server"]["containers"][0]
    assert server["args"][-4:] == ["--tls-certificate", "/run/tls/tls.crt", "--tls-key", "/run/tls/tls.key"]
    assert server["readinessProbe"]["httpGet"]["scheme"] == "HTTPS"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"ingress": {"enabled": True}}, "ingress.enabled needs console.publicUrl"),
        (
            {"ingress": {"enabled": True}, "console": {"publicUrl": "https://soc.example.com"}},
            "ingress.enabled needs ingress.tlsSecret",
        ),
        ({"serviceMonitor": {"enabled": True}}, "serviceMonitor.basicAuth.existingSecret is missing"),
        ({"console": {"publicUrl": "http://soc.example.com"}}, "publicUrl"),
        ({"worker": {"replica": 3}}, "replica"),
        ({"settings": {"ONEPASSWORD_SOURCE_DATABASE_URL": "postgresql://u:p@h/d"}}, "ONEPASSWORD_SOURCE_DATABASE_URL"),
        ({"secrets": {"existingSecret": ""}}, "existingSecret"),
        ({"server": {"port": 443}}, "port"),
    ],
)
def test_wrong_values_are_refused(template: Template, values: dict[str, Any], expected: str) -> None:
    assert expected in template.error(values)


def test_every_value_stands_in_the_schema() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert _missing(yaml.safe_load((CHART / "values.yaml").read_text()), schema) == []


def _missing(values: dict[str, Any], schema: dict[str, Any], at: str = "") -> list[str]:
    known = schema.get("properties", {})
    found = [f"{at}{name}" for name in values if schema.get("additionalProperties") is False and name not in known]
    for name, value in values.items():
        if isinstance(value, dict) and name in known:
            found += _missing(value, known[name], f"{at}{name}.")
    return found


def test_the_notes_name_what_exists(helm: Path, template: Template) -> None:
    notes = template.run(EVERYTHING, "install", "soc", str(CHART), "--dry-run=client", "--namespace", "security").stdout
    notes = notes.partition("NOTES:")[2]
    assert "https://console.example.com:8443" in notes
    assert "deployment/soc-onepassword-source-worker" in notes


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_the_examples_of_values_in_the_page_are_rendered(template: Template, tmp_path: Path, example: str) -> None:
    values = yaml.safe_load(example)
    documents = [one for one in template.documents(values) if one["kind"] not in WITHOUT_SCHEMA]
    assert tools.validate(documents, KUBERNETES[-1], tmp_path) == ""


def test_the_chart_has_the_version_of_the_program() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    (version,) = re.findall(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert chart["appVersion"] == version
