"""What the fake Drive holds: files with revisions, folders, shared drives, accounts and rights."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

FOLDER = "application/vnd.google-apps.folder"
READ, WRITE, MANAGE = 1, 2, 3

_TERM = re.compile(
    r"(?:(?P<in>'(?:[^'\\]|\\.)*') in parents"
    r"|(?P<field>name|mimeType) (?P<op>=|!=) (?P<value>'(?:[^'\\]|\\.)*')"
    r"|trashed = (?P<trashed>true|false))(?: and |$)",
    re.DOTALL,
)


class Refusal(Exception):
    """An error as Drive answers it."""

    def __init__(self, status: int, reason: str, message: str = "the fake says no"):
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.message = message


@dataclass
class Revision:
    id: str
    path: Path
    size: int
    md5: str


@dataclass
class Item:
    id: str
    name: str
    mime: str
    parents: list[str]
    drive: str | None
    owner: str | None
    created: datetime
    modified: datetime
    trashed: bool = False
    revisions: list[Revision] = field(default_factory=list)
    rights: dict[str, int] = field(default_factory=dict)


@dataclass
class Session:
    owner: str
    metadata: dict[str, Any]
    replaces: str | None
    fields: str
    path: Path
    received: int = 0
    finished: Item | None = None
    dead: bool = False


class Drive:
    """The state behind the server; its lock guards every change and look-up."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.lock = threading.RLock()
        self.items: dict[str, Item] = {}
        self.sessions: dict[str, Session] = {}
        self.limits: dict[str, int] = {}
        """Bytes that an account may own; what is not named here is unlimited."""
        self.page_limit = 1000
        self.tells_revisions = True
        self._now = datetime.now(UTC)

    def new_id(self) -> str:
        return secrets.token_urlsafe(21)

    def now(self) -> datetime:
        """Give strictly increasing milliseconds, as a server that orders its own commits."""
        now = datetime.now(UTC)
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        self._now = max(now, self._now + timedelta(milliseconds=1))
        return self._now

    # What a test arranges

    def make_folder(
        self,
        name: str,
        *,
        owner: str | None = None,
        parent: str | None = None,
        rights: dict[str, int] | None = None,
        item_id: str | None = None,
    ) -> str:
        with self.lock:
            item = self._add(name, FOLDER, [parent] if parent else [], owner, item_id)
            item.rights.update(rights or {})
            return item.id

    def make_shared_drive(self, name: str, rights: dict[str, int]) -> str:
        with self.lock:
            item = self._add(name, FOLDER, [], None, None)
            item.drive = item.id
            item.rights.update(rights)
            return item.id

    def make_file(
        self,
        name: str,
        data: bytes | None,
        parent: str,
        *,
        owner: str | None = None,
        mime: str = "application/octet-stream",
    ) -> str:
        """Put a file there as a person would; `data` None makes a document of Google's own."""
        with self.lock:
            item = self._add(name, mime, [parent], owner, None)
            if data is not None:
                path = self.folder / secrets.token_hex(8)
                path.write_bytes(data)
                self.add_revision(item, path)
            return item.id

    # What requests do

    def add_revision(self, item: Item, path: Path) -> None:
        digest = hashlib.md5(usedforsecurity=False)
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        item.revisions.append(
            Revision(self.new_id(), path, path.stat().st_size, digest.hexdigest())
        )
        item.modified = self.now()

    def create(self, metadata: dict[str, Any], account: str, mime: str) -> Item:
        parents = metadata.get("parents") or []
        for parent in parents:
            self.get(parent, account, need=WRITE)
        item_id = metadata.get("id")
        if item_id in self.items:
            raise Refusal(409, "fileIdInUse")
        return self._add(metadata["name"], mime, list(parents), account, item_id)

    def get(self, item_id: str, account: str, need: int = READ) -> Item:
        if item_id == "root":
            item_id = f"root-{account}"
            if item_id not in self.items:
                self.make_folder("My Drive", owner=account, item_id=item_id)
        item = self.items.get(item_id)
        if item is None or self.right(item, account) < READ:
            raise Refusal(404, "notFound")
        if self.right(item, account) < need:
            raise Refusal(403, "insufficientFilePermissions")
        return item

    def right(self, item: Item, account: str) -> int:
        if item.owner == account and item.drive is None:
            return MANAGE
        own = item.rights.get(account, 0)
        above = [self.items[parent] for parent in item.parents if parent in self.items]
        inherited = max((self.right(parent, account) for parent in above), default=0)
        # Owning a folder gives no right to delete what others own in it, only to edit it.
        if item.drive is None:
            inherited = min(inherited, WRITE)
        return max(own, inherited)

    def check_quota(self, account: str, drive: str | None, more: int) -> None:
        limit = self.limits.get(account)
        if drive is None and limit is not None:
            used = sum(
                item.revisions[-1].size
                for item in self.items.values()
                if item.owner == account and item.revisions
            )
            if used + more > limit or limit == 0:
                raise Refusal(403, "storageQuotaExceeded")

    def search(self, query: str, account: str, drive: str | None) -> list[Item]:
        terms, at = [], 0
        while at < len(query):
            term = _TERM.match(query, at)
            if term is None:
                raise Refusal(400, "invalid")
            terms.append(term)
            at = term.end()
        return [
            item
            for item in self.items.values()
            if self.right(item, account) >= READ
            and item.drive == drive
            and all(self._meets(item, term, account) for term in terms)
        ]

    def _meets(self, item: Item, term: re.Match[str], account: str) -> bool:
        if term["in"]:
            return self.get(_unquote(term["in"]), account).id in item.parents
        if term["trashed"]:
            return item.trashed == (term["trashed"] == "true")
        value = _unquote(term["value"])
        if term["field"] == "mimeType":
            return (item.mime == value) == (term["op"] == "=")
        # The real one compares names without regard to case.
        return (item.name.casefold() == value.casefold()) == (term["op"] == "=")

    def describe(self, item: Item, account: str) -> dict[str, Any]:
        found: dict[str, Any] = {
            "id": item.id,
            "name": item.name,
            "mimeType": item.mime,
            "parents": item.parents,
            "createdTime": _time(item.created),
            "modifiedTime": _time(item.modified),
            "trashed": item.trashed,
        }
        if item.drive:
            found["driveId"] = item.drive
        if item.revisions:
            head = item.revisions[-1]
            found |= {"size": str(head.size), "md5Checksum": head.md5}
            if self.tells_revisions and self.right(item, account) >= WRITE:
                found["headRevisionId"] = head.id
        return found

    def _add(
        self, name: str, mime: str, parents: list[str], owner: str | None, item_id: str | None
    ) -> Item:
        now = self.now()
        drive = self.items[parents[0]].drive if parents else None
        item = Item(item_id or self.new_id(), name, mime, parents, drive, owner, now, now)
        self.items[item.id] = item
        return item


def select(found: dict[str, Any], fields: str) -> dict[str, Any]:
    """Keep what the parameter `fields` names, one level deep and within parentheses."""
    chosen: dict[str, Any] = {}
    for name, inner in re.findall(r"(\w+)(?:\(([^)]*)\))?", fields):
        if name in found:
            value = found[name]
            chosen[name] = [select(item, inner) for item in value] if inner else value
    return chosen


def error_body(refusal: Refusal) -> bytes:
    return json.dumps(
        {
            "error": {
                "code": refusal.status,
                "message": refusal.message,
                "errors": [{"domain": "global", "reason": refusal.reason, "message": "no"}],
            }
        }
    ).encode()


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
