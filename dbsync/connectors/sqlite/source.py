"""Reading an SQLite database: one moment held by one or several connections.

What lives here: `SqliteSource` and `SqliteSnapshot`, and how several connections come to see the
same moment. Must not know: how a SELECT is spelled, how definitions are read.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

import msgspec

from dbsync.connectors.base import Capabilities, CheckItem, Consistency, Partition
from dbsync.connectors.ranges import narrowed
from dbsync.connectors.sqlite.catalog import Catalog, read_catalog
from dbsync.connectors.sqlite.connection import (
    Connection,
    begin_reading,
    open_for_reading,
    parse_url,
    quote,
    reading_mode,
    require_file,
    wait_for_lock,
)
from dbsync.connectors.sqlite.partitions import range_condition, split_rowids
from dbsync.connectors.sqlite.schema import read_database
from dbsync.connectors.sqlite.selected import check_condition, choose_tables
from dbsync.errors import ConflictError, SourceError
from dbsync.model.schema import Database, Table
from dbsync.model.selection import Selection

if TYPE_CHECKING:
    import pyarrow as pa

_ATTEMPTS = 50
"""How often the workers try to begin between two commits of others."""

SOURCE_CAPABILITIES = Capabilities(
    engine="sqlite",
    consistent_snapshot=True,
    parallel_read=True,
    parallel_write=False,
    transactions=True,
    transactional_ddl=True,
    upsert=True,
    schemas=False,
)


class SqliteSnapshot:
    """One moment of the file: connections that hold read transactions on the same state."""

    def __init__(
        self, connections: list[Connection], catalog: Catalog, database: Database, token: str
    ):
        self.consistency = Consistency(level="snapshot", token=token)
        self.database = database
        self._catalog = catalog
        self._connections = connections
        self._busy = [0] * len(connections)
        self._lock = threading.Lock()

    def partitions(self, table: Table, target_bytes: int) -> list[Partition]:
        """Split a table into rowid ranges; without a rowid, and with one worker's worth, one."""
        raw = self._catalog.find(table.name.name)
        wanted = -(-(table.bytes_estimate or 0) // max(1, target_bytes))
        if raw is None or raw.rowid is None or wanted < 2:
            return [Partition(table=table.name, number=0, bounds=(None, None))]
        with self._connection() as connection:
            cuts = split_rowids(connection, raw, min(wanted, 10_000))
        bounds = [None, *cuts, None]
        return [
            Partition(table=table.name, number=number, bounds=(low, high))
            for number, (low, high) in enumerate(itertools.pairwise(bounds))
        ]

    def read(self, table: Table, partition: Partition) -> Iterator[pa.RecordBatch]:
        """Yield the rows of one partition; see `dbsync.connectors.base.Snapshot.read`."""
        from dbsync.connectors.sqlite.read import read_rows

        raw = self._catalog.find(table.name.name)
        if raw is None:
            raise SourceError(f"table {table.name} is not part of this snapshot")
        low, high = partition.bounds
        parts: list[str] = []
        if low is not None or high is not None:
            parts.append(range_condition(raw, _integer(low), _integer(high)))
        if table.where is not None:
            # The line break ends a comment in the condition.
            parts.append(f"({table.where}\n)")
        with self._connection() as connection:
            yield from read_rows(connection, table, " AND ".join(parts))

    def within(self, table: Table, column: str, ranges: Sequence[tuple[int, int]]) -> Table | None:
        """Narrow to ranges of an integer column; see `dbsync.connectors.base.KeyRanges`."""
        if table.column(column).storage != "int64":
            return None
        name = quote(column)
        # Text and doubles may mean integers, too; a rowid is always an integer.
        odd = "" if table.details.get("rowid_alias") == column else f"typeof({name}) <> 'integer'"
        return narrowed(table, name, ranges, otherwise=odd)

    @contextlib.contextmanager
    def _connection(self) -> Generator[Connection]:
        """Lend the connection with the fewest readers; SQLite serialises those that share one."""
        with self._lock:
            index = self._busy.index(min(self._busy))
            self._busy[index] += 1
        try:
            yield self._connections[index]
        finally:
            with self._lock:
                self._busy[index] -= 1


def _integer(bound: str | int | None) -> int | None:
    return None if bound is None else int(bound)


class SqliteSource:
    """An SQLite file that is read; opened by `open_source`, closed by the caller."""

    capabilities = SOURCE_CAPABILITIES

    def __init__(self, url: str, *, jobs: int):
        self._location = parse_url(url)
        self._jobs = max(1, jobs)
        require_file(self._location)
        self._mode: Literal["ro", "rw"] = reading_mode(self._location, SourceError)

    @contextlib.contextmanager
    def snapshot(
        self, selection: Selection, *, include_schema: bool = True
    ) -> Generator[SqliteSnapshot]:
        """Hold one moment of the file; see `dbsync.connectors.base.Source.snapshot`."""
        with contextlib.ExitStack() as stack:
            connections = self._begin(stack)
            first = connections[0]
            catalog = read_catalog(first)
            chosen = choose_tables(catalog, selection)
            for raw in chosen.tables:
                condition = chosen.where_of(raw)
                if condition is not None:
                    check_condition(first, raw.name, condition)
            database = read_database(first, catalog, chosen, include_schema=include_schema)
            mode = str(first.value("PRAGMA journal_mode"))
            database = msgspec.structs.replace(
                database, details={**database.details, "journal_mode": mode}
            )
            token = f"schema_version {first.value('PRAGMA schema_version')}, {mode}"
            yield SqliteSnapshot(connections, catalog, database, token)

    def _begin(self, stack: contextlib.ExitStack) -> list[Connection]:
        """Open the workers' connections and begin a read transaction of the same moment on each.

        With a rollback journal the first transaction holds a SHARED lock, and no one can commit
        until it ends; a worker that finds a writer waiting for that lock is left out. In WAL mode
        commits go on, so an idle connection watches for one (``PRAGMA data_version``) while the
        workers begin; they try again if there was one, and after many times one worker is left.
        """
        opened: list[Connection] = []
        stack.callback(lambda: [connection.close() for connection in opened])
        opened.append(self._open())
        wait_for_lock(lambda: begin_reading(opened[0]))
        if self._jobs == 1:
            return opened
        opened += [self._open() for _ in range(self._jobs - 1)]
        if str(opened[0].value("PRAGMA journal_mode")) == "wal" and not self._location.immutable:
            opened.append(self._open())
            return _begin_together(opened[:-1], watcher=opened[-1])
        ready = opened[:1]
        for connection in opened[1:]:
            with contextlib.suppress(ConflictError):
                begin_reading(connection)
                ready.append(connection)
        return ready

    def _open(self) -> Connection:
        return open_for_reading(self._location, self._mode, SourceError)

    @property
    def _reading(self) -> str:
        return f"read the SQLite database {self._location.path}"

    def check(self) -> list[CheckItem]:
        """Say whether the file can be read, which consistency is possible, and what is odd."""
        connection = self._open()
        try:
            wait_for_lock(lambda: begin_reading(connection))
            mode = str(connection.value("PRAGMA journal_mode"))
            problems = connection.rows("PRAGMA quick_check(1)", doing=self._reading)
            version = connection.value("SELECT sqlite_version()")
            encoding = connection.value("PRAGMA encoding")
        finally:
            connection.close()
        sound = str(problems[0][0]) == "ok"
        return [
            CheckItem(item="connection", ok=True, found=f"{self._location.path}, SQLite {version}"),
            CheckItem(item="encoding", ok=True, found=str(encoding)),
            CheckItem(
                item="consistency",
                ok=True,
                found=f"snapshot for up to {self._jobs} workers (journal mode {mode})",
            ),
            CheckItem(
                item="integrity",
                ok=sound,
                found=str(problems[0][0]),
                hint=None if sound else "recover a copy of the file with the sqlite3 shell first",
            ),
        ]

    def close(self) -> None:
        """Free nothing: connections live only as long as a snapshot."""


def _begin_together(connections: list[Connection], *, watcher: Connection) -> list[Connection]:
    """Begin again on every connection with no commit of others in between."""
    begun = {connections[0]}
    for _ in range(_ATTEMPTS):
        before = watcher.value("PRAGMA data_version")
        for connection in connections:
            if connection in begun:
                connection.execute("ROLLBACK")
            wait_for_lock(partial(begin_reading, connection))
            begun.add(connection)
        if watcher.value("PRAGMA data_version") == before:
            return connections
    return connections[:1]
