"""A value about half-way between two values of a key's column, for searching in its index.

What lives here: one rule for each kind of column. A value need not exist in the table and need
not be right in the middle; where the column's own order disagrees with the rule, the search
notices. Must not know: connections, SQL.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from dbsync.connectors.mysql.keys import KeyColumn, Value

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_EXACT = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
_FIRST, _LAST = datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)
_DEPTH = 6


def middle(column: KeyColumn, low: Value, high: Value) -> Value | None:
    """Give a value above `low` and not above `high`, or None where the rule finds none."""
    match column.kind:
        case "integer":
            return _whole(int(low), int(high))
        case "decimal":
            unit = Decimal(1).scaleb(column.scale)
            found = _whole(int(Decimal(low) * unit), int(Decimal(high) * unit))
            return None if found is None else f"{Decimal(found).scaleb(-column.scale):f}"
        case "date" | "moment":
            return _moment(str(low), str(high), whole_days=column.kind == "date")
        case "bytes":
            return _bytes(bytes.fromhex(str(low)), bytes.fromhex(str(high)))
        case "text":
            return _text(str(low), str(high), folds=column.folds)
        case _:
            return None


def _whole(low: int, high: int) -> int | None:
    return low + (high - low) // 2 + 1 if low < high else None


def _moment(low: str, high: str, *, whole_days: bool) -> str | None:
    first, last = _parse(low, _FIRST), _parse(high, _LAST)
    between = (last - first) / 2
    if whole_days:
        between = timedelta(days=(last - first).days // 2 + 1)
    found = first + max(between, timedelta(microseconds=1))
    if not first < found <= last:
        return None
    return found.date().isoformat() if whole_days else found.isoformat(" ")


def _parse(text: str, otherwise: datetime) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return otherwise


def _bytes(low: bytes, high: bytes) -> str | None:
    common = _common(low, high)
    width = common + _DEPTH
    found = _whole(
        int.from_bytes(low[common:width].ljust(_DEPTH, b"\0")),
        int.from_bytes(high[common:width].ljust(_DEPTH, b"\0")),
    )
    if found is None:
        return None
    return (low[:common] + found.to_bytes(_DEPTH).rstrip(b"\0")).hex()


def _text(low: str, high: str, *, folds: bool) -> str | None:
    """Count in digits and letters, which every collation sorts in this order."""
    alphabet = _DIGITS if folds else _EXACT
    if folds:
        low, high = low.upper(), high.upper()
    common = _common(low, high)
    base = len(alphabet) + 1
    found = _whole(_number(low[common:], alphabet), _number(high[common:], alphabet))
    if found is None:
        return None
    digits: list[int] = []
    for _ in range(_DEPTH):
        found, digit = divmod(found, base)
        digits.append(digit)
    tail = "".join(alphabet[max(digit - 1, 0)] for digit in reversed(digits))
    return low[:common] + tail


def _number(text: str, alphabet: str) -> int:
    """Read the first characters as a number in which 0 stands for the end of the text."""
    number = 0
    for at in range(_DEPTH):
        digit = _rank(text[at], alphabet) if at < len(text) else 0
        number = number * (len(alphabet) + 1) + digit
    return number


def _rank(character: str, alphabet: str) -> int:
    """Place a character in the alphabet; others go before or after it by their code."""
    found = alphabet.find(character)
    if found >= 0:
        return found + 1
    return next((i + 1 for i, known in enumerate(alphabet) if known > character), len(alphabet))


def _common(low: str | bytes, high: str | bytes) -> int:
    length = min(len(low), len(high))
    return next((i for i in range(length) if low[i] != high[i]), length)
