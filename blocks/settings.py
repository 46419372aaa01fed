"""The settings: environment variables, read at each use and never at import time."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from blocks.errors import ThirdPartyConfigError
from blocks.secret_references import onepassword_cli

PREFIX = "ONEPASSWORD_SOURCE_"
PORT_MAX = 65535
SHARE_MIN = 0.01
LOG_FORMATS = ("text", "json")


@dataclass(frozen=True)
class Setting:
    """One environment variable: its name without the prefix, its default, and what it does."""

    name: str
    default: str
    meaning: str
    is_secret: bool = False
    """True: NAME_FILE may name a file that holds it, and it may be a reference op://…"""


SETTINGS = (
    Setting(
        "DATA_DIR",
        "the user's data directory (`~/.local/share/onepassword-source`)",
        "Where the store, the secrets, the logs and Prefect's own files are.",
    ),
    Setting(
        "DATABASE_URL",
        "`events.db` in the data directory",
        "The event store: `sqlite:////path/events.db` or `postgresql://user:password@host/database`. With `?timeout=5`,"
        " SQLite waits 5 seconds for another writer (default 60).",
        is_secret=True,
    ),
    Setting(
        "ALLOWED_HOSTS",
        "none",
        "More hosts (`host` or `host:port`, separated by commas) that a token may be sent to.",
    ),
    Setting(
        "API_TOKEN",
        "none",
        "The token for `apply`, if the file has none. It is removed from the environment before any child process"
        " starts.",
        is_secret=True,
    ),
    Setting(
        "BACKUP_PASSPHRASE",
        "none",
        "The passphrase of the secrets in a backup, for `backup` and `restore`"
        " (see [Back up and restore](../how-to/backup.md)). It is removed from the environment before any child process"
        " starts.",
        is_secret=True,
    ),
    Setting(
        "BACKUP_AFTER",
        "`8d`",
        "How old the last backup may be before `check` warns, or `off`. It has no effect before the first backup.",
    ),
    Setting("PORT", "`4200`", "The port of the Prefect server that `up` starts."),
    Setting(
        "CONSOLE_PASSWORD",
        "the password of `up`",
        "The operators' password of `onepassword-source console`.",
        is_secret=True,
    ),
    Setting(
        "CONSOLE_VIEWER_PASSWORD",
        "derived from the operators'",
        "The viewers' password of `onepassword-source console`.",
        is_secret=True,
    ),
    Setting(
        "TRUSTED_PROXIES",
        "none",
        "Addresses and networks of proxies, separated by commas: `10.0.0.5, 10.1.0.0/16`. `up`, `console` and `server`"
        " believe the headers `X-Forwarded-For` and `X-Forwarded-Proto` of requests from there, and of no others"
        " (see [Put a proxy in front](../how-to/proxy.md)).",
    ),
    Setting(
        "NOTIFY",
        "none",
        "The notification block, as `TYPE/NAME`, for sources in error and for problems of `up` itself"
        " (see [Notifications](../how-to/notifications.md)).",
    ),
    Setting(
        "HEARTBEAT_URL",
        "none",
        "A dead-man's switch: `up` requests this URL once a minute while everything works"
        " (see [Watched from outside](../explanation/up.md#watched-from-outside)). The URL is a secret: it is never"
        " shown, and no child process of `up` gets it.",
        is_secret=True,
    ),
    Setting(
        "LOG_FORMAT",
        "`text`",
        "`json`: `up`, `console`, `server` and `worker` write one JSON object per line, also in the logs of the data"
        " directory (see [Logs](../how-to/logs.md)).",
    ),
    Setting(
        "RATE_LIMITS",
        "`600/60 30000/3600`",
        "Requests per seconds that one account may make, or `off`. Servers on this machine are unlimited unless this is"
        " set.",
    ),
    Setting(
        "BACKFILL_SHARE",
        "`0.8`",
        "The share of those limits that backfills may use, 0.01 to 1. The rest is for live collection.",
    ),
    Setting(
        "RUNS_KEPT",
        "`14d`, and less with more than eleven sources",
        "How long Prefect keeps runs and their logs: `12h`, `14d`, `8w`. Without it, `up` chooses when it starts a time"
        " for which the runs fit into about 3 GB, and Prefect's own events into 2 GB: 5 days with 30 sources, 13 hours"
        " with 300. Prefect keeps its own events for at most two days. Events of 1Password are not affected.",
    ),
)
"""All settings. Defaults and meanings are Markdown: docs/reference/configuration.md is made from them."""


def read(name: str) -> str | None:
    """The value of one setting, or None where it is not set or empty."""
    return os.environ.get(PREFIX + name) or None


def read_secret(name: str) -> str | None:
    """The value of a secret setting, or None where it is not set. Raises ConfigurationError."""
    return without_reference(PREFIX + name, read(name))


def without_reference(variable: str, text: str | None) -> str | None:
    """The text of a variable, or the secret in 1Password that it refers to. Raises ConfigurationError."""
    return onepassword_cli.read(text, variable) if text and onepassword_cli.is_reference(text) else text


def data_dir() -> Path:
    """The directory of everything that is kept on this machine. Made with mode 0700 where it is missing.

    Raises ThirdPartyConfigError where it cannot be made.
    """
    named = read("DATA_DIR")
    if named:
        path = Path(named).expanduser().absolute()
    else:
        from platformdirs import user_data_path  # noqa: PLC0415 - only where no directory is named

        path = user_data_path("onepassword-source")
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ThirdPartyConfigError(
            f"The directory {path} cannot be made: {error.strerror}.",
            hint=f"Set {PREFIX}DATA_DIR to a directory that you may write.",
            code="setting",
        ) from error
    return path


def database_url() -> str:
    """The URL of the event store. Raises ConfigurationError if it is a reference to 1Password that cannot be read.

    A reference is read once: this process and its children then have the URL in their environment.
    """
    url = read_secret("DATABASE_URL")
    if url is None:
        return f"sqlite:///{data_dir() / 'events.db'}"
    os.environ[PREFIX + "DATABASE_URL"] = url
    return url


def allowed_hosts() -> frozenset[str]:
    """Hosts beyond 1Password's own that a token may be sent to."""
    named = read("ALLOWED_HOSTS") or ""
    return frozenset(host.strip().lower() for host in named.split(",") if host.strip())


def port() -> int:
    """The port of the Prefect server. Raises ThirdPartyConfigError where the setting is none."""
    named = read("PORT") or "4200"
    if not (named.isascii() and named.isdigit() and 0 < int(named[:6]) <= PORT_MAX):
        raise ThirdPartyConfigError(
            f"{PREFIX}PORT is {named!r}.", hint=f"Set it to a number from 1 to {PORT_MAX}.", code="setting"
        )
    return int(named)


def trusted_proxies() -> list[str]:
    """Addresses and networks whose `X-Forwarded-…` headers are believed. Raises ThirdPartyConfigError."""
    named = (read("TRUSTED_PROXIES") or "").split(",")
    return [_trusted_proxy(entry.strip()) for entry in named if entry.strip()]


def _trusted_proxy(entry: str) -> str:
    try:
        network = ipaddress.ip_network(entry)
    except ValueError:
        raise _wrong_proxy(f"{entry!r}, which is no address and no network", _network_around(entry)) from None
    if network.prefixlen == 0:
        raise _wrong_proxy(f"{entry!r}: then every client could claim to be another")
    return entry


def _network_around(entry: str) -> str | None:
    """The network of an address with a prefix, such as 10.1.2.3/16."""
    try:
        return str(ipaddress.ip_network(entry, strict=False))
    except ValueError:
        return None


def _wrong_proxy(what: str, network: str | None = None) -> ThirdPartyConfigError:
    hint = f"You may mean {network}." if network else "Name your proxies: 10.0.0.5, 10.1.0.0/16."
    return ThirdPartyConfigError(f"{PREFIX}TRUSTED_PROXIES has {what}.", hint=hint, code="setting")


def log_format() -> str:
    """`text` or `json`. Raises ThirdPartyConfigError for another value."""
    named = read("LOG_FORMAT") or LOG_FORMATS[0]
    if named not in LOG_FORMATS:
        raise ThirdPartyConfigError(
            f"{PREFIX}LOG_FORMAT is {named!r}.", hint=f"Set it to {' or '.join(LOG_FORMATS)}.", code="setting"
        )
    return named


def backfill_share() -> float:
    """The part of the rate windows that backfills may use. Raises ThirdPartyConfigError."""
    named = read("BACKFILL_SHARE") or "0.8"
    try:
        share = float(named)
    except ValueError:
        share = 0
    if not SHARE_MIN <= share <= 1:
        raise ThirdPartyConfigError(
            f"{PREFIX}BACKFILL_SHARE is {named!r}.", hint=f"Set it to a number from {SHARE_MIN} to 1.", code="setting"
        )
    return share
