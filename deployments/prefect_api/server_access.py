"""How this machine's own Prefect is reached, and kept shut to everyone else.

Prefect gives secrets to whoever reaches its API, and a web page in a browser can reach loopback. So it asks for a
password (server_secrets.py), and a guard stands before it (guard.py).
Prefect reads its settings from the environment when it is imported: call `activate` before that.
Nothing here imports Prefect.
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
    from collections.abc import Mapping

    import httpx

    from deployments.prefect_api.up_lock import RunningUp

HOST = "127.0.0.1"
LOOPBACK = (HOST, "localhost", "::1")
WILDCARDS = {"0.0.0.0": HOST, "::": "::1"}  # noqa: S104 - compared, not bound
ANSWER_SECONDS = 5.0
PREFECT_EVENTS_SECONDS = 2 * 24 * 3600
OK, UNAUTHORIZED = 200, 401


@dataclass(frozen=True)
class PrefectAccess:
    """Which Prefect: `own` (a running `up`), `temporary` (Prefect starts one) or `external` (the user's)."""

    kind: Literal["own", "temporary", "external"]
    url: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ListenAddress:
    """Where `up` listens, and the address that a TLS proxy in front of it has for others."""

    host: str = HOST
    public_url: str | None = None

    @property
    def origin(self) -> str:
        """The origin of the UI for this machine's own processes."""
        return _origin(WILDCARDS.get(self.host, self.host))

    @property
    def origins(self) -> tuple[str, ...]:
        """All origins of the UI, this machine's first; by their hosts alone is the server asked."""
        found = [self.origin]
        if self.is_local:
            found.append(_origin("localhost"))
        elif self.host in WILDCARDS:
            found += map(_origin, (*LOOPBACK, socket.gethostname()))
        if self.public_url:
            found.append(self.public_url)
        return tuple(dict.fromkeys(found))

    @property
    def is_local(self) -> bool:
        return self.host in LOOPBACK


LOOPBACK_ONLY = ListenAddress()


def parse_listen_address(host: str, public_url: str | None) -> ListenAddress:
    """The same from what a person typed. Raises ThirdPartyConfigError if the URL is no `https://host[:port]`."""
    if public_url is None:
        return ListenAddress(host)
    if not re.fullmatch(r"https://([\w.-]+|\[[\da-fA-F:]+\])(:\d+)?/?", public_url, re.ASCII):
        raise ThirdPartyConfigError(
            f"--public-url is {public_url!r}.", hint="Give the address of the TLS proxy: https://prefect.example.com"
        )
    return ListenAddress(host, public_url.rstrip("/").lower().removesuffix(":443"))


def _origin(host: str) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port()}".lower()


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
    """All that our own Prefect server and its clients need from the environment.

    Holds PREFECT_API_URL only while an `up` is running: without it Prefect starts a temporary server, which has
    the same database, password and key. Raises FirstPartyGenericError if an `up` runs and does not answer: a second
    server on its database would only be in its way.
    """
    running = find_running()
    if running is not None:
        return environment_for(running.url)
    if up_lock.is_held():
        raise FirstPartyGenericError(
            "`up` is running, but its Prefect server does not answer. Nothing was done; collected events are safe.",
            hint=f"Look at the terminal of `up`, and at {settings.data_dir() / 'server.log'}. "
            "It starts its server again by itself; then try again.",
            code="prefect",
        )
    return _base_environment(load_secrets(), LOOPBACK_ONLY)


def environment_for(url: str, at: ListenAddress = LOOPBACK_ONLY) -> dict[str, str]:
    """The environment of a server, which need not run yet, with its API at `url`."""
    return {**_base_environment(load_secrets(), at), "PREFECT_API_URL": url}


def _base_environment(kept: Secrets, at: ListenAddress) -> dict[str, str]:
    return {
        "PREFECT_HOME": str(prefect_home()),
        "PREFECT_API_AUTH_STRING": kept.auth_string,
        "PREFECT_SERVER_API_AUTH_STRING": kept.auth_string,
        "PREFECT_SERVER_ENCRYPTION_KEY": kept.encryption_key,
        "PREFECT_API_SSL_CERT_FILE": str(_single_authority_file()),
        "PREFECT_SERVER_API_HOST": at.host,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(at.origins),
        # Relative, so that the UI asks the origin that it came from, by whichever of its names.
        "PREFECT_UI_API_URL": "/api",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
        # A slow machine takes longer than Prefect's 20 seconds to make the database at the first start.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
        # In memory, the default, a restarted server loses the slots of healthy runs and ends them.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        # Prefect keeps runs for ever unless told, and its events for a week. Of the 288 runs a day and source, each
        # takes 50 KB, and its events 340 KB.
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(settings.runs_kept()),
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": f"PT{min(settings.runs_kept(), PREFECT_EVENTS_SECONDS)}S",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(_ui_directory()),
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "DO_NOT_TRACK": "1",
        **server_settings.SERVER,
        **_no_proxy(os.environ),
    }


def _single_authority_file() -> Path:
    """A file with one of certifi's certificate authorities, for clients that speak http to this machine.

    Each of Prefect's clients reads all that it would trust when it is made, and a run makes dozens: 70 ms each with
    all of certifi's.
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
    """Where Prefect unpacks its UI, with the second one kept out.

    That one reports to an analytics service from the browser, whatever the server's settings say. Prefect leaves out
    a UI that it cannot unpack, and a link to nowhere is such a place.
    """
    path = prefect_home() / "ui"
    path.mkdir(mode=0o700, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (path / "v2").symlink_to("kept-out")
    return path


def _no_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """A proxy would be handed the password of a server on this machine."""
    if not any(name.lower() in ("http_proxy", "https_proxy", "all_proxy") for name in environment):
        return {}
    named = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    hosts = [host.strip() for host in named.split(",") if host.strip()]
    value = ",".join([*hosts, *(host for host in LOOPBACK if host not in hosts)])
    return {"NO_PROXY": value, "no_proxy": value}


def find_running() -> RunningUp | None:
    """The `up` of this data directory, if one is running and answers to our password."""
    running = up_lock.read_announcement()
    return running if running is not None and answers(running.url) else None


def answers(url: str) -> bool:
    """Whether the server at `url` is healthy, asks for a password, and takes ours."""
    with unauthenticated_client(ANSWER_SECONDS) as client:
        kept = load_secrets()
        return (
            _status(client, f"{url}/health") == OK
            and _status(client, f"{url}/admin/version") == UNAUTHORIZED
            and _status(client, f"{url}/admin/version", (USER, kept.api_password)) == OK
        )


def unauthenticated_client(seconds: float, auth: tuple[str, str] | None = None) -> httpx.Client:
    """A client of our own server; each step of a request may take so many seconds. `auth`: user and password."""
    import httpx  # noqa: PLC0415 - 0.2 s that only those pay who ask a server

    # Ours speaks http, so no authority is trusted: all of certifi's take 70 ms to read. No proxy gets the password.
    no_authority = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.Client(timeout=seconds, trust_env=False, verify=no_authority, auth=auth)


def authenticated_client(seconds: float) -> httpx.Client:
    """The same with the password of this data directory."""
    return unauthenticated_client(seconds, (USER, load_secrets().api_password))


def _status(client: httpx.Client, url: str, auth: tuple[str, str] | None = None) -> int | None:
    import httpx  # noqa: PLC0415 - as above

    try:
        return client.get(url, auth=auth).status_code
    except (httpx.HTTPError, httpx.InvalidURL):
        return None


def activate() -> PrefectAccess:
    """Make this process use the right Prefect: to be called before Prefect is imported.

    A PREFECT_API_URL of the user's own is used as it is. Raises RuntimeError if Prefect was imported before, with
    other settings. It leaves the working directory, whose code and settings Prefect would use.
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
    """The same for the server that this very process starts."""
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
    """The PREFECT_API_URL that the user set; None if it is not set, or comes from `onepassword-source env`."""
    url = os.environ.get("PREFECT_API_URL")
    return url.rstrip("/") if url and not _is_ours(os.environ) else None


def _is_ours(environment: Mapping[str, str]) -> bool:
    if not secrets_path().exists():
        return False
    # A shell may hold what was printed before the secrets were rotated.
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
            f"The Prefect server at {url} answers without a password: whoever reaches it can read your tokens. "
            "Set PREFECT_SERVER_API_AUTH_STRING on the server and PREFECT_API_AUTH_STRING here."
        ),
    )


def shell_exports() -> str:
    """Lines for `eval` in a shell, secrets included, with which Prefect's own command line uses our Prefect."""
    if external_url() is not None:
        return "# PREFECT_API_URL is set already: Prefect's command line uses that server.\n"
    wanted = prefect_environment()
    if "PREFECT_API_URL" not in wanted:
        # Prefect's command line would start a server of its own, with another database.
        wanted["PREFECT_SERVER_EPHEMERAL_ENABLED"] = "false"
    lines = [f"export {name}={shlex.quote(value)}" for name, value in wanted.items()]
    if "PREFECT_API_URL" not in wanted:
        lines.insert(0, "unset PREFECT_API_URL  # `onepassword-source up` does not run: start it first")
    return "\n".join(lines) + "\n"
