"""Keys by which a table can be cut into ranges: their columns, values and conditions.

What lives here: which key serves, how a value of one of its columns is written as a constant, and
the condition for everything from one key value on, or before it. Must not know: how the values
are chosen, connections.

A cut must sort on the server exactly as the index does, or rows would be in two ranges or in
none. That rules out columns whose constants compare by other rules than their index: enum, set,
bit, float; text of character sets that Unicode does not cover; dates that no calendar has, whose
comparison gives neither true nor false; and CHAR under a collation without padding, where MariaDB
10.11 finds a key like x'1F', which sorts before a blank, on neither side of itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Literal

import msgspec

from dbsync.connectors.mysql.connection import quote_literal, quote_name
from dbsync.connectors.mysql.information import RawColumn, RawIndex, RawTable
from dbsync.connectors.mysql.types import ColumnFacts, wholly_unicode

Kind = Literal["integer", "decimal", "text", "bytes", "date", "moment", "uuid"]
Value = int | str
"""A key's column: whole numbers as int; bytes as hexadecimal digits; all else as its text."""

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint"), "integer"),
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"), "text"),
    **dict.fromkeys(("binary", "varbinary", "tinyblob", "blob", "mediumblob"), "bytes"),
    "decimal": "decimal", "date": "date", "datetime": "moment", "timestamp": "moment",
    "uuid": "uuid",
}  # fmt: skip
_WIDE = frozenset({"ucs2", "utf16", "utf16le", "utf32"})
_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})*")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class KeyColumn(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a key; `scale` is that of a decimal, `folds` is for text without case."""

    name: str
    kind: Kind
    scale: int = 0
    folds: bool = False

    @property
    def selected(self) -> str:
        """What to select so that the answer is a `Value`."""
        name = quote_name(self.name)
        return f"HEX({name})" if self.kind == "bytes" else name

    def constant(self, value: Value) -> str:
        """Write a value as SQL that compares with the column as the index does.

        Raises ValueError for a value that no such constant exists for.
        """
        text = str(value)
        match self.kind:
            case "integer":
                return str(int(value))
            case "decimal" if _DECIMAL.fullmatch(text):
                return text
            case "bytes" if _HEX.fullmatch(text):
                return f"x'{text}'"
            case "date" | "moment" if _is_date(text):
                return quote_literal(text)
            case "text" | "uuid":
                return quote_literal(text)
            case _:
                raise ValueError(f"{text!r} cannot bound a range")


class RangeKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key whose first columns can bound ranges."""

    index: str
    columns: tuple[KeyColumn, ...]
    whole: bool
    """Whether they are all of the key's columns, so that no two rows have the same."""

    def from_on(self, bound: Sequence[Value]) -> str:
        """Write the condition for keys that sort at `bound` or after it."""
        return self._side(bound, ">", ">=")

    def before(self, bound: Sequence[Value]) -> str:
        """Write the condition for keys that sort before `bound`."""
        return self._side(bound, "<", "<")

    def between(self, low: Sequence[Value] | None, high: Sequence[Value] | None) -> str:
        """Write the condition ``low <= key < high``; an end that is None or empty is open."""
        sides = [self.from_on(low)] if low else []
        sides += [self.before(high)] if high else []
        return " AND ".join(sides) or "TRUE"

    def _side(self, bound: Sequence[Value], strict: str, last: str) -> str:
        # The optimizer finds no range in a comparison of whole rows, (a, b) >= (1, 2).
        (column, *_), value = self.columns, bound[0]
        names = [quote_name(column.name) for column in self.columns]
        constants = [c.constant(v) for c, v in zip(self.columns, bound, strict=False)]
        condition = f"{names[len(bound) - 1]} {last} {constants[-1]}"
        for name, constant in zip(names[: len(bound) - 1][::-1], constants[-2::-1], strict=True):
            condition = f"({name} {strict} {constant} OR ({name} = {constant} AND {condition}))"
        if len(bound) > 1:
            # Otherwise said only inside of an OR.
            condition = f"{names[0]} {strict}= {column.constant(value)} AND {condition}"
        return condition


def range_key(raw: RawTable) -> RangeKey | None:
    """Choose the primary key, else a unique key without NULLs, if its first column serves."""
    columns = {column.name: column for column in raw.columns}
    unique = [i for i in raw.indexes if i.unique and i.plain and i.kind == "BTREE"]
    unique.sort(key=lambda index: index.name != "PRIMARY")
    for index in unique:
        if any(columns[name].nullable for name in index.columns if name in columns):
            continue
        found = _serving(index, columns)
        if found:
            whole = len(found) == len(index.parts)
            return RangeKey(index=index.name, columns=found, whole=whole)
        if index.name == "PRIMARY":
            return None
    return None


def _serving(index: RawIndex, columns: dict[str, RawColumn]) -> tuple[KeyColumn, ...]:
    found: list[KeyColumn] = []
    for part in index.parts:
        column = columns.get(part.column or "")
        described = _key_column(column.name, column.facts) if column is not None else None
        if described is None or part.descending:
            break
        found.append(described)
    return tuple(found)


def _key_column(name: str, facts: ColumnFacts) -> KeyColumn | None:
    kind = _KINDS.get(facts.data_type)
    if kind is None or facts.is_json:
        return None
    folds = False
    if kind == "text":
        if not wholly_unicode(facts.charset) or facts.charset in _WIDE:
            return None
        collation = facts.collation or ""
        if facts.data_type == "char" and ("_nopad_" in collation or "_0900_" in collation):
            return None
        folds = not collation.endswith(("_bin", "_cs"))
    return KeyColumn(name=name, kind=kind, scale=facts.scale or 0, folds=folds)


def _is_date(text: str) -> bool:
    if not _DATE.match(text):
        return False
    try:
        date.fromisoformat(text[:10])
    except ValueError:
        return False
    return True
