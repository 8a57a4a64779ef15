"""Rows of msgpack in every form that the format allows, and what they must become."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import msgpack
from hypothesis import strategies as st

from dbsync.connectors.options import TreasureDataOptions
from dbsync.connectors.treasuredata.catalog import read_database
from dbsync.connectors.treasuredata.rows import batches
from dbsync.connectors.treasuredata.table_calls import TableState
from dbsync.model.schema import Table
from dbsync.model.selection import Selection

Row = tuple[bytes, ...]
"""Packed values, one for each column."""


def table_of(*types: str) -> Table:
    """Describe a table with columns c0, c1, ... of the types given, without time."""
    state = TableState(
        name="orders", id="1", columns=tuple((f"c{i}", kind) for i, kind in enumerate(types))
    )
    options = TreasureDataOptions(keep_time=False)
    return read_database("shop", [state], Selection(), options).tables[0]


def header(columns: int, *, width: int = 0) -> bytes:
    """Pack the header of a row, in the shortest form or with that many bytes of length."""
    if width == 4:
        return b"\xdd" + struct.pack(">I", columns)
    if width == 2 or columns > 15:
        return b"\xdc" + struct.pack(">H", columns)
    return bytes([0x90 + columns])


def packed(rows: Iterable[Row]) -> bytes:
    """Pack rows as the service does."""
    return b"".join(header(len(row)) + b"".join(row) for row in rows)


def decoded(
    table: Table, content: bytes, rows: int, *, cut: Sequence[int] = (), size: int = 64
) -> list[dict[str, Any]]:
    """Decode a result that arrives cut at the places given, in batches of about `size` bytes."""
    places = [0, *sorted(place % (len(content) + 1) for place in cut), len(content)]
    pieces = [content[begin:end] for begin, end in pairwise(places)]
    return [row for b in batches(pieces, table, rows, "7", size=size) for row in b.to_pylist()]


def expected(table: Table, content: bytes) -> list[dict[str, Any]]:
    """Say what rows mean according to msgpack's own reader."""
    unpacker = msgpack.Unpacker(raw=False, strict_map_key=False)
    unpacker.feed(content)
    return [
        {
            column.name: _meant(column.native_type, value)
            for column, value in zip(table.columns, row, strict=True)
        }
        for row in unpacker
    ]


def _meant(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind.startswith(("array", "map")):
        return json.loads(json.dumps(_named(value)))
    if kind == "float":
        return struct.unpack(">f", struct.pack(">f", value))[0]
    if kind == "double":
        return float(value)
    return value.decode() if isinstance(value, bytes) else value


def _named(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, list):
        return [_named(item) for item in value]
    return {k: _named(v) for k, v in value.items()} if isinstance(value, dict) else value


def comparable(rows: list[dict[str, Any]], table: Table) -> list[list[Any]]:
    """Make rows comparable: NaN equals NaN, and JSON text is what it says."""
    nested = {c.name for c in table.columns if c.type.name == "json"}
    return [
        [
            json.loads(value)
            if name in nested and isinstance(value, str)
            else "nan"
            if isinstance(value, float) and math.isnan(value)
            else (value, math.copysign(1, value))
            if isinstance(value, float)
            else value
            for name, value in row.items()
        ]
        for row in rows
    ]


# Bytes that look like the header of a row, so that rows seem to begin inside of values.
_TREACHEROUS = st.sampled_from([*range(0x90, 0xA0), 0xDC, 0x00, 0x01, 0x10, 0x28, 0xC0, 0xD9, 0xDB])
_EIGHT = st.lists(_TREACHEROUS, min_size=8, max_size=8).map(bytes)
NIL = st.just(b"\xc0")


def _fixed(code: int, form: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    return values.map(lambda value: bytes([code]) + struct.pack(form, value))


def integers(bits: int) -> st.SearchStrategy[bytes]:
    """Pack integers of a column in every width, also wider than they need."""
    forms = [
        st.integers(0, 127).map(lambda n: bytes([n])),
        st.integers(-32, -1).map(lambda n: bytes([n & 0xFF])),
        _fixed(0xCC, ">B", st.integers(0, 2**8 - 1)),
        _fixed(0xCD, ">H", st.integers(0, 2**16 - 1)),
        _fixed(0xCE, ">I", st.integers(0, 2 ** min(32, bits - 1) - 1)),
        _fixed(0xCF, ">Q", st.integers(0, 2 ** (bits - 1) - 1)),
        _fixed(0xD0, ">b", st.integers(-(2**7), 2**7 - 1)),
        _fixed(0xD1, ">h", st.integers(-(2**15), 2**15 - 1)),
        _fixed(0xD2, ">i", st.integers(-(2**31), 2**31 - 1)),
        _fixed(0xD3, ">q", st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)),
    ]
    if bits == 64:
        forms.append(_EIGHT.map(lambda eight: b"\xd3" + eight))
    return st.one_of(NIL, *forms)


FLOATS = st.one_of(
    NIL,
    _fixed(0xCA, ">f", st.floats(width=32)),
    _fixed(0xCB, ">d", st.floats()),
    _EIGHT.map(lambda eight: b"\xcb" + eight),
    _fixed(0xD2, ">i", st.integers(-(2**31), 2**31 - 1)),
)
# A column of floats is asked for as such: what arrives fits one.
NARROW_FLOATS = st.one_of(
    NIL,
    _fixed(0xCA, ">f", st.floats(width=32)),
    _fixed(0xCB, ">d", st.floats(width=32)),
)


def _text(value: str, width: int, *, binary: bool) -> bytes:
    content = value.encode()
    codes = {1: (0xC4, 0xD9, ">B"), 2: (0xC5, 0xDA, ">H"), 4: (0xC6, 0xDB, ">I")}
    if width == 0 and len(content) < 32 and not binary:
        return bytes([0xA0 + len(content)]) + content
    width = max(width, 1 if len(content) < 256 else 2)
    bin_code, str_code, form = codes[width]
    return bytes([bin_code if binary else str_code]) + struct.pack(form, len(content)) + content


_CHARACTERS = st.text(
    st.one_of(st.characters(codec="utf-8"), st.sampled_from("\u069a\u0710\u0711\u07dc")),
    max_size=40,
)
TEXTS = st.one_of(
    NIL,
    st.builds(
        lambda value, width, binary: _text(value, width, binary=binary),
        _CHARACTERS | _CHARACTERS.map(lambda t: t * 8),
        st.sampled_from([0, 1, 2, 4]),
        st.booleans(),
    ),
)


def _packs(values: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    return values.map(msgpack.packb)


_LONG = st.integers(-(2**63), 2**63 - 1)
BY_TYPE: dict[str, st.SearchStrategy[bytes]] = {
    "int": integers(32),
    "long": integers(64),
    "float": NARROW_FLOATS,
    "double": FLOATS,
    "string": TEXTS,
    "array<long>": _packs(st.none() | st.lists(st.none() | _LONG, max_size=20)),
    "array<double>": _packs(st.none() | st.lists(st.none() | st.floats(), max_size=20)),
    "map<string,string>": _packs(
        st.none() | st.dictionaries(_CHARACTERS, st.none() | _CHARACTERS, max_size=17)
    ),
    "map<long,array<string>>": _packs(
        st.none() | st.dictionaries(_LONG, st.lists(_CHARACTERS, max_size=3), max_size=3)
    ),
}
SCALARS = ("int", "long", "float", "double", "string")


@st.composite
def results(draw: st.DrawFn, kinds: Sequence[str]) -> tuple[Table, list[Row]]:
    """Draw a table of 1 to 40 columns and up to 60 rows of it."""
    types = draw(st.lists(st.sampled_from(list(kinds)), min_size=1, max_size=40))
    # Few different values make long results cheap to draw.
    pools = [draw(st.lists(BY_TYPE[kind], min_size=1, max_size=4)) for kind in types]
    count = draw(st.integers(0, 60))
    seed = draw(st.randoms(use_true_random=False))
    rows = [tuple(seed.choice(pool) for pool in pools) for _ in range(count)]
    return table_of(*types), rows
