"""The interfaces between tables in a database and record batches, and nothing else.

What lives here: `Source`, `Target`, `TableWriter` and the plain values they exchange. The one
currency is `pyarrow.RecordBatch`: one field per column of the table, in order, named like the
column and typed as `Column.storage` says, then possibly exceptions fields
(`dbsync.model.values`). Must not know: archives, files, the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import msgspec

from dbsync.errors import DbsyncError
from dbsync.model.schema import Database, Loss, Name, Table
from dbsync.model.selection import Selection

if TYPE_CHECKING:
    import pyarrow as pa


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a connector can do; a missing ability is refused in `prepare`, never half-way."""

    engine: str
    consistent_snapshot: bool
    """All tables can be read as of one moment, by several workers."""
    parallel_read: bool
    parallel_write: bool
    """Several writers may work at once; otherwise the pipeline uses one."""
    transactions: bool
    transactional_ddl: bool
    upsert: bool
    schemas: bool
    """Tables live in named schemas."""
    independent_tables: bool = False
    """Nothing connects the tables: each is imported by itself, several at once, and one that fails
    leaves the others alone. Such a target creates tables unless told not to, and refuses those
    that exist unless told what to do with them. It is opened again for each table, and asked to
    `prepare` and `load` that one alone; `ImportOptions.among` names all of them. Asked about no
    table at all, `prepare` raises what concerns them all."""


class Consistency(msgspec.Struct, frozen=True, kw_only=True):
    """Which moment the rows belong to; stands in the archive's head."""

    level: Literal["snapshot", "per_table", "none"]
    token: str | None = None
    """What identifies the moment, such as a snapshot id or a log position; informative."""
    note: str | None = None


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """A range of rows of one table, a plain value that may travel to another process.

    Partitions of one table are disjoint and together hold every row. `bounds` is understood by
    the connector that made it, and by no one else.
    """

    table: Name
    number: int
    bounds: tuple[str | int | None, ...] = ()


class Snapshot(Protocol):
    """One moment of the source, held open: no row and no definition changes underneath.

    Obtained from `Source.snapshot`; its methods may be called from several threads at once.
    """

    consistency: Consistency
    database: Database
    """The schema as of this moment, restricted to the selection."""

    def partitions(self, table: Table, target_bytes: int) -> list[Partition]:
        """Split a table into ranges of about `target_bytes` each (as Arrow); at least one."""
        ...

    def read(self, table: Table, partition: Partition) -> Iterator[pa.RecordBatch]:
        """Yield the rows of one partition, filtered by ``table.where``, in no promised order.

        Batches are small (a few MiB) and may be empty; an iterator that is abandoned must be
        closed (``close()``), which frees its connection. May be repeated: the same partition gives
        the same rows as long as the snapshot lives. Raises `SourceError` when the database fails
        and `LossError` when a value cannot be carried.
        """
        ...


@runtime_checkable
class KeyRanges(Protocol):
    """What a `Snapshot` may offer besides: reading only some ranges of an integer column."""

    def within(self, table: Table, column: str, ranges: Sequence[tuple[int, int]]) -> Table | None:
        """Return `table` with its condition narrowed to rows whose `column` lies in a range.

        Ranges are of 64-bit integers, both ends included. Reading the result gives at least those
        rows that `table` gives and that lie in a range. None where `column` cannot be asked so.
        """
        ...


class Source(Protocol):
    """A database that is read. Opened by the connector's `open_source`; closed by the caller."""

    capabilities: Capabilities

    def snapshot(
        self, selection: Selection, *, include_schema: bool = True
    ) -> AbstractContextManager[Snapshot]:
        """Fix one moment for the selected tables, then read their definitions.

        Without `include_schema` only columns, types and primary keys are read. Raises
        `SourceError` for a pattern that matches no table, for a column or condition that does not
        fit a table (naming it), and for rows hidden from this role.
        """
        ...

    def check(self) -> list[CheckItem]:
        """Say what this connection may do and what it lacks; changes nothing."""
        ...

    def close(self) -> None:
        """Free the connection; may be repeated."""
        ...


class CheckItem(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `dbsync check`: what was looked at, the answer, and what to do if it is bad."""

    item: str
    ok: bool
    found: str
    hint: str | None = None


ExistingMode = Literal["append", "skip", "overwrite", "error"]
ConflictMode = Literal["error", "skip", "update", "merge"]
DdlMode = Literal["none", "native", "portable"]


class ImportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How an archive lands. `import_id` is the archive's id: the ledger's key for resuming."""

    import_id: str
    ddl: DdlMode = "none"
    existing: ExistingMode = "append"
    on_conflict: ConflictMode = "update"
    conflict_keys: dict[str, tuple[str, ...]] = {}
    """Table pattern to the columns of a not-null unique key to use instead of the primary key."""
    single_transaction: bool = False
    resume: bool = True
    schema: str | None = None
    """Put every table into this schema, on engines that have schemas."""
    among: tuple[Table, ...] = ()
    """Where tables are imported one by one: all of them, so that names are chosen as if they were
    imported together."""
    made_at: int = 0
    """When the archive was begun, in Unix seconds."""


class TablePlan(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to one table of the archive.

    `action`: ``create`` (made by this import), ``append``, ``overwrite`` or ``skip``.
    `mode`: ``insert`` is the bulk path, for tables that are created or empty, and for
    ``--on-conflict error``; the others go through staging with `key` as the conflict key.
    `ordered`: the archive does not promise that `key` is unique, so that chunks must be written
    in archive order by one writer (the last row wins).
    """

    source: Table
    """As it stands in the archive."""
    target: Name
    action: Literal["create", "append", "overwrite", "skip"]
    mode: Literal["insert", "skip", "update", "merge"] = "insert"
    key: tuple[str, ...] = ()
    ordered: bool = False
    rows_before: int | None = None
    """0 where the table is created or empty; None where it holds an unknown number."""
    renamed: dict[str, str] = {}
    """Columns of the archive that are called otherwise in the target, but for their case."""


class TableFailure(msgspec.Struct, frozen=True, kw_only=True):
    """A table that fails, or is refused, while the others of its target go on."""

    table: Name
    """As it is called in the archive."""
    target: Name | None = None
    rows: int | None = None
    """About how many it has."""
    message: str
    hint: str | None = None
    exit_code: int

    @classmethod
    def of(cls, error: DbsyncError, table: Table, target: Name | None = None) -> TableFailure:
        """Put an error into words."""
        return cls(
            table=table.name,
            target=target,
            rows=table.rows_estimate,
            message=error.message,
            hint=error.hint,
            exit_code=error.exit_code,
        )


class ImportPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an import would do; printing it is `--dry-run`."""

    tables: tuple[TablePlan, ...]
    statements: tuple[str, ...]
    """One line for each object that would be created or changed, in order, for people to read."""
    losses: tuple[Loss, ...]
    max_writers: int
    """1 where everything must happen in one transaction."""
    table_order: tuple[tuple[Name, ...], ...]
    """Source names in groups: the tables of one group may be loaded at the same time; a group
    starts when the one before it is complete (foreign keys of existing tables)."""
    guarantee: Literal["exactly_once", "single_transaction", "none"] = "exactly_once"
    resuming: bool = False
    """An earlier run of this import left a ledger; this run goes on where it stopped."""
    refused: tuple[TableFailure, ...] = ()
    """Where tables are imported one by one: those that are no part of the plan, and why. Never
    set by `Target.prepare`, which raises."""


class ChunkId(msgspec.Struct, frozen=True, kw_only=True):
    """One chunk of the archive, as the ledger knows it; `digest` is the member's sha256."""

    table: Name
    """Name of the table in the archive."""
    number: int
    digest: str


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What one commit did. `superseded` rows lost against a later row with the same key."""

    inserted: int = 0
    updated: int = 0
    skipped: int = 0
    superseded: int = 0


class TableWriter(Protocol):
    """Writes chunks into one table, one at a time; used by one thread. Leaving the context
    without `commit` undoes what was written since the last one."""

    def __enter__(self) -> TableWriter: ...

    def __exit__(self, *exc: object) -> None: ...

    def write(self, batch: pa.RecordBatch) -> None:
        """Send rows of the current chunk. Raises `LossError` where a value does not fit the
        column exactly (naming table, column and how many), `TargetError` where the database
        refuses."""
        ...

    def commit(self, chunk: ChunkId) -> Counts:
        """Make the rows written since the last commit visible, together with the chunk's line in
        the ledger; under a single transaction, only complete the chunk. After an `UndoneError`,
        from here or from `write`, a new writer may be given the same chunk again."""
        ...


Stage = Literal[
    "ledger", "create", "rows", "perform", "publish", "constraints", "indexes", "foreign_keys",
    "objects", "sequences", "cleanup", "done",
]  # fmt: skip


class Load(Protocol):
    """An import under way: holds the lock, and the transaction where there is only one.

    Order of calls: `create` once, writers, `finalize` once. Leaving the context after an
    exception rolls back what is not committed and keeps the ledger, so that a later run resumes.
    """

    def create(self) -> Iterator[tuple[Stage, str]]:
        """Make the ledger and the planned tables, yielding (stage, object) before each step."""
        ...

    def committed(self) -> frozenset[tuple[Name, int]]:
        """List (archive table, chunk number) of chunks that an earlier run has committed."""
        ...

    def writer(self, table: TablePlan) -> TableWriter:
        """Open a writer; several may be open at once, up to `ImportPlan.max_writers`."""
        ...

    def finalize(self) -> Iterator[tuple[Stage, str]]:
        """Build keys, indexes, foreign keys, views, triggers; set sequences; remove the ledger.

        Yields (stage, object) before each step. May be repeated after a failure: steps that are
        done are not done again.
        """
        ...


class Misfit(msgspec.Struct, frozen=True, kw_only=True):
    """Values of one column that cannot be written as they are, in one batch.

    `row` is the position of one of them in the batch; `example` its value for people, or empty.
    `reason` follows the words "3 values".
    """

    column: str
    count: int
    reason: str
    row: int
    example: str = ""
    hint: str | None = None


@dataclass(frozen=True, kw_only=True)
class MergingKey:
    """A key of the target whose collation may find keys equal that differ in the archive.

    `fold` gives for each row bytes (or text) that are equal wherever the target may find the keys
    equal, NULL for a row that no key compares. `same`, where the fold is only a guess, asks the
    target itself whether two rows of values (in the order of `columns`, as text) are equal keys.
    """

    columns: tuple[str, ...]
    reason: str
    """Follows "2 keys of different rows": such as "are equal under collation NOCASE"."""
    fold: Callable[[pa.RecordBatch], pa.Array]
    same: Callable[[tuple[str | None, ...], tuple[str | None, ...]], bool] | None = None


class Examiner(Protocol):
    """What has to be looked at in one table before it is written; many threads may use it."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Name the columns that `examine` wants; batches may lack the others."""
        ...

    @property
    def odd_columns(self) -> tuple[str, ...]:
        """Name further columns that it wants of batches with exceptions of theirs, and only then.

        Their ordinary values are proven to fit by their types.
        """
        ...

    @property
    def keys(self) -> tuple[MergingKey, ...]:
        """List the keys that may merge."""
        ...

    def examine(self, batch: pa.RecordBatch) -> list[Misfit]:
        """Tell of every value that would be refused, for every reason; writes nothing."""
        ...


class Target(Protocol):
    """A database that is written. Opened by the connector's `open_target`; closed by the caller."""

    capabilities: Capabilities

    def prepare(self, database: Database, options: ImportOptions) -> ImportPlan:
        """Compare the archive's schema with what exists and plan; reads only, changes nothing.

        Raises before any write: `TargetError` for a missing table (naming ``--include-schema``),
        a missing column, a table that exists under ``--existing error``; `LossError` for an
        upsert without a usable key.
        """
        ...

    def examiner(self, table: TablePlan) -> Examiner | None:
        """Say what to look at in a table of the last plan before anything is written.

        None where the types alone prove that every value fits, which is the common case. Reads
        only. The pipeline examines every chunk of an archive that it can read twice, and refuses
        with exit code 7; in a pipe the writer's own check of each chunk is what is left.
        """
        ...

    def load(self, plan: ImportPlan, options: ImportOptions) -> AbstractContextManager[Load]:
        """Start the planned import. Raises `ConflictError` while another one is running."""
        ...

    def check(self) -> list[CheckItem]:
        """Say what this connection may do and what it lacks; changes nothing."""
        ...

    def close(self) -> None:
        """Free the connections; may be repeated."""
        ...


@runtime_checkable
class Stoppable(Protocol):
    """What a `Snapshot` or a `Target` may offer besides, where it waits long for a service."""

    def stop(self) -> None:
        """End what waits, in any thread, by an error; nothing more can be done with it."""
        ...


@runtime_checkable
class Emptying(Protocol):
    """What a `Target` may offer besides: its database for a while, and empty again afterwards."""

    def objects(self) -> list[str]:
        """List what stands in the database, kind and name, for people; none where it is empty.

        What comes with the engine, and with extensions, does not count.
        """
        ...

    def empty(self) -> None:
        """Drop everything that `objects` lists. Raises `TargetError`."""
        ...


def foreign_key_groups(tables: Iterable[Table]) -> list[list[Name]]:
    """Order tables so that referred ones come first; members of a cycle share a group."""
    pending = {t.name: {fk.referred for fk in t.foreign_keys} - {t.name} for t in tables}
    for needs in pending.values():
        needs.intersection_update(pending)
    groups: list[list[Name]] = []
    while pending:
        ready = sorted((name for name, needs in pending.items() if not needs), key=str)
        if not ready:
            # Only cycles are left, and what hangs on them: they go together.
            ready = sorted(pending, key=str)
        groups.append(ready)
        for name in ready:
            del pending[name]
        for needs in pending.values():
            needs.difference_update(ready)
    return groups
