"""What a written value means for one column, and how the column's values compare with it.

What lives here: reading values by the column's logical type, and the order of values that the
column's Arrow type cannot hold (``infinity``, ``NaN``, ``24:00:00``). Must not know: grammar.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa

from dbsync.errors import UsageError
from dbsync.model.schema import Column
from dbsync.model.types import LogicalType
from dbsync.model.values import column_values, standard_type
from dbsync.model.values.convert import convert
from dbsync.model.values.kernels import pc
from dbsync.model.values.parse import from_text
from dbsync.pipeline.conditions.syntax import Operator, Value

_ORDERED = frozenset(
    {"integer", "float", "decimal", "numeric", "string", "date", "time", "timestamp",
     "timestamp_tz"}
)  # fmt: skip
_EQUAL = _ORDERED | {"boolean", "uuid", "enum"}
_TEXT = frozenset({"string", "enum"})
_NUMBERS = frozenset({"integer", "float", "decimal", "numeric"})

_KERNELS: dict[Operator, Any] = {
    "=": pc.equal, "<>": pc.not_equal, "<": pc.less, "<=": pc.less_equal,
    ">": pc.greater, ">=": pc.greater_equal,
}  # fmt: skip
_PYTHON: dict[Operator, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b, "<>": lambda a, b: a != b, "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}  # fmt: skip
_EXAMPLES = {
    "integer": "42",
    "float": "4.2",
    "decimal": "4.2",
    "numeric": "4.2",
    "boolean": "TRUE",
    "date": "'2025-01-31'",
    "time": "'23:59:59'",
    "timestamp": "'2025-01-31 23:59:59'",
    "timestamp_tz": "'2025-01-31 23:59:59+00', with the offset",
    "uuid": "'6ba7b810-9dad-11d1-80b4-00c04fd430c8'",
    "string": "'text'",
    "enum": "'text'",
}
_ORDINARY, _BEYOND, _INFINITE, _NAN = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Operand:
    """A value read by a column's type: an Arrow scalar, and where it stands if it is none."""

    scalar: pa.Scalar
    rank: int = _ORDINARY


def read_value(value: Value, column: Column, table: str, *, ordered: bool) -> Operand:
    """Read a value as one of `column`; raises `UsageError`, naming the column, where it is none."""
    name = column.type.name
    if name not in (_ORDERED if ordered else _EQUAL):
        what = "ordered" if name in _EQUAL else "compared"
        raise UsageError(
            f"table {table}, column {column.name}: values of the type {column.type} cannot be "
            f"{what} in a condition",
            hint="compare another column"
            + (", or use = and IN" if name in _EQUAL else ", or use IS NULL"),
        )
    text = value.text
    if value.kind == "number":
        text = text.lstrip("+")
    if name == "boolean" and text in ("0", "1"):
        text = "true" if text == "1" else "false"
    fits = value.kind != "number" or name in _NUMBERS or name == "boolean"
    if fits and (value.kind != "boolean" or name == "boolean"):
        target = standard_type(column)
        operand = _read(text, column.type, target)
        if operand is not None:
            return operand
    raise UsageError(
        f"table {table}, column {column.name}: {value.text[:60]!r} is no {column.type}",
        hint=f"write such a value as {_EXAMPLES[name]}",
    )


def check_text(column: Column, table: str) -> None:
    """Raise `UsageError` for a column that LIKE cannot look at."""
    if column.type.name not in _TEXT:
        raise UsageError(
            f"table {table}, column {column.name}: LIKE needs text, and this is {column.type}",
            hint="use comparisons or BETWEEN",
        )


def _read(text: str, logical: LogicalType, target: pa.DataType) -> Operand | None:
    if logical.name in _TEXT:
        return Operand(pa.scalar(text, pa.string()))
    values, literals, failed = from_text(pa.array([text], pa.string()), logical, target)
    if failed is not None and failed[0].as_py():
        return None
    if literals is not None and literals[0].is_valid:
        return Operand(pa.scalar(None, target), _rank(literals[0].as_py()))
    if pa.types.is_string(target):
        rank = _rank(values[0].as_py())
        return Operand(values[0], rank if rank != _BEYOND else _ORDINARY)
    if pa.types.is_floating(target) and pc.is_nan(values[0]).as_py():
        return Operand(pa.scalar(None, target), _NAN)
    return Operand(values[0])


def _rank(literal: str) -> int:
    """Place a value that no Arrow type holds: PostgreSQL's order, NaN after everything."""
    lowered = literal.lower()
    if lowered == "nan":
        return _NAN
    if lowered in ("infinity", "-infinity"):
        return -_INFINITE if lowered.startswith("-") else _INFINITE
    return _BEYOND


class Values:
    """The values of one column in a batch, under its logical type."""

    def __init__(self, batch: pa.RecordBatch, column: Column, table: str) -> None:
        self._column = column
        self._table = table
        stored, exceptions = column_values(batch, column)
        self.is_null = stored.is_null()
        if exceptions is not None:
            self.is_null = pc.and_(self.is_null, exceptions.is_null())
        self._stored, self._exceptions = stored, exceptions

    def _converted(self) -> tuple[pa.Array, pa.Array]:
        """Give values and ranks; refuse rows whose value is none of the column's type."""
        found = convert(
            self._stored, self._exceptions, self._column.type, standard_type(self._column)
        )
        if found.failed is not None and pc.any(found.failed).as_py():
            count = pc.sum(found.failed).as_py()
            raise UsageError(
                f"table {self._table}, column {self._column.name}: {count} values are no "
                f"{self._column.type}, so that a condition cannot compare them",
                hint="leave the column out of the condition",
            )
        ranks = None
        if found.literals is not None:
            ranks = _ranks(found.literals.to_pylist())
        elif pa.types.is_floating(found.values.type):
            nan = pc.is_nan(found.values).fill_null(False)
            if pc.any(nan).as_py():
                ranks = pc.if_else(nan, pa.scalar(_NAN, pa.int8()), pa.scalar(0, pa.int8()))
        return found.values, ranks

    def compare(self, operator: Operator, operand: Operand) -> pa.BooleanArray:
        """Compare each value; NULL where there is none."""
        values, ranks = self._converted()
        if self._column.type.name in ("numeric", "decimal") and pa.types.is_string(values.type):
            return self._compare_numbers(values, operator, operand)
        if operand.rank == _ORDINARY:
            result = _KERNELS[operator](values, operand.scalar)
        else:
            constant = _PYTHON[operator](_ORDINARY, operand.rank)
            result = pc.if_else(values.is_valid(), constant, pa.scalar(None, pa.bool_()))
        if ranks is None:
            return result
        if operand.rank == _BEYOND and pc.any(pc.equal(ranks, _BEYOND)).as_py():
            raise UsageError(
                f"table {self._table}, column {self._column.name}: values beyond the usual range "
                "cannot be compared with one another"
            )
        by_rank = _KERNELS[operator](ranks, pa.scalar(operand.rank, pa.int8()))
        return pc.if_else(pc.not_equal(ranks, _ORDINARY), by_rank, result)

    def _compare_numbers(
        self, values: pa.Array, operator: Operator, operand: Operand
    ) -> pa.BooleanArray:
        """Compare numbers of any length, which travel as text."""
        compare, right = _PYTHON[operator], _number(operand.scalar.as_py())
        return pa.array(
            [
                None if text is None else compare(_number(text), right)
                for text in values.to_pylist()
            ],
            pa.bool_(),
        )

    def matches(self, pattern: str) -> pa.BooleanArray:
        """Match each value against a regular expression that fits the whole."""
        values, _ = self._converted()
        return pc.match_substring_regex(values, pattern)


def _ranks(literals: Sequence[str | None]) -> pa.Array:
    return pa.array([0 if text is None else _rank(text) for text in literals], pa.int8())


def _number(text: str) -> tuple[int, Decimal]:
    rank = _rank(text) if text.lstrip("-")[:1].isalpha() else _ORDINARY
    return (rank, Decimal(0)) if rank else (_ORDINARY, Decimal(text))
