"""Proving that an archive restores: into an empty database, compared, and thrown away.

What lives here: the order of work, and what is a fault of the archive and what only a limit of
the database that it was tried in. Must not know: SQL, where the outcome is kept.
"""

from __future__ import annotations

from contextlib import closing
from functools import partial
from glob import escape
from time import monotonic
from typing import NamedTuple

from msgspec.structs import replace

from dbsync.archive import Archive, ChunkRef
from dbsync.connectors.base import Emptying, ImportOptions, Source, Target
from dbsync.connectors.registry import open_source, open_target
from dbsync.errors import (
    ArchiveError,
    ConflictError,
    DbsyncError,
    LossError,
    TargetError,
    UsageError,
)
from dbsync.model.schema import Loss, Name, Table
from dbsync.model.selection import Selection
from dbsync.pipeline import importer
from dbsync.pipeline.ahead import ahead
from dbsync.pipeline.comparing.constraints import missing_keys
from dbsync.pipeline.comparing.loaded import LoadVerification
from dbsync.pipeline.events import Event, OnEvent, Planned, StageStarted, ignore
from dbsync.pipeline.examine import find_unfit
from dbsync.pipeline.restrict import restrict
from dbsync.pipeline.results import Comparison, RehearsalResult
from dbsync.pipeline.selected import selected

_DEFINING = frozenset({"constraints", "indexes", "foreign_keys"})
"""Stages in which a refusal of the database speaks of the rows, and not of the database."""


class Rehearsed(NamedTuple):
    """The outcome, with the version of the database, and what ended it where that was damage."""

    result: RehearsalResult
    engine: str
    engine_version: str
    damage: ArchiveError | None = None


def rehearse(
    archive: Archive, place: str, url: str, *, keep: bool, jobs: int, on_event: OnEvent
) -> Rehearsed:
    """Restore an archive into the empty database behind `url`, and compare what arrived.

    Every byte of the archive is read and checked. What the database cannot hold (values of other
    engines' types, native objects) is left out and named; everything else must come back: rows by
    value, primary, unique and foreign keys, counts. Unless `keep`, the database is emptied
    afterwards, whatever happened. `archive` was opened at random. Raises `ConflictError` for a
    database that holds anything.
    """
    with closing(open_target(url, jobs=jobs)) as target:
        emptying = _require_empty(target)
        try:
            return _Rehearsal(archive, place, url, target, jobs=jobs, on_event=on_event).run()
        finally:
            if not keep:
                emptying.empty()


def _require_empty(target: Target) -> Emptying:
    if not isinstance(target, Emptying):
        raise UsageError("this engine cannot be used to rehearse", hint="leave out --url")
    found = target.objects()
    if found:
        more = f" and {len(found) - 3} more objects" if len(found) > 3 else ""
        raise ConflictError(
            f"the database to rehearse in is not empty: it holds {', '.join(found[:3])}{more}",
            hint="create a new database for it: what it holds is dropped afterwards",
        )
    return target


class _Rehearsal:
    """One rehearsal under way."""

    def __init__(
        self,
        archive: Archive,
        place: str,
        url: str,
        target: Target,
        *,
        jobs: int,
        on_event: OnEvent,
    ) -> None:
        self._archive = archive
        self._place = place
        self._url = url
        self._target = target
        self._jobs = jobs
        self._on_event = on_event
        self._stage = ""
        self._differences: list[str] = []
        self._left_out: list[str] = []
        self._losses: tuple[Loss, ...] = ()
        self._restored: tuple[Table, ...] = ()
        self._rows = 0

    def run(self) -> Rehearsed:
        started = monotonic()
        damage: ArchiveError | None = None
        compared: Comparison | None = None
        try:
            compared = self._restore()
            self._archive.check_others()
        except ArchiveError as error:
            damage = error
            self._differences.append(error.message)
        engine = self._target.capabilities.engine
        version = self._look_at_keys() if compared is not None else ""
        different = compared.differences if compared else ()
        lines = [f"table {one.table}: {one.reason}" for one in different]
        differences = (*self._differences, *lines)
        result = RehearsalResult(
            archive=self._place,
            archive_id=self._archive.head.archive_id,
            against=f"{engine} {version}".strip(),
            ok=not differences,
            differences=differences,
            tables_different=different,
            not_rehearsed=tuple(dict.fromkeys(self._left_out)),
            tables=compared.tables if compared else 0,
            rows=self._rows,
            seconds=monotonic() - started,
        )
        return Rehearsed(result, engine, version, damage)

    def _restore(self) -> Comparison | None:
        """Load what fits, and compare; None where the database refused the rows."""
        chosen, selection, held = self._what_fits()
        watch = LoadVerification.of_archive(chosen)
        try:
            loaded = importer.import_from(
                chosen,
                self._target,
                self._options(),
                selection=selection,
                ddl="auto",
                strict=False,
                jobs=self._jobs,
                dry_run=False,
                on_event=self._watch_stage,
                watch=watch,
                checked=held,
            )
        except (LossError, TargetError) as error:
            if not self._speaks_of_rows(error):
                raise
            self._differences.append(error.message)
            return None
        self._losses = loaded.plan.losses
        self._restored = restrict(chosen.database, selection).tables
        self._left_out += [
            f"{loss.object}: {loss.reason}" for loss in self._losses if loss.severity == "lost"
        ]
        self._rows = loaded.rows
        self._count(dict.fromkeys(t.table for t in loaded.tables), loaded.rows)
        self._check_left_out(chosen, selection)
        return watch.compare(partial(_source, self._url), jobs=self._jobs, on_event=self._on_event)

    def _options(self) -> ImportOptions:
        return ImportOptions(import_id=self._archive.head.archive_id, existing="error")

    def _what_fits(self) -> tuple[Archive, Selection, dict[int, ChunkRef]]:
        """Leave out columns with values that the database cannot hold exactly."""
        archive, target = self._archive, self._target
        mode = importer.choose_ddl("auto", archive.database, target.capabilities.engine)
        options = ImportOptions(import_id=archive.head.archive_id, existing="error", ddl=mode)
        plan, _ = importer.plan_import(
            archive.database, target, options, strict=False, on_event=ignore
        )
        self._on_event(StageStarted(stage="check"))
        unfit, held = find_unfit(archive, plan, target, self._jobs)
        if not unfit:
            return archive, Selection(), held
        gone: dict[Name, set[str]] = {}
        for found in unfit:
            gone.setdefault(found.table, set()).update(found.columns)
            self._left_out.append(found.line)
        columns: dict[str, tuple[str, ...]] = {}
        excluded: list[str] = []
        for table in archive.database.tables:
            if table.name not in gone:
                continue
            kept = tuple(c.name for c in table.columns if c.name not in gone[table.name])
            if kept:
                columns[escape(str(table.name))] = kept
            else:
                excluded.append(escape(str(table.name)))
                self._left_out.append(f"table {table.name}: none of its columns fits")
        selection = Selection(columns=columns, exclude=tuple(excluded))
        return selected(archive, selection), selection, {}

    def _watch_stage(self, event: Event) -> None:
        if isinstance(event, StageStarted):
            self._stage = event.stage
        if isinstance(event, Planned):  # what is lost here is told as not rehearsed
            event = replace(event, losses=())
        self._on_event(event)

    def _speaks_of_rows(self, error: DbsyncError) -> bool:
        if isinstance(error, LossError):
            return True
        return self._stage in _DEFINING and not error.retryable

    def _count(self, tables: dict[Name, None], rows: int) -> None:
        """Compare the rows that were loaded with those that the manifest promises."""
        manifest = self._archive.manifest
        promised = sum(t.rows for t in manifest.tables if t.name in tables) if manifest else rows
        if promised != rows:
            self._differences.append(f"{rows} rows were restored of {promised}")

    def _check_left_out(self, chosen: Archive, selection: Selection) -> None:
        """Check the digests of chunks that were not read whole."""
        partial_tables = {
            index
            for index, table in enumerate(self._archive.database.tables)
            if selection.columns_of(table.name) is not None or not selection.selects(table.name)
        }
        if chosen is self._archive or not partial_tables:
            return
        with closing(ahead(self._archive, self._archive.chunks(partial_tables))) as reading:
            for _ in reading:
                pass

    def _look_at_keys(self) -> str:
        """Compare keys and foreign keys with those of the archive; return the version."""
        with (
            closing(_source(self._url, 1)) as source,
            source.snapshot(Selection(), include_schema=True) as snapshot,
        ):
            there = snapshot.database
            self._differences += missing_keys(self._restored, there.tables, self._losses)
            return there.version


def _source(url: str, jobs: int) -> Source:
    return open_source(url, jobs=jobs)
