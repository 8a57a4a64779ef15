"""Carrying out a planned import: create, hand out writers, finish.

What lives here: the transactions of an import and the order of its steps. Everything that is
made before the rows is made in one transaction together with the ledger; each chunk and each
later step in one of its own; or all of it in a single one. Must not know: how rows are merged.
"""

from __future__ import annotations

from collections.abc import Iterator

from dbsync.connectors.base import ImportOptions, ImportPlan, Stage, TablePlan
from dbsync.connectors.sqlite.catalog import LEDGER, RawTable, is_autoincrement, read_catalog
from dbsync.connectors.sqlite.connection import Connection, Location, literal, quote
from dbsync.connectors.sqlite.ddl import sequence_value
from dbsync.connectors.sqlite.foreign_keys import require_unbroken, violations, whole_copies
from dbsync.connectors.sqlite.ledger import Ledger, PlanLine, Start, fingerprint, require_same
from dbsync.connectors.sqlite.lock import ImportLock
from dbsync.connectors.sqlite.steps import Step, Steps
from dbsync.connectors.sqlite.writer import SqliteWriter
from dbsync.errors import TargetError
from dbsync.model.schema import Database, Name

_CACHE_KIB = 64 * 1024


class SqliteLoad:
    """An import under way; see `dbsync.connectors.base.Load`."""

    def __init__(
        self,
        location: Location,
        plan: ImportPlan,
        options: ImportOptions,
        database: Database,
        steps: Steps,
    ):
        self._location = location
        self._plan = plan
        self._options = options
        self._database = database
        self._steps = steps
        self._single = plan.guarantee == "single_transaction"
        self._lock: ImportLock | None = None
        self._open: Connection | None = None
        self._fresh = False
        self._violations: dict[Name, int] = {}
        self._encoding = "UTF-8"
        self._tables: dict[str, RawTable] = {}
        self._made_file = False
        self._resting: list[Step] = []

    def __enter__(self) -> SqliteLoad:
        self._lock = ImportLock(self._location.path)
        return self

    def __exit__(self, *exc: object) -> None:
        # Closing rolls back what is not committed; the ledger stays for the next run.
        if self._open is not None:
            self._open.close()
            self._open = None
            path = self._location.path
            if self._made_file and path.exists() and path.stat().st_size == 0:
                path.unlink()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    # Before the rows

    def create(self) -> Iterator[tuple[Stage, str]]:
        """Make the file, the ledger and the planned tables; see `Load.create`."""
        connection = self._connect()
        connection.execute("BEGIN IMMEDIATE", doing="begin to write")
        ledger = Ledger(connection, self._options.import_id)
        begun = ledger.start() if self._options.resume else None
        if begun is not None:
            yield "ledger", LEDGER
            self._resume(ledger, begun)
            connection.execute("COMMIT")
            self._tables = read_catalog(connection).by_name
            return
        self._fresh = not connection.rows("SELECT 1 FROM sqlite_master LIMIT 1")
        if not self._single:
            yield "ledger", LEDGER
            ledger.create()
            ledger.forget()
        elif not self._options.resume:
            ledger.remove()
        yield from self._create_tables(connection)
        self._empty_tables(connection)
        self._count_violations(connection)
        if not self._single:
            ledger.begin(Start(options=self._fingerprint(), fresh=self._fresh), self._lines())
            connection.execute("COMMIT", doing="create the tables")
        self._tables = read_catalog(connection).by_name

    def _connect(self) -> Connection:
        self._made_file = not self._location.path.exists()
        connection = Connection(self._location, "rwc", TargetError)
        self._open = connection
        connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        connection.execute("PRAGMA foreign_keys=OFF")
        if not connection.rows("SELECT 1 FROM sqlite_master LIMIT 1", doing="open the target"):
            self._shape_file(connection)
        self._encoding = str(connection.value("PRAGMA encoding"))
        return connection

    def _shape_file(self, connection: Connection) -> None:
        """Give a new file what has to be chosen before its first table."""
        if self._options.ddl != "native":
            return
        details = self._database.details
        if details.get("encoding") in ("UTF-16le", "UTF-16be"):
            connection.execute(f"PRAGMA encoding='{details['encoding']}'")
        for name in ("page_size", "auto_vacuum"):
            if details.get(name, "").isdigit():
                connection.execute(f"PRAGMA {name}={details[name]}")

    def _resume(self, ledger: Ledger, begun: Start) -> None:
        require_same(begun, self._options, [table.source.name for table in self._plan.tables])
        self._fresh = begun.fresh
        self._violations = {line.table: line.violations for line in ledger.plan().values()}

    def _fingerprint(self) -> str:
        return fingerprint(self._options, [table.source.name for table in self._plan.tables])

    def _create_tables(self, connection: Connection) -> Iterator[tuple[Stage, str]]:
        for step in self._steps.tables:
            yield "create", step.name
            connection.execute(step.sql, doing=f"create {step.label}")

    def _empty_tables(self, connection: Connection) -> None:
        """Empty what is overwritten, and what a new virtual table has put into its own tables.

        Triggers of overwritten tables are dropped until the end of the transaction: what they
        would do for each row is in the archive already.
        """
        for table in self._plan.tables:
            if table.action == "overwrite":
                self._rest_triggers(connection, table.target.name)
        for table in self._plan.tables:
            fresh_shadow = table.action == "create" and "shadow_of" in table.source.details
            if table.action == "overwrite" or fresh_shadow:
                name = table.target.name
                connection.execute(f"DELETE FROM {quote(name)}", doing=f"empty table {name}")

    def _rest_triggers(self, connection: Connection, table: str) -> None:
        found = connection.rows(
            "SELECT name, sql FROM sqlite_master WHERE type='trigger'"
            f" AND tbl_name={literal(table)} COLLATE NOCASE ORDER BY rowid"
        )
        for name, sql in found:
            self._resting.append(Step(kind="TRIGGER", name=str(name), sql=str(sql)))
            connection.execute(f"DROP TRIGGER {quote(str(name))}", doing=f"empty table {table}")

    def _count_violations(self, connection: Connection) -> None:
        for table in self._plan.tables:
            if table.action == "append" and table.rows_before:
                count = violations(connection, table.target.name)
                self._violations[table.source.name] = count

    def _lines(self) -> list[PlanLine]:
        return [
            PlanLine(
                table=table.source.name,
                action=table.action,
                mode=table.mode,
                key=table.key,
                violations=self._violations.get(table.source.name, 0),
            )
            for table in self._plan.tables
        ]

    # Rows

    def committed(self) -> frozenset[tuple[Name, int]]:
        """List the chunks that an earlier run has committed; none under a single transaction."""
        if self._single or self._open is None:
            return frozenset()
        return Ledger(self._open, self._options.import_id).chunks()

    def writer(self, table: TablePlan) -> SqliteWriter:
        """Open a writer for one table; only one may have rows that are not committed."""
        connection = self._connection()
        ledger = None if self._single else Ledger(connection, self._options.import_id)
        raw = self._tables.get(table.target.name.lower())
        if raw is None:
            raise TargetError(
                f"table {table.target} is not there any more",
                hint="begin afresh with --no-resume",
            )
        return SqliteWriter(
            connection,
            table,
            raw,
            ledger,
            encoding=self._encoding,
            from_sqlite=self._database.engine == "sqlite",
        )

    def _connection(self) -> Connection:
        if self._open is None:
            raise RuntimeError("the load has not been created, or has been left")
        return self._open

    # After the rows

    def finalize(self) -> Iterator[tuple[Stage, str]]:
        """Build what comes after the rows; see `Load.finalize`. Every step may be repeated."""
        connection = self._connection()
        for step in self._steps.indexes:
            yield "indexes", step.name
            self._make(connection, step)
        yield from self._check_foreign_keys(connection)
        for step in (*self._resting, *self._steps.objects):
            yield "objects", step.name
            self._make(connection, step)
        yield from self._set_sequences(connection)
        if self._single:
            yield "cleanup", "transaction"
            connection.execute("COMMIT", doing="commit the import")
            return
        yield "cleanup", LEDGER
        connection.execute("BEGIN IMMEDIATE", doing="remove the ledger")
        Ledger(connection, self._options.import_id).remove()
        connection.execute("COMMIT", doing="remove the ledger")

    def _make(self, connection: Connection, step: Step) -> None:
        kind = step.kind.lower()
        there = connection.rows(
            f"SELECT 1 FROM sqlite_master WHERE type={literal(kind)} AND name={literal(step.name)}"
        )
        if not there:
            connection.execute(step.sql, doing=f"create {step.label}")

    def _check_foreign_keys(self, connection: Connection) -> Iterator[tuple[Stage, str]]:
        copies = whole_copies(self._plan.tables, self._database)
        for table in self._plan.tables:
            name = table.target.name
            if table.action == "skip" or table.source.name in copies:
                continue
            if connection.rows(f"PRAGMA foreign_key_list({quote(name)})"):
                yield "foreign_keys", name
                before = self._violations.get(table.source.name, 0)
                require_unbroken(connection, name, before, committed=not self._single)

    def _set_sequences(self, connection: Connection) -> Iterator[tuple[Stage, str]]:
        targets = {t.source.name: t for t in self._plan.tables if t.action != "skip"}
        for sequence in self._database.sequences:
            owner = targets.get(sequence.owner_table) if sequence.owner_table else None
            raw = self._tables.get(owner.target.name.lower()) if owner else None
            if raw is None or not _numbers_itself(connection, raw):
                continue
            value = sequence_value(sequence)
            if sequence.owner_column != raw.rowid_alias or value < 1:
                continue
            yield "sequences", raw.name
            _raise_sequence(connection, raw.name, value)
        details = self._database.details
        if self._fresh and self._options.ddl == "native":
            for pragma in ("user_version", "application_id"):
                value = details.get(pragma, "0")
                if value not in ("", "0") and value.lstrip("-").isdigit():
                    yield "sequences", pragma
                    connection.execute(f"PRAGMA {pragma}={value}")


def _numbers_itself(connection: Connection, raw: RawTable) -> bool:
    return is_autoincrement(raw) and bool(
        connection.rows("SELECT 1 FROM sqlite_master WHERE name='sqlite_sequence'")
    )


def _raise_sequence(connection: Connection, table: str, value: int) -> None:
    """Let a table go on after `value`, never before where it stands.

    Two statements, since `sqlite_sequence` has no key to upsert by.
    """
    line = f"sqlite_sequence WHERE name={literal(table)}"
    if connection.rows(f"SELECT 1 FROM {line}"):
        connection.execute(
            f"UPDATE sqlite_sequence SET seq={value} WHERE name={literal(table)} AND seq<{value}",
            doing=f"number table {table}",
        )
    else:
        connection.execute(
            f"INSERT INTO sqlite_sequence VALUES ({literal(table)}, {value})",
            doing=f"number table {table}",
        )
