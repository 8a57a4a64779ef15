"""A database as information_schema gives it: plain rows, grouped by table, without meaning.

What lives here: one query for each view that is needed, whatever the number of tables, since
MySQL has no other way that is cheap for ten thousand of them. Must not know: the portable model,
what a target makes of the answers.

Names are grouped here and not in SQL: information_schema compares without case, and `A` may stand
beside `a`. Outside facts: https://mariadb.com/kb/en/information-schema/ and
https://dev.mysql.com/doc/refman/8.0/en/information-schema.html.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any, Protocol

import msgspec

from dbsync.connectors.mysql.connection import Session, quote_literal, quote_name
from dbsync.connectors.mysql.defaults import default_sql
from dbsync.connectors.mysql.types import SPATIAL, ColumnFacts


class RawColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One row of COLUMNS; `default` is SQL on either flavour, None where there is none."""

    name: str
    facts: ColumnFacts
    nullable: bool
    default: str | None
    extra: str
    generation: str | None
    comment: str
    privileges: str
    reference_system: int = 0
    """The SRID that a spatial column declares, where SHOW CREATE TABLE does not tell it."""

    @property
    def auto_increment(self) -> bool:
        """Whether the column numbers itself."""
        return "auto_increment" in self.extra

    @property
    def invisible(self) -> bool:
        """Whether ``SELECT *`` leaves the column out."""
        return "invisible" in self.extra

    @property
    def on_update(self) -> str | None:
        """What an update puts into the column by itself."""
        _, found, function = self.extra.partition("on update ")
        return function.split(",")[0].strip() if found else None


class RawPart(msgspec.Struct, frozen=True, kw_only=True):
    """One part of an index; `prefix` counts characters, or bytes of a binary column."""

    column: str | None
    expression: str | None = None
    prefix: int | None = None
    descending: bool = False
    nullable: bool = False


class RawIndex(msgspec.Struct, frozen=True, kw_only=True):
    """One index; `kind` is BTREE, HASH, FULLTEXT, SPATIAL or RTREE."""

    name: str
    unique: bool
    kind: str
    parts: tuple[RawPart, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns, without expressions."""
        return tuple(part.column for part in self.parts if part.column is not None)

    @property
    def plain(self) -> bool:
        """Whether it is an index over whole columns that any engine could have."""
        whole = all(part.column is not None and part.prefix is None for part in self.parts)
        return whole and self.kind in ("BTREE", "HASH")


class RawForeignKey(msgspec.Struct, frozen=True, kw_only=True):
    """One foreign key; `schema` and `table` are where it refers to."""

    name: str
    columns: tuple[str, ...]
    schema: str
    table: str
    referred_columns: tuple[str, ...]
    on_update: str
    on_delete: str


class RawTable(msgspec.Struct, frozen=True, kw_only=True):
    """One row of TABLES with what belongs to it; `kind` is TABLE_TYPE."""

    name: str
    kind: str
    engine: str | None
    rows: int | None
    data_bytes: int | None
    auto_increment: int | None
    collation: str | None
    options: str
    comment: str
    columns: tuple[RawColumn, ...] = ()
    indexes: tuple[RawIndex, ...] = ()

    @property
    def primary_key(self) -> RawIndex | None:
        """The primary key, where there is one."""
        return next((index for index in self.indexes if index.name == "PRIMARY"), None)


class Information(msgspec.Struct, frozen=True, kw_only=True):
    """Tables, views and sequences of one database, by name."""

    database: str
    tables: dict[str, RawTable]


class Within(Protocol):
    """Writes the condition that `schema` names the session's database, and `table` a table that
    is wanted."""

    def __call__(self, schema: str, table: str | None = None) -> str:
        """Write it; `schema` and `table` are columns of information_schema."""
        ...


def ignores_case(session: Session) -> bool:
    """Say whether the server takes names of tables without case (``lower_case_table_names``)."""
    return int(session.value("SELECT @@lower_case_table_names", "reading settings")) != 0


def within_database(session: Session, only: Collection[str] | None = None) -> Within:
    """Make the condition that keeps to the session's database, with case where case counts.

    `only` names the tables that are wanted, in any case; None for all. A server that has to open
    tables to answer opens no others.
    """
    literal = quote_literal(session.database)
    folds = ignores_case(session)
    listed = None if only is None else ", ".join(quote_literal(name) for name in sorted(only))

    def condition(schema: str, table: str | None = None) -> str:
        parts = [f"{schema} = {literal}"]
        if not folds:
            parts.append(f"CAST({schema} AS BINARY) = CAST({literal} AS BINARY)")
        if listed is not None and table is not None:
            parts.append(f"{table} IN ({listed or 'NULL'})")
        return " AND ".join(parts)

    return condition


def read_information(session: Session, only: Collection[str] | None = None) -> Information:
    """Read what the session's database has, or what it has under the names in `only`."""
    within = within_database(session, only)
    columns = _columns(session, within)
    indexes = _indexes(session, within)
    tables: dict[str, RawTable] = {}
    for row in session.rows(
        "SELECT TABLE_NAME AS name, TABLE_TYPE AS kind, ENGINE AS engine, TABLE_ROWS AS table_rows,"
        " DATA_LENGTH AS data_bytes, AUTO_INCREMENT AS auto_increment,"
        " TABLE_COLLATION AS table_collation, CREATE_OPTIONS AS options, TABLE_COMMENT AS remark"
        f" FROM information_schema.TABLES WHERE {within('TABLE_SCHEMA', 'TABLE_NAME')}"
        " AND TABLE_TYPE NOT LIKE '%TEMPORARY%' ORDER BY BINARY TABLE_NAME",
        "reading the list of tables",
    ):
        name = row["name"]
        tables[name] = RawTable(
            name=name,
            kind=row["kind"],
            engine=row["engine"],
            rows=row["table_rows"],
            data_bytes=row["data_bytes"],
            auto_increment=row["auto_increment"],
            collation=row["table_collation"],
            options=row["options"] or "",
            comment=row["remark"] or "",
            columns=tuple(columns.get(name, ())),
            indexes=tuple(indexes.get(name, ())),
        )
    return Information(database=session.database, tables=tables)


def _columns(session: Session, within: Within) -> dict[str, list[RawColumn]]:
    json_columns = _json_columns(session, within)
    rows = session.rows(
        "SELECT TABLE_NAME AS owner, COLUMN_NAME AS name, COLUMN_DEFAULT AS value,"
        " IS_NULLABLE AS nullable, DATA_TYPE AS data_type, COLUMN_TYPE AS column_type,"
        " CHARACTER_MAXIMUM_LENGTH AS length_chars, NUMERIC_PRECISION AS number_precision,"
        " NUMERIC_SCALE AS number_scale, DATETIME_PRECISION AS datetime_precision,"
        " CHARACTER_SET_NAME AS charset, COLLATION_NAME AS column_collation, EXTRA AS extra,"
        " GENERATION_EXPRESSION AS generation, COLUMN_COMMENT AS remark, PRIVILEGES AS rights"
        f" FROM information_schema.COLUMNS WHERE {within('TABLE_SCHEMA', 'TABLE_NAME')}"
        " ORDER BY BINARY TABLE_NAME, ORDINAL_POSITION",
        "reading columns",
    )
    spatial = any(row["data_type"].lower() in SPATIAL for row in rows)
    systems = _reference_systems(session, within) if spatial else {}
    found: dict[str, list[RawColumn]] = defaultdict(list)
    for row in rows:
        place = (row["owner"], row["name"])
        column = _column(session, row, is_json=place in json_columns, srid=systems.get(place, 0))
        found[row["owner"]].append(column)
    return found


def _reference_systems(session: Session, within: Within) -> dict[tuple[str, str], int]:
    """Find the SRIDs of spatial columns that only GEOMETRY_COLUMNS tells, by table and column."""
    if not session.flavour.hides_reference_systems:
        return {}
    rows = session.rows(
        "SELECT G_TABLE_NAME AS owner, G_GEOMETRY_COLUMN AS name, SRID AS srid"
        " FROM information_schema.GEOMETRY_COLUMNS"
        f" WHERE {within('G_TABLE_SCHEMA', 'G_TABLE_NAME')}",
        "reading the reference systems of spatial columns",
    )
    return {(row["owner"], row["name"]): int(row["srid"]) for row in rows}


def _column(session: Session, row: dict[str, Any], *, is_json: bool, srid: int) -> RawColumn:
    facts = ColumnFacts(
        data_type=row["data_type"].lower(),
        column_type=row["column_type"],
        charset=row["charset"],
        collation=row["column_collation"],
        precision=row["number_precision"],
        scale=row["number_scale"],
        datetime_precision=row["datetime_precision"],
        length_chars=row["length_chars"],
        is_json=is_json and row["data_type"].lower() == "longtext",
    )
    extra = row["extra"]
    return RawColumn(
        name=row["name"],
        facts=facts,
        nullable=row["nullable"] == "YES",
        default=default_sql(row["value"], extra, facts, session.flavour),
        extra=extra.lower(),
        generation=expression(row["generation"], session) or None,
        comment=row["remark"],
        privileges=row["rights"] or "",
        reference_system=srid,
    )


def expression(text: str | None, session: Session) -> str:
    """Give an expression of information_schema as SQL on either flavour; empty for None."""
    if text is not None and session.flavour.escapes_expressions:
        return text.replace("\\'", "'")
    return text or ""


def _json_columns(session: Session, within: Within) -> set[tuple[str, str]]:
    """Find the columns that MariaDB's alias JSON has made: the server writes a check for them."""
    if not session.flavour.json_is_text:
        return set()
    rows = session.rows(
        "SELECT TABLE_NAME AS owner, CONSTRAINT_NAME AS name, CHECK_CLAUSE AS clause"
        " FROM information_schema.CHECK_CONSTRAINTS"
        f" WHERE {within('CONSTRAINT_SCHEMA', 'TABLE_NAME')} AND LEVEL = 'Column'",
        "reading which columns hold JSON",
    )
    return {(r["owner"], r["name"]) for r in rows if r["clause"] == json_check(r["name"])}


def json_check(column: str) -> str:
    """Write the check that makes a longtext JSON in MariaDB."""
    return f"json_valid({quote_name(column)})"


def _indexes(session: Session, within: Within) -> dict[str, list[RawIndex]]:
    heads: dict[tuple[str, str], tuple[bool, str]] = {}
    parts: dict[tuple[str, str], list[RawPart]] = defaultdict(list)
    for row in session.rows(
        "SELECT TABLE_NAME AS owner, INDEX_NAME AS name, NON_UNIQUE AS repeats,"
        " INDEX_TYPE AS kind, COLUMN_NAME AS column_name, SUB_PART AS prefix,"
        f" COLLATION AS direction, {session.flavour.index_expression} AS part, NULLABLE AS nullable"
        f" FROM information_schema.STATISTICS WHERE {within('TABLE_SCHEMA', 'TABLE_NAME')}"
        " ORDER BY BINARY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX",
        "reading indexes",
    ):
        key = (row["owner"], row["name"])
        heads[key] = (not int(row["repeats"]), row["kind"])
        parts[key].append(
            RawPart(
                column=row["column_name"],
                expression=expression(row["part"], session) or None,
                # A spatial index counts a prefix of its own, which is never written.
                prefix=row["prefix"] if row["kind"] in ("BTREE", "HASH") else None,
                descending=row["direction"] == "D",
                nullable=row["nullable"] == "YES",
            )
        )
    found: dict[str, list[RawIndex]] = defaultdict(list)
    for (owner, name), (unique, kind) in heads.items():
        found[owner].append(
            RawIndex(name=name, unique=unique, kind=kind, parts=tuple(parts[owner, name]))
        )
    return found


def read_foreign_keys(session: Session) -> dict[str, list[RawForeignKey]]:
    """Read the foreign keys of all tables of the database, by table.

    Their actions are hidden from users who may only read; SHOW CREATE TABLE has them always.
    """
    within = within_database(session)
    rules: dict[tuple[str, str], tuple[str, str]] = {}
    for row in session.rows(
        "SELECT TABLE_NAME AS owner, CONSTRAINT_NAME AS name, UPDATE_RULE AS on_update,"
        " DELETE_RULE AS on_delete FROM information_schema.REFERENTIAL_CONSTRAINTS"
        f" WHERE {within('CONSTRAINT_SCHEMA', 'TABLE_NAME')}",
        "reading foreign keys",
    ):
        rules[row["owner"], row["name"]] = (row["on_update"], row["on_delete"])
    grouped: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in session.rows(
        "SELECT TABLE_NAME AS owner, CONSTRAINT_NAME AS name, COLUMN_NAME AS column_name,"
        " REFERENCED_TABLE_SCHEMA AS referred_schema, REFERENCED_TABLE_NAME AS referred,"
        " REFERENCED_COLUMN_NAME AS referred_column FROM information_schema.KEY_COLUMN_USAGE"
        f" WHERE {within('TABLE_SCHEMA', 'TABLE_NAME')} AND REFERENCED_TABLE_NAME IS NOT NULL"
        " ORDER BY BINARY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION",
        "reading foreign keys",
    ):
        grouped[row["owner"], row["name"]].append(row)
    found: dict[str, list[RawForeignKey]] = defaultdict(list)
    for (owner, name), rows in grouped.items():
        on_update, on_delete = rules.get((owner, name), ("RESTRICT", "RESTRICT"))
        found[owner].append(
            RawForeignKey(
                name=name,
                columns=tuple(row["column_name"] for row in rows),
                schema=rows[0]["referred_schema"],
                table=rows[0]["referred"],
                referred_columns=tuple(row["referred_column"] for row in rows),
                on_update=on_update,
                on_delete=on_delete,
            )
        )
    return found
