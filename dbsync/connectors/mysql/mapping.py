"""Which MySQL type a column of a foreign archive gets, and the spelling of its default.

What lives here: the MySQL column of ``formats/types-v1.md``. Must not know: what exists on the
target, or connections.

Choices that need their reasons:

- ``timestamp_tz`` becomes ``timestamp(6)``, not ``datetime(6)``: it keeps the meaning of a moment
  for every session's time zone, and comes back as ``timestamp_tz``. Its range ends in 2038 (2106
  from MariaDB 11.5), so a later or earlier moment is refused before the first write; whoever has
  such moments makes the column DATETIME(6), which takes them in UTC.
- ``timestamp`` becomes ``datetime``, which knows no zone, in the years 1 to 9999.
- Text without a length is ``longtext``. A key needs a column of known length, so text in a key is
  a ``varchar`` of as many characters as the key has room for; longer values are refused.
- ``numeric``, and decimals beyond 65 digits, are kept as text: every digit stays.
- ``json`` is MariaDB's JSON, which is text. MySQL's own JSON rewrites what it is given (order of
  keys, repeated keys, spaces, digits), so there the text is kept in ``longtext``.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from dbsync.connectors.mysql.capacity import Capacity, capacity, refuse_misfits
from dbsync.connectors.mysql.connection import quote_literal
from dbsync.errors import LossError
from dbsync.model.schema import Column, Table, effective_type
from dbsync.model.types import LogicalType, standard_storage
from dbsync.model.values import standardize, to_text

if TYPE_CHECKING:
    from dbsync.connectors.mysql.flavour import Flavour

TypeText = tuple[str, str | None]
"""The type, and how it differs from the logical type, if it does."""

KEY_BYTES = 3072
"""The longest key of InnoDB with its row format DYNAMIC and pages of 16 KiB."""
_ROW_BYTES = 65_535 - 8
"""The longest row, not counting what TEXT and BLOB hold; less what NULL flags may take."""
_BYTES_OF_CHARACTER = 4
_MOST_DIGITS = 65
_ENUM_LABELS, _ENUM_LABEL_LENGTH, _ENUM_BYTES = 65_535, 255, 30_000
_TEXTS = (("tinytext", 255), ("text", 65_535), ("mediumtext", 2**24 - 1), ("longtext", 2**32 - 1))
_PLAIN = {"boolean": "tinyint(1)", "date": "date"}
_TEMPORAL = {"time": "time", "timestamp": "datetime", "timestamp_tz": "timestamp"}
_FIXED = {
    "tinyint": 1, "smallint": 2, "int": 4, "bigint": 8, "float": 4, "double": 8, "date": 3,
    "time": 6, "datetime": 8, "timestamp": 7, "uuid": 16, "enum": 2,
}  # fmt: skip

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


FUNCTIONS = {
    "current_timestamp": "(CURRENT_TIMESTAMP(6))",
    "current_date": "(CURRENT_DATE)",
    "current_time": "(CURRENT_TIME(6))",
    "random_uuid": "(UUID())",
}
"""The portable functions of defaults, as expressions, which fit columns of any type."""


def column_types(table: Table, flavour: Flavour) -> dict[str, TypeText]:
    """Give the type of every column of a table, by name; see `type_text`.

    What no single column knows is settled here: the length of text in keys, and the row's, for
    which VARCHARs beyond it become TEXT, the longest first.
    """
    room = key_room(table)
    types = {c.name: type_text(c, flavour, key_bytes=room.get(c.name)) for c in table.columns}
    sizes = {name: _row_bytes(text) for name, (text, _) in types.items()}
    for column in sorted(table.columns, key=lambda c: -sizes[c.name]):
        if sum(sizes.values()) <= _ROW_BYTES:
            break
        text = types[column.name][0]
        if text.startswith("var") and column.name not in room:
            shorter = _long(effective_type(column))
            types[column.name] = (shorter, f"{text} becomes {shorter}: a row has 65,535 bytes")
            sizes[column.name] = _row_bytes(shorter)
    return types


def key_room(table: Table) -> dict[str, int]:
    """Say how many bytes each text or binary column has in the keys that it is part of.

    Counted are the primary key, unique constraints and indexes, foreign keys, and the columns that
    the table's own foreign keys refer to. A key that other tables refer to is one of these. Plain
    indexes are left out: they can be built over the beginning of a text.
    """
    keys = [k.columns for k in (table.primary_key, *table.uniques) if k is not None]
    keys += [f.columns for f in table.foreign_keys]
    keys += [f.referred_columns for f in table.foreign_keys if f.referred == table.name]
    keys += [
        tuple(part.column for part in index.columns if part.column is not None)
        for index in table.indexes
        if index.unique and index.portable
    ]
    types = {c.name: effective_type(c) for c in table.columns}
    room: dict[str, int] = {}
    for key in keys:
        parts = [types[name] for name in key if name in types]
        long = [name for name in key if name in types and _has_length(types[name])]
        # Short texts leave the rest to the others, so that no declared length is cut in vain.
        left = KEY_BYTES - 16 * (len(parts) - len(long))
        for number, name in enumerate(sorted(long, key=lambda name: _wanted(types[name]))):
            share = left // (len(long) - number)
            given = min(share, _wanted(types[name]))
            left -= given
            room[name] = min(room.get(name, KEY_BYTES), given)
    return room


def type_text(column: Column, flavour: Flavour, *, key_bytes: int | None = None) -> TypeText:
    """Give the MySQL type of a column, and how it differs, if it does.

    `key_bytes` is the room of a column that is part of a key (`key_room`).
    """
    logical = effective_type(column)
    if logical.name in _PLAIN:
        return _PLAIN[logical.name], None
    match logical.name:
        case "integer":
            return _integer(logical), None
        case "float":
            return ("float" if logical.bits == 32 else "double"), None
        case "decimal":
            return _decimal(logical, flavour, key_bytes)
        case "string":
            return _string(logical, key_bytes)
        case "binary":
            return _binary(logical, key_bytes)
        case "time" | "timestamp" | "timestamp_tz":
            return _temporal(logical)
        case "uuid":
            return _uuid(flavour)
        case "json":
            return _json(flavour, key_bytes)
        case "enum":
            return _enum(logical, key_bytes)
        case _:
            return _as_text(logical, key_bytes, "MySQL has no such type")


def _decimal(logical: LogicalType, flavour: Flavour, key_bytes: int | None) -> TypeText:
    precision, scale = logical.precision or 0, logical.scale or 0
    wide = max(precision, scale) - min(scale, 0)
    if not 1 <= wide <= _MOST_DIGITS or scale > flavour.largest_scale:
        limit = f"at most 65 digits, {flavour.largest_scale} of them after the point"
        return _as_text(logical, key_bytes, f"a decimal has {limit}")
    text = f"decimal({wide},{max(scale, 0)})"
    return text, f"{logical} becomes {text}" if wide != precision else None


def _string(logical: LogicalType, key_bytes: int | None) -> TypeText:
    if key_bytes is not None:
        most = key_bytes // _BYTES_OF_CHARACTER
        if logical.length is not None and logical.length <= most:
            return f"varchar({logical.length})", None
        return f"varchar({most})", f"{logical} becomes varchar({most}), the longest for this key"
    if logical.length is None:
        return "longtext", None
    if logical.length * _BYTES_OF_CHARACTER + 2 <= _ROW_BYTES:
        return f"varchar({logical.length})", None
    text = _long(logical)
    return text, f"{logical} becomes {text}"


def _binary(logical: LogicalType, key_bytes: int | None) -> TypeText:
    if key_bytes is not None:
        length = min(key_bytes, logical.length or key_bytes)
        change = f"{logical} becomes varbinary({length}), the longest for this key"
        return f"varbinary({length})", None if length == logical.length else change
    if logical.length is None:
        return "longblob", None
    if logical.length + 2 <= _ROW_BYTES:
        return f"varbinary({logical.length})", None
    text = _long(logical)
    return text, f"{logical} becomes {text}"


def _temporal(logical: LogicalType) -> TypeText:
    digits = 6 if logical.precision is None else min(logical.precision, 6)
    name = _TEMPORAL[logical.name]
    text = f"{name}({digits})" if digits else name
    change = (
        f"{logical.precision} fractional digits become 6" if (logical.precision or 0) > 6 else None
    )
    return text, change


def _json(flavour: Flavour, key_bytes: int | None) -> TypeText:
    logical = LogicalType(name="json")
    if key_bytes is not None:
        return _as_text(logical, key_bytes, "a key needs a length")
    if flavour.json_is_text:
        return "json", None
    return _as_text(logical, None, "MySQL's own JSON would rewrite it")


def _enum(logical: LogicalType, key_bytes: int | None) -> TypeText:
    labels = logical.labels
    exact = (
        0 < len(labels) <= _ENUM_LABELS
        and all(len(label) <= _ENUM_LABEL_LENGTH for label in labels)
        and not any(label.endswith(" ") or "\0" in label for label in labels)
        and sum(len(label.encode()) + 2 for label in labels) <= _ENUM_BYTES
    )
    if exact:
        return f"enum({','.join(quote_literal(label) for label in labels)})", None
    longest = max((len(label) for label in labels), default=0)
    length = longest if 0 < longest * _BYTES_OF_CHARACTER < _ROW_BYTES else None
    text, _ = _string(LogicalType(name="string", length=length), key_bytes)
    return text, f"enum becomes {text}: its labels are beyond what ENUM can hold"


def _as_text(logical: LogicalType, key_bytes: int | None, reason: str) -> TypeText:
    text, _ = _string(LogicalType(name="string"), key_bytes)
    return text, f"{logical} becomes {text}: {reason}"


def _has_length(logical: LogicalType) -> bool:
    return logical.name not in (
        "boolean", "integer", "float", "date", "time", "timestamp", "timestamp_tz", "uuid", "enum",
    )  # fmt: skip


def _integer(logical: LogicalType) -> str:
    name = {8: "tinyint", 16: "smallint", 32: "int"}.get(logical.bits or 64, "bigint")
    return f"{name} unsigned" if logical.unsigned else name


def _uuid(flavour: Flavour) -> TypeText:
    if flavour.uuid_type:
        return "uuid", None
    return "char(36)", "uuid becomes text of 36 characters: there is no type UUID here"


def _wanted(logical: LogicalType) -> int:
    """Say how many bytes a text or binary column would take in a key."""
    if logical.length is None:
        return KEY_BYTES
    return logical.length * (1 if logical.name == "binary" else _BYTES_OF_CHARACTER)


def _long(logical: LogicalType) -> str:
    """Name the shortest TEXT or BLOB that holds what a declared length allows."""
    width = 1 if logical.name == "binary" else _BYTES_OF_CHARACTER
    wanted = (logical.length or 2**32) * width
    text = next((name for name, size in _TEXTS[1:] if wanted <= size), "longtext")
    return text.replace("text", "blob") if logical.name == "binary" else text


def _row_bytes(text: str) -> int:
    """Say how much of the longest row a type may take."""
    held = capacity(text)
    if held.kind in ("varchar", "char"):
        return (held.length or 0) * _BYTES_OF_CHARACTER + 2
    if held.kind in ("varbinary", "binary"):
        return (held.length or 0) + 2
    if held.kind == "decimal":
        return (held.precision or 10) // 2 + 4
    return _FIXED.get(held.kind, 12)


def literal_default(
    column: Column, value: str, flavour: Flavour, *, type_name: str | None = None
) -> str | None:
    """Spell a literal default, whose text is in the canonical form of the column's type.

    `type_name` is the column's type on the target, where `column_types` gave another one than
    `type_text` would. None where the default is no value of the column, or beyond what the type
    can hold.
    """
    logical = effective_type(column)
    held = capacity(
        type_name or type_text(column, flavour)[0],
        charset="utf8mb4",
        last_second=flavour.last_timestamp,
    )
    if logical.name == "boolean":
        return {"true": "1", "false": "0", "1": "1", "0": "0"}.get(value.lower())
    if logical.name == "binary":
        if re.fullmatch(r"\\x(?:[0-9a-f]{2})*", value) is None:
            return None
        spelled = f"x'{value[2:]}'"
    elif (text := _default_text(column, logical, value, held)) is None:
        return None
    else:
        number = logical.name in ("integer", "float", "decimal") and not held.is_text
        spelled = text if number and _NUMBER.fullmatch(text) else quote_literal(text)
    bare = flavour.literal_defaults_of_texts or not held.is_large
    return spelled if bare else f"({spelled})"


def _default_text(column: Column, logical: LogicalType, value: str, held: Capacity) -> str | None:
    """Write a default as the server reads it; None where it is no value of the column.

    SQLite takes any text for a default, and other engines some that MySQL has no value for.
    """
    import pyarrow as pa

    if logical.name == "json":
        try:
            json.loads(value)
        except ValueError:
            return None
        return value
    if logical.name == "enum" and held.kind == "enum":
        return value if value in logical.labels else None
    standard = replace(column, type=logical, storage=standard_storage(logical))
    try:
        read, literals = standardize(pa.array([value], pa.string()), None, standard, "")
        if held.is_text:
            text = to_text(read, logical) if literals is None else literals
            refuse_misfits(text, held, column.name, "")
            return text[0].as_py()
        if literals is not None:
            return value if logical.name == "time" and value == "24:00:00" else None
        if pa.types.is_timestamp(read.type):
            # The wall clock of UTC, which every session here has.
            read = read.view(pa.int64()).view(pa.timestamp("us"))
        refuse_misfits(read, held, column.name, "")
    except LossError:
        return None
    shown = LogicalType(name="timestamp") if logical.name == "timestamp_tz" else logical
    return to_text(read, shown)[0].as_py()
