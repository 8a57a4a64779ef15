"""A tiny HTTP server whose answers a test writes down, one after another."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from dbsync.connectors.treasuredata.address import Address
from dbsync.connectors.treasuredata.client import Api
from dbsync.errors import DatabaseError, SourceError

KEY = "1/0123456789abcdef0123456789abcdef01234567"


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[["_Handler"], None]


@dataclass
class Scripted:
    """The server's address, what it was asked, and the answers that are left.

    `otherwise` answers when none is left.
    """

    host: str
    answers: list[Answer] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    otherwise: Answer | None = None


class Time:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def clock(self) -> float:
        return self.now

    def wait(self, seconds: float, stop: threading.Event) -> None:
        self.waits.append(seconds)
        self.now += seconds


def api_for(
    host: str, time: Time, *, side: type[DatabaseError] = SourceError, timeout_s: float = 600
) -> Api:
    address = Address(host=host, database="shop", key=KEY, scheme="http")
    return Api(address, side, timeout_s=timeout_s, clock=time.clock, wait=time.wait)


def answer(status: int = 200, body: Any = None, *, headers: dict[str, str] | None = None) -> Answer:
    """Answer with a status and JSON, or bytes as they are."""
    content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()

    def send(handler: _Handler) -> None:
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return send


def drop(handler: _Handler) -> None:
    """Close the connection without an answer."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def cut(body: bytes, announced: int, status: int = 200, **headers: str) -> Answer:
    """Announce more bytes than come, and close the connection."""

    def send(handler: _Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(announced))
        handler.end_headers()
        handler.wfile.write(body)
        handler.wfile.flush()
        drop(handler)

    return send


def stall(until: threading.Event) -> Answer:
    """Answer nothing before an event, which the client's own timeout precedes."""

    def send(handler: _Handler) -> None:
        until.wait(30)
        drop(handler)

    return send


@contextmanager
def scripted(
    *answers: Answer, otherwise: Answer | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[Scripted]:
    """Serve the answers in order; a request beyond them is answered by `otherwise`, or 418."""
    script = Scripted(host="", answers=list(answers), otherwise=otherwise)
    lock = threading.Lock()

    class Handler(_Handler):
        def handle_any(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            with lock:
                script.asked.append(Asked(self.command, self.path, headers, body))
                last = script.otherwise or answer(418)
                send = script.answers.pop(0) if script.answers else last
            send(self)

    server = _Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    script.host = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that leave, as tests have them do."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_any(self) -> None:
        raise NotImplementedError

    do_GET = do_POST = do_PUT = lambda self: self.handle_any()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
