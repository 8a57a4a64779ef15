"""Dates, times and timestamps that Arrow's own parser and formatter do not know.

What lives here: one value at a time, for years outside 1 to 9999, ``24:00:00``, infinities and
offsets with seconds. The calendar is the proleptic Gregorian one, as in PostgreSQL, SQLite and
Arrow; the algorithms are Howard Hinnant's ``days_from_civil`` and ``civil_from_days``.
"""

from __future__ import annotations

import re

DAY_US = 86_400_000_000
INFINITIES = frozenset({"infinity", "-infinity"})

_DATE = r"(?P<year>[0-9]{4,7})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
_TIME = (
    r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})"
    r"(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,6})0*)?)?"
)
_ZONE = r"(?P<zone>Z|(?P<sign>[+-])(?P<zh>[0-9]{2})(?::?(?P<zm>[0-9]{2})(?::(?P<zs>[0-9]{2}))?)?)"
_DATE_TEXT = re.compile(_DATE + r"(?P<bc> BC)?")
_TIME_TEXT = re.compile(_TIME)
_TIMESTAMP_TEXT = re.compile(_DATE + rf"(?:[ T]{_TIME}{_ZONE}?)?(?P<bc> BC)?")


def parse_date(text: str) -> int | None:
    """Read ``YYYY-MM-DD``, perhaps with more digits or `` BC``, as days since 1970; else None."""
    found = _DATE_TEXT.fullmatch(text)
    return _days(found) if found else None


def parse_time(text: str) -> int | None:
    """Read ``HH:MM[:SS[.ffffff]]`` up to ``24:00:00`` as microseconds; else None."""
    found = _TIME_TEXT.fullmatch(text)
    micros = _micros(found) if found else None
    return micros if micros is not None and micros <= DAY_US else None


def parse_timestamp(text: str, *, zoned: bool) -> int | None:
    """Read a date and time as microseconds since 1970, in UTC where `zoned`; else None.

    An offset is required where `zoned`, and refused otherwise. The result may exceed 64 bits.
    """
    found = _TIMESTAMP_TEXT.fullmatch(text)
    if found is None or (found["zone"] is not None) != zoned:
        return None
    days, micros = _days(found), _micros(found)
    if days is None or micros is None or micros >= DAY_US:
        return None
    offset = _offset(found)
    return None if offset is None else days * DAY_US + micros - offset


def format_date(days: int) -> str:
    """Write days since 1970 as PostgreSQL writes a date."""
    year, rest = _civil(days)
    return f"{year:04d}-{rest}" if year > 0 else f"{1 - year:04d}-{rest} BC"


def format_time(micros: int) -> str:
    """Write microseconds since midnight as ``HH:MM:SS[.ffffff]``."""
    seconds, fraction = divmod(micros, 1_000_000)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{fraction:06d}".rstrip("0") if fraction else text


def format_timestamp(micros: int, *, zoned: bool) -> str:
    """Write microseconds since 1970 as PostgreSQL writes a timestamp, in UTC where `zoned`."""
    days, rest = divmod(micros, DAY_US)
    date, _, era = format_date(days).partition(" ")
    text = f"{date} {format_time(rest)}{'+00' if zoned else ''}"
    return f"{text} {era}" if era else text


def _days(found: re.Match[str]) -> int | None:
    year, month, day = int(found["year"]), int(found["month"]), int(found["day"])
    if found["bc"]:
        if year == 0:
            return None
        year = 1 - year
    if not 1 <= month <= 12 or not 1 <= day <= _month_length(year, month):
        return None
    if month <= 2:
        year -= 1
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return (
        era * 146_097
        + year_of_era * 365
        + year_of_era // 4
        - year_of_era // 100
        + day_of_year
        - 719_468
    )


def _month_length(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def _civil(days: int) -> tuple[int, str]:
    era, day = divmod(days + 719_468, 146_097)
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    shifted = (5 * day + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    text = f"{month:02d}-{day - (153 * shifted + 2) // 5 + 1:02d}"
    return year + era * 400 + (month <= 2), text


def _micros(found: re.Match[str]) -> int | None:
    hour, minute = int(found["hour"] or 0), int(found["minute"] or 0)
    second, fraction = int(found["second"] or 0), int((found["fraction"] or "0").ljust(6, "0"))
    if minute > 59 or second > 59:
        return None
    return ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction


def _offset(found: re.Match[str]) -> int | None:
    hours, minutes, seconds = (int(found[part] or 0) for part in ("zh", "zm", "zs"))
    if hours > 23 or minutes > 59 or seconds > 59:
        return None
    offset = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000
    return -offset if found["sign"] == "-" else offset
