"""TLS in front of a PostgreSQL server that was built without.

What lives here: a proxy that answers a client's wish for TLS as such a server would, and hands on
what comes. Must not know: what is said, or pytest.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from contextlib import suppress

from tests.servers.certificates import Certificates

_TLS, _GSS = 80877103, 80877104


class TlsProxy:
    """A proxy on the loopback in front of the server at a port, in a thread; a context.

    What comes before TLS, as a request to cancel may, is handed on as it is.
    """

    def __init__(self, port_behind: int, certificates: Certificates):
        self._behind = port_behind
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificates.certificate, certificates.key)
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self.encrypted = 0
        """How many connections were encrypted."""
        self.cut_after: int | None = None
        """How many bytes of the server's go on before every connection is cut."""

    def __enter__(self) -> TlsProxy:
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        start = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(start, self._loop).result(10)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _stop(self) -> None:
        self._server.close()
        self._cut()

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            start = await reader.readexactly(8)
            while (code := int.from_bytes(start[4:], "big")) in (_TLS, _GSS):
                writer.write(b"S" if code == _TLS else b"N")
                await writer.drain()
                if code == _TLS:
                    await writer.start_tls(self._context)
                    self.encrypted += 1
                start = await reader.readexactly(8)
            behind, to_behind = await asyncio.open_connection("127.0.0.1", self._behind)
            self._writers.add(to_behind)
            to_behind.write(start)
            await asyncio.gather(
                self._pump(reader, to_behind), self._pump(behind, writer, counted=True)
            )

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool = False
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                if counted and self.cut_after is not None:
                    self.cut_after -= len(data)
                    if self.cut_after < 0:
                        self._cut()
                        return
                writer.write(data)
                await writer.drain()
        writer.close()
