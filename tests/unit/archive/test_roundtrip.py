"""Rows to archive to rows, for rows that nobody would think of."""

from __future__ import annotations

import decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbsync.model.schema import Table
from dbsync.model.types import LogicalType, integer
from dbsync.model.types import decimal as decimal_type
from dbsync.model.values import EXCEPTIONS_TYPE
from tests.unit.archive.build import MODES, column, database, opened, table, write

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_KINDS: list[tuple[LogicalType, pa.DataType, st.SearchStrategy[Any]]] = [
    *(
        (integer(bits), pa.int64(), st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
        for bits in (8, 16, 32, 64)
    ),
    *(
        (integer(bits, unsigned=True), pa.uint64(), st.integers(0, 2**bits - 1))
        for bits in (8, 16, 32, 64)
    ),
    (LogicalType(name="boolean"), pa.bool_(), st.booleans()),
    (LogicalType(name="float", bits=64), pa.float64(), st.floats(allow_nan=False)),
    (LogicalType(name="float", bits=32), pa.float32(), st.floats(width=32, allow_nan=False)),
    (LogicalType(name="string"), pa.string(), _TEXT),
    (LogicalType(name="json"), pa.string(), _TEXT),
    (LogicalType(name="binary"), pa.binary(), st.binary(max_size=40)),
    (LogicalType(name="uuid"), pa.binary(16), st.binary(min_size=16, max_size=16)),
    (LogicalType(name="date"), pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    (LogicalType(name="time"), pa.int64(), st.integers(0, 86_399_999_999)),
    (LogicalType(name="timestamp"), pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (LogicalType(name="timestamp_tz"), pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    *(
        (
            decimal_type(precision, 2),
            pa.decimal128(precision, 2),
            st.integers(-(10**precision) + 1, 10**precision - 1).map(
                lambda n: decimal.Decimal(n).scaleb(-2, decimal.Context(prec=60))
            ),
        )
        for precision in (9, 18, 38)
    ),
]
_EXCEPTION = st.fixed_dictionaries(
    {"kind": st.sampled_from(["literal", "text", "blob"]), "value": st.binary(max_size=9)}
)


@st.composite
def contents(draw: st.DrawFn) -> tuple[Table, list[pa.RecordBatch]]:
    """Draw a table and batches for it, some with exceptions fields."""
    chosen = draw(st.lists(st.sampled_from(_KINDS), min_size=1, max_size=4))
    names = draw(st.lists(_TEXT, min_size=len(chosen), max_size=len(chosen), unique=True))
    names = [name.replace(":", ";") for name in names]
    if len(set(names)) < len(names):
        names = [f"c{i}" for i in range(len(names))]
    of = table("t", *(column(name, kind) for name, (kind, _, _) in zip(names, chosen, strict=True)))
    from dbsync.archive.layout import Layout

    fields = Layout(of).values
    batches: list[pa.RecordBatch] = []
    for _ in range(draw(st.integers(1, 3))):
        count = draw(st.integers(1, 12))
        arrays = [
            pa.array(
                draw(st.lists(st.none() | values, min_size=count, max_size=count)), plain
            ).cast(field.type)
            for field, (_, plain, values) in zip(fields, chosen, strict=True)
        ]
        fields_names = list(names)
        for name in draw(st.sets(st.sampled_from(names))):
            odd = draw(st.lists(st.none() | _EXCEPTION, min_size=count, max_size=count))
            arrays.append(pa.array(odd, EXCEPTIONS_TYPE))
            fields_names.append(f"{name}:exceptions")
        order = sorted(
            range(len(names), len(arrays)), key=lambda i: names.index(fields_names[i][:-11])
        )
        picked = [*range(len(names)), *order]
        batches.append(
            pa.RecordBatch.from_arrays(
                [arrays[i] for i in picked], names=[fields_names[i] for i in picked]
            )
        )
    return of, batches


def same(left: list[pa.RecordBatch], right: list[pa.RecordBatch], of: Table) -> bool:
    """Compare rows; a missing exceptions field is one full of NULLs."""
    names = [c.name for c in of.columns] + [c.exceptions for c in of.columns]

    def column_of(batches: list[pa.RecordBatch], name: str) -> pa.ChunkedArray:
        return pa.chunked_array(
            [
                b.column(b.schema.get_field_index(name))
                if name in b.schema.names
                else pa.nulls(b.num_rows, EXCEPTIONS_TYPE)
                for b in batches
            ]
        )

    return all(column_of(left, name).equals(column_of(right, name)) for name in names)


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=120, deadline=None)
@given(contents(), st.integers(1, 3))
def test_rows_come_back(mode, content, chunks):
    """Whatever the types, names, values and exceptions: the same rows, in the same order."""
    of, batches = content
    groups = [batches[i : i + chunks] for i in range(0, len(batches), chunks)]
    data = write(database(of), *((0, group) for group in groups))
    archive = opened(data, mode)
    assert archive.database.tables == (of,)
    found = [part for chunk in archive.chunks() for part in chunk.batches()]
    assert same(found, batches, of)
