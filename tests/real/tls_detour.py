"""A proxy that leads every CONNECT, whatever its host, to one server of the test behind TLS.

So a client that only ever speaks to events.1password.com runs unmodified against the sandbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from support import certificates

if TYPE_CHECKING:
    import ssl
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
    opened: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()
    thread = threading.Thread(target=asyncio.run, args=(_serve(port, context, opened),), daemon=True)
    thread.start()
    loop, stop, outside = opened.result()
    try:
        yield Detour(f"http://127.0.0.1:{outside}", certificates.write_authority(directory / "authority.pem"))
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


async def _serve(
    port: int, context: ssl.SSLContext, opened: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]]
) -> None:
    """Serves until the event in `opened` is set. What is still connected then is cut off, and closed."""
    stop = asyncio.Event()
    async with contextlib.AsyncExitStack() as servers:
        tls = await asyncio.start_server(lambda r, w: _join(r, w, port), "127.0.0.1", 0, ssl=context)
        await servers.enter_async_context(tls)
        inside = tls.sockets[0].getsockname()[1]
        plain = await asyncio.start_server(lambda r, w: _connect(r, w, inside), "127.0.0.1", 0)
        await servers.enter_async_context(plain)
        opened.set_result((asyncio.get_running_loop(), stop, plain.sockets[0].getsockname()[1]))
        await stop.wait()


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
    try:
        with contextlib.suppress(OSError):
            while content := await reader.read(CHUNK):
                writer.write(content)
                await writer.drain()
    finally:
        writer.close()
