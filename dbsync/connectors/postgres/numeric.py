"""PostgreSQL's binary numeric as Arrow's decimal.

What lives here: the digits of numeric(p,s) up to 18 of them, for all values of a column at once.
Must not know: where the values come from, how NaN is carried.

A value is the count of its digits to the base of 10,000, the weight of the first one, a sign, the
number of decimals, and then the digits, two bytes each (``numeric_send`` in PostgreSQL's
numeric.c).
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from dbsync.connectors.postgres.fields import Field, Flags, Malformed, Positions

MOST_DIGITS = 18
"""The largest precision whose numbers, without the point, fit into 64 bits."""

_POSITIVE, _NEGATIVE, _NAN = 0x0000, 0x4000, 0xC000
_WRAP = 1 << 15
_GROUP = 4
_POWERS = 10 ** np.arange(MOST_DIGITS + 1, dtype=np.int64)


class DecimalReader:
    """Reads the values of numeric(p,s), given as the decimal type of the same digits."""

    def __init__(self, kind: pa.Decimal128Type):
        self._limit = 10**kind.precision
        self._scale = kind.scale
        self._after = -(-kind.scale // _GROUP)
        self._groups = self._after - (-(kind.precision - kind.scale) // _GROUP)
        # The last group after the point may be longer than the scale.
        self._cut = _POWERS[self._after * _GROUP - kind.scale]
        self._form = np.dtype((">u2", (4 + self._groups,)))

    def read(self, field: Field) -> tuple[Positions, Flags | None]:
        """Give values as whole numbers of 10**-s; those of NULLs and NaNs are 0.

        Also says which are NaN, None for none. Raises `Malformed` for what is no such value.
        """
        parts = field.fixed(self._form).astype(np.int64)
        if field.nulls is not None:
            parts[field.nulls] = 0
        count, weight, sign = parts[:, 0], parts[:, 1], parts[:, 2]
        numbers = self._numbers(
            parts[:, 4:], count, np.where(weight < _WRAP, weight, weight - 2 * _WRAP)
        )
        negative = sign == _NEGATIVE
        np.negative(numbers, out=numbers, where=negative)
        other = sign != _POSITIVE
        if not np.array_equal(negative, other):
            nan = sign == _NAN
            if not np.array_equal(negative | nan, other):
                raise Malformed("a number has no valid sign")
            return numbers, nan
        return numbers, None

    def _numbers(self, digits: Positions, count: Positions, weight: Positions) -> Positions:
        """Add up the digits of each value, the first of which stands at `weight`."""
        numbers = np.zeros(len(digits), np.int64)
        for group in range(int(count.max(initial=0))):
            if group == self._groups:
                raise Malformed("a number has more digits than its type")
            own = np.where(group < count, digits[:, group], 0)
            place = weight - group
            power = place * _GROUP + self._scale
            last = place == -self._after
            if self._cut > 1 and last.any():
                whole = own // self._cut
                if (last & (whole * self._cut != own)).any():
                    raise Malformed("a number has more decimals than its type")
                own = np.where(last, whole, own)
            if ((own != 0) & ~last & ((power < 0) | (power > MOST_DIGITS))).any():
                raise Malformed("a number has other digits than its type")
            numbers += own * _POWERS.take(power, mode="clip")
        if len(numbers) and numbers.max() >= self._limit:
            raise Malformed("a number is larger than its type")
        return numbers
