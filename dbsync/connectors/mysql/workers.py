"""Sessions that read rows of one moment, each of them lent to one reader at a time.

What lives here: `Workers`. Must not know: how the moment was fixed, which rows are read.

A session that has lost its transaction cannot come back to the moment, so no new one is opened in
its place; the others go on without it.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from dbsync.connectors.mysql.connection import Session
from dbsync.errors import DbsyncError, SourceError


class Workers:
    """The sessions of one snapshot, all inside a transaction; owns them from now on."""

    def __init__(self, sessions: Sequence[Session]) -> None:
        self._free = threading.Condition()
        self._idle = list(sessions)
        self._busy: dict[Session, int] = {}
        self._closed = False

    @contextmanager
    def lease(self) -> Generator[Session, None, None]:
        """Lend a session, waiting for one where all are busy.

        A session whose use ends in an error is closed. Raises `SourceError` when none is left,
        and where the calling thread itself keeps all of them busy, which would wait for ever.
        """
        session = self._take()
        try:
            yield session
        except GeneratorExit:
            self._give_back(session, usable=_answers(session))
            raise
        except BaseException:
            self._give_back(session, usable=False)
            raise
        self._give_back(session, usable=True)

    def close(self) -> None:
        """Close idle sessions and stop busy ones, whose readers then raise `SourceError`."""
        with self._free:
            self._closed = True
            idle, self._idle = self._idle, []
            busy = list(self._busy)
            self._free.notify_all()
        for session in busy:
            session.kill()
        for session in idle:
            session.close()

    def _take(self) -> Session:
        thread = threading.get_ident()
        with self._free:
            while not self._idle:
                if self._closed:
                    raise SourceError("the snapshot has ended", hint="run the same command again")
                if not self._busy:
                    raise SourceError(
                        "every connection that could see the moment of the export was lost",
                        hint="check the network and the server, then run the same command again",
                        retryable=True,
                    )
                if all(owner == thread for owner in self._busy.values()):
                    raise SourceError(
                        f"{len(self._busy)} tables are being read already, as many as there are "
                        "connections",
                        hint="raise --jobs",
                    )
                self._free.wait()
            session = self._idle.pop()
            self._busy[session] = thread
            return session

    def _give_back(self, session: Session, *, usable: bool) -> None:
        with self._free:
            self._busy.pop(session, None)
            kept = usable and not self._closed
            if kept:
                self._idle.append(session)
            self._free.notify_all()
        if not kept:
            session.close()


def _answers(session: Session) -> bool:
    try:
        session.value("SELECT 1", "looking after a worker")
    except DbsyncError:
        return False
    return True
