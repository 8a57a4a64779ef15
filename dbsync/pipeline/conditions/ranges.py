"""What a range of keys says about a condition, so that a chunk need not be read.

Must not know: where the range comes from, how conditions are written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from dbsync.model.schema import Table
from dbsync.model.types import parse_storage, standard_storage
from dbsync.pipeline.conditions.syntax import Operator
from dbsync.pipeline.conditions.values import Operand

_ORDERED = frozenset({"integer", "string", "date", "timestamp", "timestamp_tz"})
"""Types of which the order of stored values is that of the type."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Whether a condition can be true, and can be false, of some row."""

    can_be_true: bool
    can_be_false: bool

    def negated(self) -> Bounds:
        """Give the bounds of the opposite."""
        return Bounds(can_be_true=self.can_be_false, can_be_false=self.can_be_true)


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The least and greatest value of a column, as Python values in its order."""

    column: str
    first: Any
    last: Any


def key_range(table: Table, first: str, last: str) -> KeyRange | None:
    """Read the range of the first key column; None where its order is not that of its type."""
    key = table.primary_key
    if key is None or not key.columns:
        return None
    column = table.column(key.columns[0])
    if column.type.name not in _ORDERED or column.storage != standard_storage(column.type):
        return None
    try:
        ends = pa.array([first, last], pa.string()).cast(parse_storage(column.storage))
    except pa.ArrowInvalid:
        return None
    return KeyRange(column.name, comparable(ends[0]), comparable(ends[1]))


def comparable(value: pa.Scalar) -> Any:
    """Give a scalar as a Python value in the same order; moments beyond Python's years too."""
    if pa.types.is_date32(value.type):
        return value.cast(pa.int32()).as_py()
    if pa.types.is_temporal(value.type):
        return value.cast(pa.int64()).as_py()
    return value.as_py()


def bounds_of(operator: Operator, operand: Operand, keys: KeyRange) -> Bounds:
    """Compare all of a range with one value."""
    if operand.rank:
        return Bounds(can_be_true=True, can_be_false=True)
    value, first, last = comparable(operand.scalar), keys.first, keys.last
    match operator:
        case "=":
            return Bounds(
                can_be_true=first <= value <= last, can_be_false=not first == value == last
            )
        case "<>":
            return bounds_of("=", operand, keys).negated()
        case "<":
            return Bounds(can_be_true=first < value, can_be_false=last >= value)
        case "<=":
            return Bounds(can_be_true=first <= value, can_be_false=last > value)
        case ">":
            return bounds_of("<=", operand, keys).negated()
        case ">=":
            return bounds_of("<", operand, keys).negated()
