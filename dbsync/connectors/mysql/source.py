"""MySQL and MariaDB as a source: `MysqlSource` and the snapshot that it opens.

What lives here: the order of work of an export's first half, and the SELECT of a range. Must not
know: how any single thing is read; that is in the modules named by the imports.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import msgspec

from dbsync.connectors.base import Capabilities, CheckItem, Partition, Snapshot
from dbsync.connectors.mysql import partitions
from dbsync.connectors.mysql.catalog import read_database
from dbsync.connectors.mysql.connection import Session, open_session, parse_url, quote_name
from dbsync.connectors.mysql.decode import BatchDecoder
from dbsync.connectors.mysql.information import (
    Information,
    RawTable,
    read_information,
    within_database,
)
from dbsync.connectors.mysql.rights import read_rights
from dbsync.connectors.mysql.selected import choose_tables
from dbsync.connectors.mysql.snapshot import LOCK_TIMEOUT_S, Moment, consistency, hold
from dbsync.connectors.mysql.types import select_expression
from dbsync.connectors.mysql.workers import Workers
from dbsync.connectors.ranges import narrowed
from dbsync.errors import SourceError
from dbsync.model.schema import Database, Loss, Table
from dbsync.model.selection import Selection

if TYPE_CHECKING:
    import pyarrow as pa

    _Arrays = list[pa.BinaryArray]

CAPABILITIES = Capabilities(
    engine="mysql",
    consistent_snapshot=True,
    parallel_read=True,
    parallel_write=True,
    transactions=True,
    transactional_ddl=False,
    upsert=True,
    schemas=False,
)
_UNSEEN = Loss(
    object="other tables",
    reason="this user has no SELECT on the whole database: tables that it has no right on are "
    "invisible to it",
)


class MysqlSource:
    """A database that is read; implements `dbsync.connectors.base.Source`."""

    capabilities = CAPABILITIES

    def __init__(self, url: str, *, jobs: int = 2, lock_timeout_s: int = LOCK_TIMEOUT_S) -> None:
        self._address = parse_url(url)
        self._jobs = jobs
        self._lock_timeout_s = lock_timeout_s
        self._session = open_session(self._address, SourceError)

    @contextmanager
    def snapshot(
        self, selection: Selection, *, include_schema: bool = True
    ) -> Generator[Snapshot, None, None]:
        """Fix one moment, hold the tables and read the definitions; see `Source.snapshot`."""
        moment = hold(
            self._address,
            self._jobs,
            lambda session: _names(session, selection),
            lock_timeout_s=self._lock_timeout_s,
        )
        with closing(moment), closing(Workers(moment.workers)) as workers:
            database = read_database(moment.control, selection, include_schema=include_schema)
            yield MysqlSnapshot(moment, workers, database, everything=not selection.tables)

    def check(self) -> list[CheckItem]:
        """Say what an export may do and what it lacks; see `Source.check`."""
        from dbsync.connectors.mysql.checks import check_source

        return check_source(self._session, self._jobs)

    def close(self) -> None:
        """Free the connection; may be repeated."""
        self._session.close()


class MysqlSnapshot:
    """One moment of the database; implements `dbsync.connectors.base.Snapshot`."""

    def __init__(
        self, moment: Moment, workers: Workers, database: Database, *, everything: bool
    ) -> None:
        self._asking = threading.Lock()
        self._workers = workers
        self._control = moment.control
        self._raw = read_information(moment.control).tables
        names = [table.name.name for table in database.tables]
        loose = [name for name in names if not _transactional(self._raw[name])]
        self.consistency = consistency(moment, loose, len(names))
        losses = [*database.losses, *(_changing(self._raw[name]) for name in loose)]
        if everything and not read_rights(moment.control).on_database(database.name, "SELECT"):
            losses.append(_UNSEEN)
        self.database = msgspec.structs.replace(database, losses=tuple(losses))

    def partitions(self, table: Table, target_bytes: int) -> list[Partition]:
        """Split a table into ranges of its key; see `Snapshot.partitions`."""
        with self._asking:
            return partitions.split(self._control, self._raw[table.name.name], table, target_bytes)

    def read(self, table: Table, partition: Partition) -> Iterator[pa.RecordBatch]:
        """Yield the rows of one partition; see `Snapshot.read`."""
        query = _query(table, self._raw[table.name.name], partition)
        decoder = BatchDecoder(table)
        doing = f"reading table {table.name}"
        with self._workers.lease() as session, _closing(session.stream(query, doing)) as rows:
            for arrays in rows:
                yield decoder.decode(arrays)

    def within(self, table: Table, column: str, ranges: Sequence[tuple[int, int]]) -> Table | None:
        """Narrow to ranges of an integer column; see `dbsync.connectors.base.KeyRanges`."""
        if table.column(column).type.name != "integer":
            return None
        return narrowed(table, quote_name(column), ranges)


def _query(table: Table, raw: RawTable, partition: Partition) -> str:
    facts = {column.name: column.facts for column in raw.columns}
    columns = ", ".join(
        select_expression(quote_name(column.name), facts[column.name]) for column in table.columns
    )
    # On a line of its own, so that a comment at its end does not swallow the parenthesis.
    condition = f" AND (\n{table.where}\n)" if table.where is not None else ""
    return f"SELECT {columns} FROM {partitions.from_clause(raw, partition)}{condition}"


@contextmanager
def _closing(rows: Iterator[_Arrays]) -> Generator[Iterator[_Arrays], None, None]:
    """Close a stream as soon as its reader is done with it, so before its session is lent again."""
    try:
        yield rows
    finally:
        close = getattr(rows, "close", None)
        if close is not None:
            close()


def _names(session: Session, selection: Selection) -> list[str]:
    """List the tables that a selection means, by a question that is cheap for thousands."""
    within = within_database(session)
    found = session.rows(
        "SELECT TABLE_NAME AS name, TABLE_TYPE AS kind, ENGINE AS engine"
        f" FROM information_schema.TABLES WHERE {within('TABLE_SCHEMA')}"
        " ORDER BY BINARY TABLE_NAME",
        "listing the tables",
    )
    tables = {
        row["name"]: RawTable(
            name=row["name"],
            kind=row["kind"],
            engine=row["engine"],
            rows=None,
            data_bytes=None,
            auto_increment=None,
            collation=None,
            options="",
            comment="",
        )
        for row in found
    }
    information = Information(database=session.database, tables=tables)
    return list(choose_tables(information, selection).tables)


def _transactional(raw: RawTable) -> bool:
    return (raw.engine or "").upper() == "INNODB"


def _changing(raw: RawTable) -> Loss:
    return Loss(
        object=f"table {raw.name}",
        reason=f"{raw.engine} keeps no snapshot: rows written during the export may be in the "
        "archive or not",
        severity="changed",
    )
