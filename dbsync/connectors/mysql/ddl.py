"""Portable DDL for MySQL and MariaDB: the steps that make an archive's tables without native DDL.

What lives here: which tables, keys and references are made, in which order, and what is left out.
Must not know: how steps are run, native objects of an archive (`replay`), how types are chosen
(`mapping`), how one table is spelled (`definitions`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec.structs import replace

from dbsync.connectors.mysql.connection import Session, quote_name
from dbsync.connectors.mysql.definitions import Definition, define
from dbsync.connectors.mysql.naming import FreeNames, folded
from dbsync.connectors.mysql.references import possible_reference
from dbsync.connectors.mysql.steps import Made, SchemaSteps, Step
from dbsync.model.schema import Database, ForeignKey, Loss, Name, Sequence, Table

_NOT_OBJECTS = ("SCHEMA", "COMMENT", "ENCODING", "STDSTRINGS", "INDEX")
"""Kinds of native objects whose meaning is carried or reported elsewhere."""


def portable_steps(
    session: Session, database: Database, create: Mapping[Name, Name], known: Mapping[Name, Name]
) -> SchemaSteps:
    """Plan the DDL for the tables of `create` (name in the archive to name on the target).

    `known` are all tables that foreign keys may refer to, in the same form. Asks the target,
    changes nothing.
    """
    return _Portable(session, database, create, known).steps()


class _Portable:
    """The portable DDL of one import."""

    def __init__(
        self,
        session: Session,
        database: Database,
        create: Mapping[Name, Name],
        known: Mapping[Name, Name],
    ):
        self._flavour = session.flavour
        self._database = database
        self._create = create
        self._known = known
        self._tables = [t for t in database.tables if t.name in create]
        made = {name.name for name in create.values()}
        # What an earlier run of this import has made is made under the same names again.
        taken = _constraint_names(session, made)
        self._free_references = FreeNames(taken["FOREIGN KEY"], folded)
        self._free_checks = FreeNames(taken["CHECK"], folded)
        self._collations = frozenset[str]()
        if database.engine == "mysql":
            found = session.rows(
                "SELECT COLLATION_NAME AS name FROM information_schema.COLLATIONS",
                "looking at the target's collations",
            )
            self._collations = frozenset(row["name"] for row in found)
        self._losses: list[Loss] = []

    def steps(self) -> SchemaSteps:
        definitions = {t.name: self._define(t) for t in self._tables}
        tables: list[Step] = []
        indexes: list[Step] = []
        references: list[Step] = []
        for table in self._tables:
            made = definitions[table.name]
            target = self._create[table.name]
            self._losses += made.losses
            tables.append(_table_step(table, target, made))
            if made.keys:
                indexes.append(_alter_step("indexes", table, target, made.keys))
            if made.references:
                references.append(_alter_step("foreign keys", table, target, made.references))
        sequences = self._sequences()
        self._losses += self._native_losses()
        return SchemaSteps(
            before=(*sequences, *tables),
            keys=(*indexes, *references),
            losses=tuple(self._losses),
            faithful=frozenset(name for name, made in definitions.items() if made.faithful),
        )

    def _lose(self, what: str, reason: str) -> None:
        self._losses.append(Loss(object=what, reason=reason, severity="changed"))

    def _define(self, table: Table) -> Definition:
        if "partition_key" in table.details:
            self._lose(f"table {table.name}", "becomes one table without partitions")
        return define(
            self._prepared(table),
            self._create[table.name],
            self._flavour,
            refers=self._known.get,
            native=self._database.engine == "mysql",
            sequences={s.name: s for s in self._database.sequences},
            collations=self._collations,
        )

    def _prepared(self, table: Table) -> Table:
        """Name what is unique within the database, and leave out references that cannot be."""
        checks = table.checks
        if self._flavour.checks_share_names:
            checks = tuple(
                replace(check, name=self._free_checks.take(check.name)) if check.name else check
                for check in checks
            )
        return replace(table, checks=checks, foreign_keys=tuple(self._good_references(table)))

    def _good_references(self, table: Table) -> list[ForeignKey]:
        good: list[ForeignKey] = []
        target = self._create[table.name]
        for key in table.foreign_keys:
            label = f"foreign key {key.name or '(' + ', '.join(key.columns) + ')'}"
            label += f" of table {table.name}"
            referred = None
            if key.referred in self._create:
                referred = self._database.table(key.referred)
            found = possible_reference(table, key, referred, self._flavour)
            for reason, severity in found.losses:
                self._losses.append(Loss(object=label, reason=reason, severity=severity))
            if found.key is not None:
                name = self._free_references.take(
                    key.name or f"{target.name}_{'_'.join(key.columns)}_fkey"
                )
                if key.name is not None and name != key.name:
                    self._lose(label, f"is named {name} here")
                good.append(replace(found.key, name=name))
        return good

    # What no table holds

    def _sequences(self) -> list[Step]:
        """Make the sequences that stand alone; those of columns become AUTO_INCREMENT."""
        used = {c.identity.sequence for t in self._database.tables for c in t.columns if c.identity}
        alone = [
            s for s in self._database.sequences if s.owner_table is None and s.name not in used
        ]
        if not self._flavour.sequences:
            reason = f"{self._flavour.label} has no sequences"
            self._losses += [Loss(object=f"sequence {s.name}", reason=reason) for s in alone]
            return []
        taken = FreeNames((n.name for n in self._known.values()), folded)
        return [_sequence_step(s, taken.take(s.name.name)) for s in alone]

    def _native_losses(self) -> list[Loss]:
        """Name every object that only native DDL could make."""
        enums = {
            c.native_type.rpartition(".")[2].strip('"').lower()
            for t in self._tables
            for c in t.columns
            if c.type.name == "enum"
        }
        reason = f"{self._flavour.label} does not understand it"
        if self._database.engine == "mysql":
            reason = "only native DDL carries it"
        return [
            Loss(object=f"{item.kind.lower()} {item.name}", reason=reason)
            for item in self._database.native
            if item.covers is None
            and item.kind.upper() not in _NOT_OBJECTS
            and not (item.kind.upper() == "TYPE" and item.name.name.lower() in enums)
            and (item.table is None or item.table in self._create)
        ]


def _constraint_names(session: Session, made: set[str]) -> dict[str, list[str]]:
    """List the names of foreign keys and checks in the database, but for those of `made`."""
    names: dict[str, list[str]] = {"FOREIGN KEY": [], "CHECK": []}
    for row in session.rows(
        "SELECT CONSTRAINT_TYPE AS kind, TABLE_NAME AS owner, CONSTRAINT_NAME AS name "
        "FROM information_schema.TABLE_CONSTRAINTS WHERE TABLE_SCHEMA = %s "
        "AND CONSTRAINT_TYPE IN ('FOREIGN KEY', 'CHECK')",
        "looking at the target's constraints",
        (session.database,),
    ):
        if row["owner"] not in made:
            names[row["kind"]].append(row["name"])
    return names


def _table_step(table: Table, target: Name, made: Definition) -> Step:
    return Step(
        stage="create",
        label=f"table {target.name}",
        sql=made.create,
        made=Made(kind="table", names=(target.name,)),
        source=table.name,
    )


def _alter_step(
    kind: Literal["indexes", "foreign keys"], table: Table, target: Name, clauses: Mapping[str, str]
) -> Step:
    listed = ", ".join(f"ADD {clause}" for clause in clauses.values())
    return Step(
        stage="indexes" if kind == "indexes" else "foreign_keys",
        label=f"{kind} {', '.join(clauses)} of table {target.name}",
        sql=f"ALTER TABLE {quote_name(target.name)} {listed}",
        made=Made(kind=kind, names=tuple(clauses), table=target.name),
        source=table.name,
    )


def _sequence_step(sequence: Sequence, name: str) -> Step:
    limits = "".join(
        f" {word} {value}"
        for word, value in (("MINVALUE", sequence.minimum), ("MAXVALUE", sequence.maximum))
        if value is not None and abs(value) < 2**63 - 1
    )
    cycle = " CYCLE" if sequence.cycle else ""
    return Step(
        stage="create",
        label=f"sequence {name}",
        sql=f"CREATE SEQUENCE {quote_name(name)} START WITH {sequence.start} "
        f"INCREMENT BY {sequence.increment}{limits} CACHE {sequence.cache}{cycle} ENGINE=InnoDB",
        made=Made(kind="sequence", names=(name,)),
        source=sequence.name,
    )
