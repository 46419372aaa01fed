"""An archive in a bucket of S3 (or what speaks like it), of Google Cloud Storage, or in a container of Azure.

obstore is one wheel of 5.6 MB, a binding of Apache Arrow's object_store. A put is one request that takes effect as a
whole; it lets go of the interpreter's lock, follows no redirect, and its retries can be switched off. fsspec with
s3fs, gcsfs and adlfs would bring 55 packages (botocore, grpcio, the clients of Google and Azure), which retry by
themselves, and for larger files begin uploads in parts that a killed writer leaves behind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from blocks.errors import SourceError, ThirdPartyConfigError, ThirdPartyGenericError
from blocks.http.client import user_agent
from blocks.siem.delivery.protocol import TooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable

    from obstore.store import AzureConfig, ClientConfig, RetryConfig, S3Credential

    from blocks.siem.archive.objects import ArchiveLocation

CONNECT_TIMEOUT = timedelta(seconds=10)
REQUEST_TIMEOUT = timedelta(seconds=120)  # one object has a few megabytes
CHECK_OBJECT = "_check"  # readers of Hive partitions pass over names that begin with an underscore
_NO_RETRY: RetryConfig = {"max_retries": 0, "retry_timeout": REQUEST_TIMEOUT}
_STATUS = re.compile(r"status code: (\d{3})\b")
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,60})</Code>")
_PASSING_STATUS = frozenset({408, 409, 425, 429})
_PASSING_CODES = frozenset({"RequestTimeout", "SlowDown", "InternalError", "OperationAborted", "ServerBusy"})
_TOO_LARGE = frozenset({"EntityTooLarge", "RequestBodyTooLarge"})


@dataclass(frozen=True, slots=True, repr=False)
class BucketAccess:
    """How a bucket is reached. What is empty comes from the environment, or from the machine (its role, its identity).

    `key_id` and `key`: of S3 the access key's id and its secret; of Google `key` alone, the JSON of a service account;
    of Azure `key` alone, that of the storage account or a shared access signature (SAS), with `account` its name.
    """

    endpoint: str = ""
    region: str = ""
    account: str = ""
    key_id: str = ""
    key: str = ""


class Bucket:
    """Objects below a prefix. Nothing is tried a second time: the caller backs off.

    Raises ThirdPartyConfigError (credentials, rights, no such bucket, wrong region), ThirdPartyGenericError
    (throttling, 5xx, network) or TooLargeError.
    """

    def __init__(self, where: ArchiveLocation, access: BucketAccess) -> None:
        self._where = where
        try:
            self._store: S3Store | GCSStore | AzureStore = _OPEN[where.scheme](where, access)
        except (BaseError, ValueError):  # its text may quote the key
            raise ThirdPartyConfigError(
                f"{where} cannot be used with the credentials that are set.",
                hint="Check them: whether each is whole, and for this kind of bucket.",
                code="credentials",
            ) from None

    def __repr__(self) -> str:
        return f"Bucket({str(self._where)!r})"

    def __getstate__(self) -> NoReturn:
        raise TypeError("A Bucket is not pickled: it holds a secret. Open another one.")

    def put(self, name: str, content: bytes, content_type: str) -> None:
        try:
            # In parts, a killed writer would leave some behind, which are paid for and not seen.
            obstore.put(self._store, name, content, attributes={"Content-Type": content_type}, use_multipart=False)
        except (BaseError, OSError) as error:
            raise _error(self._where, str(error)) from None

    def check(self) -> str:
        # No other right is needed than that of writing, and none to remove it again.
        self.put(CHECK_OBJECT, b"", "text/plain")
        return f"{self._where} can be written."


def _s3(where: ArchiveLocation, access: BucketAccess) -> S3Store:
    options: dict[str, str] = {}
    if access.endpoint:  # both, or the environment's would stand before the one that is set
        options |= {"endpoint": access.endpoint, "aws_endpoint_url_s3": access.endpoint}
    if access.region:
        options["region"] = access.region
    return S3Store(
        where.bucket,
        prefix=where.path or None,
        client_options=_client(access),
        retry_config=_NO_RETRY,
        credential_provider=_S3Key(access) if access.key else None,
        **options,  # type: ignore[arg-type]
    )


class _S3Key:
    """The key that is set, alone: given as options, the environment's session token would be sent along."""

    def __init__(self, access: BucketAccess) -> None:
        self._access = access

    def __call__(self) -> S3Credential:
        key = self._access
        return {"access_key_id": key.key_id, "secret_access_key": key.key, "token": None, "expires_at": None}


def _gcs(where: ArchiveLocation, access: BucketAccess) -> GCSStore:
    options = {"service_account_key": access.key, "base_url": access.endpoint}
    return GCSStore(
        where.bucket,
        prefix=where.path or None,
        client_options=_client(access),
        retry_config=_NO_RETRY,
        **{name: value for name, value in options.items() if value},  # type: ignore[arg-type]
    )


def _azure(where: ArchiveLocation, access: BucketAccess) -> AzureStore:
    options: AzureConfig = {}
    if access.account:
        options["account_name"] = access.account
    if access.endpoint:
        options["endpoint"] = access.endpoint
    if "sig=" in access.key:
        options |= {"sas_key": access.key.removeprefix("?"), "credential_type": "sas_token"}
    elif access.key:
        options |= {"account_key": access.key, "credential_type": "access_key"}
    return AzureStore(
        where.bucket, prefix=where.path or None, config=options, client_options=_client(access), retry_config=_NO_RETRY
    )


_OPEN: dict[str, Callable[[ArchiveLocation, BucketAccess], S3Store | GCSStore | AzureStore]] = {
    "s3": _s3,
    "gs": _gcs,
    "az": _azure,
}


def _client(access: BucketAccess) -> ClientConfig:
    plain = access.endpoint.startswith("http://")  # a block takes such an address on this machine only
    return {
        "allow_http": plain,
        "connect_timeout": CONNECT_TIMEOUT,
        "timeout": REQUEST_TIMEOUT,
        "user_agent": user_agent(),
    }


def _error(where: ArchiveLocation, text: str) -> SourceError:
    found, named = _STATUS.search(text), _CODE.search(text)
    status, name = int(found[1]) if found else 0, named[1] if named else ""
    if not status:
        return _without_answer(where, text)
    said = f"{where} answered {status}{' ' if name else ''}{name}."
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or name in _TOO_LARGE:
        return TooLargeError(said, code=str(status))
    passing = status in _PASSING_STATUS or name in _PASSING_CODES
    if passing or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ThirdPartyGenericError(said, hint="The object is written again.", code=str(status))
    return ThirdPartyConfigError(said, hint=_HINTS.get(status, _HINTS[0]), code=str(status))


_HINTS = {
    0: "Check url, endpoint and region of the archive.",
    401: "Check its credentials; nothing is lost meanwhile.",
    403: "Check its credentials, and that they may write objects below this prefix; nothing is lost meanwhile.",
    404: "Make the bucket, or check url and endpoint of the archive.",
}
_FAULTS = (
    ("dns error", "dns", "its name could not be resolved", "Check endpoint and region, and this machine's DNS."),
    ("certificate", "tls", "its certificate was refused", "Check endpoint, and the clock."),
    ("TimedOut", "timeout", "it did not answer in time", "Check the network and the firewall."),
    ("kind: Connect", "connect", "no connection could be made", "Check endpoint, and the firewall."),
)


def _without_answer(where: ArchiveLocation, text: str) -> SourceError:
    if "redirect without LOCATION" in text:
        return ThirdPartyConfigError(
            f"{where} is in another region.", hint="Set region to that of the bucket.", code="region"
        )
    if "169.254.169.254" in text or "metadata.google" in text:
        return ThirdPartyGenericError(
            f"There are no credentials for {where}: none are set, and this machine has no role that could be asked.",
            hint="Set them in the archive or in the environment, or give this machine a role.",
            code="credentials",
        )
    for mark, code, what, hint in _FAULTS:
        if mark in text:
            return ThirdPartyGenericError(f"{where} was not reached: {what}.", hint=hint, code=code)
    return ThirdPartyGenericError(
        f"{where} did not answer as an object store does.",
        hint="Check endpoint, and what stands between. The object is written again.",
        code="invalid-answer",
    )
