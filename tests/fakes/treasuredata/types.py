"""Types of Treasure Data: of tables, of query results, and how an uploaded value meets one.

A table's types are int, long, float, double, string, array<T> and map<K,V>. Rows are uploaded as
msgpack without a schema, so a value that does not fit its column's type becomes text where text is
wanted and NULL elsewhere; the service does not complain, which is why clients must.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

import pyarrow as pa

_SIMPLE = {
    "int": ("INTEGER", pa.int32()),
    "long": ("BIGINT", pa.int64()),
    "float": ("FLOAT", pa.float32()),
    "double": ("DOUBLE", pa.float64()),
    "string": ("VARCHAR", pa.string()),
}
_TRINO = {
    "TINYINT": "tinyint",
    "SMALLINT": "smallint",
    "INTEGER": "integer",
    "BIGINT": "bigint",
    "HUGEINT": "bigint",
    "FLOAT": "real",
    "DOUBLE": "double",
    "VARCHAR": "varchar",
    "BOOLEAN": "boolean",
    "JSON": "json",
    "DATE": "date",
    "TIMESTAMP": "timestamp(3)",
}
# What msgpack can hold as it is; everything else travels as text.
_PACKED = re.compile(
    r"(TINYINT|SMALLINT|INTEGER|BIGINT|FLOAT|DOUBLE|VARCHAR|BOOLEAN|MAP|[][(), ])+"
)


def known(type_: str) -> bool:
    """Say whether a text is the type of a table's column."""
    try:
        storage(type_)
    except ValueError:
        return False
    return True


def storage(type_: str) -> str:
    """Return DuckDB's type for a table's type; raises ValueError."""
    if type_ in _SIMPLE:
        return _SIMPLE[type_][0]
    if type_.startswith("array<") and type_.endswith(">"):
        return storage(type_[6:-1]) + "[]"
    if type_.startswith("map<") and type_.endswith(">"):
        key, value = _split(type_[4:-1])
        return f"MAP({storage(key)}, {storage(value)})"
    raise ValueError(type_)


def arrow(type_: str) -> pa.DataType:
    """Return Arrow's type for a table's type."""
    if type_ in _SIMPLE:
        return _SIMPLE[type_][1]
    if type_.startswith("array<"):
        return pa.list_(arrow(type_[6:-1]))
    key, value = _split(type_[4:-1])
    return pa.map_(arrow(key), arrow(value))


def in_results(duck: str) -> tuple[str, str]:
    """Return a result column's type as the service names it, and the SQL type that is packed."""
    if duck == "HUGEINT":
        return "bigint", "BIGINT"
    if _PACKED.fullmatch(duck):
        return _trino(duck), duck
    return _trino(duck), "VARCHAR"


def coerce(value: Any, type_: str) -> Any:
    """Return an uploaded value as its column keeps it: text where wanted, else NULL if unfit."""
    if value is None:
        return None
    try:
        return _coerced(value, type_)
    except (ValueError, TypeError, OverflowError):
        return None


def column(values: list[Any], type_: str) -> pa.Array:
    """Return uploaded values as an Arrow array of a table's type."""
    wanted = arrow(type_)
    if type_ in _SIMPLE:  # Arrow would take a text for a list of its letters
        with suppress(pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, TypeError):
            return pa.array(values, wanted)
    return pa.array([coerce(value, type_) for value in values], wanted)


def guess(values: list[Any]) -> str:
    """Return the type that a column gets which no schema names, as the first value suggests."""
    for value in values:
        if value is not None:
            if isinstance(value, bool) or not isinstance(value, int | float):
                return "string"
            return "long" if isinstance(value, int) else "double"
    return "string"


def _coerced(value: Any, type_: str) -> Any:
    if type_ == "string":
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    if type_ in ("int", "long"):
        found = int(value)
        bits = 31 if type_ == "int" else 63
        return found if -(1 << bits) <= found < 1 << bits else None
    if type_ in ("float", "double"):
        return float(value)
    if type_.startswith("array<"):
        return [coerce(one, type_[6:-1]) for one in value] if isinstance(value, list) else None
    if not isinstance(value, dict):
        return None
    key, inner = _split(type_[4:-1])
    pairs = [(coerce(name, key), coerce(one, inner)) for name, one in value.items()]
    return [pair for pair in pairs if pair[0] is not None]


def _split(inner: str) -> tuple[str, str]:
    depth = 0
    for place, sign in enumerate(inner):
        depth += (sign in "<(") - (sign in ">)")
        if sign == "," and depth == 0:
            return inner[:place].strip(), inner[place + 1 :].strip()
    raise ValueError(inner)


def _trino(duck: str) -> str:
    if duck.endswith("[]"):
        return f"array({_trino(duck[:-2])})"
    if duck.startswith("MAP("):
        key, value = _split(duck[4:-1])
        return f"map({_trino(key)},{_trino(value)})"
    return _TRINO.get(duck, duck.lower())
