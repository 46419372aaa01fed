"""The Pod Security Standards, level "restricted", as a function over the specification of a pod.

Each rule is one entry of https://kubernetes.io/docs/concepts/security/pod-security-standards/: those of "baseline",
which "restricted" includes, and its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Spec = dict[str, Any]

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
SELINUX = {None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
SECCOMP = {"RuntimeDefault", "Localhost"}
APPARMOR = {None, "RuntimeDefault", "Localhost"}
SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def violations(pod: Spec) -> list[str]:
    """The names of the rules that a pod breaks."""
    return [name for name, rule in RULES.items() if not rule(pod)]


def containers(pod: Spec) -> list[Spec]:
    return [one for kind in ("initContainers", "containers", "ephemeralContainers") for one in pod.get(kind) or []]


def _contexts(pod: Spec) -> Iterator[Spec]:
    yield pod.get("securityContext") or {}
    for container in containers(pod):
        yield container.get("securityContext") or {}


def _of_container(pod: Spec, *path: str) -> list[Any]:
    """A member of each container's security context; if it is missing there, the pod's."""
    return [
        _member(container.get("securityContext") or {}, path, _member(pod.get("securityContext") or {}, path, None))
        for container in containers(pod)
    ]


def _member(context: Spec, path: tuple[str, ...], default: Any) -> Any:
    for name in path:
        context = context.get(name) if isinstance(context, dict) else None  # type: ignore[assignment]
    return default if context is None else context


def _capabilities(pod: Spec, kind: str) -> list[set[str]]:
    return [set(_member(one.get("securityContext") or {}, ("capabilities", kind), [])) for one in containers(pod)]


def _handlers(pod: Spec) -> Iterator[Spec]:
    for container in containers(pod):
        yield from (container[name] for name in PROBES if container.get(name))
        yield from (container.get("lifecycle") or {}).values()


def _hosts(pod: Spec) -> list[str]:
    kinds = ("httpGet", "tcpSocket")
    return [one[kind]["host"] for one in _handlers(pod) for kind in kinds if (one.get(kind) or {}).get("host")]


RULES: dict[str, Callable[[Spec], bool]] = {
    "HostProcess": lambda pod: (
        not any(_member(one, ("windowsOptions", "hostProcess"), False) for one in _contexts(pod))
    ),
    "Host namespaces": lambda pod: not any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")),
    "Privileged containers": lambda pod: not any(one.get("privileged") for one in _contexts(pod)),
    "HostPath volumes and volume types": lambda pod: all(
        set(volume) - {"name"} <= VOLUMES for volume in pod.get("volumes") or []
    ),
    "Host ports": lambda pod: (
        not any(port.get("hostPort") for container in containers(pod) for port in container.get("ports") or [])
    ),
    "Host probes and lifecycle hooks": lambda pod: not _hosts(pod),
    "AppArmor": lambda pod: all(_member(one, ("appArmorProfile", "type"), None) in APPARMOR for one in _contexts(pod)),
    "SELinux": lambda pod: all(
        _member(one, ("seLinuxOptions", "type"), None) in SELINUX
        and not _member(one, ("seLinuxOptions", "user"), "")
        and not _member(one, ("seLinuxOptions", "role"), "")
        for one in _contexts(pod)
    ),
    "/proc mount type": lambda pod: all(one.get("procMount", "Default") == "Default" for one in _contexts(pod)),
    "Sysctls": lambda pod: {one["name"] for one in _member(pod, ("securityContext", "sysctls"), [])} <= SYSCTLS,
    "Privilege escalation": lambda pod: all(
        (one.get("securityContext") or {}).get("allowPrivilegeEscalation") is False for one in containers(pod)
    ),
    "Running as non-root": lambda pod: all(value is True for value in _of_container(pod, "runAsNonRoot")),
    "Running as non-root user": lambda pod: all(one.get("runAsUser") != 0 for one in _contexts(pod)),
    "Seccomp": lambda pod: all(value in SECCOMP for value in _of_container(pod, "seccompProfile", "type")),
    "Capabilities": lambda pod: (
        all("ALL" in dropped for dropped in _capabilities(pod, "drop"))
        and all(added <= {"NET_BIND_SERVICE"} for added in _capabilities(pod, "add"))
    ),
}
