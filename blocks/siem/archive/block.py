"""The block of an archive: files in a directory, or objects in a bucket."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, HttpUrl, SecretStr

from blocks.problems import Problem
from blocks.secret_block import PATH
from blocks.siem.addresses import url_problem
from blocks.siem.archive import ndjson
from blocks.siem.archive.directory import Directory
from blocks.siem.archive.objects import URL_FORMS, LocationError, parse_location
from blocks.siem.archive.sender import ArchiveSender
from blocks.siem.base import SiemBlock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from blocks.siem.archive.objects import ArchiveLocation, ObjectStore
    from blocks.siem.archive.sender import ObjectFormat


class Archive(SiemBlock):
    """Stores each hour of events as an object: NDJSON compressed with gzip, or Parquet.

    Example:
        ```python
        from blocks.siem.archive.block import Archive

        archive = Archive.load("BLOCK_NAME")
        print(archive.get_sender().check())
        ```

    """

    _block_type_name: ClassVar[str | None] = "1Password to Archive"
    _block_type_slug: ClassVar[str | None] = "1password-siem-archive"
    _description: ClassVar[str | None] = (
        "Stores 1Password events as hourly NDJSON or Parquet in a directory, or in a bucket of S3, Google or Azure."
    )
    _documentation_url: ClassVar[HttpUrl | None] = HttpUrl("https://developmentseed.org/obstore/latest/authentication/")

    kind: ClassVar[str] = "archive"
    is_archive: ClassVar[bool] = True
    guarantee: ClassVar[str] = "effectively once: an object that is written again is replaced as a whole"

    url: str = Field(
        title="URL",
        description=f"The place of the objects: {URL_FORMS}. The directory or the bucket must exist.",
        examples=["s3://security-archive/1password", "file:///var/lib/onepassword-archive"],
    )
    format: Literal["ndjson.gz", "parquet"] = Field(
        default="ndjson.gz",
        title="Format",
        description="ndjson.gz: one JSON object on each line. parquet: a table, which needs the extra parquet.",
        examples=["ndjson.gz"],
    )
    endpoint: str = Field(
        default="",
        title="Endpoint",
        description="The address of a store with the API of S3, Google or Azure. Empty: that of the cloud.",
        examples=["https://minio.example.org:9000"],
    )
    region: str = Field(
        default="",
        title="Region",
        description="That of an S3 bucket. Empty: that of the environment (AWS_REGION), or us-east-1.",
        examples=["eu-central-1"],
    )
    account: str = Field(
        default="",
        title="Storage account",
        description="The name of the storage account, for Azure only.",
        examples=["securityarchive"],
    )
    access_key_id: SecretStr = Field(
        default=SecretStr(""),
        title="Access key ID",
        description="For S3 only. Empty: the credentials of the environment, or the role of the machine.",
        examples=["AKIA…"],
    )
    secret_key: SecretStr = Field(
        default=SecretStr(""),
        title="Secret key",
        description=(
            "S3: the secret access key. Google: the JSON of a service account's key. Azure: the key of the storage"
            " account, or better a shared access signature (SAS). Empty: the environment, or the machine's identity."
        ),
        examples=["…"],
    )

    def problems(self) -> Iterator[Problem]:
        if self.endpoint and (problem := url_problem(f"{PATH}.endpoint", self.endpoint)):
            yield problem
        try:
            where = parse_location(self.url)
        except LocationError as error:
            yield Problem(f"{PATH}.url", str(error), URL_FORMS)
            return
        yield from self._key_problems(where)
        yield from self._option_problems(where)

    def get_sender(self) -> ArchiveSender:
        """Open the archive. Raises ThirdPartyConfigError also if the extra parquet is needed and not installed."""
        self.ensure_valid()
        return ArchiveSender(self._objects(), self._form())

    def _form(self) -> ObjectFormat:
        if self.format == "parquet":
            from blocks.siem.archive import parquet  # noqa: PLC0415 - needs an extra

            return parquet
        return ndjson

    def _objects(self) -> ObjectStore:
        where = parse_location(self.url)
        if where.scheme == "file":
            return Directory(Path(where.path))
        from blocks.siem.archive.bucket import Bucket, BucketAccess  # noqa: PLC0415 - imports obstore

        key_id, key = self.access_key_id.get_secret_value(), self.secret_key.get_secret_value()
        return Bucket(where, BucketAccess(self.endpoint, self.region, self.account, key_id, key))

    def _key_problems(self, where: ArchiveLocation) -> Iterator[Problem]:
        key_id, key = bool(self.access_key_id.get_secret_value()), bool(self.secret_key.get_secret_value())
        if where.scheme == "s3" and key_id != key:
            missing = "secret_key" if key_id else "access_key_id"
            yield Problem(f"{PATH}.{missing}", "it is missing, and the other one is set", "both, or neither")
        if where.scheme != "s3" and key_id:
            yield Problem(f"{PATH}.access_key_id", f"{where.scheme}:// does not use it", "nothing, or s3://…")
        if where.scheme == "file" and key:
            yield Problem(f"{PATH}.secret_key", "a directory does not use it", "nothing")
        if where.scheme == "az" and key and not self.account:
            yield Problem(f"{PATH}.account", "it is missing", "the name of the storage account")

    def _option_problems(self, where: ArchiveLocation) -> Iterator[Problem]:
        for name, of in (("endpoint", {"s3", "gs", "az"}), ("region", {"s3"}), ("account", {"az"})):
            if getattr(self, name) and where.scheme not in of:
                yield Problem(f"{PATH}.{name}", f"{where.scheme}:// does not use it", "nothing")
