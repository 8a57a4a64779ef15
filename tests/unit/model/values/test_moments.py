"""Dates and times beyond Arrow's parser: the calendar over its whole range."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbsync.model.values import moments

EPOCH = dt.date(1970, 1, 1).toordinal()


@given(st.dates())
def test_ordinary_dates_agree_with_pythons_calendar(date: dt.date):
    """Between the years 1 and 9999 both directions agree with `datetime`."""
    days = date.toordinal() - EPOCH
    assert moments.parse_date(date.isoformat()) == days
    assert moments.format_date(days) == date.isoformat()


@given(st.integers(-(2**31), 2**31 - 1))
def test_every_day_of_32_bits_reads_back(days: int):
    """Five million years in both directions survive their text."""
    assert moments.parse_date(moments.format_date(days)) == days


@given(st.integers(-(2**63), 2**63 - 1), st.booleans())
def test_every_microsecond_of_64_bits_reads_back(micros: int, zoned: bool):
    """Any timestamp that Arrow can hold survives its text, with and without a zone."""
    written = moments.format_timestamp(micros, zoned=zoned)
    assert moments.parse_timestamp(written, zoned=zoned) == micros


@given(st.integers(0, moments.DAY_US))
def test_every_time_of_day_reads_back(micros: int):
    """Midnight at the end of a day included."""
    assert moments.parse_time(moments.format_time(micros)) == micros


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01 00:00:00+00", 0),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01 00:00:00Z", 0),
        ("1970-01-01 00:00-0130", 5400),
        ("1969-12-31 23:52:30-00:07:30", 0),
        ("0001-01-01 00:00:00+00 BC", -62_167_219_200),
    ],
)
def test_offsets_are_taken_off(text: str, seconds: int):
    """Offsets with minutes and seconds, as historic zones have them, move the moment to UTC."""
    assert moments.parse_timestamp(text, zoned=True) == seconds * 1_000_000


@pytest.mark.parametrize(
    "text",
    [
        "2020-02-30",
        "2019-02-29",
        "1900-02-29",
        "2020-13-01",
        "2020-00-10",
        "2020-1-1",
        "0000-01-01 BC",
        "20-01-01",
        "2020-01-01 ",
        "2020-01-01\n",
        "\u0662020-01-01",
        "-0044-03-15",
        "01/02/2020",
        "",
        "today",
    ],
)
def test_what_is_no_date_is_refused(text: str):
    """Impossible days, other orders and loose spellings are never guessed."""
    assert moments.parse_date(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "2020-01-01 24:00:00",
        "2020-01-01 12:60:00",
        "2020-01-01 12:00:60",
        "2020-01-01 12:00:00.1234567",
        "2020-01-01 12",
        "2020-01-01  12:00:00",
        "2020-01-01 12:00:00+01",
        "2020-01-01 12:00:00Z",
        "2020-01-01 12:00:00 ",
        "2020-01-01t12:00:00",
        "now",
    ],
)
def test_what_is_no_timestamp_is_refused(text: str):
    """An offset, a seventh digit that counts and impossible times have no timestamp."""
    assert moments.parse_timestamp(text, zoned=False) is None


@pytest.mark.parametrize(
    "text",
    ["2020-01-01 12:00:00", "2020-01-01", "2020-01-01 12:00:00+24", "2020-01-01 12:00:00+01:60"],
)
def test_what_is_no_moment_is_refused(text: str):
    """Without an offset the moment is unknown, and an impossible offset is none."""
    assert moments.parse_timestamp(text, zoned=True) is None


@pytest.mark.parametrize("text", ["24:00:01", "25:00", "12", "1:00:00", "-01:00:00", "12:00:00+01"])
def test_what_is_no_time_is_refused(text: str):
    """A time of day ends at 24:00:00 and has two digits in each part."""
    assert moments.parse_time(text) is None


def test_zeros_beyond_microseconds_change_nothing():
    """Nine digits are exact where the last three are zeros."""
    assert moments.parse_timestamp("1970-01-01 00:00:00.000001000", zoned=False) == 1
