"""Native DDL of a database: from pg_dump where that is possible, else from the catalog.

What lives here: turning pg_dump's entries into `NativeObject`, and keeping those that go with the
chosen tables. Must not know: how pg_dump is run (`pg_dump`), its file format (`toc`), or how DDL
is put together without it (`native_catalog`).
"""

from __future__ import annotations

from collections.abc import Sequence as Sequence_
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from dbsync.connectors.postgres.assemble import Schema
from dbsync.connectors.postgres.connection import Address, quote_name
from dbsync.connectors.postgres.holder import Holder
from dbsync.connectors.postgres.native_catalog import (
    catalog_objects,
    in_working_order,
    kinds_not_carried,
)
from dbsync.connectors.postgres.native_selection import select_objects
from dbsync.connectors.postgres.ownership import Ownership, read_ownership
from dbsync.connectors.postgres.pg_dump import PgDumpError, find_pg_dump, run_pg_dump
from dbsync.connectors.postgres.query import Catalog
from dbsync.connectors.postgres.toc import Entry, TocError, parse
from dbsync.model.schema import Loss, Name, NativeObject, Sequence

_NOT_OBJECTS = frozenset(
    (
        "ENCODING", "STDSTRINGS", "SEARCHPATH", "DATABASE", "DATABASE PROPERTIES", "SEQUENCE SET",
        "STATISTICS DATA", "TABLE DATA", "BLOB", "BLOBS", "BLOB METADATA", "BLOB COMMENTS",
        "USER MAPPING", "SUBSCRIPTION", "SUBSCRIPTION TABLE",
    )
)  # fmt: skip
"""Settings of the dump, data, and what would put a password into the archive."""

_LATE = {"ACL": 1, "DEFAULT ACL": 1, "EVENT TRIGGER": 2}
"""As pg_restore does: rights after everything that uses them, event triggers after all DDL."""

_MOST_EXCLUDED = 500


@dataclass(frozen=True)
class NativeResult:
    """Objects in a working order, what is missing among them, and what made them."""

    objects: tuple[NativeObject, ...]
    losses: list[Loss]
    method: str


def read_native(
    address: Address,
    catalog: Catalog,
    holder: Holder,
    schema: Schema,
    *,
    only_schema: str | None,
    sequences: Sequence_[Sequence],
) -> NativeResult:
    """Read the native DDL that goes with the chosen tables, under the holder's snapshot."""
    ownership = read_ownership(
        catalog,
        holder,
        [table.name for table in schema.tables if not table.all_columns],
        [sequence.name for sequence in sequences],
    )
    dump, why = find_pg_dump(catalog.version // 10_000)
    closed = [r.name for r in holder.relations if not (r.may_select and r.may_use_schema)]
    if len(closed) > _MOST_EXCLUDED:
        dump, why = None, f"{len(closed)} tables are out of this role's reach"
    if dump is not None:
        database = str(catalog.value("SELECT current_database()::text"))
        try:
            data = run_pg_dump(
                dump,
                address,
                database,
                holder.token,
                exclude_tables=[quote_name(name.schema, name.name) for name in closed],
            )
            entries = parse(data).entries
        except (PgDumpError, TocError) as failure:
            why = f"pg_dump {dump.version} failed: {failure}"
        else:
            objects = _objects(entries, ownership, schema)
            objects += _refreshes(catalog, objects, entries)
            kept, losses = select_objects(objects, ownership, only_schema)
            return NativeResult(tuple(kept), losses, f"pg_dump {dump.version}")
    objects = catalog_objects(catalog, ownership, schema)
    kept, losses = select_objects(objects, ownership, only_schema)
    losses += [
        Loss(object=kind, reason=f"native DDL came from the catalog only: {why}")
        for kind in kinds_not_carried(catalog)
    ]
    return NativeResult(tuple(kept), losses, f"catalog ({why})")


def _objects(
    entries: tuple[Entry, ...], ownership: Ownership, schema: Schema
) -> list[NativeObject]:
    """Turn entries into objects, in the order in which pg_restore would run them."""
    by_number = {entry.number: entry for entry in entries}
    tables: dict[int, Name | None] = {}
    ranks: dict[str, int] = {}
    objects: list[NativeObject] = []
    section: Literal["before_rows", "after_rows"] = "before_rows"
    for entry in entries:
        if entry.kind in _NOT_OBJECTS or not entry.sql.strip():
            continue
        if entry.section == "post_data":
            section = "after_rows"
        table = ownership.table_of(entry.catalog, entry.oid)
        if table is None and entry.oid == 0:
            # Comments, rights and attachments belong where the object belongs that they are on.
            owners = (tables.get(number) for number in entry.requires)
            table = next((owner for owner in owners if owner is not None), None)
        tables[entry.number] = table
        rank = _LATE.get(entry.kind, 0)
        if entry.kind in ("COMMENT", "SECURITY LABEL"):
            rank = max((ranks.get(str(number), 0) for number in entry.requires), default=0)
        ranks[str(entry.number)] = rank
        needs = {str(number) for number in entry.requires if number in by_number}
        objects.append(
            NativeObject(
                kind=entry.kind,
                name=Name(entry.namespace, entry.tag),
                sql=_sql(entry),
                section="after_rows" if rank else section,
                table=table,
                provides=str(entry.number),
                requires=tuple(sorted(needs, key=int)),
                covers=_covers(entry, by_number, ownership, schema),
                owner=entry.owner,
            )
        )
    objects = _whole_views(objects)
    return sorted(objects, key=lambda item: ranks[str(item.provides)])


def _whole_views(objects: list[NativeObject]) -> list[NativeObject]:
    """Make one object of a view that pg_dump made of two.

    A view that needs a constraint (GROUP BY a primary key) is dumped as a stand-in of NULLs, and
    later replaced by an entry of kind RULE. Left apart, a selection could keep the stand-in alone.
    They stay apart only where a table needs the view.
    """
    by_id = {item.provides: item for item in objects}
    merged: dict[str, NativeObject] = {}
    renamed: dict[str, str] = {}
    for rule in objects:
        if rule.kind != "RULE" or not rule.sql.startswith("CREATE OR REPLACE VIEW"):
            continue
        for need in rule.requires:
            view = by_id[need]
            if view.kind != "VIEW" or rule.name.name != f"{view.name.name} _RETURN":
                continue
            if any(user.kind == "TABLE" for user in _users(objects, need)):
                continue
            needs = tuple(key for key in rule.requires if key != need)
            merged[need] = replace(view, sql=rule.sql, requires=needs, section="after_rows")
            renamed[str(rule.provides)] = need
    if not merged:
        return objects
    whole = [merged.get(str(item.provides), item) for item in objects]
    whole = [item for item in whole if item.provides not in renamed]
    requires = {
        str(item.provides): {renamed.get(key, key) for key in item.requires} for item in whole
    }
    return in_working_order(whole, requires)


def _users(objects: list[NativeObject], key: str) -> list[NativeObject]:
    """Find whatever needs an object, directly or not."""
    needed, found = {key}, list[NativeObject]()
    for item in objects:
        if needed.intersection(item.requires) and item.provides:
            needed.add(item.provides)
            found.append(item)
    return found


def _sql(entry: Entry) -> str:
    if entry.kind == "TABLE" and entry.access_method not in (None, "heap"):
        method = quote_name(entry.access_method)
        return (
            f"SET default_table_access_method = {method};\n{entry.sql.strip()}\n"
            "SET default_table_access_method = heap;"
        )
    return entry.sql.strip()


def _covers(
    entry: Entry, by_number: dict[int, Entry], ownership: Ownership, schema: Schema
) -> str | None:
    """Say what of the portable model an entry also creates."""
    if entry.oid in ownership.shadows:
        return ownership.shadows[entry.oid]
    match entry.kind:
        case "TABLE":
            return "table" if ownership.is_chosen_root(entry.oid) else None
        case "CONSTRAINT" | "FK CONSTRAINT" | "CHECK CONSTRAINT" | "INDEX":
            return schema.covered.get(entry.oid)
        case "DEFAULT" | "TABLE ATTACH" | "INDEX ATTACH":
            return "table" if entry.kind != "INDEX ATTACH" else "index"
        case "SEQUENCE" | "SEQUENCE OWNED BY":
            return "sequence"
        case "SCHEMA":
            return "table" if entry.tag in ownership.schemas else None
        case "COMMENT":
            on = by_number.get(entry.requires[0]) if entry.requires else None
            chosen = on is not None and on.kind == "TABLE" and ownership.is_chosen_root(on.oid)
            return "table" if chosen else None
        case _:
            return None


def _refreshes(
    catalog: Catalog, objects: list[NativeObject], entries: tuple[Entry, ...]
) -> list[NativeObject]:
    """Fill materialized views at the very end, in their own order; a schema dump does not."""
    rows = catalog.rows("SELECT oid::int8 FROM pg_class WHERE relkind = 'm' AND relispopulated")
    filled = {row["oid"] for row in rows}
    numbers = {str(e.number) for e in entries if e.kind == "MATERIALIZED VIEW" and e.oid in filled}
    return [
        NativeObject(
            kind="MATERIALIZED VIEW DATA",
            name=item.name,
            sql=f"REFRESH MATERIALIZED VIEW {quote_name(item.name.schema, item.name.name)};",
            section="after_rows",
            provides=f"{item.provides}-rows",
            requires=(item.provides,) if item.provides else (),
            owner=item.owner,
        )
        for item in objects
        if item.provides in numbers
    ]
