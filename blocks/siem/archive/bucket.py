"""An archive in a bucket of S3 (or a store with its API), of Google Cloud Storage, or in a container of Azure.

obstore is one wheel of 5.6 MB, a binding of Apache Arrow's object_store. A put is one request that takes effect as a
whole. It releases the interpreter's lock, follows no redirect, and its retries can be disabled. fsspec with s3fs,
gcsfs and adlfs would bring 55 packages (botocore, grpcio, the clients of Google and Azure). They retry on their own,
and begin multipart uploads of larger files, which a killed writer leaves behind.
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
CHECK_OBJECT = "_check"  # readers of Hive partitions ignore names that begin with an underscore
_NO_RETRY: RetryConfig = {"max_retries": 0, "retry_timeout": REQUEST_TIMEOUT}
_STATUS = re.compile(r"status code: (\d{3})\b")
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,60})</Code>")
_PASSING_STATUS = frozenset({408, 409, 425, 429})
_PASSING_CODES = frozenset({"RequestTimeout", "SlowDown", "InternalError", "OperationAborted", "ServerBusy"})
_TOO_LARGE = frozenset({"EntityTooLarge", "RequestBodyTooLarge"})


@dataclass(frozen=True, slots=True, repr=False)
class BucketAccess:
    """The access to a bucket. What is empty comes from the environment, or from the machine's role or identity.

    `key_id` and `key`: for S3, the id and the secret of the access key. For Google, `key` is the JSON of a service
    account. For Azure, `key` is that of the storage account or a shared access signature (SAS), and `account` its name.
    """

    endpoint: str = ""
    region: str = ""
    account: str = ""
    key_id: str = ""
    key: str = ""


class Bucket:
    """Objects below a prefix. Nothing is retried here: the caller backs off.

    Raises ThirdPartyConfigError (credentials, permissions, no such bucket, wrong region), ThirdPartyGenericError
    (throttling, 5xx, network) or TooLargeError.
    """

    def __init__(self, where: ArchiveLocation, access: BucketAccess) -> None:
        self._where = where
        try:
            self._store: S3Store | GCSStore | AzureStore = _OPEN[where.scheme](where, access)
        except (BaseError, ValueError):  # its text may quote the key
            raise ThirdPartyConfigError(
                f"{where} cannot be used with the configured credentials.",
                hint="Check that they are complete, and that they are for this kind of bucket.",
                code="credentials",
            ) from None

    def __repr__(self) -> str:
        return f"Bucket({str(self._where)!r})"

    def __getstate__(self) -> NoReturn:
        raise TypeError("A Bucket is not pickled: it holds a secret. Open another one.")

    def write(self, name: str, content: bytes, content_type: str) -> None:
        try:
            # A killed writer would leave the parts of a multipart upload behind. They cost money and are not visible.
            obstore.put(self._store, name, content, attributes={"Content-Type": content_type}, use_multipart=False)
        except (BaseError, OSError) as error:
            raise _error(self._where, str(error)) from None

    def check(self) -> str:
        # This needs only the permission to write, not the one to delete.
        self.write(CHECK_OBJECT, b"", "text/plain")
        return f"{self._where} is writable."


def _s3(where: ArchiveLocation, access: BucketAccess) -> S3Store:
    options: dict[str, str] = {}
    if access.endpoint:  # both, or one from the environment would override it
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
    """The configured key alone. As an option, the environment's session token would be sent with it."""

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
    plain = access.endpoint.startswith("http://")  # a block accepts such an address only on this machine
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
        return ThirdPartyGenericError(said, hint="Nothing is lost: the object is written again.", code=str(status))
    return ThirdPartyConfigError(said, hint=_HINTS.get(status, _HINTS[0]), code=str(status))


_HINTS = {
    0: "Check url, endpoint and region of the archive.",
    401: "Nothing is lost: events wait in the store. Check the credentials.",
    403: "Nothing is lost: events wait in the store. Check that the credentials may write objects below this prefix.",
    404: "Create the bucket, or check url and endpoint of the archive.",
}
_PROBLEMS = (
    ("dns error", "dns", "its name could not be resolved", "Check endpoint and region, and this machine's DNS."),
    ("certificate", "tls", "its certificate was not accepted", "Check endpoint, and the clock."),
    ("TimedOut", "timeout", "it did not answer in time", "Check the network and the firewall."),
    ("kind: Connect", "connect", "no connection was possible", "Check endpoint, and the firewall."),
)


def _without_answer(where: ArchiveLocation, text: str) -> SourceError:
    if "redirect without LOCATION" in text:
        return ThirdPartyConfigError(
            f"{where} is in another region.", hint="Set region to the region of the bucket.", code="region"
        )
    if "169.254.169.254" in text or "metadata.google" in text:
        return ThirdPartyGenericError(
            f"There are no credentials for {where}: none are configured, and this machine has no role.",
            hint="Configure them in the archive or in the environment, or assign a role to this machine.",
            code="credentials",
        )
    for mark, code, what, hint in _PROBLEMS:
        if mark in text:
            return ThirdPartyGenericError(f"{where} was not reached: {what}.", hint=hint, code=code)
    return ThirdPartyGenericError(
        f"The response of {where} is not that of an object store.",
        hint="The object is written again. Check endpoint, and look for a proxy in between.",
        code="invalid-answer",
    )
