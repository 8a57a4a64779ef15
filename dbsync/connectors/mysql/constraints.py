"""Keys, foreign keys, checks and indexes of a table, as far as the portable model has words.

What lives here: the choice of what any engine could build, and the losses where it is less than
what stands in the table. Must not know: native DDL but for the text of single indexes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from dbsync.connectors.mysql.information import (
    RawForeignKey,
    RawIndex,
    RawTable,
)
from dbsync.connectors.mysql.shown import Shown, ShownCheck
from dbsync.connectors.mysql.tokens import tokenize, unquoted
from dbsync.model.schema import (
    Action,
    Check,
    ForeignKey,
    Index,
    IndexColumn,
    Key,
    Loss,
    Name,
)

_ACTIONS: dict[str, Action] = {
    "NO ACTION": "no action", "RESTRICT": "restrict", "CASCADE": "cascade",
    "SET NULL": "set null", "SET DEFAULT": "set default",
}  # fmt: skip
_INTRODUCER = re.compile(r"_[a-z0-9]+", re.IGNORECASE)


class Narrowed:
    """The columns of one table that take part, and a note of whatever names others."""

    def __init__(self, raw: RawTable, columns: set[str], losses: list[Loss]):
        self.raw = raw
        self._columns = columns
        self._losses = losses

    def keeps(self, kind: str, name: str | None, columns: tuple[str, ...]) -> bool:
        """Say whether all of `columns` take part; note it as a loss where they do not."""
        gone = [column for column in columns if column not in self._columns]
        if gone:
            self.lose(kind, name, f"column {', '.join(gone)} was not chosen")
        return not gone

    def lose(
        self,
        kind: str,
        name: str | None,
        reason: str,
        severity: Literal["lost", "changed"] = "lost",
    ) -> None:
        """Note that something of the table is lost, or carried by native DDL only."""
        inner = f"{kind} {name}" if name else kind
        loss = Loss(object=f"{inner} of table {self.raw.name}", reason=reason, severity=severity)
        self._losses.append(loss)


def read_primary_key(table: Narrowed) -> Key | None:
    """Give the primary key. One over prefixes holds for whole values as well."""
    index = table.raw.primary_key
    if index is None or not table.keeps("primary key", None, index.columns):
        return None
    return Key(columns=index.columns)


def read_uniques(table: Narrowed) -> tuple[Key, ...]:
    """Give the unique keys over whole columns."""
    return tuple(
        Key(columns=index.columns, name=index.name)
        for index in table.raw.indexes
        if is_unique_key(index) and table.keeps("unique key", index.name, index.columns)
    )


def is_unique_key(index: RawIndex) -> bool:
    """Say whether an index is what other engines call a unique constraint."""
    straight = not any(part.descending for part in index.parts)
    return index.unique and index.plain and straight and index.name != "PRIMARY"


def read_indexes(table: Narrowed, shown: Shown | None) -> tuple[Index, ...]:
    """Give all other indexes; `shown` has the text of those that are not portable."""
    special = any(not index.plain for index in table.raw.indexes)
    definitions = shown.indexes if shown is not None and special else {}
    indexes: list[Index] = []
    for index in table.raw.indexes:
        if index.name == "PRIMARY" or is_unique_key(index):
            continue
        used = index.columns + tuple(_columns_in(index, table.raw))
        if not table.keeps("index", index.name, used):
            continue
        indexes.append(
            Index(
                name=index.name,
                columns=tuple(
                    IndexColumn(
                        column=part.column, expression=part.expression, descending=part.descending
                    )
                    for part in index.parts
                ),
                unique=index.unique,
                portable=index.plain,
                definition=None if index.plain else definitions.get(index.name),
            )
        )
    return tuple(indexes)


def _columns_in(index: RawIndex, raw: RawTable) -> set[str]:
    return {
        name
        for part in index.parts
        if part.expression is not None
        for name in columns_of(part.expression, raw)
    }


def columns_of(expression: str, raw: RawTable) -> tuple[str, ...]:
    """Name the columns that an expression of the server looks at, which it quotes."""
    quoted = {token.identifier for token in tokenize(expression) if token.kind == "name"}
    return tuple(column.name for column in raw.columns if column.name in quoted)


def read_checks(table: Narrowed, checks: Iterable[ShownCheck]) -> tuple[Check, ...]:
    """Give the checks whose columns take part."""
    return tuple(
        Check(expression=_standard(check.expression), name=check.name)
        for check in checks
        if table.keeps(
            "check", check.name or check.expression, columns_of(check.expression, table.raw)
        )
    )


def _standard(clause: str) -> str:
    """Write the strings of an expression as standard SQL does, where that is possible.

    ``_utf8mb4`` before them, which MySQL writes, is dropped, and a quote that is escaped becomes
    two. A string with a backslash in it stays as it is.
    """
    tokens = tokenize(clause)
    kept: list[str] = []
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.kind == "string":
            text = unquoted(token.text)
            plain = token.text[0] == "'" and "\\" not in text
            kept.append("'" + text.replace("'", "''") + "'" if plain else token.text)
        elif (
            token.kind != "word"
            or following is None
            or following.kind != "string"
            or not _INTRODUCER.fullmatch(token.text)
        ):
            kept.append(token.text)
    return "".join(kept)


def read_foreign_keys(
    table: Narrowed,
    keys: Iterable[RawForeignKey],
    database: str,
    tables: Mapping[str, RawTable],
) -> tuple[ForeignKey, ...]:
    """Give those of `keys` that refer to `tables`, which take part; the others are losses.

    InnoDB lets a foreign key refer to columns that are not unique. No other engine does.
    """
    found: list[ForeignKey] = []
    for key in keys:
        if not table.keeps("foreign key", key.name, key.columns):
            continue
        if key.schema != database:
            table.lose(
                "foreign key",
                key.name,
                f"it refers to {key.schema}.{key.table}, in another database; only native DDL"
                " carries it",
                "changed",
            )
        elif key.table not in tables:
            table.lose("foreign key", key.name, f"it refers to {key.table}, which is not selected")
        elif not _refers_to_key(key, tables[key.table]):
            listed = ", ".join(key.referred_columns)
            table.lose(
                "foreign key",
                key.name,
                f"it refers to {key.table} ({listed}), which need not be unique; only native DDL"
                " carries it",
                "changed",
            )
        else:
            found.append(
                ForeignKey(
                    columns=key.columns,
                    referred=Name(None, key.table),
                    referred_columns=key.referred_columns,
                    name=key.name,
                    on_update=_ACTIONS.get(key.on_update, "no action"),
                    on_delete=_ACTIONS.get(key.on_delete, "no action"),
                )
            )
    return tuple(found)


def _refers_to_key(key: RawForeignKey, referred: RawTable) -> bool:
    wanted = set(key.referred_columns)
    return any(
        index.unique and index.plain and set(index.columns) == wanted for index in referred.indexes
    )
