"""Treasure Data as a source: `TreasureDataSource` and the snapshot that it opens.

What lives here: the order of work of an export's first half. Must not know: how any single thing
is read; that is in the modules named by the imports.
"""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING

from dbsync.connectors.base import CheckItem, Consistency, Partition
from dbsync.connectors.options import TreasureDataOptions
from dbsync.connectors.treasuredata.catalog import CAPABILITIES, read_database
from dbsync.connectors.treasuredata.client import Api
from dbsync.connectors.treasuredata.download import Download
from dbsync.connectors.treasuredata.jobs import Job, run_query
from dbsync.connectors.treasuredata.query import select_nothing, select_rows, within_ranges
from dbsync.connectors.treasuredata.table_calls import TableState, list_tables
from dbsync.errors import SourceError
from dbsync.model.schema import Database, Table
from dbsync.model.selection import Selection

if TYPE_CHECKING:
    import pyarrow as pa

_NOTE = "each table is read by one query, as of the moment of that query"
_CHECKS = 4
"""How many conditions are tried at the same time."""

_LOOK_S = 0.2
"""How often whoever waits for a place looks whether the work was stopped."""


class TreasureDataSource:
    """A database that is read; implements `dbsync.connectors.base.Source`.

    Opening it asks for the list of tables, so that a wrong key, a wrong region and a missing right
    are told before anything else.
    """

    capabilities = CAPABILITIES

    def __init__(self, api: Api, options: TreasureDataOptions) -> None:
        self._api = api
        self._options = options
        self._tables()

    @contextmanager
    def snapshot(
        self, selection: Selection, *, include_schema: bool = True
    ) -> Generator[TreasureDataSnapshot, None, None]:
        """Read the definitions and try the conditions; see `Source.snapshot`.

        There is nothing that could be left out without `include_schema`.
        """
        del include_schema
        name = self._api.address.database
        database = read_database(name, self._tables(), selection, self._options)
        snapshot = TreasureDataSnapshot(self._api, self._options, database)
        with closing(snapshot):
            snapshot.check_conditions()
            yield snapshot

    def check(self) -> list[CheckItem]:
        """Say what an export may do and what it lacks; see `Source.check`."""
        from dbsync.connectors.treasuredata.source_check import check_items

        return check_items(self._api)

    def close(self) -> None:
        """Free the connections; may be repeated."""
        self._api.close()

    def _tables(self) -> list[TableState]:
        found = list_tables(self._api)
        if found is None:
            raise self._api.refused(404, "be read")
        return list(found.values())


class TreasureDataSnapshot:
    """Tables that are read by one query each; implements `dbsync.connectors.base.Snapshot`.

    The result of a query is kept by the service, so that reading a partition again gives the same
    rows although others are written meanwhile.
    """

    def __init__(self, api: Api, options: TreasureDataOptions, database: Database) -> None:
        self.consistency = Consistency(level="per_table", note=_NOTE)
        self.database = database
        self._api = api
        self._options = options
        self._id = uuid.uuid4().hex
        self._failures: Counter[str] = Counter()
        self._places = threading.Semaphore(max(1, options.table_parallelism))
        self._stop = threading.Event()
        self._downloads: set[Download] = set()
        self._lock = threading.Lock()

    def partitions(self, table: Table, target_bytes: int) -> list[Partition]:
        """Give the table as a whole: one query of it is one moment of it."""
        del target_bytes
        return [Partition(table=table.name, number=0)]

    def read(self, table: Table, partition: Partition) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a table; see `Snapshot.read`. Waits while others are being read."""
        from dbsync.connectors.treasuredata.results import read_result

        del partition
        sql, doing = select_rows(table, self._options.time_range), f"read table {table.name}"
        with self._place(doing):
            job = self._query(doing, sql)
            parallelism = self._options.download_parallelism
            download = Download(self._api, job, doing, parallelism=parallelism)
            with self._known(download), closing(read_result(download, job, table)) as rows:
                yield from rows

    def within(self, table: Table, column: str, ranges: Sequence[tuple[int, int]]) -> Table | None:
        """Narrow to ranges of an integer column; see `dbsync.connectors.base.KeyRanges`."""
        return within_ranges(table, column, ranges)

    def check_conditions(self) -> None:
        """Raise `SourceError` where a condition does not fit a table, naming both."""
        tables = [table for table in self.database.tables if table.where is not None]
        with ThreadPoolExecutor(_CHECKS, "dbsync-condition") as pool:
            try:
                for _ in pool.map(self._check_condition, tables):
                    pass
            except BaseException:
                self.stop()
                pool.shutdown(cancel_futures=True)
                raise

    def stop(self) -> None:
        """End what waits for the service, in any thread."""
        self._stop.set()
        with self._lock:
            for download in self._downloads:
                download.stop()

    def close(self) -> None:
        """End what waits for the service; nothing is read afterwards."""
        self.stop()

    @contextmanager
    def _place(self, doing: str) -> Generator[None, None, None]:
        """Hold one of the places of tables that are read at the same time."""
        while not self._places.acquire(timeout=_LOOK_S):
            if self._stop.is_set():
                raise SourceError(f"cannot {doing}: the work was stopped")
        try:
            yield
        finally:
            self._places.release()

    @contextmanager
    def _known(self, download: Download) -> Generator[None, None, None]:
        """Let `stop` find a download while it goes on."""
        with self._lock:
            self._downloads.add(download)
        try:
            if self._stop.is_set():
                download.stop()
            yield
        finally:
            with self._lock:
                self._downloads.discard(download)

    def _check_condition(self, table: Table) -> None:
        doing = f"use the condition {table.where!r} on table {table.name}"
        try:
            self._query(doing, select_nothing(table, self._options.time_range))
        except SourceError as error:
            if error.retryable:
                raise
            hint = "write the condition in Trino's SQL, with columns of this table"
            raise SourceError(error.message, hint=hint) from error

    def _query(self, doing: str, sql: str) -> Job:
        """Run a query, or find the job that ran it before for this snapshot."""
        digest = sha256(sql.encode()).hexdigest()[:16]
        key = f"dbsync-{self._id}-{digest}-{self._failures[digest]}"
        try:
            return run_query(self._api, doing, sql, key, stop=self._stop)
        except BaseException:
            self._failures[digest] += 1
            raise
