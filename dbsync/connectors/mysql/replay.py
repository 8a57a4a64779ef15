"""Native DDL of an archive as steps: which objects are made, which are there, which cannot be.

What lives here: the choice, before anything is written, by what the target has and understands.
Must not know: how steps are run, how definitions were read.

Objects belong to whoever runs the import: their definers are taken out. Keys of a table come after
its rows where that gives the very same table (`deferred`).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from dbsync.connectors.base import Stage
from dbsync.connectors.mysql.connection import Session
from dbsync.connectors.mysql.deferred import NewTable, new_table
from dbsync.connectors.mysql.failures import cause, errno_of
from dbsync.connectors.mysql.information import read_information
from dbsync.connectors.mysql.native import without_definer
from dbsync.connectors.mysql.objects import ObjectReader
from dbsync.connectors.mysql.settings import PossibleSettings
from dbsync.connectors.mysql.steps import (
    DATABASE_COLLATION,
    Made,
    MadeKind,
    SchemaSteps,
    Step,
    under,
)
from dbsync.connectors.mysql.target_rights import refused
from dbsync.errors import TargetError
from dbsync.model.schema import Database, Loss, Name, NativeObject, Sequence

_KINDS: dict[str, MadeKind] = {
    "TABLE": "table", "VIEW": "view", "SEQUENCE": "sequence", "FUNCTION": "function",
    "PROCEDURE": "procedure", "PACKAGE": "package", "PACKAGE BODY": "package body",
    "TRIGGER": "trigger", "EVENT": "event",
}  # fmt: skip
_AFTER = ("TRIGGER", "EVENT")
"""What may act by itself when rows are written, or at any time."""

_RELATIONS = ("TABLE", "VIEW", "SEQUENCE")
_TOO_LONG = frozenset({1153, 1295})


def native_steps(
    session: Session, database: Database, create: Mapping[Name, Name], known: Mapping[Name, Name]
) -> SchemaSteps:
    """Plan the native objects that go with the tables of `create`, and those that stand alone.

    Objects of tables that exist stay as they are, and so do others of the same name. A table whose
    definition this server does not understand is made from the portable model. Raises
    `TargetError` for the DDL of another engine, and where a table has none.
    """
    if database.engine != "mysql":
        raise TargetError(
            f"native DDL of {database.engine} cannot be run by {session.flavour.label}",
            hint="use --ddl portable, or --ddl auto",
        )
    return _Replay(session, database, create, known).steps()


class _Replay:
    def __init__(
        self,
        session: Session,
        database: Database,
        create: Mapping[Name, Name],
        known: Mapping[Name, Name],
    ):
        self._session = session
        self._database = database
        self._create = create
        self._known = known
        self._objects = [o for o in database.native if o.table is None or o.table in create]
        self._losses: list[Loss] = []
        self._definers = 0
        self._foreign = (
            database.details.get("flavour") != session.flavour.name
            or database.version != session.flavour.text
        )
        """Made by another server than this one, which may not understand it."""
        self._settings = PossibleSettings(session)

    def steps(self) -> SchemaSteps:
        tables, rest = self._tables()
        before: list[Step] = [*rest.before]
        keys: list[Step] = [*rest.keys]
        routines: list[Step] = []
        after: list[Step] = []
        for made in tables.values():
            keys += made.keys
        for made in tables.values():
            keys += made.references
        there = self._there()
        for item in self._objects:
            if item.covers == "table" and item.table is not None:
                made = tables.get(item.table)
                if made is not None:
                    before.append(made.create)
                continue
            step = self._other(item, there)
            if step is None:
                continue
            if item.section == "before_rows":
                before.append(step)
            else:
                (after if item.kind in _AFTER else routines).append(step)
        if self._definers:
            self._losses.append(
                Loss(
                    object=f"definers of {self._definers} views, routines, triggers and events",
                    reason="they will belong to the importing user, with that user's rights",
                    severity="changed",
                )
            )
        self._losses += self._settings.losses()
        # Indexes first: a foreign key without its index would get one of its own.
        keys.sort(key=lambda step: step.stage == "foreign_keys")
        return SchemaSteps(
            before=tuple(before),
            keys=tuple(keys),
            routines=tuple(routines),
            after=tuple(after),
            losses=(*self._losses, *rest.losses),
            faithful=rest.faithful | tables.keys(),
        )

    def _lose(self, item: NativeObject, reason: str) -> None:
        self._losses.append(Loss(object=f"{item.kind.lower()} {item.name}", reason=reason))

    # Tables

    def _tables(self) -> tuple[dict[Name, NewTable], SchemaSteps]:
        """Plan the tables: natively, or portably where that is not possible."""
        found = {o.table: o for o in self._objects if o.covers == "table"}
        made: dict[Name, NewTable] = {}
        portable: dict[Name, Name] = {}
        for name, target in self._create.items():
            table, item = self._database.table(name), found.get(name)
            if not table.all_columns:
                portable[name] = target
                continue
            if item is None:
                raise TargetError(
                    f"the archive carries no native DDL for table {name}",
                    hint="use --ddl portable",
                )
            new = new_table(item, table, target)
            reason = self._refusal(new.create) if self._foreign else None
            if reason is None:
                made[name] = new
            else:
                portable[name] = target
                self._losses.append(
                    Loss(
                        object=f"table {name}",
                        reason=f"is made from the portable model, as this server does not take its "
                        f"own definition: {reason}",
                        severity="changed",
                    )
                )
        if not portable:
            return made, SchemaSteps()
        # SQLAlchemy, which writes that DDL, takes a quarter of a second to load.
        from dbsync.connectors.mysql.ddl import portable_steps

        # Native objects are planned here; the portable plan would report them as lost.
        rest = msgspec.structs.replace(self._database, native=(), sequences=self._owned())
        return made, portable_steps(self._session, rest, portable, self._known)

    def _owned(self) -> tuple[Sequence, ...]:
        return tuple(s for s in self._database.sequences if s.owner_table is not None)

    def _refusal(self, step: Step) -> str | None:
        kept = ("character_set_client", DATABASE_COLLATION)
        settings = {k: v for k, v in step.settings.items() if k not in kept}
        with under(self._session, settings, f"looking at {step.label}"):
            error = refused(self._session, step.sql)
        if error is None or errno_of(error) in _TOO_LONG or error.__cause__ is None:
            return None
        return cause(error.__cause__)

    # Everything else

    def _there(self) -> dict[tuple[str, str], str | None]:
        """Find what has the name of an object: its definition, None for one of another kind.

        Names of tables, views and sequences share one space, routines have one for each kind.
        """
        others = [o for o in self._objects if o.covers != "table"]
        if not others:
            return {}
        information = read_information(self._session)
        reader = ObjectReader(self._session, information)
        sequences, _ = reader.sequences()
        there: dict[tuple[str, str], str | None] = {("", name): None for name in information.tables}
        for item in (*reader.views(), *sequences):
            sql = without_definer(item.sql, item.settings.get("sql_mode", ""))
            there["", item.name] = f"{item.kind} {sql}"
        for item in (*reader.routines(), *reader.triggers(), *reader.events()):
            sql = without_definer(item.sql, item.settings.get("sql_mode", ""))
            there[item.kind, item.name.lower()] = f"{item.kind} {sql}"
        return there

    def _other(
        self, item: NativeObject, there: Mapping[tuple[str, str], str | None]
    ) -> Step | None:
        owner = self._database.table(item.table) if item.table is not None else None
        if item.kind == "TRIGGER" and owner is not None and not owner.all_columns:
            self._lose(item, "its table was exported without some of its columns")
            return None
        kind = _KINDS.get(item.kind)
        if kind is None:
            self._lose(item, "this version of dbsync does not know its kind")
            return None
        sql = without_definer(item.sql, item.settings.get("sql_mode", ""))
        own = item.name.name
        place = ("", own) if item.kind in _RELATIONS else (item.kind, own.lower())
        if place in there:
            if there[place] != f"{item.kind} {sql}":
                self._lose(item, "exists already with another definition, and is left as it is")
            return None
        step = Step(
            stage=_stage(item),
            label=f"{item.kind.lower()} {own}",
            sql=sql,
            made=Made(kind=kind, names=(own,)),
            settings=self._settings.of(item),
            source=item.name if item.kind == "SEQUENCE" else None,
        )
        reason = self._refusal(step) if self._foreign else None
        if reason is not None:
            self._lose(item, f"this server does not take its definition: {reason}")
            return None
        self._definers += sql != item.sql
        return step


def _stage(item: NativeObject) -> Stage:
    return "create" if item.section == "before_rows" else "objects"
