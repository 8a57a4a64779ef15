"""Arrays and maps: the JSON text by which they travel, as msgpack of their types.

What lives here: the one conversion that looks at values one by one, in C of msgspec. Must not
know: columns of other types, rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any

import msgspec
import pyarrow as pa

from dbsync.connectors.treasuredata.types import TdType
from dbsync.model.values import refuse
from dbsync.model.values.kernels import fresh

_SPECIAL = {name: float(name) for name in ("NaN", "Infinity", "-Infinity")}
_INT = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
_LONG = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


def pack_nested(text: pa.StringArray, kind: TdType, column: str, table: str) -> pa.BinaryArray:
    """Write the JSON text of arrays or maps as msgpack; NULL stays NULL.

    In floats the strings NaN, Infinity and -Infinity stand for what JSON has no number for.
    Raises `MisfitError` for text that is no JSON of this type.
    """
    decode = _decoder(kind).decode
    encode = msgspec.msgpack.Encoder().encode
    restore = _has_floats(kind)
    packed: list[bytes | None] = []
    odd: list[int] = []
    for row, value in enumerate(fresh(text).cast(pa.binary()).to_pylist()):
        if value is None:
            packed.append(None)
            continue
        try:
            found = decode(value)
            packed.append(encode(_restored(found, kind) if restore and b'"' in value else found))
        except (ValueError, OverflowError, RecursionError):
            packed.append(None)
            odd.append(row)
    if odd:
        rows = pa.array([row in set(odd) for row in range(len(text))])
        refuse(rows, column, table, f"cannot be {kind} in Treasure Data")
    return pa.array(packed, pa.binary())


@cache
def _decoder(kind: TdType) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(_python_type(kind))


def _python_type(kind: TdType) -> Any:
    match kind.name:
        case "int":
            return _INT
        case "long":
            return _LONG
        case "float" | "double":
            return float | str
        case "string":
            return str
        case "array":
            return list[_element(kind)]
        case "map":
            # JSON has no other keys than strings; in the form of a float they are read below.
            key = kind.key
            whole = key is not None and key.name in ("int", "long")
            return dict[_python_type(key) if key is not None and whole else str, _element(kind)]


def _element(kind: TdType) -> Any:
    return None if kind.element is None else _python_type(kind.element) | None


def _has_floats(kind: TdType | None) -> bool:
    if kind is None:
        return False
    return kind.name in ("float", "double") or _has_floats(kind.element) or _has_floats(kind.key)


def _restored(value: Any, kind: TdType | None) -> Any:
    """Put floats back for their names; raises ValueError for other strings among floats."""
    if value is None or kind is None:
        return value
    match kind.name:
        case "float" | "double":
            return _float(value)
        case "array":
            return [_restored(part, kind.element) for part in value]
        case "map":
            pairs: Iterable[tuple[Any, Any]] = value.items()
            floats = kind.key is not None and kind.key.name in ("float", "double")
            return {
                float(key) if floats else key: _restored(part, kind.element) for key, part in pairs
            }
        case _:
            return value


def _float(value: float | str) -> float:
    if isinstance(value, str):
        if value not in _SPECIAL:
            raise ValueError(value)
        return _SPECIAL[value]
    return value
