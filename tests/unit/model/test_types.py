"""The closed list of logical types and the storage that each has."""

from __future__ import annotations

from typing import get_args

import pyarrow as pa
import pytest

from dbsync.model.types import (
    LogicalType,
    TypeName,
    decimal,
    integer,
    parse_storage,
    standard_storage,
)

EVERY_TYPE = [
    *(integer(bits, unsigned=unsigned) for bits in (8, 16, 32, 64) for unsigned in (False, True)),
    *(LogicalType(name="float", bits=bits) for bits in (32, 64)),
    *(decimal(p, s) for p, s in ((1, 0), (38, 38), (38, 0), (39, 2), (10, -2), (3, 5))),
    *(
        LogicalType(name=name)
        for name in get_args(TypeName)
        if name not in ("integer", "float", "decimal")
    ),
]


@pytest.mark.parametrize("logical", EVERY_TYPE, ids=str)
def test_every_logical_type_has_a_storage_that_arrow_reads_back(logical: LogicalType):
    """The storage name of each type parses, and Arrow writes the same name for the result."""
    name = standard_storage(logical)
    assert str(parse_storage(name)) == name


@pytest.mark.parametrize(("precision", "scale"), [(39, 2), (10, -2), (3, 5), (0, 0)])
def test_decimals_that_parquet_readers_would_round_travel_as_text(precision: int, scale: int):
    """Beyond 38 digits, or with a scale outside the precision, a decimal is stored as text."""
    assert standard_storage(decimal(precision, scale)) == "string"


def test_decimals_within_38_digits_keep_their_precision_and_scale():
    """An ordinary decimal is stored as decimal128 with the declared digits."""
    assert parse_storage(standard_storage(decimal(38, 38))) == pa.decimal128(38, 38)
    assert parse_storage(standard_storage(decimal(10, 2))) == pa.decimal128(10, 2)


@pytest.mark.parametrize("name", ["", "int65", "timestamp[ns]", "decimal256(50, 2)", "list<int8>"])
def test_storage_names_outside_the_closed_list_are_refused(name: str):
    """A storage that archive v1 does not know raises ValueError instead of being guessed."""
    with pytest.raises(ValueError, match="unknown storage type"):
        parse_storage(name)


@pytest.mark.parametrize(
    ("logical", "text"),
    [
        (integer(32), "integer32"),
        (integer(64, unsigned=True), "unsigned integer64"),
        (decimal(10, 2), "decimal(10,2)"),
        (LogicalType(name="string", length=40), "string(40)"),
        (LogicalType(name="timestamp_tz"), "timestamp_tz"),
        (LogicalType(name="array", element=integer(32)), "array of integer32"),
    ],
)
def test_types_are_named_with_their_parameters_in_messages(logical: LogicalType, text: str):
    """The text of a type shows what distinguishes it in the loss report."""
    assert str(logical) == text
