"""Native DDL of an archive as steps: which objects are made, which are there, which cannot be.

What lives here: the choice, before anything is written, by what the target has: roles, extensions,
tablespaces, objects of the same name. Must not know: how steps are run, where the DDL came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property

from dbsync.connectors.base import Stage
from dbsync.connectors.postgres.connection import quote_literal, quote_name
from dbsync.connectors.postgres.session import Asks
from dbsync.connectors.postgres.steps import SchemaSteps, Step, schema_steps
from dbsync.errors import TargetError
from dbsync.model.schema import Database, Loss, Name, NativeObject

_STAGES: dict[str, Stage] = {
    "CONSTRAINT": "constraints",
    "CHECK CONSTRAINT": "constraints",
    "FK CONSTRAINT": "foreign_keys",
    "INDEX": "indexes",
    "INDEX ATTACH": "indexes",
}
_FOLLOWERS = frozenset(("ACL", "COMMENT", "SECURITY LABEL"))
"""Kinds that speak of one other object, and are left out where that one is there already."""

_RELATIONS = ("TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE", "FOREIGN TABLE")
_TYPES = ("TYPE", "DOMAIN", "SHELL TYPE")
_ROUTINES = ("FUNCTION", "PROCEDURE", "AGGREGATE")
_OWNED = (
    *_RELATIONS,
    *("TYPE", "DOMAIN", "COLLATION", "CONVERSION", "STATISTICS"),
    *("TEXT SEARCH DICTIONARY", "TEXT SEARCH CONFIGURATION"),
)
_OWNED_BARE = ("SCHEMA", "EVENT TRIGGER", "FOREIGN DATA WRAPPER", "SERVER", "PUBLICATION")

_ROLE = re.compile(r'\b(?:TO|FROM|FOR ROLE|AUTHORIZATION)\s+(?:"((?:[^"]|"")+)"|([\w$]+))')
_NOT_ROLES = frozenset(("public", "default", "current_user", "session_user", "current_role"))


def native_steps(asks: Asks, database: Database, create: Mapping[Name, Name]) -> SchemaSteps:
    """Plan the native objects that go with the tables of `create`, and those that stand alone.

    Objects of tables that exist stay as they are, and so do others of the same name. Raises
    `TargetError` where a table has no native DDL or needs an extension that is not available.
    """
    return _Replay(asks, database, create).steps()


class _Replay:
    def __init__(self, asks: Asks, database: Database, create: Mapping[Name, Name]):
        self._asks = asks
        self._create = create
        self._objects = [o for o in database.native if o.table is None or o.table in create]
        made = {o.name for o in self._objects if o.covers == "table"}
        for name in create:
            if name not in made:
                raise TargetError(
                    f"the archive carries no native DDL for table {name}",
                    hint="use --ddl portable",
                )
        self._flat = {t.name for t in database.tables if "partition_key" not in t.details}
        self._losses: list[Loss] = []
        self._labels: set[str] = set()

    def steps(self) -> SchemaSteps:
        there = self._existing()
        made = {o.name.name for o in self._objects if o.kind == "SCHEMA"}
        schemas = schema_steps(self._asks, {t.schema or "public" for t in self._create.values()})
        objects = [o for o in self._objects if o.provides not in there]
        objects = [
            o
            for o in objects
            if not (o.kind in _FOLLOWERS and there.intersection(o.requires)) or o.table
        ]
        objects = self._without_missing(objects)
        owners = self._owners(objects)
        before = [step for step in schemas if step.label.removeprefix("schema ") not in made]
        keys: list[Step] = []
        after: list[Step] = []
        for item in objects:
            step = self._step(item, owners.get(item.owner or ""))
            if step is None:
                continue
            if item.section == "before_rows":
                before.append(step)
            elif item.covers == "primary_key" and item.table in self._flat:
                # Rows that arrive in order of the key are cheaper with it than before it.
                keys.append(step)
            else:
                after.append(step)
        return SchemaSteps(before=(*before, *keys), after=tuple(after), losses=tuple(self._losses))

    def _lose(self, item: NativeObject, reason: str) -> None:
        label = f"{item.kind.lower()} {item.name}"
        self._losses.append(Loss(object=label, reason=reason))

    # What the target has

    def _existing(self) -> set[str]:
        """Find the objects that are there already, by their identifiers."""
        wanted: list[tuple[str, str, str, str]] = []
        for item in self._objects:
            kind, schema, name = item.kind, item.name.schema or "", item.name.name
            if item.provides is None or (kind == "TABLE" and item.table in self._create):
                continue
            if kind in _RELATIONS:
                wanted.append((item.provides, "relation", schema, name))
            elif kind in _TYPES:
                wanted.append((item.provides, "type", schema, name))
            elif kind == "SCHEMA":
                wanted.append((item.provides, "schema", "", name))
            elif kind == "EXTENSION":
                wanted.append((item.provides, "extension", "", name))
        found: set[str] = set()
        for start in range(0, len(wanted), 1000):
            rows = ", ".join(
                f"({', '.join(quote_literal(part) for part in row)})"
                for row in wanted[start : start + 1000]
            )
            found |= {row["id"] for row in self._asks.rows(_EXISTING.format(rows=rows))}
        return found

    def _without_missing(self, objects: list[NativeObject]) -> list[NativeObject]:
        """Drop what needs an extension that is not available, and everything built on it."""
        available = {
            row["name"] for row in self._asks.rows("SELECT name FROM pg_available_extensions")
        }
        gone: dict[str, str] = {}
        kept: list[NativeObject] = []
        for item in objects:
            missing = None
            if item.kind == "EXTENSION" and item.name.name not in available:
                missing = item.name.name
            for needed in item.requires:
                missing = missing or gone.get(needed)
            if missing is None:
                kept.append(item)
                continue
            reason = f"extension {missing} is not available on the target"
            if item.covers == "table" and item.name in self._create:
                raise TargetError(
                    f"table {item.name} cannot be created: {reason}",
                    hint=f"install {missing} on the server, or use --ddl portable",
                )
            gone[item.provides or ""] = missing
            self._lose(item, reason)
        return kept

    def _owners(self, objects: Iterable[NativeObject]) -> dict[str, bool]:
        """Say for each owner whether this role may hand objects over to it; report the others."""
        listed = sorted({o.owner for o in objects if o.owner})
        if not listed:
            return {}
        values = ", ".join(f"({quote_literal(name)})" for name in listed)
        rows = self._asks.rows(
            "SELECT v.name, r.oid IS NOT NULL AS there, v.name = current_user AS me, "
            "(SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS super "
            f"FROM (VALUES {values}) v(name) LEFT JOIN pg_roles r ON r.rolname = v.name"
        )
        for row in rows:
            if not row["me"] and not (row["there"] and row["super"]):
                reason = (
                    "only a superuser can hand objects over"
                    if row["there"]
                    else "the role does not exist here"
                )
                self._losses.append(
                    Loss(
                        object=f"ownership by role {row['name']}",
                        reason=f"{reason}: they will belong to the importing role",
                        severity="changed",
                    )
                )
        return {row["name"]: row["there"] and row["super"] and not row["me"] for row in rows}

    # One object

    def _step(self, item: NativeObject, hand_over: bool | None) -> Step | None:
        sql = self._with_known_roles(item)
        if sql is None:
            return None
        if hand_over and (target := _owned(item)) is not None:
            sql = f"{sql.rstrip().rstrip(';')};\nALTER {target} OWNER TO {quote_name(item.owner)};"
        label = f"{item.kind.lower()} {item.name}"
        number = 1
        while label in self._labels:
            number += 1
            label = f"{item.kind.lower()} {item.name} ({number})"
        self._labels.add(label)
        own = item.kind == "TABLE" and item.table in self._create
        after: Stage = _STAGES.get(item.kind, "objects")
        return Step(
            stage="create" if item.section == "before_rows" else after,
            label=label,
            sql=sql,
            keeps_existing=not own,
        )

    def _with_known_roles(self, item: NativeObject) -> str | None:
        """Leave out statements that grant to, or take from, roles that do not exist here."""
        if item.kind not in ("ACL", "DEFAULT ACL", "POLICY"):
            return item.sql
        statements = [s.strip() for s in re.split(r";\s*(?:\n|$)", item.sql) if s.strip()]
        named = [_roles(statement) for statement in statements]
        known = self._known_roles
        kept = [s for s, roles in zip(statements, named, strict=True) if roles <= known]
        for role in sorted({role for roles in named for role in roles} - known):
            self._lose(item, f"role {role} does not exist on the target")
        return ";\n".join(kept) + ";" if kept else None

    @cached_property
    def _known_roles(self) -> frozenset[str]:
        rows = self._asks.rows("SELECT rolname AS name FROM pg_roles")
        return frozenset(row["name"] for row in rows)


_EXISTING = """
SELECT v.id FROM (VALUES {rows}) v(id, kind, schema, name)
WHERE CASE v.kind
    WHEN 'schema' THEN EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = v.name)
    WHEN 'extension' THEN EXISTS (SELECT FROM pg_extension x WHERE x.extname = v.name)
    WHEN 'relation' THEN EXISTS (SELECT FROM pg_class c JOIN pg_namespace n
        ON n.oid = c.relnamespace WHERE n.nspname = v.schema AND c.relname = v.name)
    WHEN 'type' THEN EXISTS (SELECT FROM pg_type t JOIN pg_namespace n
        ON n.oid = t.typnamespace WHERE n.nspname = v.schema AND t.typname = v.name)
END
"""


def _roles(statement: str) -> set[str]:
    found = {quoted.replace('""', '"') or plain for quoted, plain in _ROLE.findall(statement)}
    return {role for role in found if role.lower() not in _NOT_ROLES}


def _signature(item: NativeObject) -> str:
    """Write a routine as ALTER and to_regprocedure want it; the archive has its name bare."""
    name, _, arguments = item.name.name.rpartition("(")
    return f"{quote_name(item.name.schema, name)}({arguments}"


def _owned(item: NativeObject) -> str | None:
    """Name an object as ALTER ... OWNER TO wants it, None for kinds that have no owner."""
    if item.kind in _OWNED:
        return f"{item.kind} {quote_name(item.name.schema, item.name.name)}"
    if item.kind in _OWNED_BARE:
        return f"{item.kind} {quote_name(item.name.name)}"
    if item.kind in _ROUTINES and item.name.name.endswith(")"):
        return f"{item.kind} {_signature(item)}"
    return None
