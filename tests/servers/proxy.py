"""An HTTP proxy that fails as it is told, in front of a server that does not.

Must not know: what is asked for, or pytest. It runs in threads of the test's own process and
records every request, so that a test can count them.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """One request as it came in."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    size: int

    def is_part(self, number: int | None = None) -> bool:
        """Say whether this uploads a part, or that part."""
        numbers = self.query.get("partNumber")
        return self.method == "PUT" and numbers is not None and number in (None, int(numbers[0]))

    @property
    def is_complete(self) -> bool:
        """Say whether this completes an upload."""
        return self.method == "POST" and "uploadId" in self.query

    @property
    def is_read(self) -> bool:
        """Say whether this reads an object."""
        return self.method == "GET" and "Range" in self.headers


@dataclass
class Answer:
    """What the server behind said; an action changes it or gets in the way."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    cut_at: int | None = None
    """Send only so much of the body."""
    then: str = "go on"
    """After what was sent: go on, close, reset, or stall until the client goes."""
    piece: int | None = None
    """Send the body in pieces of this size, with a short wait between them."""


Action = Callable[["Handler", Request, Callable[[], Answer]], Answer]


def status(code: int, error: str = "", **headers: str) -> Action:
    """Answer with an error of S3, without asking the server behind."""
    body = f"<Error><Code>{error}</Code><Message>told to</Message></Error>" if error else ""

    def act(_handler: Handler, _request: Request, _ask: Callable[[], Answer]) -> Answer:
        return Answer(code, headers, body.encode())

    return act


def reset(_handler: Handler, _request: Request, _ask: Callable[[], Answer]) -> Answer:
    """Reset the connection; the server behind hears nothing."""
    return Answer(0, {}, then="reset")


def lose_answer(_handler: Handler, _request: Request, ask: Callable[[], Answer]) -> Answer:
    """Let the server do what it is asked, and reset the connection instead of saying so."""
    ask()
    return Answer(0, {}, then="reset")


def stall(_handler: Handler, _request: Request, _ask: Callable[[], Answer]) -> Answer:
    """Say nothing at all until the client has had enough."""
    return Answer(0, {}, then="stall")


def cut(at: int, then: str) -> Action:
    """Send the first bytes of the body, and then close, reset or stall."""

    def act(_handler: Handler, _request: Request, ask: Callable[[], Answer]) -> Answer:
        answer = ask()
        answer.cut_at, answer.then = at, then
        return answer

    return act


def shorten(to: int) -> Action:
    """Send fewer bytes than the range has, and a length that agrees with them."""

    def act(_handler: Handler, _request: Request, ask: Callable[[], Answer]) -> Answer:
        answer = ask()
        answer.body = answer.body[:to]
        return answer

    return act


def trickle(piece: int) -> Action:
    """Send the body in small pieces."""

    def act(_handler: Handler, _request: Request, ask: Callable[[], Answer]) -> Answer:
        answer = ask()
        answer.piece = piece
        return answer

    return act


def call(function: Callable[[], object], *, forward: bool = True) -> Action:
    """Do something before the request goes on to the server, or in its place."""

    def act(_handler: Handler, _request: Request, ask: Callable[[], Answer]) -> Answer:
        function()
        return ask() if forward else Answer(0, {}, then="reset")

    return act


@dataclass
class _Fault:
    match: Callable[[Request], bool]
    action: Action
    left: float


@dataclass
class Proxy:
    """A proxy in front of a server on the loopback; a context."""

    port_behind: int
    requests: list[Request] = field(default_factory=list)
    _faults: list[_Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Proxy:
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.proxy = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fail(self, match: Callable[[Request], bool], *actions: Action, times: float = 1) -> None:
        """Meet the next requests that match with these actions, each so many times."""
        with self._lock:
            self._faults += [_Fault(match, action, times) for action in actions]

    def count(self, match: Callable[[Request], bool]) -> int:
        """Count the requests so far that match."""
        return sum(map(match, list(self.requests)))

    def action_for(self, request: Request) -> Action | None:
        """Record a request and choose what to do with it."""
        with self._lock:
            self.requests.append(request)
            for fault in self._faults:
                if fault.left > 0 and fault.match(request):
                    fault.left -= 1
                    return fault.action
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    proxy: Proxy

    def handle_error(self, *_: Any) -> None:
        """Clients that go away are what the tests are about."""


class Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        request = Request(
            self.command,
            parts.path,
            parse_qs(parts.query, keep_blank_values=True),
            dict(self.headers.items()),
            len(body),
        )
        action = self.server.proxy.action_for(request)
        answer = action(self, request, lambda: self._ask(body)) if action else self._ask(body)
        if answer.status:
            self._send(answer)
        if answer.then == "stall":
            with suppress(OSError):
                self.connection.recv(1)
        if answer.then == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if answer.then != "go on":
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _handle

    def _ask(self, body: bytes) -> Answer:
        behind = HTTPConnection("127.0.0.1", self.server.proxy.port_behind, timeout=60)
        try:
            behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "expect"):
                    behind.putheader(name, value)
            behind.endheaders(body)
            response = behind.getresponse()
            headers = {
                name: value
                for name, value in response.getheaders()
                if name.lower() not in ("connection", "transfer-encoding")
            }
            return Answer(response.status, headers, response.read())
        finally:
            behind.close()

    def _send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        length = answer.headers.get("Content-Length") or str(len(answer.body))
        self.send_header(
            "Content-Length", length if self.command == "HEAD" else str(len(answer.body))
        )
        self.end_headers()
        if self.command == "HEAD":
            return
        body = answer.body[: answer.cut_at]
        step = answer.piece or max(1, len(body))
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            if answer.piece:
                threading.Event().wait(0.05)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
