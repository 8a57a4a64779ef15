"""Fixing one moment for all workers, and keeping the definitions as they are from then on.

What lives here: `hold`, which returns the sessions of that moment. Must not know: columns, rows,
native DDL.

How the moment is one. Each worker's own transaction is a consistent snapshot (START TRANSACTION
WITH CONSISTENT SNAPSHOT) of InnoDB tables. Several are the same moment only if nothing is
committed between the first and the last, so commits are held back meanwhile: by the server's
global lock (`Flavour.global_lock`), else by LOCK TABLES on the selected tables. Without either
right one worker reads alone. The lock is released as soon as every worker has begun.

Why each worker also touches each table (`SELECT 1 FROM t LIMIT 0`). Found by experiment with
MariaDB 10.11: a transaction that has touched a table holds a metadata lock, and TRUNCATE, ALTER
(copying, in place or instant), DROP, RENAME and CREATE OR REPLACE of others then wait until it
ends. Without the touch, a copying ALTER, TRUNCATE or DROP goes through, and the read fails (1412,
1146) for InnoDB, but gives no rows and no error for a truncated MyISAM table; and a table that was
renamed into the place of another would be read instead of it. A worker that touches a table for
the first time while such a statement waits would wait behind it, so all touch before the lock is
released, and where one had to wait, everything is given up and begun again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from dbsync.connectors.base import Consistency
from dbsync.connectors.mysql.address import Address
from dbsync.connectors.mysql.connection import Session, open_session, quote_name
from dbsync.connectors.mysql.failures import errno_of
from dbsync.errors import ConflictError, DbsyncError, SourceError

LOCK_TIMEOUT_S = 10
"""Others may have to wait as long as this while a lock is waited for."""

_TOUCH_TIMEOUT_S = 1
_TRIES = 5
_TABLES_PER_STATEMENT = 100
_DENIED = frozenset({1044, 1045, 1142, 1227})
_GONE = frozenset({1051, 1146, 1412})
_SNAPSHOT = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
_BUSY = (
    "wait until the statement that holds it has ended (SHOW PROCESSLIST names it), or use "
    "--jobs 1, which needs no lock"
)


@dataclass
class Moment:
    """Sessions that see one moment: `workers` for rows, `control` for everything else."""

    control: Session
    """Holds the metadata locks too, so that its reads of tables never wait."""
    workers: list[Session]
    way: str
    """How the moment was fixed, for people."""
    token: str | None

    def close(self) -> None:
        """End the sessions that no one else has taken over; may be repeated."""
        for session in (self.control, *self.workers):
            session.close()


def hold(
    address: Address,
    jobs: int,
    choose: Callable[[Session], Sequence[str]],
    *,
    lock_timeout_s: int = LOCK_TIMEOUT_S,
) -> Moment:
    """Begin a transaction of the same moment on up to `jobs` sessions; the caller closes them.

    `choose` lists the tables that are read, and raises for a selection that does not fit; it is
    asked again when the tables are held, and must then give the same ones. Raises
    `ConflictError` where a lock is not free in time or the tables do not stand still.
    """
    failure: DbsyncError | None = None
    for _ in range(_TRIES):
        with contextlib.ExitStack() as opened:
            begin = _Beginning(address, jobs, opened, lock_timeout_s)
            names = list(choose(begin.control))
            try:
                moment = begin.at_once(names)
            except DbsyncError as error:
                if not begin.locked or errno_of(error) not in {*_GONE, 1205}:
                    raise
                failure = error
                continue
            if list(choose(moment.control)) == names:
                opened.pop_all()
                return moment
    raise ConflictError(
        f"tables were created, changed or dropped during each of {_TRIES} attempts to fix a moment",
        hint="export when no migration is running",
        retryable=True,
    ) from failure


def consistency(moment: Moment, loose: Sequence[str], tables: int) -> Consistency:
    """Describe what was reached; `loose` are the tables, of `tables`, that take no part in it."""
    notes = [moment.way]
    if loose:
        names = ", ".join(loose)
        notes.append(f"not transactional, so read as they were later: table {names}")
    level = "none" if loose and len(loose) == tables else "snapshot"
    return Consistency(level=level, token=moment.token, note="; ".join(notes))


class _Beginning:
    """One attempt; whatever it opens is closed by `opened`, unless that is emptied."""

    def __init__(
        self, address: Address, jobs: int, opened: contextlib.ExitStack, lock_timeout_s: int
    ) -> None:
        self._address = address
        self._opened = opened
        self._lock_timeout_s = lock_timeout_s
        self._jobs = max(1, jobs)
        self.locked = False
        """Whether the lock of this attempt was reached, so that a failure came after it."""
        self.control = self._session()

    def at_once(self, names: Sequence[str]) -> Moment:
        """Begin with the best lock that the user has the right to."""
        if self._jobs == 1:
            return self._alone(names, "one worker, on its own snapshot")
        # Connecting takes time, which no one should have to wait under a lock.
        workers = [self._session() for _ in range(self._jobs)]
        for way, take in (
            ("all workers on one snapshot, begun under the server's lock", self._global_lock),
            (
                "all workers on one snapshot, begun under LOCK TABLES: this user lacks RELOAD",
                self._table_locks,
            ),
        ):
            with contextlib.ExitStack() as held:
                lock = held.enter_context(contextlib.closing(self._session()))
                try:
                    release = take(lock, names)
                except SourceError as error:
                    if errno_of(error) not in _DENIED:
                        raise
                    continue
                self.locked = True
                token = _begin(workers, self.control, names, lock)
                lock.run(release, "releasing the lock")
            return Moment(self.control, workers, way, token)
        for session in workers:
            session.close()
        return self._alone(
            names,
            "one worker on its own snapshot instead of "
            f"{self._jobs}: this user has neither RELOAD nor LOCK TABLES",
        )

    def _alone(self, names: Sequence[str], way: str) -> Moment:
        worker = self._session()
        with _lock_wait("a table", self._lock_timeout_s):
            self.control.run("START TRANSACTION READ ONLY", "holding the tables")
            _touch(self.control, names)
        self.locked = True
        worker.run(_SNAPSHOT, "beginning the snapshot")
        _set_lock_timeout(worker, _TOUCH_TIMEOUT_S)
        _touch(worker, names)
        return Moment(self.control, [worker], way, _token(worker, None))

    def _session(self) -> Session:
        settings = {"lock_wait_timeout": str(self._lock_timeout_s)}
        session = open_session(self._address, SourceError, settings=settings)
        self._opened.callback(session.close)
        return session

    def _global_lock(self, lock: Session, names: Sequence[str]) -> str:
        del names
        statements, release = lock.flavour.global_lock
        with _lock_wait("the server's lock", self._lock_timeout_s):
            for statement in statements:
                lock.run(statement, "taking the server's lock")
        return release

    def _table_locks(self, lock: Session, names: Sequence[str]) -> str:
        listed = ", ".join(f"{quote_name(name)} READ" for name in names)
        with _lock_wait("a table", self._lock_timeout_s):
            if listed:
                lock.run(f"LOCK TABLES {listed}", "locking the tables")
        return "UNLOCK TABLES"


def _begin(
    workers: Sequence[Session], control: Session, names: Sequence[str], lock: Session
) -> str | None:
    """Begin everywhere, then touch every table everywhere; return what names the moment."""
    for session in workers:
        _set_lock_timeout(session, _TOUCH_TIMEOUT_S)
        session.run(_SNAPSHOT, "beginning the snapshot")
    token = _token(workers[0], lock)
    _set_lock_timeout(control, _TOUCH_TIMEOUT_S)
    control.run("START TRANSACTION READ ONLY", "holding the tables")
    # Table by table, so that a statement which wants one hardly falls between two sessions.
    for at in range(0, len(names), _TABLES_PER_STATEMENT):
        for session in (*workers, control):
            _touch(session, names[at : at + _TABLES_PER_STATEMENT])
    return token


def _touch(session: Session, names: Sequence[str]) -> None:
    for at in range(0, len(names), _TABLES_PER_STATEMENT):
        some = names[at : at + _TABLES_PER_STATEMENT]
        parts = [f"(SELECT 1 FROM {quote_name(name)} LIMIT 0)" for name in some]
        what = some[0] if len(some) == 1 else f"one of {len(some)} tables"
        session.rows(" UNION ALL ".join(parts), f"holding table {what}")


def _set_lock_timeout(session: Session, seconds: int) -> None:
    session.run(f"SET SESSION lock_wait_timeout = {seconds}", "preparing a worker")


@contextlib.contextmanager
def _lock_wait(what: str, seconds: int) -> Generator[None, None, None]:
    try:
        yield
    except ConflictError as error:
        raise ConflictError(
            f"{what} was not free within {seconds} s: {error.message}", hint=_BUSY, retryable=True
        ) from error


def _token(worker: Session, lock: Session | None) -> str | None:
    """Name the moment by the binary log, where there is one and this user may see it."""
    if worker.flavour.mariadb:
        # Of the snapshot itself, so exact without a lock, and free for everyone.
        rows = worker.rows("SHOW STATUS LIKE 'binlog_snapshot_%'", "reading the log position")
        found = {row["Variable_name"].lower(): str(row["Value"]) for row in rows}
        file = found.get("binlog_snapshot_file")
        return f"{file}:{found.get('binlog_snapshot_position')}" if file else None
    if lock is None:
        return None
    try:
        rows = lock.rows(lock.flavour.binlog_status, "reading the log position")
    except SourceError as error:
        if errno_of(error) not in _DENIED:
            raise
        return None
    if not rows:
        return None
    position = f"{rows[0]['File']}:{rows[0]['Position']}"
    executed = str(rows[0].get("Executed_Gtid_Set") or "").replace("\n", "")
    return f"{position}, GTID {executed}" if executed else position
