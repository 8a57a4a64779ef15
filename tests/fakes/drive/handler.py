"""What the fake Drive answers to each request, and the faults on the way."""

from __future__ import annotations

import json
import re
import secrets
import socket
import struct
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from tests.fakes.drive.faults import Kind
from tests.fakes.drive.state import (
    FOLDER,
    MANAGE,
    WRITE,
    Item,
    Refusal,
    Revision,
    Session,
    error_body,
    select,
)

if TYPE_CHECKING:
    from tests.fakes.drive.server import FakeDrive

_BLOCK = 1 << 20
_QUANTUM = 256 << 10
_DEFAULT_FIELDS = "id,name,mimeType"


class _Cut(Exception):
    """The connection is to be reset."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _answer(self) -> None:
        from tests.fakes.drive.server import Logged

        self.fake: FakeDrive = self.server.fake  # type: ignore[attr-defined]
        self.drive = self.fake.drive
        parts = urlsplit(self.path)
        self.query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.left = int(self.headers.get("content-length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.account = self.fake.accounts.account(headers.get("authorization"))
        kind = self._kind(parts.path, headers.get("content-range"))
        self.logged = Logged(kind, self.account, self.query, headers)
        self.fault = self.fake.arrived(self.logged)
        try:
            self._with_fault(kind, parts.path)
        except Refusal as refusal:
            self._drop_body()
            self._send(refusal.status, error_body(refusal))
        except (_Cut, ConnectionError):
            self._reset()

    def _kind(self, path: str, content_range: str | None) -> Kind:
        method = self.command
        if path == "/token":
            return "token"
        if path.startswith("/session/"):
            if method == "DELETE":
                return "cancel"
            if content_range and content_range.startswith("bytes */"):
                return "ask"
            return "chunk" if content_range and content_range.endswith("/*") else "final"
        if path.startswith("/upload/"):
            return "start"
        if path.endswith("/about"):
            return "about"
        if path.endswith("/generateIds"):
            return "ids"
        if path.endswith("/files"):
            return "create" if method == "POST" else "list"
        if "/revisions/" in path:
            return "revision"
        if method == "GET":
            return "media" if self.query.get("alt") == "media" else "describe"
        return "delete" if method == "DELETE" else "update"

    def _with_fault(self, kind: Kind, path: str) -> None:
        fault = self.fault
        if fault is not None:
            match fault.action:
                case "status":
                    self._drop_body()
                    headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
                    body = error_body(Refusal(fault.status, fault.reason))
                    self._send(fault.status, body, headers)
                    return
                case "reset":
                    self.rfile.read(min(self.left, fault.size))
                    raise _Cut
                case "stall":
                    self.fake.stall()
                    raise _Cut
                case _:
                    pass
        if kind == "token":
            status, found = self.fake.accounts.token(self.rfile.read(self.left))
            self.left = 0
            self._send(status, json.dumps(found).encode())
            return
        if self.account is None:
            raise Refusal(401, "authError")
        if kind in ("chunk", "final", "ask", "cancel"):
            self._session(kind, path.rpartition("/")[2])
        elif kind in ("media", "revision"):
            self._content(path)
        else:
            body = json.loads(self.rfile.read(self.left) or b"{}")
            self.left = 0
            with self.drive.lock:
                self._metadata(kind, path, body)

    # Metadata

    def _metadata(self, kind: Kind, path: str, body: dict[str, Any]) -> None:
        item_id = path.rpartition("/")[2]
        match kind:
            case "about":
                self._send_json({"user": {"emailAddress": self.account}})
            case "ids":
                count = int(self.query.get("count", "10"))
                self._send_json({"ids": [self.drive.new_id() for _ in range(count)]})
            case "list":
                self._send_json(select(self._list(), self.query.get("fields", "files")))
            case "describe":
                self._send_item(self._item(item_id))
            case "create":
                self._send_item(self._created(body, body.get("mimeType", FOLDER)))
            case "update":
                item = self._item(item_id, WRITE if self._in_drive(item_id) else MANAGE)
                item.trashed = bool(body.get("trashed", item.trashed))
                self._send_item(item)
            case "delete":
                del self.drive.items[self._item(item_id, MANAGE).id]
                self._send(204, b"")
            case "start":
                self._start(path, body)
            case _:
                raise AssertionError(kind)

    def _in_drive(self, item_id: str) -> bool:
        item = self.drive.items.get(item_id)
        return item is not None and item.drive is not None

    def _item(self, item_id: str, need: int = 1) -> Item:
        item = self.drive.get(item_id, self.account or "", need)
        if item.drive and self.query.get("supportsAllDrives") != "true":
            raise Refusal(404, "notFound")
        return item

    def _created(self, body: dict[str, Any], mime: str) -> Item:
        for parent in body.get("parents", ()):
            self._item(parent)
        return self.drive.create(body, self.account or "", mime)

    def _list(self) -> dict[str, Any]:
        drive = self.query.get("driveId") if self.query.get("corpora") == "drive" else None
        if drive and (
            self.query.get("supportsAllDrives") != "true"
            or self.query.get("includeItemsFromAllDrives") != "true"
        ):
            raise Refusal(403, "teamDrivesParentLimit")
        found = self.drive.search(self.query.get("q", ""), self.account or "", drive)
        begin = int(self.query.get("pageToken") or 0)
        end = begin + min(int(self.query.get("pageSize", "100")), self.drive.page_limit)
        page = {
            "incompleteSearch": False,
            "files": [self.drive.describe(item, self.account or "") for item in found[begin:end]],
        }
        return page | ({"nextPageToken": str(end)} if end < len(found) else {})

    def _send_item(self, item: Item) -> None:
        found = self.drive.describe(item, self.account or "")
        self._send_json(select(found, self.query.get("fields", _DEFAULT_FIELDS)))

    # Uploads

    def _start(self, path: str, body: dict[str, Any]) -> None:
        if self.query.get("uploadType") != "resumable":
            raise Refusal(400, "badRequest")
        replaces = path.rpartition("/")[2] if self.command == "PATCH" else None
        if replaces:
            drive = self._item(replaces, WRITE).drive
        else:
            parent = self.drive.get(body["parents"][0], self.account or "", WRITE)
            drive = self._item(parent.id).drive
        self.drive.check_quota(self.account or "", drive, 0)
        upload = secrets.token_urlsafe()
        part = self.drive.folder / f"{secrets.token_hex(8)}.part"
        part.touch()
        fields = self.query.get("fields", _DEFAULT_FIELDS)
        session = Session(self.account or "", body, replaces, fields, part)
        self.drive.sessions[upload] = session
        self._send(200, b"", {"Location": f"{self.fake.root}session/{upload}"})

    def _session(self, kind: Kind, upload: str) -> None:
        fault = self.fault
        with self.drive.lock:
            session = self.drive.sessions.get(upload)
            if fault is not None and fault.action == "die":
                self.drive.sessions.pop(upload, None)
                session = None
        if session is None:
            raise Refusal(404, "notFound")
        if kind == "cancel":
            del self.drive.sessions[upload]
            session.path.unlink(missing_ok=True)
            self._send(499, b"")
            return
        if session.finished is not None:
            self._drop_body()
            self._send_session(session)
            return
        total = self._take(session, kind)
        if kind != "chunk" and total is not None and session.received == total:
            with self.drive.lock:
                self._finish(session)
        if fault is not None and fault.action == "die_finished":
            del self.drive.sessions[upload]
            raise _Cut
        self._send_session(session)

    def _take(self, session: Session, kind: Kind) -> int | None:
        """Store a piece; returns the total, if the request names it."""
        said = self.headers.get("content-range")
        if said is None:  # the whole of a file, in practice an empty one
            begin, total, length = 0, self.left, self.left
        else:
            match = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", said)
            if match is None:
                raise Refusal(400, "badRequest")
            total = None if match[3] == "*" else int(match[3])
            if match[1] is None:
                return total
            begin, length = int(match[1]), int(match[2]) - int(match[1]) + 1
            if length < 1 or length != self.left:
                raise Refusal(400, "badRequest")
        if begin != session.received or (kind == "chunk" and length % _QUANTUM):
            raise Refusal(400, "badRequest")
        fault = self.fault
        takes = fault.size if fault is not None and fault.action == "partial" else length
        flips = fault is not None and fault.action == "flip"
        with self.drive.lock:
            drive = self._drive_of(session)
            self.drive.check_quota(session.owner, drive, session.received + length)
        with session.path.open("r+b") as file:
            file.seek(session.received)
            while takes:
                block = self.rfile.read(min(_BLOCK, takes))
                if not block:
                    raise _Cut
                file.write(bytes([block[0] ^ 1]) + block[1:] if flips else block)
                flips = False
                takes -= len(block)
                self.left -= len(block)
                session.received += len(block)
                self.logged.content_bytes += len(block)
        self._drop_body()
        return total

    def _drive_of(self, session: Session) -> str | None:
        item_id = session.replaces or session.metadata["parents"][0]
        item = self.drive.items.get(item_id)
        return item.drive if item else None

    def _finish(self, session: Session) -> None:
        if session.replaces:
            item = self.drive.get(session.replaces, session.owner, WRITE)
        else:
            item = self.drive.create(session.metadata, session.owner, "application/octet-stream")
        path = session.path.with_suffix("")
        session.path.rename(path)
        self.drive.add_revision(item, path)
        if not session.replaces:
            item.modified = item.created
        session.finished = item

    def _send_session(self, session: Session) -> None:
        if session.finished is not None:
            found = self.drive.describe(session.finished, session.owner)
            self._send_json(select(found, session.fields))
            return
        taken = session.received
        self._send(308, b"", {"Range": f"bytes=0-{taken - 1}"} if taken else {})

    # Content

    def _content(self, path: str) -> None:
        with self.drive.lock:
            revision = self._revision(path)
        begin, end = 0, revision.size - 1
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range", ""))
        if asked and not (self.fault is not None and self.fault.action == "whole"):
            begin, end = int(asked[1]), min(int(asked[2]), revision.size - 1)
            if begin >= revision.size:
                raise Refusal(416, "requestedRangeNotSatisfiable")
        else:
            asked = None
        self._send_body(revision.path, begin, end + 1, revision.size, partial=bool(asked))

    def _revision(self, path: str) -> Revision:
        if "/revisions/" in path:
            item_id, _, revision_id = path.split("/")[-3:]
            item = self.drive.get(item_id, self.account or "", WRITE)
            for revision in item.revisions:
                if revision.id == revision_id:
                    return revision
            raise Refusal(404, "notFound")
        item = self._item(path.rpartition("/")[2])
        if not item.revisions:
            raise Refusal(403, "fileNotDownloadable")
        return item.revisions[-1]

    def _send_body(self, path: Path, begin: int, end: int, size: int, *, partial: bool) -> None:
        fault = self.fault
        action = fault.action if fault is not None else None
        length = end - begin
        if action == "short" and fault is not None:
            length = min(length, fault.size)
        self.send_response(206 if partial else 200)
        self.send_header("Content-Length", str(length))
        if partial:
            self.send_header("Content-Range", f"bytes {begin}-{begin + length - 1}/{size}")
        self.end_headers()
        cut = fault.size if fault is not None and action in ("broken", "stall_body") else length
        sent = 0
        block = 997 if action == "slow" else _BLOCK
        with path.open("rb") as file:
            file.seek(begin)
            while sent < min(cut, length):
                data = file.read(min(block, min(cut, length) - sent))
                self.wfile.write(data)
                sent += len(data)
        self.logged.content_bytes += sent
        if action == "stall_body":
            self.fake.stall()
        if action in ("broken", "stall_body"):
            raise _Cut

    # Answers

    def _send_json(self, found: dict[str, Any]) -> None:
        self._send(200, json.dumps(found).encode())

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        if self.fault is not None and self.fault.action == "lost":
            raise _Cut
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _drop_body(self) -> None:
        while self.left:
            data = self.rfile.read(min(_BLOCK, self.left))
            self.left -= len(data)
            if not data:
                break

    def _reset(self) -> None:
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)  # a close that sends a reset in place of an end
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
