"""Where a chunk's changes are kept together: a transaction, or a savepoint in a shared one.

What lives here: `Unit` and its two kinds. Must not know: rows, tables.

A deadlock makes the server undo the whole transaction, savepoints included; with autocommit,
what came next would be committed row by row. So a savepoint that cannot be gone back to breaks the
shared transaction for good.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from dbsync.connectors.mysql.connection import Session
from dbsync.connectors.mysql.failures import errno_of
from dbsync.connectors.mysql.flavour import Flavour
from dbsync.errors import DbsyncError, TargetError

_NO_SAVEPOINTS = 1178
"""ER_CHECK_NOT_IMPLEMENTED: an engine that takes part in the transaction has none."""


class Unit(Protocol):
    """Where a chunk's changes are kept together."""

    @property
    def flavour(self) -> Flavour:
        """The server's kind and version."""
        ...

    def begin(self) -> Session:
        """Begin the chunk and return the session that writes it."""
        ...

    def commit(self, doing: str) -> None:
        """Keep the chunk."""
        ...

    def abort(self) -> None:
        """Undo the chunk, if one is open; raises nothing."""
        ...

    def release(self) -> None:
        """Give back what the writer held."""
        ...


@dataclass
class OwnTransaction:
    """Each chunk in a transaction of a session that this writer alone uses.

    `give_back` gets the session and whether it may not be used again. `before_commit` raises where
    the chunk must not be kept.
    """

    session: Session
    give_back: Callable[[Session, bool], None]
    before_commit: Callable[[Session], None] = lambda _: None
    _open: bool = False
    _broken: bool = False

    @property
    def flavour(self) -> Flavour:
        """The server's kind and version."""
        return self.session.flavour

    def begin(self) -> Session:
        """Begin the chunk's transaction."""
        self._broken = True  # until it has shown that it works
        self.session.run("START TRANSACTION", "beginning a chunk")
        self._open, self._broken = True, False
        return self.session

    def commit(self, doing: str) -> None:
        """Make the chunk visible."""
        self.before_commit(self.session)
        self.session.run("COMMIT", f"committing {doing}")
        self._open = False

    def abort(self) -> None:
        """Undo the chunk; a connection that cannot even do that is not used again."""
        if self._open:
            self._open = False
            try:
                self.session.run("ROLLBACK", "undoing a chunk")
            except DbsyncError:
                self._broken = True

    def release(self) -> None:
        """Give the session back."""
        self.give_back(self.session, self._broken)


@dataclass
class SharedTransaction:
    """Each chunk in a savepoint of the transaction that several writers share, one at a time.

    The transaction is begun and ended by the owner of the session.
    """

    session: Session
    lock: threading.Lock = field(default_factory=threading.Lock)
    broken: bool = False

    def writer(self) -> Savepoint:
        """Return a unit for one writer."""
        return Savepoint(self)


@dataclass
class Savepoint:
    """One writer's part of a `SharedTransaction`."""

    shared: SharedTransaction
    _open: bool = False
    _set: bool = False

    @property
    def flavour(self) -> Flavour:
        """The server's kind and version."""
        return self.shared.session.flavour

    def begin(self) -> Session:
        """Wait for the turn of this chunk, then set the savepoint.

        There can be none once an engine without savepoints, such as Aria, has taken part.
        """
        self.shared.lock.acquire()
        self._open = True
        if self.shared.broken:
            raise TargetError(
                "the transaction of this import was undone by the server",
                hint="run the same command again",
            )
        try:
            self.shared.session.run("SAVEPOINT dbsync_chunk", "beginning a chunk")
        except TargetError as error:
            if errno_of(error) != _NO_SAVEPOINTS:
                raise
            self._set = False
        else:
            self._set = True
        return self.shared.session

    def commit(self, doing: str) -> None:
        """Keep the chunk, as part of the whole."""
        if self._set:
            self.shared.session.run("RELEASE SAVEPOINT dbsync_chunk", f"completing {doing}")
        self._end()

    def abort(self) -> None:
        """Undo the chunk alone."""
        if not self._open:
            return
        try:
            if self._set:
                self.shared.session.run("ROLLBACK TO SAVEPOINT dbsync_chunk", "undoing a chunk")
            else:
                self.shared.broken = True
        except DbsyncError:
            self.shared.broken = True
        self._end()

    def release(self) -> None:
        """Leave the session to the others."""

    def _end(self) -> None:
        self._open = False
        self.shared.lock.release()
