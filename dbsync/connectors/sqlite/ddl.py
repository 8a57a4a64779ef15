"""CREATE TABLE and CREATE INDEX for SQLite, from the portable model.

What lives here: what SQLite makes of declared types, defaults and enums; the statements
themselves come from `dbsync.connectors.portable`. Must not know: connections.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from dbsync.connectors.portable import PortableTable, Rules, portable_table
from dbsync.connectors.sqlite.connection import literal, quote
from dbsync.connectors.sqlite.types import changed, declared_type, stored_class
from dbsync.model.schema import Column, Database, Default, Name, Sequence, Table
from dbsync.model.types import LogicalType

_PLAIN_TYPE = re.compile(r"[A-Za-z_][\w ]*(\(\s*[+-]?\d+\s*(,\s*[+-]?\d+\s*)?\))?[\w ]*", re.ASCII)
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_COLLATIONS = frozenset({"BINARY", "NOCASE", "RTRIM"})
_NOW = "current_timestamp"
_UTC_NOW = "(strftime('%Y-%m-%d %H:%M:%S', 'now') || '+00')"
_FUNCTIONS = {
    "current_timestamp": "CURRENT_TIMESTAMP",
    "current_date": "CURRENT_DATE",
    "current_time": "CURRENT_TIME",
    "random_uuid": (
        "(lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' ||"
        " substr(hex(randomblob(2)), 2) || '-' || substr('89AB', 1 + (abs(random()) % 4), 1) ||"
        " substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))))"
    ),
}


def portable_statements(
    table: Table, target: Name, database: Database, refers: Mapping[Name, Name]
) -> PortableTable:
    """Write the DDL that makes `table` as `target`, and what it leaves out.

    `refers` maps the archive's tables to their names here. Uniques and foreign keys stand in
    CREATE TABLE, since SQLite cannot add them later; only indexes are left for after the rows.
    """
    originals = {column.name: column for column in table.columns}
    own = database.engine == "sqlite"
    numbered = _self_numbering(table)

    def type_text(column: Column) -> tuple[str, str | None]:
        original = originals[column.name]
        if column.name == numbered:
            narrow = original.type.bits != 64 or original.type.unsigned
            return "INTEGER", "becomes a 64-bit INTEGER to number itself" if narrow else None
        if own and kept_type(original):
            return original.native_type, None
        change = changed(original.type)
        text = declared_type(original.type)
        if original.type.name == "native":
            change = f"{original.native_type} {change}"
        return text, f"{change} ({text})" if change else None

    rules = Rules(
        dialect=SQLiteDialect(paramstyle="named"),
        type_text=type_text,
        literal=lambda column, value: default_text(originals[column.name].type, value),
        refers=refers.get,
        functions=_FUNCTIONS,
        sequences={sequence.name: sequence for sequence in database.sequences},
        collations=_COLLATIONS,
        inline=True,
        deferrable_keys=False,
        nulls_not_distinct=False,
        match_full=False,
    )
    made = portable_table(_prepared(table), target, rules)
    create = msgspec.structs.replace(made.create, sql=_finish(made.create.sql, table, own=own))
    return msgspec.structs.replace(made, create=create)


def kept_type(column: Column) -> bool:
    """Say whether an SQLite column's declared type may be repeated as it stands."""
    return not column.native_type or _PLAIN_TYPE.fullmatch(column.native_type) is not None


def _self_numbering(table: Table) -> str | None:
    """Name the column that has to be INTEGER PRIMARY KEY, if there is one."""
    key = table.primary_key.columns if table.primary_key else ()
    return next((c.name for c in table.columns if c.identity and key == (c.name,)), None)


def _prepared(table: Table) -> Table:
    """Change what `portable_table` would misread: defaults that depend on the column's type."""
    columns: list[Column] = []
    for column in table.columns:
        default = column.default
        if default == Default(kind="function", value=_NOW) and column.type.name == "timestamp_tz":
            # As a literal, because `Rules.literal` is told the column and a function is not.
            default = Default(kind="literal", value=_NOW)
        collation = column.collation
        if collation is not None and collation.upper() in _COLLATIONS:
            collation = collation.upper()
        columns.append(msgspec.structs.replace(column, default=default, collation=collation))
    return msgspec.structs.replace(table, columns=tuple(columns))


def _finish(sql: str, table: Table, *, own: bool) -> str:
    """Add the checks of enums, and the options that SQLite's own tables had."""
    body, closing, _ = sql.rstrip().rpartition(")")
    for column in table.columns:
        if column.type.name == "enum" and column.type.labels:
            labels = ", ".join(literal(label) for label in column.type.labels)
            body = f"{body.rstrip()},\n\tCHECK ({quote(column.name)} IN ({labels}))\n"
    options: list[str] = []
    if own and "without_rowid" in table.details and table.primary_key is not None:
        options.append("WITHOUT ROWID")
    if own and "strict" in table.details:
        options.append("STRICT")
    return f"{body}{closing}{' ' if options else ''}{', '.join(options)}"


def default_text(logical: LogicalType, value: str) -> str | None:
    """Write the SQL of a literal default; None where SQLite has no such value."""
    if logical.name == "timestamp_tz" and value == _NOW:
        return _UTC_NOW
    match stored_class(logical):
        case "integer" if logical.name == "boolean":
            return {"true": "1", "false": "0"}.get(value)
        case "integer" | "real":
            return value if _NUMBER.fullmatch(value) else None
        case "blob":
            digits = value.removeprefix("\\x")
            return f"x'{digits}'" if re.fullmatch(r"([0-9a-fA-F]{2})*", digits) else None
        case "any":
            return None
        case _:
            return literal(value)


def sequence_value(sequence: Sequence) -> int:
    """Give the last number that a sequence has handed out, or the one before its first."""
    if sequence.last_value is None:
        return 0
    if sequence.is_called:
        return sequence.last_value
    return sequence.last_value - sequence.increment
