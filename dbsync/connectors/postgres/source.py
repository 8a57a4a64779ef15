"""PostgreSQL as a source: `PostgresSource` and the snapshot that it opens.

What lives here: the order of work of an export's first half. Must not know: how any single thing
is read; that is in the modules named by the imports.
"""

from __future__ import annotations

import difflib
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from dbsync.connectors.base import Capabilities, CheckItem, Consistency, Partition, Snapshot
from dbsync.connectors.postgres import partitions
from dbsync.connectors.postgres.assemble import Schema, read_schema
from dbsync.connectors.postgres.checks import check_source
from dbsync.connectors.postgres.connection import (
    open_session,
    parse_url,
    quote_literal,
    quote_name,
)
from dbsync.connectors.postgres.decode import BatchDecoder
from dbsync.connectors.postgres.holder import Holder, hold
from dbsync.connectors.postgres.inventory import general_losses, server_details
from dbsync.connectors.postgres.native import read_native
from dbsync.connectors.postgres.query import Catalog
from dbsync.connectors.postgres.relations import Relation, list_relations, other_relations
from dbsync.connectors.postgres.sequences import read_sequences
from dbsync.connectors.postgres.workers import Worker, Workers
from dbsync.connectors.ranges import narrowed
from dbsync.errors import ConflictError, SourceError
from dbsync.model.schema import Database, Name, Table
from dbsync.model.selection import Selection, matches

if TYPE_CHECKING:
    import pyarrow as pa

CAPABILITIES = Capabilities(
    engine="postgresql",
    consistent_snapshot=True,
    parallel_read=True,
    parallel_write=True,
    transactions=True,
    transactional_ddl=True,
    upsert=True,
    schemas=True,
)
_TRIES = 10


class PostgresSource:
    """A database that is read; implements `dbsync.connectors.base.Source`."""

    capabilities = CAPABILITIES

    def __init__(
        self, url: str, *, schema: str | None = None, jobs: int = 2, lock_timeout_s: int = 60
    ) -> None:
        self._address = parse_url(url)
        self._schema = schema
        self._jobs = jobs
        self._lock_timeout_s = lock_timeout_s
        session = open_session(self._address, SourceError)
        self._catalog = Catalog(session, SourceError, self._address.secrets)
        if schema is not None:
            self._require_schema(schema)

    @contextmanager
    def snapshot(
        self, selection: Selection, *, include_schema: bool = True
    ) -> Generator[Snapshot, None, None]:
        """Lock, fix one moment and read the definitions; see `Source.snapshot`."""
        holder, workers = self._begin(selection)
        try:
            yield self._open(holder, workers, selection, include_schema)
        finally:
            workers.close()
            holder.close()

    def _begin(self, selection: Selection) -> tuple[Holder, Workers]:
        """Hold the moment and let the workers join it, anew where an ALTER came in between."""
        for attempt in range(_TRIES):
            holder = hold(
                self._address,
                self._schema,
                lambda relations: self._choose(relations, selection),
                lock_timeout_s=self._lock_timeout_s,
            )
            encoding = holder.catalog.value("SELECT current_setting('server_encoding')")
            raw_text = encoding == "SQL_ASCII"
            workers = Workers(self._address, holder.token, raw_text=raw_text, tables=holder.locks)
            try:
                workers.start(self._jobs)
            except BaseException as failure:
                workers.close()
                holder.close()
                if not isinstance(failure, ConflictError) or attempt == _TRIES - 1:
                    raise
            else:
                return holder, workers
        raise AssertionError("the last attempt returns or raises")

    def check(self) -> list[CheckItem]:
        """Say what an export may do and what it lacks; see `Source.check`."""
        relations = list_relations(self._catalog, self._schema)
        return check_source(self._catalog, relations, self._jobs)

    def close(self) -> None:
        """Free the connection; may be repeated."""
        self._catalog.connection.close()

    def _require_schema(self, schema: str) -> None:
        found = self._catalog.rows("SELECT nspname::text AS name FROM pg_namespace")
        names = [row["name"] for row in found if not row["name"].startswith("pg_")]
        if schema not in names:
            self.close()
            raise SourceError(
                f"the database has no schema {schema!r}", hint=f"it has {', '.join(sorted(names))}"
            )

    def _choose(self, relations: Sequence[Relation], selection: Selection) -> list[Relation]:
        """Pick the selected tables; refuse patterns that match none and rows out of reach."""
        names = [relation.name for relation in relations]
        for pattern in selection.unmatched(names):
            raise self._unmatched(pattern, names)
        chosen = [relation for relation in relations if selection.selects(relation.name)]
        closed = [r for r in chosen if not (r.may_use_schema and r.may_select_columns)]
        if closed:
            raise self._forbidden([r.name for r in closed])
        hidden = [r.name for r in chosen if r.hides_rows]
        if hidden:
            raise SourceError(
                f"row-level security hides rows of table {_list(hidden)} from this role",
                hint="export as the table's owner or as a role with BYPASSRLS, or leave it out "
                "with --exclude-tables",
            )
        return chosen

    def _unmatched(self, pattern: str, names: list[Name]) -> SourceError:
        others = other_relations(self._catalog, self._schema)
        kinds = [f"{name} is a {kind}" for name, kind in others.items() if matches(pattern, name)]
        if kinds:
            hint = f"{kinds[0]}: only tables have rows to export"
        else:
            known = [str(name) for name in names] + [name.name for name in names]
            near = difflib.get_close_matches(pattern, known, 3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there is {_list(names)}"
        return SourceError(f"no table matches {pattern!r}", hint=hint)

    def _forbidden(self, names: Sequence[Name]) -> SourceError:
        role = self._catalog.value("SELECT quote_ident(current_user)")
        tables = ", ".join(str(name) for name in names)
        return SourceError(
            f"this role may not read table {tables}",
            hint=f"GRANT USAGE ON SCHEMA and GRANT SELECT ON {tables} TO {role}, or leave them "
            "out with --exclude-tables",
        )

    def _open(
        self, holder: Holder, workers: Workers, selection: Selection, include_schema: bool
    ) -> PostgresSnapshot:
        schema = read_schema(
            holder.catalog, holder.chosen, selection, include_schema=include_schema
        )
        if schema.forbidden:
            raise self._forbidden(list(schema.forbidden))
        with workers.lease() as worker:
            # Also proves that the snapshot can be joined before anything is written.
            for table, relation in zip(schema.tables, holder.chosen, strict=True):
                if table.where is not None:
                    _validate(worker, table, relation)
        database = self._database(holder, schema, include_schema)
        return PostgresSnapshot(self._catalog, holder, workers, database, schema)

    def _database(self, holder: Holder, schema: Schema, include_schema: bool) -> Database:
        catalog = holder.catalog
        details = server_details(catalog)
        losses = list(schema.losses)
        sequences, native = [], ()
        if include_schema:
            losses += general_losses(catalog, self._schema)
            chosen = {relation.name for relation in holder.chosen}
            unchosen = {r.name for r in holder.relations} - chosen
            found, hidden = read_sequences(catalog, self._schema)
            losses += hidden
            drawn = {c.identity.sequence for t in schema.tables for c in t.columns if c.identity}
            sequences = [s for s in found if s.owner_table not in unchosen or s.name in drawn]
            result = read_native(
                self._address,
                catalog,
                holder,
                schema,
                only_schema=self._schema,
                sequences=sequences,
            )
            native = result.objects
            losses += result.losses
            details["native_ddl"] = result.method
        return Database(
            engine="postgresql",
            version=str(catalog.value("SELECT current_setting('server_version')")),
            name=str(catalog.value("SELECT current_database()::text")),
            tables=tuple(schema.tables),
            sequences=tuple(sequences),
            native=native,
            losses=tuple(losses),
            encoding=details.pop("encoding"),
            details=details,
        )


class PostgresSnapshot:
    """One moment of the database; implements `dbsync.connectors.base.Snapshot`."""

    consistency: Consistency
    database: Database

    def __init__(
        self,
        latest: Catalog,
        holder: Holder,
        workers: Workers,
        database: Database,
        schema: Schema,
    ) -> None:
        self._latest = latest
        self.consistency = holder.consistency
        self.database = database
        self._holder = holder
        self._workers = workers
        self._selected = schema.selected
        self._relations = {relation.name: relation for relation in holder.chosen}
        self._validate_text = database.encoding == "SQL_ASCII"
        self._files = {name: self._file(name, holder.catalog) for name in holder.unlocked}

    def partitions(self, table: Table, target_bytes: int) -> list[Partition]:
        """Split a table into ranges of pages; see `Snapshot.partitions`."""
        return partitions.split(self._relations[table.name], target_bytes)

    def read(self, table: Table, partition: Partition) -> Iterator[pa.RecordBatch]:
        """Yield the rows of one partition; see `Snapshot.read`."""
        doing = f"reading table {table.name}"
        selected = self._selected[table.name]
        decoder = BatchDecoder(table, selected, validate_text=self._validate_text)
        with self._workers.lease() as worker:
            if table.where is not None:
                # The condition was written for the user's own search_path.
                worker.execute("RESET search_path", doing)
            for query in self._queries(table, partition):
                alive = self._holder.ensure_alive
                with closing(worker.copy(query, len(table.columns), doing, started=alive)) as rows:
                    for tuples in rows:
                        yield decoder.decode(tuples)
            if table.where is not None:
                worker.execute("SET search_path = pg_catalog", doing)
        unlocked = table.name in self._files
        if unlocked and self._file(table.name, self._latest) != self._files[table.name]:
            raise SourceError(
                f"table {table.name} was truncated or rewritten while it was read, and this role "
                "may not lock it",
                hint="grant SELECT on the whole table, or run the same command again",
                retryable=True,
            )

    def within(self, table: Table, column: str, ranges: Sequence[tuple[int, int]]) -> Table | None:
        """Narrow to ranges of an integer column; see `dbsync.connectors.base.KeyRanges`."""
        if table.column(column).native_type not in ("smallint", "integer", "bigint"):
            return None
        return narrowed(table, quote_name(column), ranges)

    def _queries(self, table: Table, partition: Partition) -> Iterator[str]:
        selected = self._selected[table.name]
        chosen = ", ".join(selected[column.name].expression for column in table.columns)
        # On a line of its own, so that a comment at its end does not swallow the parenthesis.
        condition = f" AND (\n{table.where}\n)" if table.where is not None else ""
        for clause in partitions.from_clauses(self._relations[table.name], partition):
            yield f"SELECT {chosen} FROM {clause}{condition}"

    def _file(self, name: Name, catalog: Catalog) -> object:
        """Name the files that hold a table, as of the snapshot or of now."""
        oids = ",".join(str(leaf.oid) for leaf in self._relations[name].leaves)
        return catalog.value(
            "SELECT string_agg(relfilenode::text, ',' ORDER BY oid) FROM pg_class "
            f"WHERE oid = ANY ('{{{oids}}}'::oid[])"
        )


def _validate(worker: Worker, table: Table, relation: Relation) -> None:
    """Let the server plan the table's condition. Raises `SourceError`."""
    doing = f"checking the condition for table {table.name}"
    worker.execute("RESET search_path", doing)
    whole = Partition(table=table.name, number=0)
    for clause in partitions.from_clauses(relation, whole):
        query = f"SELECT NULL::pg_catalog.tsvector FROM {clause} AND (\n{table.where}\n) LIMIT 0"
        # Of the functions that take a query and run no more than one, this one is everywhere: a
        # condition that closes the parenthesis and goes on with a statement of its own is refused.
        worker.execute(
            f"SELECT FROM pg_catalog.ts_stat({quote_literal(query)})",
            doing,
            hint="each table must have what the condition names; see --where 'table: CONDITION'",
        )
    worker.execute("SET search_path = pg_catalog", doing)


def _list(names: Sequence[Name], limit: int = 10) -> str:
    shown = ", ".join(str(name) for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "") or "no table"
