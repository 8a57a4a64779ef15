"""When runs are due: expressions, time zones, clocks that change."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dbsync.errors import UsageError
from dbsync.service.timetable import Timetable


def due(expression: str, zone: str, start: datetime, count: int) -> list[str]:
    """List the next moments, in UTC."""
    timetable, found, moment = Timetable(expression, zone), list[str](), start
    for _ in range(count):
        moment = timetable.after(moment)
        found.append(f"{moment:%m-%d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 2 * * *", ["01-01 02:00", "01-02 02:00"]),
        ("*/20 * * * *", ["01-01 00:20", "01-01 00:40"]),
        ("0 3 * * SUN", ["01-07 03:00", "01-14 03:00"]),
        ("30 1 1,15 * *", ["01-01 01:30", "01-15 01:30"]),
        ("@daily", ["01-02 00:00", "01-03 00:00"]),
        ("@weekly", ["01-07 00:00", "01-14 00:00"]),
    ],
)
def test_expressions(expression: str, expected: list[str]) -> None:
    """The usual expressions mean what they mean to cron."""
    assert due(expression, "UTC", datetime(2024, 1, 1, tzinfo=UTC), 2) == expected


def test_a_zone_moves_the_hour() -> None:
    """Two o'clock is two o'clock there, before and after clocks change."""
    start = datetime(2024, 3, 29, 12, tzinfo=UTC)
    assert due("0 5 * * *", "Europe/Berlin", start, 3) == [
        "03-30 04:00",
        "03-31 03:00",
        "04-01 03:00",
    ]


def test_a_time_that_is_skipped_runs_after_the_gap() -> None:
    """On the day that has no 02:30, the run is made all the same, once."""
    start = datetime(2024, 3, 30, 12, tzinfo=UTC)
    assert due("30 2 * * *", "Europe/Berlin", start, 2) == ["03-31 01:00", "04-01 00:30"]


def test_a_time_that_comes_twice_runs_once() -> None:
    """On the day that has 02:30 twice, there is one run."""
    start = datetime(2024, 10, 26, 12, tzinfo=UTC)
    days = [moment[:5] for moment in due("30 2 * * *", "Europe/Berlin", start, 3)]
    assert days == ["10-27", "10-28", "10-29"]


def test_every_quarter_goes_on_through_a_change() -> None:
    """Moments always grow by a quarter of an hour of real time, also where an hour comes twice."""
    timetable = Timetable("*/15 * * * *", "America/New_York")
    moment = datetime(2024, 11, 3, 4, 0, tzinfo=UTC)
    for _ in range(16):
        following = timetable.after(moment)
        assert (following - moment).total_seconds() == 900
        moment = following


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "2 * * *",
        "61 * * * *",
        "0 2 * * * *",
        "@sometimes",
        "0 2 31 2 *",
        "a b c d e",
        "*/0 * * * *",
    ],
)
def test_mistakes_are_found_at_once(expression: str) -> None:
    """What is no expression, or never comes, is refused with the option's name."""
    with pytest.raises(UsageError, match="--cron"):
        Timetable(expression, "UTC")


@pytest.mark.parametrize("zone", ["", "Mars/Base", "../etc/passwd", "Europe", "/etc/localtime"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    """A zone that the system does not have is a mistake in the configuration."""
    with pytest.raises(UsageError, match="time zone"):
        Timetable("0 2 * * *", zone)
