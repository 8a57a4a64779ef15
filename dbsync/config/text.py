"""The text forms of options: lists of names, columns by table, conditions, sizes, time spans.

What lives here: grammar only. Names may stand in double quotes, with ``""`` for a quote, where
they hold commas, colons or blanks; what is quoted is taken literally, never as a glob.
Must not know: where a text came from; `label` names it in messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from glob import escape

from dbsync.errors import UsageError

MAX_DURATION = timedelta(days=36_525)

# Possessive, so that no arrangement of quotes makes matching slow.
_QUOTED = r'"(?:[^"]|"")*+"'
_TABLE = re.compile(rf"(?:{_QUOTED}|[^\",:])*")
_PIECE = re.compile(rf"(?:{_QUOTED}|[^\",])*")
_QUOTED_PART = re.compile(rf"({_QUOTED})")
_PATTERN = rf"(?:[\w$*?.\-]|\[[^\]:\s]*\]|{_QUOTED})+"
_WHERE = re.compile(rf"\s*({_PATTERN}):\s+(\S.*)", re.DOTALL)
_WHERE_WITHOUT_BLANK = re.compile(rf"\s*({_PATTERN}):[^:=\s]")
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)(b?)\s*", re.IGNORECASE)
_POWER = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_DURATION = re.compile(r"(?:\d+\s*[wdhms]\s*)+", re.IGNORECASE)
_DURATION_PART = re.compile(r"(\d+)\s*([wdhms])", re.IGNORECASE)
_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


def parse_names(texts: Iterable[str], label: str) -> tuple[str, ...]:
    """Read ``a,b.*`` into table patterns, in order; raises `UsageError`."""
    patterns: list[str] = []
    for text in texts:
        patterns += (_as_pattern(piece) for piece in _pieces(text, text, label))
    return tuple(patterns)


def parse_columns(texts: Iterable[str], label: str) -> dict[str, tuple[str, ...]]:
    """Read ``table:a,b`` into a table pattern and column names; raises `UsageError`."""
    chosen: dict[str, tuple[str, ...]] = {}
    for text in texts:
        end = _end(_TABLE, text, 0)
        table = text[:end].strip()
        if not table or text[end : end + 1] != ":":
            raise UsageError(f"{label} {text!r}: not of the form TABLE:COLUMN,COLUMN")
        columns = tuple(_as_name(p) for p in _pieces(text[end + 1 :], text, label))
        pattern = _as_pattern(table)
        if len(set(columns)) < len(columns):
            raise UsageError(f"{label} {text!r}: a column is named twice")
        if pattern in chosen:
            raise UsageError(f"{label}: {table} is given twice", hint="join the two lists")
        chosen[pattern] = columns
    return chosen


def parse_table_columns(texts: Iterable[str], label: str) -> dict[str, str]:
    """Read ``table:column``, or ``column`` for every table, into table pattern and column.

    Raises `UsageError`.
    """
    chosen: dict[str, str] = {}
    for text in texts:
        end = _end(_TABLE, text, 0)
        table, colon, column = text[:end].strip(), text[end : end + 1], text[end + 1 :].strip()
        if not colon:
            table, column = "*", table
        if (
            not table
            or not column
            or colon not in ("", ":")
            or _end(_TABLE, column, 0) < len(column)
        ):
            raise UsageError(f"{label} {text!r}: not of the form TABLE:COLUMN or COLUMN")
        pattern = table if not colon else _as_pattern(table)
        if pattern in chosen:
            raise UsageError(f"{label}: {table} is given twice", hint="give it once")
        chosen[pattern] = _as_name(column)
    return chosen


def parse_where(texts: Iterable[str], label: str) -> dict[str, str]:
    """Read conditions into table pattern and condition, ``*`` being every selected table.

    A text is meant for one table only where it starts with a name or glob (letters, digits,
    ``_ $ . - * ?``, a ``[...]`` class, or a double-quoted name), a colon and white space. So
    ``ts::date > '2026-01-01'`` and ``code = 'x: y'`` are conditions for every table. Raises
    `UsageError`, also for ``table:condition`` without the blank, which no SQL condition looks like.
    """
    conditions: dict[str, str] = {}
    for text in texts:
        match = _WHERE.fullmatch(text)
        if match is None and _WHERE_WITHOUT_BLANK.match(text):
            raise UsageError(
                f"{label} {text!r}: a table or a condition?",
                hint="write a blank after the colon: 'TABLE: CONDITION'",
            )
        pattern = _as_pattern(match.group(1)) if match else "*"
        condition = (match.group(2) if match else text).strip()
        if not condition:
            raise UsageError(f"{label}: the condition is empty")
        if pattern in conditions:
            table = "every table" if pattern == "*" else pattern
            raise UsageError(
                f"{label}: two conditions for {table}", hint="join them with AND or OR"
            )
        conditions[pattern] = condition
    return conditions


def parse_size(text: str, label: str, *, minimum: int, maximum: int) -> int:
    """Read a number of bytes: ``1048576``, ``64MiB`` (powers of 1024), ``64MB`` (of 1000).

    A bare letter counts as a power of 1024, as with GNU tools. Raises `UsageError`.
    """
    match = _SIZE.fullmatch(text)
    if match is None or (match.group(3) and not match.group(2)):
        raise UsageError(f"{label} {text!r}: not a size", hint="write it as 64MiB or 67108864")
    number, letter, binary, unit = match.groups()
    base = 1000 if letter and unit and not binary else 1024
    size = int(float(number) * base ** _POWER[letter.lower()])
    if not minimum <= size <= maximum:
        raise UsageError(f"{label} {text!r}: must lie between {minimum:,} and {maximum:,} bytes")
    return size


def parse_duration(
    text: str, label: str, *, minimum: timedelta = timedelta(0), maximum: timedelta = MAX_DURATION
) -> timedelta:
    """Read a time span: ``30d``, ``26h``, ``1h 30m``, ``90s``, ``2w``. Raises `UsageError`."""
    words = text.strip()
    if not _DURATION.fullmatch(words):
        raise UsageError(
            f"{label} {text!r}: not a time span", hint="write it as 90s, 15m, 26h, 30d or 2w"
        )
    try:
        parts = _DURATION_PART.findall(words)
        span = sum((timedelta(**{_UNITS[u.lower()]: int(n)}) for n, u in parts), timedelta(0))
    except OverflowError:
        span = timedelta.max
    if not minimum <= span <= maximum:
        raise UsageError(f"{label} {text!r}: must lie between {minimum} and {maximum}")
    return span


def _pieces(text: str, whole: str, label: str) -> list[str]:
    """Split at commas outside quotes; empty pieces are mistakes."""
    pieces: list[str] = []
    position = 0
    while True:
        end = _end(_PIECE, text, position)
        piece = text[position:end].strip()
        if end < len(text) and text[end] == '"':
            raise UsageError(f"{label} {whole!r}: a double quote is not closed")
        if not piece:
            raise UsageError(f"{label} {whole!r}: a name is empty")
        pieces.append(piece)
        if end >= len(text):
            return pieces
        position = end + 1


def _end(piece: re.Pattern[str], text: str, position: int) -> int:
    match = piece.match(text, position)
    return match.end() if match else position


def _as_pattern(piece: str) -> str:
    parts = _QUOTED_PART.split(piece)
    return "".join(escape(_unquoted(part)) if part.startswith('"') else part for part in parts)


def _as_name(piece: str) -> str:
    parts = _QUOTED_PART.split(piece)
    return "".join(_unquoted(part) if part.startswith('"') else part for part in parts)


def _unquoted(part: str) -> str:
    return part[1:-1].replace('""', '"')
