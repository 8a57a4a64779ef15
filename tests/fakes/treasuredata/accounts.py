"""Accounts and API keys: who may do what with which database.

A key belongs to one account. A master key has a right per database, of those that Treasure Data
names: administrator, full_access, query_only, import_only. A write-only key may import into every
database that it may write, and do nothing else.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal

Right = Literal["administrator", "full_access", "query_only", "import_only"]
Need = Literal["see", "query", "import", "change"]

_ALLOWS: dict[Right, set[Need]] = {
    "administrator": {"see", "query", "import", "change"},
    "full_access": {"see", "query", "import", "change"},
    "query_only": {"see", "query"},
    "import_only": {"import"},
}


class Refusal(Exception):
    """An answer that refuses, with the status and what the body says."""

    def __init__(self, status: int, text: str, **more: str):
        self.status = status
        self.text = text
        self.more = more
        super().__init__(f"{status} {text}")


@dataclass
class Key:
    """One API key; `rights` by database, with "*" for all others."""

    key: str
    account: str
    rights: dict[str, Right] = field(default_factory=dict[str, Right])
    write_only: bool = False
    may_create_databases: bool = True
    valid: bool = True

    def right(self, database: str) -> Right | None:
        """Return the key's right on a database, if it has one."""
        return self.rights.get(database) or self.rights.get("*")

    def require(self, database: str, need: Need) -> None:
        """Refuse with 403 what the key has no right to."""
        right = self.right(database)
        if right is None or need not in _ALLOWS[right] or (self.write_only and need != "import"):
            raise Refusal(403, f"Access denied: no right to {need} in database {database}")

    def require_master(self) -> None:
        """Refuse a write-only key."""
        if self.write_only:
            raise Refusal(403, "Access denied: this is a write-only key")


class Keys:
    """The keys that the service knows."""

    def __init__(self) -> None:
        self._keys: dict[str, Key] = {}
        self._lock = threading.Lock()

    def add(self, key: Key) -> Key:
        """Make a key known."""
        with self._lock:
            self._keys[key.key] = key
        return key

    def revoke(self, key: str) -> None:
        """Let a key expire; requests with it are refused with 401 from now on."""
        self._keys[key].valid = False

    def authenticate(self, authorization: str | None) -> Key:
        """Return the key of a request, or refuse with 401."""
        scheme, _, given = (authorization or "").partition(" ")
        key = self._keys.get(given.strip())
        if scheme != "TD1" or key is None or not key.valid:
            raise Refusal(401, "Authentication failed. Invalid or missing API key.")
        return key
