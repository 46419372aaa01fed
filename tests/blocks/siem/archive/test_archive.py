"""An archive: in a real directory and in a real S3 server, read back with tools that are not ours."""

from __future__ import annotations

import gzip
import json
import os
import random
import resource
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import msgspec
import pytest
from support import archive_writer, s3_server
from support import siems as support
from support.paths import ROOT, SUPPORT, TESTS
from support.raw_server import listening
from support.siem_conformance import Arrived, SenderConformance, assert_secret
from torture.strike import read_only

from blocks.errors import ThirdPartyConfigError, ThirdPartyGenericError
from blocks.events_api.models import Api
from blocks.siem.archive import bucket, objects
from blocks.siem.archive.block import Archive
from blocks.siem.delivery.protocol import Batch, TooLargeError
from blocks.siem.formats.event import OutgoingEvent

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence

    from support.s3_server import S3Server

    from blocks.siem.base import SiemBlock

KILLS = 10
ENDLESS = 5_000  # more events than are written before a kill
FACTS = ("uuid", "api", "time", "received", "account")


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server.serving(tmp_path_factory.mktemp("s3")) as server:
        yield server


def block_of(server: S3Server, prefix: str, **members: Any) -> Archive:
    given = {
        "url": f"s3://{s3_server.BUCKET}/{prefix}",
        "endpoint": server.url,
        "region": "us-east-1",
        "access_key_id": s3_server.KEY_ID,
        "secret_key": s3_server.SECRET,
        **members,
    }
    return Archive(**given)


def at(url: str, where: str = "s3://archive/x", **members: Any) -> Archive:
    """An archive in a bucket of which `url` is the server."""
    return Archive(url=where, endpoint=url, access_key_id="ID", secret_key="SECRET-KEY-0123", region="r", **members)


def arrived_in(root: Path) -> list[Arrived]:
    contents = [gzip.decompress(file.read_bytes()) for file in sorted(root.rglob("*.ndjson.gz"))]
    return [_arrived(line) for content in contents for line in content.splitlines()]


def _arrived(line: bytes) -> Arrived:
    members = json.loads(line)
    if "ecs" in members:
        ours = {f"_{name}": value for name, value in members["onepassword_source"].items() if name != "api"}
        return Arrived(line, members["event"]["id"], {}, {**ours, **members.get("labels", {})})
    if "class_uid" in members:
        tags = {tag["name"]: tag["value"] for tag in members["metadata"]["tags"]}
        return Arrived(line, members["metadata"]["uid"], {}, tags)
    document = bytes(msgspec.json.decode(line, type=dict[str, msgspec.Raw])["event"])
    beside = {name: value for name, value in members.items() if name not in {*FACTS, "event"}}
    return Arrived(document, members["uuid"], {name: members[name] for name in FACTS if name in members}, beside)


def one_batch(sender: Any, outgoings: Sequence[OutgoingEvent], **members: Any) -> Batch:
    return support.batch(sender, outgoings, support.stream(**members))


class TestDirectory(SenderConformance):
    module = "blocks.siem.archive.sender"

    @pytest.fixture
    def block(self, tmp_path: Path) -> SiemBlock:
        return Archive(url=tmp_path.as_uri())

    @pytest.fixture
    def arrived(self, tmp_path: Path) -> Callable[[], list[Arrived]]:
        return lambda: arrived_in(tmp_path)

    def faulty(self) -> tuple[SiemBlock, set[str]]:
        block = Archive(url="file://here/or/there", endpoint="http://example.org")
        return block, {"block.url", "block.endpoint"}


class TestS3(SenderConformance):
    module = "blocks.siem.archive.sender"
    secrets = (s3_server.KEY_ID, s3_server.SECRET)

    @pytest.fixture
    def block(self, s3: S3Server, tmp_path: Path) -> SiemBlock:
        return block_of(s3, tmp_path.name)

    @pytest.fixture
    def arrived(self, s3: S3Server, tmp_path: Path) -> Callable[[], list[Arrived]]:
        return lambda: arrived_in(s3.files / tmp_path.name)

    def faulty(self) -> tuple[SiemBlock, set[str]]:
        block = Archive(url="s3://bucket", account="a", endpoint="ftp://x", secret_key=s3_server.SECRET)
        return block, {"block.account", "block.endpoint", "block.access_key_id"}


# Names


def test_a_name_tells_source_api_hour_of_receipt_and_where_the_batch_begins(tmp_path: Path) -> None:
    sender = Archive(url=tmp_path.as_uri()).get_sender()
    sender.send(one_batch(sender, support.events(Api.SIGN_IN, 3)[1:]))
    name = "source=1Pass/api=sign-in/date=2026-03-04/hour=05/00000000000000000002.ndjson.gz"
    assert [str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.gz")] == [name]


@pytest.mark.parametrize(
    "source", ["..", "a/../../b", "/etc", "a\\b", "a\nb", "a=b/api=audit", ".", "é日本", "%2F", "n" * 128]
)
def test_no_name_of_a_source_leads_elsewhere(tmp_path: Path, s3: S3Server, source: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for block, files in (
        (Archive(url=root.as_uri()), root),
        (block_of(s3, tmp_path.name), s3.files / tmp_path.name),
    ):
        sender = block.get_sender()
        sender.send(one_batch(sender, support.events(Api.SIGN_IN, 1), source=source))
        (file,) = files.rglob("*.gz")
        assert file.relative_to(files).parts[1:4] == ("api=sign-in", "date=2026-03-04", "hour=05")
        told = f"select distinct source from read_json('{files}/**/*.ndjson.gz', hive_partitioning = true)"
        assert duckdb.sql(told).fetchall() == [(source,)]
    assert list(tmp_path.iterdir()) == [root]


def test_two_sources_never_have_one_place() -> None:
    names = [
        "a/b",
        "a%2Fb",
        "a%252Fb",
        "a b",
        "a+b",
        "é",
        "e\u0301",
        "x" * 128,
        "日" * 128,
        "日" * 127 + "本",
        "日" * 127,
    ]
    segments = [objects.path_segment(name) for name in names]
    cut = objects.path_segment("日" * 128)
    assert len({*segments, objects.path_segment(cut)}) == len(names) + 1
    assert max(map(len, segments)) < 250
    assert not [one for one in segments if "/" in one or not one.isascii() or not one.isprintable()]


def test_the_same_batch_makes_the_same_bytes(tmp_path: Path) -> None:
    sender = Archive(url=tmp_path.as_uri()).get_sender()
    seen = set()
    for _ in range(2):
        sender.send(one_batch(sender, support.events(Api.AUDIT, 50)))
        (file,) = tmp_path.rglob("*.gz")
        seen.add(file.read_bytes())
    assert len(seen) == 1


@pytest.mark.parametrize("kind", ["directory", "s3"])
def test_a_batch_that_begins_at_the_same_event_replaces_its_object(tmp_path: Path, s3: S3Server, kind: str) -> None:
    block = Archive(url=tmp_path.as_uri()) if kind == "directory" else block_of(s3, tmp_path.name)
    files = tmp_path if kind == "directory" else s3.files / tmp_path.name
    sender = block.get_sender()
    for count in (50, 80, 30):
        sender.send(one_batch(sender, support.events(Api.SIGN_IN, count)))
        assert [one.uuid for one in arrived_in(files)] == [one.uuid for one in support.events(Api.SIGN_IN, count)]


# Readers that are not ours


def test_zcat_and_duckdb_read_the_lines(tmp_path: Path) -> None:
    sender = Archive(url=tmp_path.as_uri()).get_sender()
    events = support.events(Api.AUDIT, 60)
    sender.send(support.batch(sender, events, support.stream(Api.AUDIT)))
    (file,) = tmp_path.rglob("*.gz")
    lines = subprocess.run(["zcat", file], capture_output=True, check=True).stdout.splitlines()
    assert [json.loads(line)["event"] for line in lines] == [json.loads(one.body) for one in events]
    found = duckdb.sql(f"""
        select uuid, api, "date", hour, event->>'$.action' from
        read_json('{tmp_path}/**/*.ndjson.gz', hive_partitioning = true, columns = {{uuid: 'text', event: 'json'}})
    """).fetchall()
    assert [row[0] for row in found] == [one.uuid for one in events]
    assert {(row[1], str(row[2]), int(row[3])) for row in found} == {("audit", "2026-03-04", 5)}
    assert [row[4] for row in found] == [json.loads(one.body)["action"] for one in events]


# Killed


@pytest.mark.parametrize("kind", ["directory", "s3"])
@pytest.mark.parametrize("form", ["ndjson.gz", pytest.param("parquet", marks=pytest.mark.torture)])
def test_every_event_is_there_once_however_often_the_writer_is_killed(
    tmp_path: Path, s3: S3Server, kind: str, form: str
) -> None:
    position, root, chance = tmp_path / "position", tmp_path / "root", random.Random(7)  # noqa: S311 - no secrets
    root.mkdir()
    if kind == "directory":
        place, access = root, [root.as_uri()]
    else:
        url = f"s3://{s3_server.BUCKET}/{tmp_path.name}"
        place, access = s3.files / tmp_path.name, [url, s3.url, s3_server.KEY_ID, s3_server.SECRET]
    for _ in range(KILLS):
        _run([position, str(ENDLESS), "5", form, *access], chance.uniform(0, 0.12))
        _found(place, form)  # raises where a part of an object stands under its name
    count = int(position.read_text() if position.exists() else "0") + 100
    _run([position, str(count), "5", form, *access])
    assert sorted(_found(place, form)) == [archive_writer.uuid_of(number) for number in range(count)]
    assert not list(place.rglob(".*")), "what a killed writer left is swept when its file is written again"


def _run(arguments: Sequence[str | Path], seconds: float | None = None) -> None:
    """Run the writer to its end, or kill it at that moment."""
    command = [sys.executable, SUPPORT / "archive_writer.py", *arguments]
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}:{ROOT}"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == b"ready\n"
        if seconds is None:
            assert writer.wait() == 0
        else:
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(seconds)
            writer.kill()


def _found(place: Path, form: str) -> list[str]:
    if not list(place.rglob(f"*.{form}")):
        return []
    read = "read_json" if form == "ndjson.gz" else "read_parquet"
    return [row[0] for row in duckdb.sql(f"select uuid from {read}('{place}/**/*.{form}')").fetchall()]


# A directory that cannot be written


def test_what_is_made_is_for_its_own_user_alone(tmp_path: Path) -> None:
    sender = Archive(url=tmp_path.as_uri()).get_sender()
    sender.send(one_batch(sender, support.events(Api.SIGN_IN, 1)))
    modes = {path.is_dir(): path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {True: 0o700, False: 0o600}


def _code_of(ask: Callable[[], object]) -> str:
    with pytest.raises(ThirdPartyConfigError) as raised:
        ask()
    return raised.value.code


def test_a_missing_or_read_only_directory_is_a_configuration_error(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    with read_only(there):
        for root, code in ((tmp_path / "none", "ENOENT"), (there, "EROFS")):
            block = Archive(url=root.as_uri())
            assert {_code_of(block.get_sender().check), _code_of(lambda block=block: send_one(block))} == {code}
    assert not (tmp_path / "none").exists()


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_old_file_whole_and_no_part(tmp_path: Path) -> None:
    sender = Archive(url=tmp_path.as_uri()).get_sender()
    sender.send(one_batch(sender, support.events(Api.SIGN_IN, 5)))
    with no_file_beyond(1000), pytest.raises(ThirdPartyGenericError, match="Free space") as raised:
        sender.send(one_batch(sender, support.events(Api.SIGN_IN, 400)))
    assert raised.value.code == "EFBIG"
    assert len(arrived_in(tmp_path)) == 5
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1
    sender.send(one_batch(sender, support.events(Api.SIGN_IN, 400)))
    assert len(arrived_in(tmp_path)) == 400


# A bucket that cannot be written


def send_one(block: Archive) -> None:
    sender = block.get_sender()
    sender.send(one_batch(sender, support.events(Api.SIGN_IN, 1)))


@pytest.mark.parametrize(
    ("members", "code", "hint"),
    [
        ({"secret_key": "WRONG-SECRET-KEY"}, "403", "credentials"),
        ({"access_key_id": "NOBODY"}, "403", "credentials"),
        ({"url": "s3://nobucket/x"}, "404", "Create the bucket"),
    ],
)
def test_wrong_credentials_and_a_missing_bucket_are_configuration_errors(
    s3: S3Server, members: dict[str, str], code: str, hint: str
) -> None:
    block = block_of(s3, "x", **members)
    for ask in (block.get_sender().check, lambda: send_one(block)):
        with pytest.raises(ThirdPartyConfigError, match=hint) as raised:
            ask()
        assert raised.value.code == code
        assert_secret(("WRONG-SECRET-KEY", s3_server.SECRET), str(raised.value), repr(raised.value.__dict__))
        assert raised.value.__cause__ is None


@pytest.mark.parametrize(("url", "code"), [("http://127.0.0.1:1", "connect"), ("https://nothing.invalid", "dns")])
def test_an_endpoint_that_is_not_reached(url: str, code: str) -> None:
    with pytest.raises(ThirdPartyGenericError) as raised:
        send_one(at(url))
    assert raised.value.code == code


def saying(status: str, body: str = "") -> Callable[[socket.socket, threading.Event], None]:
    head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    return lambda connection, _: _answer(connection, f"{head}{body}".encode())


def _answer(connection: socket.socket, answer: bytes) -> None:
    connection.sendall(answer)
    connection.shutdown(socket.SHUT_WR)  # or the client would keep the connection for a next request


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        ("503 Slow Down", "SlowDown", ThirdPartyGenericError),
        ("429 Too Many", "", ThirdPartyGenericError),
        ("500 Error", "InternalError", ThirdPartyGenericError),
        ("400 Bad", "RequestTimeout", ThirdPartyGenericError),
        ("409 Conflict", "OperationAborted", ThirdPartyGenericError),
        ("400 Bad", "InvalidArgument", ThirdPartyConfigError),
        ("401 No", "", ThirdPartyConfigError),
        ("403 No", "AccessDenied", ThirdPartyConfigError),
        ("301 Moved", "", ThirdPartyConfigError),
        ("413 Too Large", "", TooLargeError),
        ("400 Bad", "EntityTooLarge", TooLargeError),
    ],
)
def test_each_answer_is_one_error_after_one_request(status: str, name: str, kind: type[Exception]) -> None:
    body = f"<Error><Code>{name}</Code><Message>SECRET-KEY-0123</Message></Error>" if name else ""
    with listening(saying(status, body)) as server, pytest.raises(kind) as raised:
        send_one(at(server.url))
    assert len(server.requests) == 1
    assert type(raised.value) is kind
    assert name in str(raised.value)
    assert "SECRET-KEY-0123" not in str(raised.value)


def test_a_redirect_is_not_followed() -> None:
    with listening(saying("200 OK")) as elsewhere:

        def redirect(connection: socket.socket, _: threading.Event) -> None:
            _answer(connection, f"HTTP/1.1 307 X\r\nLocation: {elsewhere.url}/x\r\nContent-Length: 0\r\n\r\n".encode())

        with listening(redirect) as server, pytest.raises(ThirdPartyConfigError):
            send_one(at(server.url))
        assert elsewhere.requests == []


@pytest.mark.parametrize("answer", [b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""])
def test_what_is_no_object_store_has_kept_nothing(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    monkeypatch.setattr(bucket, "REQUEST_TIMEOUT", bucket.timedelta(seconds=0.2))

    def say(connection: socket.socket, over: threading.Event) -> None:
        over.wait(1) if not answer else _answer(connection, answer)

    with listening(say) as server, pytest.raises(ThirdPartyGenericError) as raised:
        send_one(at(server.url))
    assert raised.value.code == ("invalid-answer" if answer else "timeout")


# Credentials


OK = b'HTTP/1.1 200 OK\r\nConnection: close\r\nETag: "x"\r\nContent-Length: 0\r\n\r\n'


def keeps(connection: socket.socket, _: threading.Event) -> None:
    _answer(connection, OK)


def test_the_key_that_is_set_goes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "TOKEN-OF-THE-ENVIRONMENT")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    with listening(keeps) as server:
        send_one(at(server.url))
    assert b"Credential=ID/" in server.requests[0]
    assert b"TOKEN-OF-THE-ENVIRONMENT" not in server.requests[0]
    assert b"SECRET-KEY-0123" not in server.requests[0]


def test_without_a_key_that_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "ENV-ID"), ("SECRET_ACCESS_KEY", "x"), ("SESSION_TOKEN", "ENV-TOKEN")):
        monkeypatch.setenv(f"AWS_{name}", value)
    with listening(keeps) as server:
        send_one(Archive(url="s3://archive", endpoint=server.url))
    assert b"Credential=ENV-ID/" in server.requests[0]
    assert b"ENV-TOKEN" in server.requests[0]


@pytest.mark.parametrize(
    ("key", "sent"),
    [("c2VjcmV0LWtleQ==", b"authorization: SharedKey acc:"), ("?sv=2026&sig=abc%3D", b"sig=abc%3D")],
)
def test_azure_gets_its_key_or_its_sas(monkeypatch: pytest.MonkeyPatch, key: str, sent: bytes) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "of the environment")
    with listening(keeps) as server:
        send_one(Archive(url="az://box/pre", endpoint=f"{server.url}/acc", account="acc", secret_key=key))
    head = server.requests[0].lower()
    assert server.requests[0].startswith(b"PUT /acc/box/pre/source")
    assert sent.lower() in head
    assert b"c2vjcmv0" not in head


def test_google_gets_a_service_account() -> None:
    key = {"client_email": "a@example.org", "private_key": "", "private_key_id": "", "disable_oauth": True}
    with listening(keeps) as server:
        send_one(Archive(url="gs://box/pre", endpoint=server.url, secret_key=json.dumps(key)))
    assert server.requests[0].startswith(b"PUT /box/pre%2Fsource%3D1Pass%2F")


@pytest.mark.parametrize(
    ("where", "members"),
    [
        ("gs://box-of-google", {"secret_key": "SECRET-KEY-0123"}),
        ("az://box", {"secret_key": "SECRET KEY", "account": "a"}),
    ],
)
def test_a_key_that_cannot_be_one_is_not_shown(where: str, members: dict[str, str]) -> None:
    with pytest.raises(ThirdPartyConfigError) as raised:
        Archive(url=where, **members).get_sender()
    assert raised.value.code == "credentials"
    assert "SECRET" not in str(raised.value)


# The block


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/var/x",
        "file://",
        "file:///",
        "s3://",
        "s3://a",
        "ftp://bucket/x",
        "s3://bucket/../x",
        "s3://k:s@bucket/x",
        "s3://bucket/x?y=1",
        "file:///a/../b",
        "file:///a%2F..%2Fb",
        "s3://bucket/a\nb",
        "http://bucket/x",
    ],
)
def test_a_url_that_is_no_location_is_a_problem(url: str) -> None:
    with pytest.raises(ThirdPartyConfigError, match=r"block\.url"):
        Archive(url=url).ensure_valid()


def test_only_an_archive_gets_events_without_siem_forward() -> None:
    assert Archive.is_archive
    assert Archive(url="s3://bucket/").get_sender().limits.hourly
