"""Values of each logical type as those of a column of Treasure Data: equal, or refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import msgpack
import pyarrow as pa
import pytest

from dbsync.connectors.treasuredata.mapping import Sink, type_of
from dbsync.connectors.treasuredata.types import parse_type
from dbsync.connectors.treasuredata.values import converted, fits_by_type, possible, seconds
from dbsync.errors import LossError
from dbsync.model.schema import Column
from dbsync.model.types import LogicalType, integer, parse_storage, standard_storage
from dbsync.model.values import make_exceptions
from tests.formats.types_document import TYPES
from tests.unit.connectors.treasuredata.loading import column

FLOAT, DOUBLE = LogicalType(name="float", bits=32), LogicalType(name="float", bits=64)


def into(kind: str, one: Column) -> Sink:
    """Send a column to one of a type."""
    return Sink(column=one, name="c", type=parse_type(kind))


def sent(kind: str, logical: LogicalType, values: list[Any], exceptions: Any = None) -> list[Any]:
    """Convert values of a logical type in its standard storage."""
    one = column("c", logical)
    array = pa.array(values, parse_storage(one.storage))
    return converted(into(kind, one), array, exceptions, "t").to_pylist()


def test_booleans_are_ones_and_zeros() -> None:
    """There is no boolean; an int says the same."""
    assert sent("int", LogicalType(name="boolean"), [True, False, None]) == [1, 0, None]


@pytest.mark.parametrize(("kind", "bits"), [("int", 32), ("long", 64)])
def test_integers_are_kept_to_their_ends(kind: str, bits: int) -> None:
    """The least and the greatest integer of each type arrive."""
    least, most = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    assert sent(kind, integer(bits), [least, most, None]) == [least, most, None]


def test_unsigned_integers_beyond_a_long_are_refused_and_counted() -> None:
    """What a long cannot hold is an error with table, column and count."""
    logical = integer(64, unsigned=True)
    assert sent("long", logical, [2**63 - 1, None]) == [2**63 - 1, None]
    with pytest.raises(LossError, match=r"table t, column c: 2 values cannot be integer64"):
        sent("long", logical, [2**63, 2**64 - 1, 5])


def test_integers_beyond_an_int_are_refused() -> None:
    """A table that exists may have a narrower column than the archive."""
    assert sent("int", integer(64), [2**31 - 1, -(2**31)]) == [2**31 - 1, -(2**31)]
    with pytest.raises(LossError, match="1 value cannot be integer32"):
        sent("int", integer(64), [2**31, 0])
    with pytest.raises(LossError, match="1 value cannot be integer32"):
        sent("int", integer(64), [-(2**31) - 1, None])


def test_floats_arrive_with_what_is_no_number() -> None:
    """NaN, infinities and the smallest numbers are values of float and double."""
    (nan, *rest) = sent("double", DOUBLE, [float("nan"), float("inf"), 5e-324, -0.0])
    assert nan != nan
    assert [str(value) for value in rest] == ["inf", "5e-324", "-0.0"]
    assert sent("double", FLOAT, [0.5, None]) == [0.5, None]
    with pytest.raises(LossError, match="1 value cannot be float32"):
        sent("float", DOUBLE, [0.1, 0.5])


def test_integers_and_decimals_become_floats_only_where_they_are_equal() -> None:
    """A column of doubles that exists takes whole numbers, but never rounds one."""
    assert sent("double", integer(64), [2**53, None]) == [2.0**53, None]
    with pytest.raises(LossError, match="1 value cannot be float64"):
        sent("double", integer(64), [2**53 + 1])


TEXTS: list[tuple[str, list[Any], list[str]]] = [
    ("decimal(10,2)", [1.10], ["1.10"]),
    ("numeric", ["1.1000", "NaN"], ["1.1000", "NaN"]),
    ("binary", [b"\x00\xff", b""], ["\\x00ff", "\\x"]),
    ("date", [date(2024, 2, 29)], ["2024-02-29"]),
    ("timestamp", [datetime(2024, 2, 29, 23, 59, 59, 500_000)], ["2024-02-29 23:59:59.5"]),
    ("timestamp_tz", [datetime(1970, 1, 1, tzinfo=UTC)], ["1970-01-01 00:00:00+00"]),
    ("uuid", [b"\x6b" * 16], ["6b6b6b6b-6b6b-6b6b-6b6b-6b6b6b6b6b6b"]),
    ("json", ['{"b": 1.10}'], ['{"b": 1.10}']),
    ("interval", ["1 mon"], ["1 mon"]),
    ("string", ["a\0b", "😀"], ["a\0b", "😀"]),
]


@pytest.mark.parametrize(("logical", "values", "texts"), TEXTS)
def test_what_has_no_type_is_canonical_text(
    logical: str, values: list[Any], texts: list[str]
) -> None:
    """Types that the service lacks travel as the text of types-v1.md."""
    if logical.startswith("decimal"):
        values = [pa.scalar(value).cast(pa.decimal128(10, 2)).as_py() for value in values]
    assert sent("string", TYPES[logical], [*values, None]) == [*texts, None]


def test_literals_are_text_like_the_others() -> None:
    """Values that the storage cannot hold (an infinite date, NaN) are text here, so they arrive."""
    odd = make_exceptions(2, [1], "literal", [b"infinity"])
    found = sent("string", LogicalType(name="date"), [date(2024, 1, 1), None], odd)
    assert found == ["2024-01-01", "infinity"]


def test_values_of_another_class_are_refused() -> None:
    """What SQLite holds besides a column's type is refused, with the value."""
    odd = make_exceptions(2, [1], "text", [b"\xff"])
    with pytest.raises(LossError, match="table t, column c: 1 value cannot be string"):
        sent("string", LogicalType(name="string"), ["a", None], odd)


NESTED: list[tuple[str, str, Any]] = [
    ("array<long>", "[1,null,9223372036854775807]", [1, None, 2**63 - 1]),
    ("array<string>", '["a",null,"NaN"]', ["a", None, "NaN"]),
    (
        "array<double>",
        '[0.1,"Infinity",null,"-Infinity"]',
        [0.1, float("inf"), None, -float("inf")],
    ),
    ("array<array<int>>", "[[1],[],null]", [[1], [], None]),
    ("map<string,double>", '{"a":1,"b":"-Infinity"}', {"a": 1.0, "b": -float("inf")}),
    ("map<long,array<string>>", '{"-7":["x"]}', {-7: ["x"]}),
    ("map<double,string>", '{"0.5":"x"}', {0.5: "x"}),
]


@pytest.mark.parametrize(("kind", "text", "value"), NESTED)
def test_arrays_and_maps_are_what_they_were(kind: str, text: str, value: Any) -> None:
    """The JSON by which they travel becomes an array or a map again, of the right types."""
    (found, nothing) = sent(kind, LogicalType(name="json"), [text, None])
    assert nothing is None
    assert msgpack.unpackb(found, strict_map_key=False) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("array<long>", "[9223372036854775808]"),
        ("array<long>", '["1"]'),
        ("array<long>", "{}"),
        ("array<long>", "null"),
        ("array<long>", "[1"),
        ("array<int>", "[2147483648]"),
        ("array<double>", '["much"]'),
        ("map<long,string>", '{"x":"y"}'),
        ("array<string>", "[1]"),
    ],
)
def test_json_of_another_shape_is_refused(kind: str, text: str) -> None:
    """What is no value of the type is counted, never turned into NULL."""
    with pytest.raises(LossError, match="1 value cannot be"):
        sent(kind, LogicalType(name="json"), [text, None])


MOMENTS: list[tuple[LogicalType, list[Any], list[int]]] = [
    (integer(64), [-5, 2**40], [-5, 2**40]),
    (integer(16), [7], [7]),
    (LogicalType(name="date"), [date(1970, 1, 2), date(1969, 12, 31)], [86_400, -86_400]),
    (LogicalType(name="timestamp"), [datetime(1970, 1, 1, 0, 0, 1, 999_999)], [1]),
    (LogicalType(name="timestamp"), [datetime(1969, 12, 31, 23, 59, 59, 500_000)], [-1]),
    (LogicalType(name="timestamp_tz"), [datetime(2024, 2, 29, tzinfo=UTC)], [1_709_164_800]),
]


@pytest.mark.parametrize(("logical", "values", "wanted"), MOMENTS)
def test_time_is_in_whole_seconds(
    logical: LogicalType, values: list[Any], wanted: list[int]
) -> None:
    """Dates and timestamps are cut down to the second, before 1970 as well."""
    one = column("c", logical)
    array = pa.array(values, parse_storage(one.storage))
    found = seconds(one, array, None, "t")
    assert (found.type, found.to_pylist()) == (pa.int64(), wanted)


def test_rows_without_a_time_are_refused() -> None:
    """NULL, an infinity, or an integer beyond 64 bits cannot be the time of a row."""
    one = column("c", integer(64, unsigned=True))
    with pytest.raises(LossError, match="2 values that are NULL") as failure:
        seconds(one, pa.array([1, None, None], pa.uint64()), None, "t")
    assert "--td-time-column" in (failure.value.hint or "")
    with pytest.raises(LossError, match="1 value cannot be the time"):
        seconds(one, pa.array([2**63], pa.uint64()), None, "t")
    odd = make_exceptions(1, [0], "literal", [b"infinity"])
    with pytest.raises(LossError, match="1 value cannot be the time"):
        seconds(column("c", LogicalType(name="date")), pa.array([None], pa.date32()), odd, "t")


@pytest.mark.parametrize("name", TYPES)
def test_what_is_said_to_fit_by_type_fits(name: str) -> None:
    """A column that is not examined before the import never refuses an ordinary value."""
    logical = TYPES[name]
    one = column("c", logical)
    for kind in ("int", "long", "float", "double", "string"):
        sink = into(kind, one)
        if not fits_by_type(sink):
            continue
        storage = parse_storage(one.storage)
        values: list[Any] = [None]
        if pa.types.is_integer(storage):
            bits = (logical.bits or 64) - (not logical.unsigned)
            values += [0 if logical.unsigned else -(2**bits), 2**bits - 1]
        converted(sink, pa.array(values, storage), None, "t")
    assert fits_by_type(into("string", one)) == (one.storage == standard_storage(logical))
    assert fits_by_type(into(str(type_of(one, "")[0]), one)) == (name != "unsigned integer64")


def test_columns_that_can_never_take_a_value_are_known_before() -> None:
    """A column that exists and could hold no value of the archive's is refused in the plan."""
    assert possible(column("c", integer(64)), parse_type("double"))
    assert not possible(column("c"), parse_type("long"))
    assert not possible(column("c", LogicalType(name="date")), parse_type("double"))
    assert possible(column("c", LogicalType(name="json")), parse_type("array<long>"))
    assert not possible(column("c"), parse_type("array<long>"))
