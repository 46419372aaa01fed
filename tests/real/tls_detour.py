"""A proxy that leads every CONNECT, whatever its host, to one server of the test behind TLS.

So a client that only ever speaks to events.1password.com runs unmodified against the sandbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import certificates
from cryptography import x509

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = "events.1password.com"
CHUNK = 65_536


@dataclass(frozen=True)
class Detour:
    """What a client's environment names: its proxy, and the authority that it trusts."""

    proxy: str
    authority: str

    def environment(self) -> dict[str, str]:
        """For clients on requests (REQUESTS_CA_BUNDLE), OpenSSL (SSL_CERT_FILE) and Node (NODE_EXTRA_CA_CERTS)."""
        trusted = dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS"), self.authority)
        proxies = dict.fromkeys(("HTTPS_PROXY", "https_proxy"), self.proxy)
        return {**trusted, **proxies, "NO_PROXY": "", "no_proxy": ""}


@contextlib.contextmanager
def to(port: int, directory: Path) -> Iterator[Detour]:
    """A detour to the server that listens on `port` of this machine, without TLS."""
    shown = certificates.certificate([x509.DNSName(HOST)])
    context = certificates.server_context(directory, shown)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def open_servers() -> tuple[asyncio.Server, asyncio.Server]:
        tls = await asyncio.start_server(lambda r, w: _join(r, w, port), "127.0.0.1", 0, ssl=context)
        inside = tls.sockets[0].getsockname()[1]
        return tls, await asyncio.start_server(lambda r, w: _connect(r, w, inside), "127.0.0.1", 0)

    servers = asyncio.run_coroutine_threadsafe(open_servers(), loop).result()
    try:
        outside = servers[1].sockets[0].getsockname()[1]
        yield Detour(f"http://127.0.0.1:{outside}", certificates.write_authority(directory / "authority.pem"))
    finally:
        for server in servers:
            loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"CONNECT " + HOST.encode()):
        writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        writer.close()
        return
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    await _join(reader, writer, port)


async def _join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while content := await reader.read(CHUNK):
            writer.write(content)
            await writer.drain()
    writer.close()
