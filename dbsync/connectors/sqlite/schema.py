"""Reading the definitions of an SQLite database into the portable model.

What lives here: PRAGMA results and `sqlite_master` turned into `Database`. Must not know: rows,
snapshots, the target. PRAGMAs: https://sqlite.org/pragma.html
"""

from __future__ import annotations

import msgspec

from dbsync.connectors.sqlite.catalog import Catalog, RawTable
from dbsync.connectors.sqlite.columns import arrow_bytes, choose, take_samples
from dbsync.connectors.sqlite.connection import Connection
from dbsync.connectors.sqlite.objects import losses, native_objects, sequences
from dbsync.connectors.sqlite.parse import TableText, parse_table, tokens
from dbsync.connectors.sqlite.partitions import estimate_rows
from dbsync.connectors.sqlite.selected import Chosen
from dbsync.model.schema import (
    Action,
    Check,
    Column,
    Database,
    Default,
    ForeignKey,
    Generated,
    Identity,
    Index,
    IndexColumn,
    Key,
    Name,
    Table,
    exceptions_names,
)
from dbsync.model.types import LogicalType

_ACTIONS: dict[str, Action] = {
    "NO ACTION": "no action", "RESTRICT": "restrict", "CASCADE": "cascade",
    "SET NULL": "set null", "SET DEFAULT": "set default",
}  # fmt: skip
_FUNCTIONS = {
    "CURRENT_TIMESTAMP": "current_timestamp",
    "CURRENT_DATE": "current_date",
    "CURRENT_TIME": "current_time",
}


def read_database(
    connection: Connection, catalog: Catalog, chosen: Chosen, *, include_schema: bool
) -> Database:
    """Describe the chosen tables as of the connection's open transaction."""
    tables = tuple(
        read_table(connection, catalog, raw, chosen, include_schema=include_schema)
        for raw in chosen.tables
    )
    details = {
        name: str(connection.value(f"PRAGMA {name}"))
        for name in ("user_version", "application_id", "encoding", "page_size", "auto_vacuum")
    }
    return Database(
        engine="sqlite",
        version=str(connection.value("SELECT sqlite_version()")),
        name=connection.location.path.stem,
        tables=tables,
        sequences=sequences(catalog, tables),
        native=native_objects(catalog, chosen, tables) if include_schema else (),
        losses=losses(catalog, chosen, tables) if include_schema else (),
        encoding={"UTF-8": "UTF8"}.get(details["encoding"], details["encoding"]),
        details=details,
    )


def read_table(
    connection: Connection, catalog: Catalog, raw: RawTable, chosen: Chosen, *, include_schema: bool
) -> Table:
    """Describe one table: its columns always, its constraints with `include_schema`."""
    text = parse_table(raw.sql)
    names = chosen.columns_of(raw)
    columns, row_bytes = _columns(connection, raw, text, names, include_schema=include_schema)
    kept = {column.name for column in columns}
    rows = estimate_rows(connection, raw)
    details = {
        key: value
        for key, value in (
            ("strict", "1" if raw.strict else ""),
            ("without_rowid", "1" if raw.without_rowid else ""),
            ("rowid", raw.rowid or ""),
            ("rowid_alias", raw.rowid_alias or ""),
            ("shadow_of", raw.shadow_of or ""),
        )
        if value
    }
    table = Table(
        name=Name(None, raw.name),
        columns=columns,
        primary_key=_primary_key(raw, text, kept),
        where=chosen.where_of(raw),
        all_columns=len(columns) == len(raw.columns),
        rows_estimate=rows,
        bytes_estimate=int(rows * row_bytes),
        details=details,
    )
    if not include_schema:
        return table
    return msgspec.structs.replace(
        table,
        uniques=_uniques(raw, text, kept),
        foreign_keys=_foreign_keys(catalog, raw, text, kept),
        checks=tuple(Check(expression=e, name=n) for n, e in text.checks),
        indexes=_indexes(raw, text, kept),
    )


def _columns(
    connection: Connection,
    raw: RawTable,
    text: TableText,
    names: tuple[str, ...] | None,
    *,
    include_schema: bool,
) -> tuple[tuple[Column, ...], float]:
    chosen = [c for c in raw.columns if names is None or c.name in names]
    samples = take_samples(connection, raw.name, [c.name for c in chosen])
    exceptions = exceptions_names([c.name for c in chosen])
    columns: list[Column] = []
    for column, sample in zip(chosen, samples, strict=True):
        extra = text.columns.get(column.name.lower())
        labels = _labels(column.name, text)
        kind = choose(column.declared, sample, strict=raw.strict, labels=labels)
        alias = column.name == raw.rowid_alias
        generated = None
        if column.hidden in (2, 3):
            expression = extra.generated if extra and extra.generated else ""
            generated = Generated(expression=expression, stored=column.hidden == 3)
        identity = None
        if alias:
            auto = extra is not None and extra.autoincrement
            sequence = Name(None, raw.name) if auto else None
            identity = Identity(kind="autoincrement" if auto else "rowid", sequence=sequence)
        forced = alias or (raw.without_rowid and column.pk > 0)
        collation = extra.collation if extra else None
        columns.append(
            Column(
                name=column.name,
                type=kind.type,
                native_type=column.declared,
                storage=kind.storage,
                exceptions=exceptions[column.name],
                nullable=not (column.notnull or forced),
                default=read_default(column.default, kind.type) if include_schema else None,
                generated=generated,
                identity=identity if include_schema else None,
                collation=collation if include_schema else None,
            )
        )
    return tuple(columns), arrow_bytes(samples)


def _labels(column: str, text: TableText) -> tuple[str, ...]:
    """Read the labels of an enum from the check that the target writes: ``c IN ('a', 'b')``."""
    for _, expression in text.checks:
        found = tokens(expression)
        if len(found) > 4 and found[0].name == column and found[1].word == "IN":
            strings = [token.name for token in found if token.kind == "string"]
            if len(found) == 3 + 2 * len(strings):
                return tuple(strings)
    return ()


def read_default(text: str | None, logical: LogicalType) -> Default | None:
    """Turn the text of a DEFAULT clause into the model; None for no default and for NULL."""
    if text is None:
        return None
    found = [token for token in tokens(text) if token.text not in "()"]
    if len(found) == 2 and found[0].text in "+-" and found[1].kind == "number":
        sign = "-" if found[0].text == "-" else ""
        return _number(sign + found[1].text, logical, text)
    if len(found) != 1:
        return Default(kind="native", value=text)
    token = found[0]
    if token.word == "NULL":
        return None
    if token.word in _FUNCTIONS:
        return Default(kind="function", value=_FUNCTIONS[token.word])
    if token.word in ("TRUE", "FALSE") and logical.name == "boolean":
        return Default(kind="literal", value=token.word.lower())
    if token.kind == "number":
        return _number(token.text, logical, text)
    if token.kind == "string" or (token.kind == "quoted" and token.text[0] == '"'):
        if logical.name in ("boolean", "integer", "float", "decimal", "numeric"):
            # The column's affinity makes a number of it, or keeps the digits as they are.
            return _number(token.name, logical, text)
        if logical.name in ("binary", "any"):
            return Default(kind="native", value=text)
        return Default(kind="literal", value=token.name)
    return Default(kind="native", value=text)


def _number(number: str, logical: LogicalType, text: str) -> Default:
    if logical.name == "boolean" and number in ("0", "1"):
        return Default(kind="literal", value="true" if number == "1" else "false")
    whole = number.removeprefix("-").isdigit()
    if logical.name in ("integer", "string") and whole:
        return Default(kind="literal", value=number)
    plain = number.removeprefix("-").replace(".", "", 1).isdigit()
    if logical.name in ("float", "decimal", "numeric") and plain:
        return Default(kind="literal", value=number)
    return Default(kind="native", value=text)


def _primary_key(raw: RawTable, text: TableText, kept: set[str]) -> Key | None:
    columns = raw.primary_key
    if not columns or not set(columns) <= kept:
        return None
    name = text.unique_names.get(tuple(c.lower() for c in columns))
    return Key(columns=columns, name=name)


def _uniques(raw: RawTable, text: TableText, kept: set[str]) -> tuple[Key, ...]:
    keys: list[Key] = []
    # PRAGMA index_list gives the newest first.
    for index in reversed(raw.indexes):
        columns = tuple(part.column for part in index.parts if part.column is not None)
        if index.origin == "u" and not index.partial and set(columns) <= kept:
            name = text.unique_names.get(tuple(c.lower() for c in columns))
            keys.append(Key(columns=columns, name=name))
    return tuple(keys)


def _foreign_keys(
    catalog: Catalog, raw: RawTable, text: TableText, kept: set[str]
) -> tuple[ForeignKey, ...]:
    keys: list[ForeignKey] = []
    extras = list(reversed(text.foreign_keys))
    for number, rows in sorted(raw.foreign_keys.items(), reverse=True):
        first = rows[0]
        referred = catalog.find(first.table)
        name = referred.name if referred else first.table
        actual = {c.name.lower(): c.name for c in referred.columns} if referred else {}
        implied = referred.primary_key if referred else ()
        to = tuple(
            actual.get(row.to.lower(), row.to) if row.to else (implied[i : i + 1] or ("",))[0]
            for i, row in enumerate(rows)
        )
        own = {c.name.lower(): c.name for c in raw.columns}
        columns = tuple(own.get(row.column.lower(), row.column) for row in rows)
        if not set(columns) <= kept or "" in to:
            continue
        extra = extras[number] if len(extras) == len(raw.foreign_keys) else None
        keys.append(
            ForeignKey(
                columns=columns,
                referred=Name(None, name),
                referred_columns=to,
                name=extra.name if extra else None,
                on_update=_ACTIONS.get(first.on_update, "no action"),
                on_delete=_ACTIONS.get(first.on_delete, "no action"),
                deferrable=extra is not None and extra.deferrable,
                initially_deferred=extra is not None and extra.initially_deferred,
            )
        )
    return tuple(keys)


def _indexes(raw: RawTable, text: TableText, kept: set[str]) -> tuple[Index, ...]:
    indexes: list[Index] = []
    for index in reversed(raw.indexes):
        if index.origin != "c":
            continue
        parts = tuple(
            IndexColumn(column=part.column, descending=part.descending)
            if part.column is not None
            else IndexColumn(expression="", descending=part.descending)
            for part in index.parts
        )
        if not {part.column for part in parts if part.column is not None} <= kept:
            continue
        plain = not index.partial and all(
            part.column is not None and part.collation == _collation(text, part.column)
            for part in index.parts
        )
        indexes.append(
            Index(
                name=index.name,
                columns=parts,
                unique=index.unique,
                portable=plain,
                definition=index.sql,
            )
        )
    return tuple(indexes)


def _collation(text: TableText, column: str) -> str:
    extra = text.columns.get(column.lower())
    return (extra.collation if extra and extra.collation else "BINARY").upper()
