"""From storage to the standard form: exactly, or refused with the place and an example."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from dbsync.errors import LossError
from dbsync.model.types import LogicalType, decimal, integer, parse_storage, standard_storage
from dbsync.model.values import make_exceptions, standard_type, standardize, to_text
from tests.unit.model.test_types import EVERY_TYPE
from tests.unit.model.values.building import column, padded, standard

BOOLEAN, UUID, JSON = (LogicalType(name=name) for name in ("boolean", "uuid", "json"))
DATE, TIME = LogicalType(name="date"), LogicalType(name="time")
TIMESTAMP, TIMESTAMP_TZ = LogicalType(name="timestamp"), LogicalType(name="timestamp_tz")
FLOAT32, FLOAT64 = LogicalType(name="float", bits=32), LogicalType(name="float", bits=64)
NUMERIC, STRING, ANY = (LogicalType(name=name) for name in ("numeric", "string", "any"))
BINARY = LogicalType(name="binary")
AS_TEXT = ("numeric", "string", "json", "enum", "array", "interval", "time_tz", "native")
INT64 = st.integers(-(2**63), 2**63 - 1)


def converted(
    values: pa.Array, logical: LogicalType, exceptions: pa.StructArray | None = None
) -> tuple[list[Any], list[str | None] | None]:
    """Standardize and give Python values, and literals where there are some."""
    found, literals = standardize(values, exceptions, column(logical, str(values.type)), "t")
    return found.to_pylist(), None if literals is None else literals.to_pylist()


def lost(values: pa.Array, logical: LogicalType, exceptions: pa.StructArray | None = None) -> str:
    """Standardize what cannot be, and give the message."""
    with pytest.raises(LossError) as caught:
        standardize(values, exceptions, column(logical, str(values.type)), "shop.t")
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize("logical", EVERY_TYPE, ids=str)
def test_values_of_the_standard_type_are_passed_on_as_they_are(logical: LogicalType):
    """No copy is made where storage is standard and nothing is exceptional."""
    values = pa.nulls(3, parse_storage(standard_storage(logical)))
    found, literals = standardize(values, None, column(logical, str(values.type)), "t")
    assert found is values
    assert literals is None


@pytest.mark.parametrize("storage", ["int64", "double", "string", "binary"])
def test_a_column_without_a_type_keeps_its_own_storage(storage: str):
    """``any`` means whatever the source stores; every other type has one standard form."""
    assert standard_type(column(ANY, storage)) == parse_storage(storage)
    assert standard_type(column(DATE, storage)) == pa.date32()


@pytest.mark.parametrize("logical", EVERY_TYPE, ids=str)
@pytest.mark.parametrize("storage", ["int64", "double", "string", "binary", "bool", "date32[day]"])
def test_null_is_null_whatever_the_storage(logical: LogicalType, storage: str):
    """A column of NULLs, or of nothing, converts between any two types."""
    target = standard_type(column(logical, storage))
    for length in (0, 2):
        found, literals = standardize(
            pa.nulls(length, parse_storage(storage)), None, column(logical, storage), "t"
        )
        assert (found.type, found.null_count, literals) == (target, length, None)


# From integers


@given(st.lists(st.none() | st.integers(-1, 2)))
def test_booleans_are_zero_and_one(values: list[int | None]):
    """SQLite's 0 and 1 are false and true; any other number is counted as lost."""
    bad = [value for value in values if value not in (0, 1, None)]
    array = padded(values, pa.int64())
    if bad:
        assert f"column c: {len(bad)} value" in lost(array, BOOLEAN)
    else:
        assert converted(array, BOOLEAN) == (
            [None if value is None else bool(value) for value in values],
            None,
        )


@given(st.lists(INT64, min_size=1), st.sampled_from([8, 16, 32, 64]), st.booleans())
def test_integers_keep_their_value_or_are_refused(values: list[int], bits: int, unsigned: bool):
    """Every width accepts exactly its own range."""
    low, high = (0, 2**bits) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    bad = [value for value in values if not low <= value < high]
    array, logical = padded(values, pa.int64()), integer(bits, unsigned=unsigned)
    if bad:
        assert f": {len(bad)} value" in lost(array, logical)
    else:
        assert converted(array, logical)[0] == values


@given(st.lists(INT64 | st.integers(2**53 - 3, 2**53 + 3), min_size=1))
@example([2**63 - 1])
@example([2**63 - 512, -(2**63)])
@example([-(2**63), 2**63 - 1024, 2**53, -(2**53)])
def test_integers_become_doubles_only_where_they_are_equal(values: list[int]):
    """2^53 + 1 has no double; 2^63 - 1024 has one; rounding up to 2^63 is not equality."""
    bad = [value for value in values if int(float(value)) != value]
    array = padded(values, pa.int64())
    if bad:
        assert f": {len(bad)} value" in lost(array, FLOAT64)
    else:
        assert converted(array, FLOAT64)[0] == values


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1))
@example([2**64 - 1])
@example([2**64 - 2048, 2**63])
def test_unsigned_integers_become_doubles_only_where_they_are_equal(values: list[int]):
    """The same for the upper half of 64 unsigned bits."""
    array = padded(values, pa.uint64())
    if any(int(float(value)) != value for value in values):
        lost(array, FLOAT64)
    else:
        assert converted(array, FLOAT64)[0] == values


@given(st.lists(INT64, min_size=1))
def test_integers_become_numbers_with_a_point_exactly(values: list[int]):
    """An integer fits a wide decimal and any numeric; a narrow decimal refuses by range."""
    array = padded(values, pa.int64())
    assert converted(array, decimal(21, 2))[0] == [Decimal(value) for value in values]
    assert converted(array, NUMERIC)[0] == [str(value) for value in values]
    assert converted(array, decimal(60, 2))[0] == [str(value) for value in values]
    bad = [value for value in values if abs(value) >= 10**8]
    if bad:
        assert f": {len(bad)} value" in lost(array, decimal(10, 2))


# From doubles


@given(st.lists(st.floats() | st.integers(-5, 5).map(float), min_size=1))
@example([2.0**63])
@example([-(2.0**63), -0.0])
@example([math.nan])
def test_doubles_become_integers_only_where_they_are_whole_and_in_range(values: list[float]):
    """2.0 is 2; 2.5, NaN, infinities and 2^63 are refused."""
    bad = [v for v in values if not (v.is_integer() and -(2.0**63) <= v < 2.0**63)]
    array = padded(values, pa.float64())
    if bad:
        assert f": {len(bad)} value" in lost(array, integer(64))
    else:
        assert converted(array, integer(64))[0] == [int(value) for value in values]


@given(st.lists(st.floats() | st.floats(width=32), min_size=1))
@example([1e39])
@example([0.1])
@example([math.nan, math.inf, -0.0])
def test_doubles_become_narrow_floats_only_where_they_are_equal(values: list[float]):
    """A double that 32 bits cannot hold is refused, also one that would become infinite."""
    single = pa.array(values, pa.float64()).cast(pa.float32(), safe=False).to_pylist()
    bad = [v for v, s in zip(values, single, strict=True) if s != v and not math.isnan(v)]
    array = padded(values, pa.float64())
    if bad:
        assert f": {len(bad)} value" in lost(array, FLOAT32)
    else:
        assert [repr(v) for v in converted(array, FLOAT32)[0]] == [repr(v) for v in values]


@given(st.lists(st.integers(-(10**15) + 1, 10**15 - 1), min_size=1), st.integers(0, 15))
def test_decimals_of_15_digits_survive_as_doubles(values: list[int], scale: int):
    """What a decimal column of SQLite stores as REAL comes back digit for digit."""
    exact = [Decimal(value).scaleb(-scale) for value in values]
    array = padded([float(value) for value in exact], pa.float64())
    assert converted(array, decimal(15, scale))[0] == exact


def test_doubles_with_more_digits_than_the_scale_are_refused():
    """Nothing is rounded to the scale; NaN is a literal, an infinity has no place in a decimal."""
    assert "such as the double '1.115'" in lost(pa.array([1.5, 1.115]), decimal(10, 2))
    assert lost(pa.array([1e9]), decimal(10, 2))
    assert lost(pa.array([math.inf]), decimal(10, 2))
    assert converted(pa.array([math.nan, 1.1]), decimal(10, 2)) == (
        [None, Decimal("1.10")],
        ["NaN", None],
    )


@given(st.lists(st.floats(), min_size=1))
def test_doubles_become_numeric_text_by_their_shortest_digits(values: list[float]):
    """Plain digits, never an exponent, and the same number as the shortest text of the double."""
    found = converted(padded(values, pa.float64()), NUMERIC)[0]
    for value, written in zip(values, found, strict=True):
        if math.isfinite(value):
            assert Decimal(written) == Decimal(repr(value))
            assert "e" not in written.lower()
        else:
            assert written in ("NaN", "Infinity", "-Infinity")


def test_numbers_in_a_json_column_are_json_numbers():
    """SQLite turns the JSON text 1.5 into a number; it is the same document again as text."""
    exceptions = make_exceptions(3, [1, 2], ["integer", "real"], [b"-7", b"1.5"])
    stored = pa.array(["[]", None, None])
    assert converted(stored, JSON, exceptions) == (["[]", "-7", "1.5"], None)
    assert "real 'Infinity'" in lost(
        pa.array([None], pa.string()), JSON, make_exceptions(1, [0], "real", [b"Infinity"])
    )


# From text


@given(st.lists(st.none() | st.integers(-(2**31), 2**31 - 1), max_size=20))
@example([0, 2_932_897, -719_163])
def test_every_date_reads_back_from_its_text(days: list[int | None]):
    """Dates of five million years in both directions are read exactly."""
    array = pa.array(days, pa.int32()).cast(pa.date32())
    assert standard(to_text(array, DATE), DATE).equals(array)


@given(st.lists(st.none() | INT64 | st.integers(-(10**16), 10**16), max_size=20), st.booleans())
def test_every_timestamp_reads_back_from_its_text(micros: list[int | None], zoned: bool):
    """The whole range of 64 bits is read exactly, with blank or ``T`` between date and time."""
    logical = TIMESTAMP_TZ if zoned else TIMESTAMP
    array = pa.array(micros, pa.int64()).cast(parse_storage(standard_storage(logical)))
    written = to_text(array, logical)
    assert standard(written, logical).equals(array)
    other = [None if t is None else t.replace(" ", "T", 1) for t in written.to_pylist()]
    assert standard(padded(other, pa.string()), logical).equals(array)


@given(st.lists(st.none() | st.integers(0, 86_399_999_999), max_size=20))
def test_every_time_reads_back_from_its_text(micros: list[int | None]):
    """Times of day are read exactly to the microsecond."""
    array = pa.array(micros, pa.int64()).cast(pa.time64("us"))
    assert standard(to_text(array, TIME), TIME).equals(array)


@pytest.mark.parametrize(
    ("logical", "text"),
    [
        (DATE, "infinity"),
        (DATE, "-infinity"),
        (TIMESTAMP, "infinity"),
        (TIMESTAMP_TZ, "-infinity"),
        (TIMESTAMP, "294276-12-31 23:59:59.999999"),
        (TIMESTAMP_TZ, "294276-12-31 23:59:59.999999+00"),
        (TIME, "24:00:00"),
        (decimal(10, 2), "NaN"),
    ],
)
def test_text_of_values_beyond_arrow_is_a_literal(logical: LogicalType, text: str):
    """The value is NULL and its text stands beside it; its neighbours are not touched."""
    other = {"date": "2020-01-01", "time": "01:00:00", "decimal": "5"}.get(logical.name)
    other = other or ("2020-01-01 00:00:00+00" if logical is TIMESTAMP_TZ else "2020-01-01")
    values, literals = converted(padded([other, text, None], pa.string()), logical)
    assert values[0] is not None
    assert values[1:] == [None, None]
    assert literals == [None, text, None]


@pytest.mark.parametrize(
    ("logical", "text"),
    [
        (DATE, "2020-02-30"),
        (DATE, "2020-01-01 00:00:00"),
        (DATE, "01/02/2020"),
        (DATE, "NaN"),
        (TIMESTAMP, "2020-01-01 00:00:00+00"),
        (TIMESTAMP, "2020-01-01 00:00:00.1234567"),
        (TIMESTAMP, "1577836800"),
        (TIMESTAMP_TZ, "2020-01-01 00:00:00"),
        (TIME, "25:00:00"),
        (TIME, "12"),
        (UUID, "12345678-1234-1234-1234-1234567890a"),
        (UUID, "12345678-1234-1234-1234-1234567890ag"),
        (BOOLEAN, "maybe"),
        (BOOLEAN, "1"),
        (integer(64), "007"),
        (integer(64), "0x10"),
        (integer(64), "1.0"),
        (integer(32), "2147483648"),
        (FLOAT64, "0.10000000000000000555"),
        (FLOAT64, "1e400"),
        (FLOAT64, "one"),
        (decimal(10, 2), "1.005"),
        (decimal(10, 2), "Infinity"),
        (decimal(10, 2), "123456789.00"),
        (decimal(10, 2), ""),
        (BINARY, "abc"),
    ],
)
def test_text_that_means_no_value_is_refused(logical: LogicalType, text: str):
    """The message names table, column, how many, the type and an example."""
    message = lost(padded([None, text, text], pa.string()), logical)
    assert message == (
        f"table shop.t, column c: 2 values cannot be {logical} without loss, "
        f"such as the string {text!r}"
    )


@pytest.mark.parametrize(
    ("logical", "text", "value"),
    [
        (BOOLEAN, "true", True),
        (BOOLEAN, "false", False),
        (integer(64, unsigned=True), "18446744073709551615", 2**64 - 1),
        (FLOAT64, "-Infinity", -math.inf),
        (FLOAT64, "1.10", 1.1),
        (FLOAT32, "0.1", 0.10000000149011612),
        (decimal(10, 2), "1.1", Decimal("1.10")),
        (decimal(10, 2), "-1.5e1", Decimal("-15.00")),
    ],
)
def test_canonical_text_is_read(logical: LogicalType, text: str, value: object):
    """What `to_text` writes, and other spellings of the same number, are the value again."""
    assert converted(padded([text, None], pa.string()), logical) == ([value, None], None)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("1.50", "1.50"),
        ("1e3", "1000"),
        ("+1.5E-3", "0.0015"),
        ("007", "7"),
        ("-0e0", "0"),
        ("-Infinity", "-Infinity"),
        ("abc", None),
        ("1_000", None),
        ("1e999999", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("logical", [NUMERIC, decimal(50, 2)], ids=str)
def test_numeric_text_among_numbers_is_spelled_plainly(
    logical: LogicalType, text: str, plain: str | None
):
    """A text in a column of numbers counts as the number that it spells, or is refused."""
    values = padded([1.0, None], pa.float64())
    exceptions = make_exceptions(2, [1], "text", [text.encode()])
    if plain is None:
        assert f"text {text!r}" in lost(values, logical, exceptions)
    else:
        assert converted(values, logical, exceptions) == (["1", plain], None)


@given(st.text(alphabet="0123456789", min_size=1, max_size=1000), st.integers(0, 999))
def test_numeric_text_of_any_length_is_kept_digit_for_digit(digits: str, point: int):
    """A thousand digits pass as they are, but for leading zeros."""
    text = f"1{digits[:point]}.{digits[point:] or '0'}"
    assert converted(pa.array([text]), NUMERIC)[0] == [text]


def test_many_bad_values_among_good_ones_are_counted():
    """A batch with bad days at several places is read around them."""
    texts = [f"2020-02-{day:02d}" for day in range(1, 32)] * 3
    assert ": 6 values" in lost(pa.array(texts), DATE)


# Between standard types


def test_exact_types_widen_and_narrow_where_values_allow():
    """An archive's decimal, integer, float, boolean or date fits another column's type."""
    cents = pa.array([Decimal("1.50"), None], pa.decimal128(10, 2))
    assert converted(cents, decimal(12, 3))[0] == [Decimal("1.500"), None]
    assert converted(cents, NUMERIC)[0] == ["1.50", None]
    assert "decimal128(10, 2) '1.50'" in lost(cents, integer(32))
    assert lost(cents, decimal(10, 0))
    assert converted(pa.array([Decimal("7.00")]), integer(8))[0] == [7]
    assert converted(pa.array([1.5, None], pa.float32()), FLOAT64)[0] == [1.5, None]
    assert converted(pa.array([True, None]), integer(32))[0] == [1, None]
    midnight = standard(pa.array([18262], pa.int32()).cast(pa.date32()), TIMESTAMP)
    assert to_text(midnight, TIMESTAMP).to_pylist() == ["2020-01-01 00:00:00"]


@pytest.mark.parametrize("logical", EVERY_TYPE, ids=str)
def test_bytes_are_only_ever_binary(logical: LogicalType):
    """A blob in a column of another type is refused, even where its bytes look like text."""
    blob = pa.array([b"1", None], pa.binary())
    if logical.name in ("binary", "any"):
        assert converted(blob, logical)[0] == [b"1", None]
    else:
        assert "such as the binary '31'" in lost(blob, logical)


@pytest.mark.parametrize("name", ["string", "enum", "array", "interval", "time_tz", "native"])
def test_numbers_never_become_text_silently(name: str):
    """A number in a column of text is another value than its digits."""
    assert lost(pa.array([1, None]), LogicalType(name=name))  # type: ignore[arg-type]
    assert lost(pa.array([1.5]), LogicalType(name=name))  # type: ignore[arg-type]


# Exceptions


def test_exceptions_become_values_where_they_are_equal():
    """SQLite's integers among reals, and NaN written as text, are doubles after all."""
    exceptions = make_exceptions(5, [0, 2, 3], ["integer", "text", "text"], [b"7", b"NaN", b"0.5"])
    values = padded([None, 1.5, None, None, None], pa.float64())
    found, literals = converted(values, FLOAT64, exceptions)
    assert found[:2] + found[3:] == [7.0, 1.5, 0.5, None]
    assert math.isnan(found[2])
    assert literals is None


def test_literals_stay_literals_beside_those_that_text_gives():
    """Literals of the source and values that turn out to be literals come in one array."""
    exceptions = make_exceptions(4, [1, 2], ["literal", "text"], [b"infinity", b"2020-01-02"])
    values = pa.array(["-infinity", None, None, "2020-01-01"])
    found, literals = converted(values, DATE, exceptions)
    assert [None if v is None else v.isoformat() for v in found] == [
        None,
        None,
        "2020-01-02",
        "2020-01-01",
    ]
    assert literals == ["-infinity", "infinity", None, None]


def test_failures_among_values_and_exceptions_are_counted_together():
    """The count covers both, and the example is the first row that fails."""
    exceptions = make_exceptions(4, [3, 1], ["text", "blob"], [b"x", b"\xff"])
    values = pa.array([5, None, 1, None])
    assert lost(values, BOOLEAN, exceptions) == (
        "table shop.t, column c: 3 values cannot be boolean without loss, such as the int64 '5'"
    )
    assert "the blob 'ff'" in lost(pa.array([1, None, 1, None]), BOOLEAN, exceptions)


def test_text_that_is_not_utf8_is_refused_and_shown_escaped():
    """SQLite allows any bytes in text; other engines do not."""
    exceptions = make_exceptions(3, [0, 1], "text", [b"a\xff", b"good"])
    message = lost(pa.array([None, None, "x"]), STRING, exceptions)
    assert "1 value cannot be string without loss, such as the text 'a\\\\xff'" in message


def test_an_example_is_shortened_or_left_out():
    """A long value is cut; without examples the message shows no value at all."""
    values = pa.array(["x" * 500])
    assert "x" * 60 + "..." in lost(values, DATE)
    assert "x" * 61 not in lost(values, DATE)
    with pytest.raises(LossError) as caught:
        standardize(values, None, column(DATE), "t", example=False)
    assert caught.value.message == "table t, column c: 1 value cannot be date without loss"


@given(st.data())
def test_exceptions_mean_what_the_same_values_mean_in_a_column_of_their_class(
    data: st.DataObject,
):
    """Integers, reals and texts convert alike whether they are the storage or exceptions."""
    logical = data.draw(st.sampled_from([t for t in EVERY_TYPE if t.name != "any"]))
    texts = st.sampled_from(["1", "true", "NaN", "2020-01-01", "12:00:00", "infinity", "x", "1.5"])
    kind, values, raw, storage = data.draw(
        st.sampled_from(
            [
                ("integer", st.integers(-3, 300), lambda v: str(v).encode(), pa.int64()),
                ("real", st.sampled_from([0.5, 2.0, math.inf]), _real, pa.float64()),
                ("text", texts, str.encode, pa.string()),
                ("blob", st.binary(max_size=2), bytes, pa.binary()),
            ]
        )
    )
    drawn = data.draw(st.lists(values, min_size=1, max_size=5))
    direct = _outcome(pa.array(drawn, storage), None, logical)
    rows, length = range(1, 2 * len(drawn), 2), 2 * len(drawn)
    sparse = make_exceptions(length, list(rows), kind, [raw(value) for value in drawn])
    nothing = pa.nulls(length, standard_type(column(logical)))
    assume(kind != "text" or nothing.type != pa.string())  # standard storage is trusted
    found = _outcome(nothing, sparse, logical)
    if isinstance(direct, str):
        assert isinstance(found, str)
        assert direct.split(", such as")[0] == found.split(", such as")[0]
    else:
        assert not isinstance(found, str)
        assert [repr(found[0][row]) for row in rows] == [repr(value) for value in direct[0]]
        literals = None if found[1] is None else [found[1][row] for row in rows]
        assert literals == direct[1]


def _real(value: float) -> bytes:
    return to_text(pa.array([value]), FLOAT64).to_pylist()[0].encode()


def _outcome(values: pa.Array, exceptions: pa.StructArray | None, logical: LogicalType):
    try:
        return converted(values, logical, exceptions)
    except LossError as loss:
        return loss.message


@pytest.mark.parametrize("name", AS_TEXT)
def test_text_exceptions_of_text_types_are_their_text(name: str):
    """A text among values of another storage is read as the type's own text."""
    exceptions = make_exceptions(2, [1], "text", [b"5"])
    logical = LogicalType(name=name)  # type: ignore[arg-type]
    assert converted(pa.array(["1", None]), logical, exceptions) == (["1", "5"], None)
