"""Numbers as text: one plain form for every spelling, and exact comparison with doubles."""

from __future__ import annotations

import re
from decimal import Decimal

import pyarrow as pa

from dbsync.model.values.kernels import matches, pc

NUMBER_PATTERN = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,6})?"
PLAIN_PATTERN = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?"
SPECIAL_NUMBERS = frozenset({"NaN", "Infinity", "-Infinity"})
MAX_DIGITS = 150_000
"""More digits on either side of the point than any engine allows: refused, not spelled out."""

_NUMBER = re.compile(NUMBER_PATTERN)


def plain_number(text: str) -> str | None:
    """Spell a decimal number without exponent, plus sign or leading zeros; None if it is none."""
    if not _NUMBER.fullmatch(text):
        return None
    value = Decimal(text)
    if value and abs(value.adjusted()) > MAX_DIGITS:
        return None
    plain = format(value, "f")
    return plain.lstrip("-") if value == 0 else plain


def shortest_number(text: pa.StringArray) -> pa.StringArray:
    """Strip what does not change a number's value, so that equal numbers have equal text.

    Takes `NUMBER_PATTERN` and the special names; anything else is returned as it is.
    """
    plain = matches(text, PLAIN_PATTERN)
    odd = pc.and_(pc.invert(plain), text.is_valid())
    if pc.any(odd).as_py():
        spelled = [plain_number(value) or value for value in text.filter(odd).to_pylist()]
        text = pc.replace_with_mask(text, odd, pa.array(spelled, pa.string()))
    trimmed = pc.utf8_rtrim(pc.utf8_rtrim(text, "0"), ".")
    text = pc.if_else(pc.match_substring(text, "."), trimmed, text)
    return pc.if_else(pc.equal(text, "-0"), "0", text)


def exact_float(text: str, *, single: bool) -> float | None:
    """Read the shortest text of a float, in any spelling; None where it would be rounded."""
    if text in SPECIAL_NUMBERS:
        return float(text)
    if not _NUMBER.fullmatch(text):
        return None
    value = pa.scalar(float(text), pa.float64())
    if single:
        value = pc.cast(value, pa.float32(), safe=False)
    shortest = pc.cast(value, pa.string()).as_py()
    same = _NUMBER.fullmatch(shortest) and Decimal(shortest) == Decimal(text)
    return value.as_py() if same else None
