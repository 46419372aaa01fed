"""The password and the encryption key of this machine's own Prefect: made once, kept in one file (mode 0600).

A rotation writes the next secrets beside the current ones, encrypts all blocks again in one transaction, and then
removes the old secrets. If it is killed in between, the next reader of the file finds out from the blocks which secrets
are valid. Nothing here imports Prefect.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import secrets
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from blocks import settings
from blocks.errors import FirstPartyGenericError
from deployments.prefect_api.local_files import in_use_error, prefect_database, prefect_home

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = "admin"


@dataclass(frozen=True, repr=False)
class Secrets:
    """The password of the API, and the key (Fernet, base64) that encrypts the blocks."""

    api_password: str
    encryption_key: str

    @property
    def auth_string(self) -> str:
        return f"{USER}:{self.api_password}"


@dataclass(frozen=True, repr=False)
class _SecretsFile:
    current: Secrets
    pending: Secrets | None = None


def secrets_path() -> Path:
    return settings.data_dir() / "secrets.json"


def load_secrets() -> Secrets:
    """The secrets of this machine, made if there are none. Raises FirstPartyGenericError if they are lost."""
    path = secrets_path()
    if not path.exists():
        _refuse_new_key_for_old_blocks()
        _create(path)
    if is_open_to_others(path):
        path.chmod(0o600)
    kept = _read(path)
    if kept.pending is None:
        return kept.current
    with _locked(fcntl.LOCK_SH):
        return _complete_rotation()


def rotate(*, password: bool, key: bool) -> int:
    """Make new secrets, and encrypt all blocks of this machine's Prefect with the new key. Returns how many there are.

    Raises FirstPartyGenericError, with nothing changed, if another process uses the secrets or the database, or a block
    cannot be read with the current key.
    """
    load_secrets()
    with _exclusive_lock():
        old = _complete_rotation()
        made = _generate()
        new = Secrets(
            made.api_password if password else old.api_password, made.encryption_key if key else old.encryption_key
        )
        blocks = _reencrypt_blocks(old, new) if key else 0
        _write(_SecretsFile(new))
        if key:  # what an earlier version left when its database was moved
            prefect_database().with_name("prefect.db.moved").unlink(missing_ok=True)
        return blocks


def hold_secrets() -> None:
    """Keep the secrets from being rotated until this process ends. Waits while a rotation runs."""
    path = _lock_path()
    if path not in _held:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        _held[path] = descriptor


_held: dict[Path, int] = {}


def is_open_to_others(path: Path) -> bool:
    return path.exists() and bool(path.stat().st_mode & 0o077)


def _reencrypt_blocks(old: Secrets, new: Secrets) -> int:
    from deployments.prefect_api import reencrypt  # noqa: PLC0415 - 0.1 s that only a rotation takes

    _write(_SecretsFile(old, pending=new))
    try:
        return reencrypt.reencrypt_blocks(old.encryption_key, new.encryption_key)
    except FirstPartyGenericError:
        _write(_SecretsFile(old))
        raise


def _complete_rotation() -> Secrets:
    from deployments.prefect_api import reencrypt  # noqa: PLC0415 - as above

    kept = _read(secrets_path())
    if kept.pending is None:
        return kept.current
    done = reencrypt.is_encrypted_with(kept.pending.encryption_key)
    valid = kept.pending if done else kept.current
    _write(_SecretsFile(valid))
    return valid


def _refuse_new_key_for_old_blocks() -> None:
    made = prefect_database().exists() or any(prefect_home().glob("postgresql-*"))
    if made and not secrets_path().exists():
        raise FirstPartyGenericError(
            f"{secrets_path()} is missing. Prefect's stored blocks cannot be read without it.", hint=_lost_hint()
        )


def _lost_hint() -> str:
    return (
        f"Restore it from a backup; or remove {prefect_home()} and {secrets_path()}, "
        "and apply your sources again (collected events are not touched)."
    )


def _read(path: Path) -> _SecretsFile:
    try:
        kept = json.loads(path.read_bytes())
        return _SecretsFile(_secrets(kept), _secrets(kept["next"]) if "next" in kept else None)
    except (ValueError, KeyError, TypeError):
        raise FirstPartyGenericError(f"{path} is damaged.", hint=_lost_hint()) from None


def _secrets(kept: dict[str, str]) -> Secrets:
    return Secrets(api_password=kept["api_password"], encryption_key=kept["encryption_key"])


def _generate() -> Secrets:
    return Secrets(secrets.token_urlsafe(24), base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())


def _create(path: Path) -> None:
    # Written completely, then linked: of two processes one wins, and neither reads half a file.
    with _temporary_file(_SecretsFile(_generate())) as part, contextlib.suppress(FileExistsError):
        os.link(part, path)


def _write(kept: _SecretsFile) -> None:
    with _temporary_file(kept) as part:
        part.replace(secrets_path())
    directory = os.open(settings.data_dir(), os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextlib.contextmanager
def _temporary_file(kept: _SecretsFile) -> Iterator[Path]:
    content = asdict(kept.current) | ({"next": asdict(kept.pending)} if kept.pending else {})
    descriptor, name = tempfile.mkstemp(dir=settings.data_dir(), prefix=".secrets-")
    try:
        with open(descriptor, "w") as file:  # noqa: PTH123 - a descriptor
            json.dump(content, file, indent=2)
            file.flush()
            os.fsync(descriptor)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _lock_path() -> Path:
    return settings.data_dir() / "secrets.lock"


@contextlib.contextmanager
def _locked(mode: int) -> Iterator[None]:
    descriptor = os.open(_lock_path(), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, mode)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _exclusive_lock() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_locked(fcntl.LOCK_EX | fcntl.LOCK_NB))
        except BlockingIOError:
            raise in_use_error() from None
        _remove_leftovers()
        yield


def _remove_leftovers() -> None:
    for left in settings.data_dir().glob(".secrets-*"):
        left.unlink(missing_ok=True)
