"""The DDL of an import into SQLite: which statements, in which order, and what they leave out.

What lives here: native objects or the portable model turned into steps. Must not know: rows, how
steps are carried out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from dbsync.connectors.base import DdlMode
from dbsync.connectors.sqlite.catalog import Catalog
from dbsync.connectors.sqlite.naming import folded, with_free_index_names
from dbsync.errors import TargetError
from dbsync.model.schema import Database, Loss, Name, NativeObject


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One statement of DDL; `name` is what it makes, as `sqlite_master` calls it."""

    kind: str
    name: str
    sql: str
    table: str | None = None
    """The table that it belongs to, where it is made only together with that."""

    @property
    def label(self) -> str:
        """Name the object for people."""
        return f"{self.kind.lower()} {self.name}"


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """All DDL of an import, in order."""

    tables: tuple[Step, ...] = ()
    indexes: tuple[Step, ...] = ()
    objects: tuple[Step, ...] = ()
    """Views, then triggers."""
    losses: tuple[Loss, ...] = ()


def make_steps(
    database: Database,
    ddl: DdlMode,
    made: set[Name],
    names: dict[Name, Name],
    catalog: Catalog,
    *,
    resuming: bool,
) -> Steps:
    """Plan the DDL for the tables of the archive in `made`, whose names here are in `names`.

    A run that goes on finds what the earlier one has made, so that only names of others are taken.
    """
    if ddl == "none":
        return Steps()
    taken = [table.name for table in catalog.tables]
    if not resuming:
        taken += [other.name for other in catalog.others]
    if ddl == "native" and database.engine == "sqlite":
        return _native_steps(database, made, catalog, taken)
    if ddl == "native":
        raise TargetError(
            f"native DDL of {database.engine} cannot be run by SQLite",
            hint="use --ddl portable, or --ddl auto",
        )
    steps = _portable_steps(database, made, names, taken)
    lost = [
        Loss(object=_object_label(o), reason="SQLite does not understand it")
        if database.engine != "sqlite"
        else Loss(object=_object_label(o), reason="only native DDL carries it")
        for o in database.native
        if o.covers is None and o.kind != "INDEX"
    ]
    lost += _lost_sequences(database)
    return msgspec.structs.replace(steps, losses=(*steps.losses, *lost))


def _object_label(item: NativeObject) -> str:
    return f"{item.kind.lower()} {item.name}"


def _lost_sequences(database: Database) -> list[Loss]:
    owned = {c.identity.sequence for t in database.tables for c in t.columns if c.identity}
    return [
        Loss(object=f"sequence {sequence.name}", reason="SQLite has no sequences")
        for sequence in database.sequences
        if sequence.name not in owned
    ]


def _native_steps(database: Database, made: set[Name], catalog: Catalog, taken: list[str]) -> Steps:
    existing = {folded(o.name): o.sql for o in (*catalog.others, *catalog.virtual)}
    partial = {t.name: t for t in database.tables if t.name in made and not t.all_columns}
    groups: dict[Literal["tables", "indexes", "objects"], list[Step]] = {
        "tables": [], "indexes": [], "objects": [],
    }  # fmt: skip
    losses: list[Loss] = []
    for item in database.native:
        owner = item.table
        step = Step(
            kind=item.kind, name=item.name.name, sql=item.sql, table=owner.name if owner else None
        )
        if owner is not None and owner not in made:
            continue
        if owner in partial:
            if item.kind == "TRIGGER":
                reason = "its table was exported without some of its columns"
                losses.append(Loss(object=_object_label(item), reason=reason))
            continue
        present = existing.get(folded(item.name.name))
        if present is not None:
            if present != item.sql:
                reason = "exists already with another definition, and is left as it is"
                losses.append(Loss(object=_object_label(item), reason=reason))
            continue
        if item.kind in ("TABLE", "VIRTUAL TABLE"):
            groups["tables"].append(step)
        else:
            groups["indexes" if item.kind == "INDEX" else "objects"].append(step)
    if partial:
        own_names = {t.name: t.name for t in database.tables}
        rest = _portable_steps(database, set(partial), own_names, taken)
        groups["tables"] += rest.tables
        groups["indexes"] += rest.indexes
        losses += rest.losses
    return Steps(
        tables=tuple(groups["tables"]),
        indexes=tuple(groups["indexes"]),
        objects=tuple(groups["objects"]),
        losses=tuple(losses),
    )


def _portable_steps(
    database: Database, made: set[Name], names: dict[Name, Name], taken: Iterable[str]
) -> Steps:
    # SQLAlchemy, which writes that DDL, takes a quarter of a second to load.
    from dbsync.connectors.sqlite.ddl import portable_statements

    tables, losses = with_free_index_names(database, names, taken)
    create: list[Step] = []
    indexes: list[Step] = []
    for name, table in tables.items():
        if name not in made:
            continue
        target = names[name]
        statements = portable_statements(table, target, database, names)
        create.append(Step(kind="TABLE", name=target.name, sql=statements.create.sql))
        plain = (i for i in table.indexes if i.portable)
        by_label = {f"index {i.name} of table {table.name}": i.name for i in plain}
        for statement in statements.rest:
            index = by_label[statement.object]
            indexes.append(Step(kind="INDEX", name=index, sql=statement.sql, table=target.name))
        losses += statements.losses
    return Steps(tables=tuple(create), indexes=tuple(indexes), losses=tuple(losses))
