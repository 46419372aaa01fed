"""How processes reach this machine's own Prefect, and how it stays closed to everyone else.

Prefect gives secrets to anyone who reaches its API, and a web page in a browser can reach loopback. So the API requires
a password (server_secrets.py), and a guard stands in front of it (guard.py). Prefect reads its settings from the
environment when it is imported: call `activate` before that. Nothing here imports Prefect.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import socket
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from blocks import settings
from blocks.errors import FirstPartyGenericError, ThirdPartyConfigError
from deployments import working_directory
from deployments.prefect_api import server_settings, up_lock
from deployments.prefect_api.local_files import prefect_home
from deployments.prefect_api.server_secrets import (
    USER,
    Secrets,
    hold_secrets,
    is_open_to_others,
    load_secrets,
    secrets_path,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import httpx

    from deployments.prefect_api.up_lock import RunningUp

HOST = "127.0.0.1"
LOOPBACK = (HOST, "localhost", "::1")
WILDCARDS = {"0.0.0.0": HOST, "::": "::1"}  # noqa: S104 - compared, not bound
ANSWER_SECONDS = 5.0
OK, UNAUTHORIZED = 200, 401


@dataclass(frozen=True)
class PrefectAccess:
    """Which Prefect is used: `own` (a running `up`), `temporary` (Prefect starts one) or `external` (the user's)."""

    kind: Literal["own", "temporary", "external"]
    url: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ListenAddress:
    """The address that `up` listens on, and the public address of a TLS proxy in front of it."""

    host: str = HOST
    public_url: str | None = None
    port: int | None = None
    """None: the port of the settings."""
    names: tuple[str, ...] = ()
    """More names by which other machines of a private network reach it."""
    scheme: Literal["http", "https"] = "http"

    @property
    def origin(self) -> str:
        """The origin of the UI for processes of this machine."""
        return self._origin(WILDCARDS.get(self.host, self.host))

    @property
    def origins(self) -> tuple[str, ...]:
        """All origins of the UI, this machine's first. The server answers requests to the hosts of these only."""
        found = [self.origin]
        if self.is_local:
            found.append(self._origin("localhost"))
        elif self.host in WILDCARDS:
            found += map(self._origin, (*LOOPBACK, socket.gethostname()))
        found += map(self._origin, self.names)
        if self.public_url:
            found.append(self.public_url)
        return tuple(dict.fromkeys(found))

    @property
    def is_local(self) -> bool:
        return self.host in LOOPBACK

    def _origin(self, host: str) -> str:
        return f"{self.scheme}://{f'[{host}]' if ':' in host else host}:{self.port or settings.port()}".lower()


LOOPBACK_ONLY = ListenAddress()


def parse_listen_address(
    host: str,
    public_url: str | None,
    *,
    port: int | None = None,
    names: tuple[str, ...] = (),
    scheme: Literal["http", "https"] = "http",
) -> ListenAddress:
    """The listen address of the options. Raises ThirdPartyConfigError if the URL is not `https://host[:port]`."""
    for name in names:
        if not re.fullmatch(r"[\w.-]+|[\da-fA-F:]+", name, re.ASCII):
            raise ThirdPartyConfigError(f"--name is {name!r}.", hint="Give a host name or an address, without a port.")
    if public_url is None:
        return ListenAddress(host, port=port, names=names, scheme=scheme)
    if not re.fullmatch(r"https://([\w.-]+|\[[\da-fA-F:]+\])(:\d+)?/?", public_url, re.ASCII):
        raise ThirdPartyConfigError(
            f"--public-url is {public_url!r}.", hint="Give the address of the TLS proxy: https://prefect.example.com"
        )
    return ListenAddress(host, public_url.rstrip("/").lower().removesuffix(":443"), port, names, scheme)


def _warnings_about_secrets() -> tuple[str, ...]:
    path = secrets_path()
    if not is_open_to_others(path):
        return ()
    return (
        (
            f"{path} could be read by other users of this machine. Its mode is 0600 again; if you do not trust "
            "them, renew the tokens of your sources."
        ),
    )


def prefect_environment() -> dict[str, str]:
    """All variables that our own Prefect server and its clients need.

    PREFECT_API_URL is set only while an `up` runs. Without it Prefect starts a temporary server, which has the same
    database, password and key. Raises FirstPartyGenericError if an `up` runs and does not answer: a second server on
    its database would disturb it.
    """
    running = find_running()
    if running is not None:
        return environment_for(running.url)
    if up_lock.is_held():
        raise FirstPartyGenericError(
            "`up` is running, but its Prefect server does not answer. Nothing was done; collected events are safe.",
            hint=f"Look at the terminal of `up`, and at {settings.data_dir() / 'server.log'}. "
            "It starts its server automatically; then try again.",
            code="prefect",
        )
    return _base_environment(load_secrets(), LOOPBACK_ONLY)


def environment_for(url: str, at: ListenAddress = LOOPBACK_ONLY) -> dict[str, str]:
    """The variables of a server, which need not run yet, with its API at `url`."""
    return {**_base_environment(load_secrets(), at), "PREFECT_API_URL": url}


def _base_environment(kept: Secrets, at: ListenAddress) -> dict[str, str]:
    return {
        "PREFECT_API_AUTH_STRING": kept.auth_string,
        "PREFECT_SERVER_API_AUTH_STRING": kept.auth_string,
        "PREFECT_SERVER_ENCRYPTION_KEY": kept.encryption_key,
        "PREFECT_SERVER_API_HOST": at.host,
        **server_environment(at.origins),
    }


def server_environment(origins: Iterable[str]) -> dict[str, str]:
    """The variables of a guarded server that answers to these origins, without its secrets and its database."""
    return {
        "PREFECT_HOME": str(prefect_home()),
        "PREFECT_API_SSL_CERT_FILE": str(_single_authority_file()),
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(origins),
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(_ui_directory()),
        "DO_NOT_TRACK": "1",
        **server_settings.SERVER,
        **server_settings.retention(),
        **_no_proxy(os.environ),
    }


def _single_authority_file() -> Path:
    """A file with one of certifi's certificate authorities, for clients that use plain HTTP on this machine.

    Each of Prefect's clients reads all trusted authorities when it is created, and a run creates dozens. With all of
    certifi's that takes 70 ms each.
    """
    path = prefect_home() / "authority.pem"
    if not path.exists():
        import certifi  # noqa: PLC0415 - comes with httpx

        end = "-----END CERTIFICATE-----\n"
        part = path.with_suffix(f".{os.getpid()}")
        part.write_text(Path(certifi.where()).read_text().partition(end)[0] + end)
        part.chmod(0o600)
        part.replace(path)
    return path


def _ui_directory() -> Path:
    """The directory that Prefect unpacks its UI to, without the second UI.

    The second UI reports to an analytics service from the browser, whatever the server's settings say. Prefect skips a
    UI that it cannot unpack, and a dangling link is such a target.
    """
    path = prefect_home() / "ui"
    path.mkdir(mode=0o700, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (path / "v2").symlink_to("kept-out")
    return path


def _no_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """Exclude this machine from proxies: a proxy would receive the password of a server on this machine."""
    if not any(name.lower() in ("http_proxy", "https_proxy", "all_proxy") for name in environment):
        return {}
    named = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    hosts = [host.strip() for host in named.split(",") if host.strip()]
    value = ",".join([*hosts, *(host for host in LOOPBACK if host not in hosts)])
    return {"NO_PROXY": value, "no_proxy": value}


def find_running() -> RunningUp | None:
    """The `up` of this data directory, if it runs and accepts our password; else None."""
    running = up_lock.read_announcement()
    return running if running is not None and answers(running.url) else None


def answers(url: str) -> bool:
    """True if the server at `url` is healthy, requires a password, and accepts ours."""
    with unauthenticated_client(ANSWER_SECONDS) as client:
        kept = load_secrets()
        return (
            _status(client, f"{url}/health") == OK
            and _status(client, f"{url}/admin/version") == UNAUTHORIZED
            and _status(client, f"{url}/admin/version", (USER, kept.api_password)) == OK
        )


def unauthenticated_client(seconds: float, auth: tuple[str, str] | None = None) -> httpx.Client:
    """An HTTP client for our own server. `seconds` limits each step of a request; `auth` is user and password."""
    import httpx  # noqa: PLC0415 - 0.2 s, only for commands that reach a server

    # Our server uses plain HTTP, so no authority is trusted: reading all of certifi's takes 70 ms. No proxy is used,
    # because it would receive the password.
    no_authority = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.Client(timeout=seconds, trust_env=False, verify=no_authority, auth=auth)


def authenticated_client(seconds: float) -> httpx.Client:
    """An HTTP client for our own server, with the password of this data directory."""
    return unauthenticated_client(seconds, (USER, load_secrets().api_password))


def _status(client: httpx.Client, url: str, auth: tuple[str, str] | None = None) -> int | None:
    import httpx  # noqa: PLC0415 - as above

    try:
        return client.get(url, auth=auth).status_code
    except (httpx.HTTPError, httpx.InvalidURL):
        return None


def activate() -> PrefectAccess:
    """Make this process use the right Prefect. Call it before Prefect is imported.

    A PREFECT_API_URL that the user has set is used as it is. Raises RuntimeError if Prefect was imported before with
    other settings. The process leaves its working directory, because Prefect would use the code and the settings there.
    """
    working_directory.leave()
    external = external_url()
    if external is not None:
        return PrefectAccess("external", external, _warnings_about(external))
    hold_secrets()
    warnings = _warnings_about_secrets()
    wanted = prefect_environment()
    _apply(wanted)
    url = wanted.get("PREFECT_API_URL")
    return PrefectAccess("own" if url else "temporary", url, warnings)


def activate_server(at: ListenAddress) -> PrefectAccess:
    """As `activate`, for the process that starts the server itself."""
    working_directory.leave()
    if (external := external_url()) is not None:
        raise FirstPartyGenericError(
            f"PREFECT_API_URL is set to {external}, so there is no Prefect server to start.",
            hint="Unset it; or, to use that server, apply your sources and start a worker: "
            "prefect worker start --pool onepassword-source --type onepassword-source",
        )
    hold_secrets()
    warnings = _warnings_about_secrets()
    url = f"{at.origin}/api"
    _apply(environment_for(url, at))
    return PrefectAccess("own", url, warnings)


def _apply(wanted: Mapping[str, str]) -> None:
    _refuse_late_change(wanted)
    if "PREFECT_API_URL" not in wanted:
        os.environ.pop("PREFECT_API_URL", None)
    os.environ.update(wanted)


def external_url() -> str | None:
    """The PREFECT_API_URL that the user has set; None if it is not set or comes from `onepassword-source env`."""
    url = os.environ.get("PREFECT_API_URL")
    return url.rstrip("/") if url and not _is_ours(os.environ) else None


def _is_ours(environment: Mapping[str, str]) -> bool:
    if not secrets_path().exists():
        return False
    # A shell may hold variables that were printed before the secrets were rotated.
    ours = {"PREFECT_HOME": str(prefect_home()), "PREFECT_API_URL": f"{LOOPBACK_ONLY.origin}/api"}
    if ours.items() <= environment.items():
        return True
    return environment.get("PREFECT_API_AUTH_STRING") == load_secrets().auth_string


def _refuse_late_change(wanted: Mapping[str, str]) -> None:
    if "prefect" not in sys.modules:
        return
    differing = [name for name in ("PREFECT_API_URL", *wanted) if os.environ.get(name) != wanted.get(name)]
    if differing:
        raise RuntimeError(f"activate() was called after Prefect was imported with other settings: {differing}")


def _warnings_about(url: str) -> tuple[str, ...]:
    import httpx  # noqa: PLC0415 - as above

    with httpx.Client(timeout=ANSWER_SECONDS) as client:
        if _status(client, f"{url}/admin/version") != OK:
            return ()
    return (
        (
            f"The Prefect server at {url} does not require a password: anyone who reaches it can read your tokens. "
            "Set PREFECT_SERVER_API_AUTH_STRING on the server and PREFECT_API_AUTH_STRING here."
        ),
    )


def shell_exports() -> str:
    """Lines for `eval` in a shell, secrets included. With them Prefect's own command line uses our Prefect."""
    if external_url() is not None:
        return "# PREFECT_API_URL is set already: Prefect's command line uses that server.\n"
    wanted = prefect_environment()
    if "PREFECT_API_URL" not in wanted:
        # Otherwise Prefect's command line would start its own server, with another database.
        wanted["PREFECT_SERVER_EPHEMERAL_ENABLED"] = "false"
    lines = [f"export {name}={shlex.quote(value)}" for name, value in wanted.items()]
    if "PREFECT_API_URL" not in wanted:
        lines.insert(0, "unset PREFECT_API_URL  # `onepassword-source up` does not run: start it first")
    return "\n".join(lines) + "\n"
