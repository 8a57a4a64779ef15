"""Proving that a database holds the rows that an import has just loaded into it.

What lives here: digests of batches on their way, the refusal of what could not be proved, and the
comparison afterwards. Must not know: whether the batches came from an archive or from a source.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, closing, contextmanager
from time import monotonic

import pyarrow as pa

from dbsync.archive import Archive
from dbsync.connectors.base import ImportPlan, Snapshot, Source, TablePlan
from dbsync.errors import ConflictError, DbsyncError, SourceError, TargetError, UsageError
from dbsync.model.schema import Name, Table
from dbsync.pipeline.comparing.digests import RangeDigests
from dbsync.pipeline.comparing.match import matched_snapshot
from dbsync.pipeline.comparing.narrow import digest_part
from dbsync.pipeline.comparing.sides import ArchiveSide, DatabaseSide, Meaning, Side
from dbsync.pipeline.comparing.tables import DatabaseTables, Expected, bins_for
from dbsync.pipeline.events import Finished, OnEvent
from dbsync.pipeline.results import Comparison


class LoadVerification:
    """Digests of rows on their way into a database, and their comparison with what arrived.

    An importer's watch (`dbsync.pipeline.loading.Watch`): it refuses a plan under which the
    comparison could not be exact. Made by `of_archive` or `of_snapshot`.
    """

    def __init__(
        self, tables: Sequence[Table], side_of: Callable[[Name], Side | None], *, at_source: bool
    ):
        self._side_of = side_of
        self._at_source = at_source
        self._lock = threading.Lock()
        self._meanings = {t.name: Meaning(t, t, [c.name for c in t.columns]) for t in tables}
        self._limit = bins_for(len(self._meanings))
        self._digests = {
            name: RangeDigests(meaning.width, self._limit)
            for name, meaning in self._meanings.items()
        }
        self._loaded: list[TablePlan] = []
        self._skipped: list[Name] = []

    @classmethod
    def of_archive(cls, archive: Archive) -> LoadVerification:
        """Compare with the rows that come out of an archive; it names rows if it is no pipe."""
        tables = archive.database.tables
        places = {table.name: index for index, table in enumerate(tables)}

        def side_of(name: Name) -> Side | None:
            return None if archive.sequential else ArchiveSide(archive, places[name])

        return cls(tables, side_of, at_source=False)

    @classmethod
    def of_snapshot(cls, snapshot: Snapshot) -> LoadVerification:
        """Compare with the rows of a source, which are shown to `add` before anything else.

        The snapshot must live until `compare` has returned.
        """
        database = snapshot.database

        def side_of(name: Name) -> Side:
            table = database.table(name)
            names = [column.name for column in table.columns]
            return DatabaseSide(snapshot, table, table, names, where=table.where)

        return cls(database.tables, side_of, at_source=True)

    def planned(self, plan: ImportPlan) -> None:
        """Note which tables are loaded; raises `UsageError` where rows would join others."""
        refuse_mixed(plan)
        self._loaded = [table for table in plan.tables if table.action != "skip"]
        self._skipped = [table.source.name for table in plan.tables if table.action == "skip"]

    def leave_out(self, tables: Iterable[Name]) -> None:
        """Compare none of these tables: they have not arrived."""
        failed = set(tables)
        self._skipped.extend(t.source.name for t in self._loaded if t.source.name in failed)
        self._loaded = [table for table in self._loaded if table.source.name not in failed]

    def rows(self, table: Name, batches: Iterable[pa.RecordBatch]) -> None:
        """Add rows as they come out of an archive."""
        if not self._at_source:
            self.add(table, batches)

    def add(self, table: Name, batches: Iterable[pa.RecordBatch]) -> None:
        """Add rows of a table, each once; may be called from several threads."""
        total = self._digests[table]
        part = digest_part(self._meanings[table], lambda: batches, total.bits, limit=self._limit)
        with self._lock:
            total.merge(part)

    def compare(
        self, opened: Callable[[int], Source], *, jobs: int, on_event: OnEvent
    ) -> Comparison:
        """Read the loaded tables once, and compare them with the rows that were added.

        Where they differ, the ranges in question are read again on both sides. `opened` opens the
        database for reading by so many connections. Raises `TargetError` where it cannot be read.
        """
        started = monotonic()
        targets = [table.target for table in self._loaded]
        try:
            with _reading(opened, targets, jobs) as (snapshot, found):
                expected = [
                    Expected(
                        table=table.source,
                        digests=self._digests[table.source.name],
                        side=self._side_of(table.source.name),
                        found=found[table.target],
                        renamed=table.renamed,
                    )
                    for table in self._loaded
                ]
                differences = DatabaseTables(snapshot, expected, jobs, on_event).differences()
                against = f"{snapshot.database.engine} {snapshot.database.name}"
        except SourceError as error:
            raise _of_target(error) from error
        rows = sum(item.digests.total().count for item in expected)
        seconds = monotonic() - started
        on_event(Finished(rows=rows, bytes=0, seconds=seconds))
        return Comparison(
            against=against,
            tables=len(self._loaded),
            rows=rows,
            not_compared=tuple(self._skipped),
            differences=tuple(differences),
            seconds=seconds,
        )


@contextmanager
def _reading(
    opened: Callable[[int], Source], targets: Sequence[Name], jobs: int
) -> Generator[tuple[Snapshot, dict[Name, Table | None]]]:
    """Open a snapshot of the loaded tables, by one connection where several may not begin now."""
    with ExitStack() as stack:
        try:
            source = stack.enter_context(closing(opened(jobs)))
            found = stack.enter_context(matched_snapshot(source, targets, None))
        except ConflictError:
            if jobs == 1:
                raise
            source = stack.enter_context(closing(opened(1)))
            found = stack.enter_context(matched_snapshot(source, targets, None))
        yield found


def refuse_mixed(plan: ImportPlan) -> None:
    """Raise `UsageError` where rows would join others, so that no comparison could be exact."""
    mixed = [str(table.target) for table in plan.tables if _mixed(table, plan)]
    if mixed:
        shown = ", ".join(mixed[:10]) + (f" and {len(mixed) - 10} more" if mixed[10:] else "")
        raise UsageError(
            f"--verify compares whole tables, and these hold rows already: {shown}",
            hint="replace the rows with --existing overwrite, leave the tables alone with "
            "--existing skip or --exclude-tables, or do without --verify",
        )


def _mixed(table: TablePlan, plan: ImportPlan) -> bool:
    if table.action != "append" or table.rows_before == 0:
        return False
    # What an earlier run of this import began as a bulk insert was empty then.
    return not (plan.resuming and table.mode == "insert")


def _of_target(error: SourceError) -> DbsyncError:
    """Say that it is the written database that could not be read."""
    return TargetError(
        f"everything has arrived, but it could not be verified: {error.message}",
        hint=error.hint,
        retryable=error.retryable,
    )
