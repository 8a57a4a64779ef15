"""Tables as they are on the target: columns, keys, references, triggers, engine.

What lives here: questions to the catalog, answered as plain values, in a fixed number of queries
however many tables there are. Nothing is changed. Must not know: what an import makes of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from dbsync.connectors.mysql.connection import Session, quote_name
from dbsync.connectors.mysql.information import (
    RawColumn,
    RawForeignKey,
    RawIndex,
    RawTable,
    Within,
    ignores_case,
    read_foreign_keys,
    read_information,
    within_database,
)
from dbsync.connectors.mysql.types import ColumnFacts, logical_type
from dbsync.model.schema import Name
from dbsync.model.types import LogicalType

_BATCH = 500


class TargetColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One column. `native` is its type in full; `default` is SQL, None where there is none."""

    name: str
    native: str
    logical: LogicalType
    facts: ColumnFacts
    nullable: bool
    default: str | None
    generated: bool
    auto_increment: bool
    invisible: bool
    on_update: str | None
    """What an UPDATE that does not name the column puts into it."""
    privileges: frozenset[str]
    """What this user may do with it: select, insert, update, references."""

    @property
    def charset(self) -> str | None:
        """Its character set, None for what is no text."""
        return self.facts.charset

    @property
    def collation(self) -> str | None:
        """Its collation, None for what is no text."""
        return self.facts.collation

    @property
    def fills_itself(self) -> bool:
        """Whether an INSERT may leave it out."""
        return self.nullable or self.default is not None or self.auto_increment or self.generated


class UniqueKey(msgspec.Struct, frozen=True, kw_only=True):
    """A primary or unique key. Where it is not `whole` it is over prefixes or expressions, so that
    rows may clash whose `columns` differ; expressions are not listed."""

    name: str
    columns: tuple[str, ...]
    nullable: bool
    whole: bool

    @property
    def primary(self) -> bool:
        """Whether it is the primary key."""
        return self.name == "PRIMARY"


class TargetForeignKey(msgspec.Struct, frozen=True, kw_only=True):
    """A foreign key of `table`. `schema` is the database that `referred` is in, where that is not
    the target's own."""

    name: str
    table: str
    columns: tuple[str, ...]
    schema: str | None
    referred: str
    referred_columns: tuple[str, ...]
    on_update: str
    on_delete: str


class TargetTrigger(msgspec.Struct, frozen=True, kw_only=True):
    """A trigger: `timing` BEFORE or AFTER, `event` INSERT, UPDATE or DELETE."""

    name: str
    timing: str
    event: str


class TargetTable(msgspec.Struct, frozen=True, kw_only=True):
    """One table, or a view or a sequence that has the name of one (`kind`)."""

    name: Name
    kind: str
    """BASE TABLE, SYSTEM VERSIONED, VIEW, SEQUENCE."""
    engine: str
    transactional: bool
    columns: tuple[TargetColumn, ...]
    unique_keys: tuple[UniqueKey, ...]
    """The primary key first."""
    foreign_keys: tuple[TargetForeignKey, ...]
    referenced_by: tuple[TargetForeignKey, ...]
    """Foreign keys of tables of this database, its own among them."""
    triggers: tuple[TargetTrigger, ...]
    row_count_is_zero: bool
    auto_increment: int | None
    """The next number, where a column numbers itself."""
    collation: str | None

    @property
    def is_table(self) -> bool:
        """Whether it is a table and no view or sequence."""
        return self.kind in ("BASE TABLE", "SYSTEM VERSIONED")

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The columns of the primary key, empty where there is none."""
        return next((key.columns for key in self.unique_keys if key.primary), ())

    def column(self, name: str) -> TargetColumn:
        """Return the column called `name`, without regard to case; raise KeyError."""
        exact = {column.name: column for column in self.columns}
        if name in exact:
            return exact[name]
        return {column.name.lower(): column for column in self.columns}[name.lower()]


def read_tables(session: Session, names: Iterable[Name]) -> dict[Name, TargetTable]:
    """Read what exists under `names`, keyed by the name that was asked for.

    Where the server ignores case in names of tables, so does the search, and `TargetTable.name`
    is the table's own spelling.
    """
    wanted = list(names)
    if not wanted:
        return {}
    folds = ignores_case(session)
    raws = read_information(session, {name.name for name in wanted}).tables
    spelled = {raw.lower() if folds else raw: raw for raw in raws}
    asked = {
        name: spelled[key]
        for name in wanted
        if (key := name.name.lower() if folds else name.name) in spelled
    }
    chosen = set(asked.values())
    engines = _transactional(session)
    triggers = _triggers(session, within_database(session, chosen))
    own: dict[str, tuple[TargetForeignKey, ...]] = {}
    referring: dict[str, list[TargetForeignKey]] = defaultdict(list)
    for owner, keys in read_foreign_keys(session).items():
        own[owner] = tuple(_foreign_key(owner, key, session.database) for key in keys)
        for key in own[owner]:
            if key.schema is None:
                referred = key.referred.lower() if folds else key.referred
                referring[spelled.get(referred, referred)].append(key)
    empty = _empty(session, [raws[name] for name in sorted(chosen)])
    tables = {
        name: TargetTable(
            name=Name(None, name),
            kind=raws[name].kind,
            engine=raws[name].engine or "",
            transactional=(raws[name].engine or "").upper() in engines,
            columns=tuple(_column(column, session) for column in raws[name].columns),
            unique_keys=_unique_keys(raws[name]),
            foreign_keys=own.get(name, ()),
            referenced_by=tuple(referring[name]),
            triggers=tuple(triggers[name]),
            row_count_is_zero=empty[name],
            auto_increment=raws[name].auto_increment,
            collation=raws[name].collation,
        )
        for name in chosen
    }
    return {name: tables[real] for name, real in asked.items()}


def _column(column: RawColumn, session: Session) -> TargetColumn:
    return TargetColumn(
        name=column.name,
        native=column.facts.column_type,
        logical=logical_type(column.facts, session.flavour),
        facts=column.facts,
        nullable=column.nullable,
        default=column.default if column.default not in (None, "NULL") else None,
        generated=column.generation is not None,
        auto_increment=column.auto_increment,
        invisible=column.invisible,
        on_update=column.on_update,
        privileges=frozenset(p for p in column.privileges.replace(" ", "").split(",") if p),
    )


def _unique_keys(raw: RawTable) -> tuple[UniqueKey, ...]:
    keys = [_unique_key(index) for index in raw.indexes if index.unique]
    return tuple(sorted(keys, key=lambda key: not key.primary))


def _unique_key(index: RawIndex) -> UniqueKey:
    return UniqueKey(
        name=index.name,
        columns=index.columns,
        nullable=any(part.nullable for part in index.parts),
        whole=index.plain,
    )


def _foreign_key(owner: str, key: RawForeignKey, database: str) -> TargetForeignKey:
    return TargetForeignKey(
        name=key.name,
        table=owner,
        columns=key.columns,
        schema=None if key.schema == database else key.schema,
        referred=key.table,
        referred_columns=key.referred_columns,
        on_update=key.on_update,
        on_delete=key.on_delete,
    )


def _transactional(session: Session) -> set[str]:
    rows = session.rows(
        "SELECT ENGINE AS name FROM information_schema.ENGINES WHERE TRANSACTIONS = 'YES'",
        "reading the storage engines",
    )
    return {row["name"].upper() for row in rows}


def _triggers(session: Session, within: Within) -> dict[str, list[TargetTrigger]]:
    found: dict[str, list[TargetTrigger]] = defaultdict(list)
    for row in session.rows(
        "SELECT TRIGGER_NAME AS name, EVENT_OBJECT_TABLE AS owner, ACTION_TIMING AS timing,"
        " EVENT_MANIPULATION AS event FROM information_schema.TRIGGERS"
        f" WHERE {within('TRIGGER_SCHEMA', 'EVENT_OBJECT_TABLE')}"
        " ORDER BY BINARY EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_ORDER",
        "reading triggers",
    ):
        found[row["owner"]].append(
            TargetTrigger(name=row["name"], timing=row["timing"], event=row["event"])
        )
    return found


def _empty(session: Session, raws: list[RawTable]) -> dict[str, bool]:
    """Say for each table whether it holds no row at all; views and sequences count as not empty.

    The number in information_schema is an estimate, so that each table is asked for one row.
    """
    found = dict.fromkeys((raw.name for raw in raws), False)
    tables = [raw for raw in raws if raw.kind in ("BASE TABLE", "SYSTEM VERSIONED")]
    for start in range(0, len(tables), _BATCH):
        some = tables[start : start + _BATCH]
        query = " UNION ALL ".join(
            f"SELECT {place} AS place, NOT EXISTS (SELECT 1 FROM {quote_name(raw.name)}) AS empty"
            for place, raw in enumerate(some)
        )
        for row in session.rows(query, "looking whether tables are empty"):
            found[some[row["place"]].name] = bool(row["empty"])
    return found
