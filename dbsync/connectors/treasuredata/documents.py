"""Arrays and maps of msgpack rows as JSON text, in which form they travel.

What lives here: the conversion, a whole column of a buffer at once in C of msgspec. Must not know:
rows, other columns.

The text is compact. NaN and the infinities, which JSON has not, become the strings NaN, Infinity
and -Infinity; integers keep all their digits; keys of maps are strings, as JSON demands.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np
import pyarrow as pa

from dbsync.connectors.gathering import gather
from dbsync.connectors.treasuredata.first_bytes import NIL
from dbsync.connectors.treasuredata.types import TdType

if TYPE_CHECKING:
    from dbsync.connectors.treasuredata.first_bytes import Bytes, Positions

_NO_NUMBER = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]|\xca[\x7f\xff][\x80-\xff]")
"""Where a float may be no number: the exponent's bits are all set (IEEE 754)."""

_ENCODER = msgspec.json.Encoder()
_TEXT = (0xD9, 0xDA, 0xDB)


class DocumentDecoder:
    """Decodes one column of arrays or maps."""

    def __init__(self, kind: TdType):
        hint = _hint(kind)
        self._float = _has_floats(kind)
        self._values: msgspec.msgpack.Decoder[list[Any]] = msgspec.msgpack.Decoder(
            list[hint | None]
        )
        self._document: msgspec.json.Decoder[Any] = msgspec.json.Decoder(hint)

    def decode(
        self, buffer: bytearray, kinds: Bytes, begins: Positions, ends: Positions
    ) -> pa.StringArray:
        """Convert the values that stand in `buffer`; nil becomes NULL.

        A text is taken for the JSON of a value. Raises ValueError for what is not of the type.
        """
        if not len(kinds):
            return pa.array([], pa.string())
        nulls = kinds == NIL
        is_text = ((kinds >= 0xA0) & (kinds < 0xC0)) | np.isin(kinds, _TEXT)
        packed = gather(buffer, begins, ends, None)
        if is_text.any():
            values = [self._either(value.as_py()) for value in packed]
        else:
            content = packed.buffers()[2].to_pybytes()
            values = self._values.decode(b"\xdd" + len(kinds).to_bytes(4, "big") + content)
            if self._float and _NO_NUMBER.search(content):
                values = [_named(value) for value in values]
        # Compact JSON holds no line break, so that one call writes the whole column.
        lines = bytearray(_ENCODER.encode_lines(values))
        breaks = np.flatnonzero(np.frombuffer(lines, np.uint8) == 10)
        starts = np.concatenate(([0], breaks[:-1] + 1))
        return gather(lines, starts, breaks, nulls).view(pa.string())

    def _either(self, packed: bytes) -> Any:
        value = msgspec.msgpack.decode(packed)
        if isinstance(value, str):
            return self._document.decode(value)
        # Once more, by the type.
        return _named(self._values.decode(b"\x91" + packed)[0])


def _hint(kind: TdType) -> Any:
    """Write a type as msgspec checks it."""
    match kind.name:
        case "array":
            return list[_hint(cast("TdType", kind.element)) | None]
        case "map":
            value = _hint(cast("TdType", kind.element)) | None
            return dict[_hint(cast("TdType", kind.key)), value]
        case "int" | "long":
            return int
        case "float" | "double":
            return float
        case _:
            return str


def _has_floats(kind: TdType) -> bool:
    parts = (kind.element, kind.key)
    return kind.name in ("float", "double") or any(p is not None and _has_floats(p) for p in parts)


def _named(value: Any) -> Any:
    """Put names in place of floats that are no numbers."""
    if isinstance(value, float):
        return value if math.isfinite(value) else _name(value)
    if isinstance(value, list):
        return [_named(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        items = cast("dict[Any, Any]", value).items()
        return {_named(key): _named(item) for key, item in items}
    return value


def _name(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
