"""A condition bound to a table: which rows of a batch it takes.

Must not know: archives, where batches come from.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

import pyarrow as pa

from dbsync.errors import UsageError
from dbsync.model.schema import Column, Table
from dbsync.model.values.kernels import pc
from dbsync.pipeline.conditions.ranges import Bounds, KeyRange, bounds_of, key_range
from dbsync.pipeline.conditions.syntax import Both, Compare, In, IsNull, Like, Node, Not, parse
from dbsync.pipeline.conditions.values import Operand, Values, check_text, read_value

_ALL_KINDS = Bounds(can_be_true=True, can_be_false=True)


@dataclass(frozen=True, slots=True)
class _Test:
    """A predicate on one column, with its values read by the column's type."""

    node: Compare | In | Like | IsNull
    column: Column
    operands: tuple[Operand, ...] = ()


class Condition:
    """One condition over the columns of a table; may be used from several threads.

    Raises `UsageError` for text that is no condition, a column that the table does not have, and
    a value that the column's type does not have; each names what is meant.
    """

    def __init__(self, text: str, table: Table) -> None:
        self.text = text
        self._table = table
        self._tests: dict[Node, _Test] = {}
        self._node = parse(text)
        self._bind(self._node)
        self.columns: tuple[str, ...] = tuple(
            dict.fromkeys(test.column.name for test in self._tests.values())
        )
        """The columns that `mask` needs, as the table spells them."""

    def mask(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """Say for each row whether it is taken; never NULL.

        Raises `UsageError` for values that cannot be compared, naming the column.
        """
        values = {
            name: Values(batch, self._table.column(name), str(self._table.name))
            for name in self.columns
        }
        return self._evaluate(self._node, values).fill_null(False)

    def may_match(self, first: str, last: str) -> bool:
        """Say whether a row may be taken whose first key column lies between two texts.

        The texts are those of the archive's catalog. True where that cannot be told.
        """
        found = key_range(self._table, first, last)
        return found is None or self._bounds(self._node, found).can_be_true

    def _bind(self, node: Node) -> None:
        if isinstance(node, Both):
            for part in node.parts:
                self._bind(part)
            return
        if isinstance(node, Not):
            self._bind(node.part)
            return
        column, table = self._column(node.column), str(self._table.name)
        operands: tuple[Operand, ...] = ()
        if isinstance(node, Compare):
            ordered = node.operator not in ("=", "<>")
            operands = (read_value(node.value, column, table, ordered=ordered),)
        elif isinstance(node, In):
            operands = tuple(read_value(v, column, table, ordered=False) for v in node.values)
        elif isinstance(node, Like):
            check_text(column, table)
        self._tests[node] = _Test(node, column, operands)

    def _column(self, name: str) -> Column:
        columns = self._table.columns
        exact = [c for c in columns if c.name == name]
        found = exact or [c for c in columns if c.name.casefold() == name.casefold()]
        if len(found) == 1:
            return found[0]
        known = [c.name for c in columns]
        near = difflib.get_close_matches(name, known, 1)
        raise UsageError(
            f"table {self._table.name} has no column {name!r}, which the condition "
            f"{self.text[:200]!r} names",
            hint=f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}",
        )

    def _evaluate(self, node: Node, values: dict[str, Values]) -> pa.BooleanArray:
        if isinstance(node, Not):
            return pc.invert(self._evaluate(node.part, values))
        if isinstance(node, Both):
            join = pc.or_kleene if node.either else pc.and_kleene
            result = self._evaluate(node.parts[0], values)
            for part in node.parts[1:]:
                result = join(result, self._evaluate(part, values))
            return result
        test = self._tests[node]
        found = values[test.column.name]
        if isinstance(node, IsNull):
            return found.is_null
        if isinstance(node, Like):
            return found.matches(_like(node.pattern))
        if isinstance(node, Compare):
            return found.compare(node.operator, test.operands[0])
        result = found.compare("=", test.operands[0])
        for operand in test.operands[1:]:
            result = pc.or_kleene(result, found.compare("=", operand))
        return result

    def _bounds(self, node: Node, keys: KeyRange) -> Bounds:
        if isinstance(node, Not):
            return self._bounds(node.part, keys).negated()
        if isinstance(node, Both):
            parts = [self._bounds(part, keys) for part in node.parts]
            together = any if node.either else all
            apart = all if node.either else any
            return Bounds(
                can_be_true=together(part.can_be_true for part in parts),
                can_be_false=apart(part.can_be_false for part in parts),
            )
        test = self._tests[node]
        if test.column.name != keys.column:
            return _ALL_KINDS
        if isinstance(node, IsNull):  # keys of a chunk with a range are never NULL
            return Bounds(can_be_true=False, can_be_false=True)
        if isinstance(node, Like):
            return _ALL_KINDS
        operator = node.operator if isinstance(node, Compare) else "="
        parts = [bounds_of(operator, operand, keys) for operand in test.operands]
        return Bounds(
            can_be_true=any(part.can_be_true for part in parts),
            can_be_false=all(part.can_be_false for part in parts),
        )


def _like(pattern: str) -> str:
    """Turn a LIKE pattern into a regular expression for the whole text."""
    parts: list[str] = []
    characters = iter(pattern)
    for character in characters:
        if character == "\\":
            parts.append(re.escape(next(characters, "\\")))
        elif character in "%_":
            parts.append(".*" if character == "%" else ".")
        else:
            parts.append(re.escape(character))
    return f"(?s)\\A{''.join(parts)}\\z"
