"""One connection of the fake Treasure Data: requests, ranges, faults on the way, pace."""

from __future__ import annotations

import json
import re
import socket
import struct
import time
from collections.abc import Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.fakes.treasuredata import routes
from tests.fakes.treasuredata.accounts import Key, Refusal

if TYPE_CHECKING:
    from tests.fakes.treasuredata.faults import Fault
    from tests.fakes.treasuredata.server import FakeTreasureData, Logged

_BLOCK = 1 << 20
_SLOW_BLOCK = 32 << 10


class _Cut(Exception):
    """The connection is to be reset."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    logged: Logged | None = None
    fault: Fault | None = None

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_DELETE = do_GET

    def _answer(self) -> None:
        self.fake: FakeTreasureData = self.server.fake  # type: ignore[attr-defined]
        parts = urlsplit(self.path)
        path = re.sub("/+", "/", parts.path)
        self.left = int(self.headers.get("content-length") or 0)
        if path.startswith("/_fake/"):
            self._control(path.removeprefix("/_fake/"))
            return
        self.operation, function, quoted = routes.find(self.command, path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.logged = self.fake.arrived(self.operation, path, headers)
        self.fault = self.fake.faults.take(self.operation, path)
        if self.logged.dropped:
            self._reset()
            return
        try:
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            self._with_fault(function, tuple(unquote(one) for one in quoted), query)
        except Refusal as refusal:
            self._read()
            self._refuse(refusal)
        except (_Cut, ConnectionError):
            self._reset()

    def _with_fault(
        self, function: routes.Function | None, args: tuple[str, ...], query: dict[str, str]
    ) -> None:
        fault = self.fault
        match fault.action if fault is not None else None:
            case "status" if fault is not None:
                self._read()
                headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
                body = _error(Refusal(fault.status, f"Status {fault.status} by arrangement"))
                self._send(fault.status, body, headers)
                return
            case "drop_before" if fault is not None:
                self.rfile.read(min(self.left, fault.size))
                raise _Cut
            case "stall":
                self.fake.stall()
                raise _Cut
            case "revoke":
                self.fake.keys.revoke(self.headers["authorization"].partition(" ")[2])
            case "forget":
                self.fake.forget(args[0])
            case _:
                pass
        key = Key("", "")
        if self.operation != "server_status":
            key = self.fake.keys.authenticate(self.headers.get("authorization"))
        if function is None:
            raise Refusal(404, f"No such path: {self.path}")
        body = self._read()
        if self.logged is not None:
            self.logged.body_bytes = len(body)
        given = self.headers.get("content-type")
        fields = _multipart(given, body) if self.command == "POST" and body else {}
        gzip = "gzip" in self.headers.get("accept-encoding", "")
        request = routes.Request(self.fake, key, args, query, fields, body, gzip)
        answer = function(request)
        self.fake.answering(self.operation)
        if fault is not None and fault.action == "drop_after":
            raise _Cut
        if answer.stored is not None:
            self._send_stored(answer)
        else:
            self._send(200, answer.body, answer.headers)

    # Requests

    def _read(self) -> bytes:
        """Return what is left of the body; raises `_Cut` where the client goes away."""
        blocks: list[bytes] = []
        for size in self._paced(self.left):
            block = self.rfile.read(size)
            if len(block) < size:
                raise _Cut
            blocks.append(block)
        self.left = 0
        return b"".join(blocks)

    def _control(self, name: str) -> None:
        self.logged = self.fault = None
        given = json.loads(self._read() or b"{}")
        try:
            found = self.fake.control(name, given)
        except Exception as error:
            self._write(500, repr(error).encode(), {})
            return
        self._write(200, json.dumps(found).encode(), {})

    # Answers

    def _send_stored(self, answer: routes.Answer) -> None:
        stored = answer.stored
        assert stored is not None
        fault = self.fault
        begin, end = 0, stored.bytes
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        same = self.headers.get("if-range") in (None, stored.etag)
        headers = {"ETag": stored.etag, "Accept-Ranges": "bytes"} | answer.headers
        if asked and same and not (fault is not None and fault.action == "whole"):
            begin = int(asked[1])
            end = min(int(asked[2]) + 1 if asked[2] else stored.bytes, stored.bytes)
            if begin >= stored.bytes:
                unsatisfied = {"Content-Range": f"bytes */{stored.bytes}"}
                self._send(416, _error(Refusal(416, "Range not satisfiable")), unsatisfied)
                return
        else:
            asked = None
        if fault is not None and fault.action == "short":
            end = min(end, begin + fault.size)
        if asked:
            headers["Content-Range"] = f"bytes {begin}-{end - 1}/{stored.bytes}"
        with stored.path.open("rb") as file:
            file.seek(begin)
            self._head(206 if asked else 200, end - begin, headers)
            self._body(file.read, end - begin)

    def _refuse(self, refusal: Refusal) -> None:
        if self.fault is not None and self.fault.action == "drop_after":
            self._reset()
            return
        self._send(refusal.status, _error(refusal), {})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        if self.fault is not None and self.fault.action == "short":
            body = body[: self.fault.size]
        self._write(status, body, headers)

    def _write(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        view = memoryview(body)
        place = 0

        def read(size: int) -> Any:
            nonlocal place
            place += size
            return view[place - size : place]

        self._head(status, len(body), headers)
        self._body(read, len(body))

    def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _body(self, read: Any, length: int) -> None:
        fault = self.fault
        cuts = fault is not None and fault.action in ("drop_body", "stall_body")
        for size in self._paced(min(length, fault.size) if cuts and fault else length):
            self.wfile.write(read(size))
        if cuts and fault is not None:
            if fault.action == "stall_body":
                self.fake.stall()
            raise _Cut

    def _paced(self, length: int) -> Iterator[int]:
        """Yield the sizes of blocks to move, each when the bandwidth would have brought its end.

        The wait comes before the block: whoever has the last byte knows that all waits are over.
        """
        began, moved = time.monotonic(), 0
        while moved < length:
            limit = self.fake.bytes_per_s
            size = min(_SLOW_BLOCK if limit else _BLOCK, length - moved)
            moved += size
            if limit:
                time.sleep(max(0.0, moved / limit - (time.monotonic() - began)))
            yield size

    def _reset(self) -> None:
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)  # a close that sends a reset in place of an end
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()


def _error(refusal: Refusal) -> bytes:
    told = {"error": refusal.text, "text": refusal.text, "severity": "error"} | refusal.more
    return json.dumps(told).encode()


def _multipart(given: str | None, body: bytes) -> dict[str, str]:
    """Return the fields of a form; refuses anything but multipart/form-data."""
    header = Message()
    header["content-type"] = given or ""
    boundary = header.get_param("boundary")
    if header.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
        raise Refusal(415, f"Content type {given} is not understood")
    fields: dict[str, str] = {}
    for part in body.split(b"--" + boundary.encode())[1:-1]:
        head, _, value = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        if name is None:
            raise Refusal(400, "A field of the form has no name")
        fields[name[1].decode()] = value.removesuffix(b"\r\n").decode()
    return fields
