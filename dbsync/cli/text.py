"""Numbers, sizes and times as people read them. Must not know: where they are printed."""

from __future__ import annotations

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")


def count(number: int | None) -> str:
    """Write a number with thousands separated, ``?`` where it is unknown."""
    return "?" if number is None else f"{number:,}"


def plural(number: int, noun: str) -> str:
    """Write a number with its noun: ``1 table``, ``1,200 rows``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def size(number: float) -> str:
    """Write a number of bytes in powers of 1024."""
    if number < 1024:
        return f"{int(number)} B"
    power = 0
    while number >= 1024 and power < len(_UNITS):
        number /= 1024
        power += 1
    return f"{number:.1f} {_UNITS[power - 1]}"


def duration(seconds: float) -> str:
    """Write a time span: ``0.4 s``, ``2 min 05 s``, ``3 h 07 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
