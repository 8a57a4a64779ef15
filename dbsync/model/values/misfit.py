"""Values that cannot arrive as they are: one error for the check before the import and for writers.

What lives here: `MisfitError`, which knows the rows, and `refuse`, by which conversions raise it.
Must not know: engines, chunks.
"""

from __future__ import annotations

import pyarrow as pa

from dbsync.errors import LossError
from dbsync.model.values.kernels import pc

HINT = "correct the values in the source, or leave the column out with --columns"
"""What helps against values that do not fit."""


class MisfitError(LossError):
    """Values of one column that the target's column cannot hold exactly.

    `rows` marks them in the array that was converted. `reason` follows the words "3 values", such
    as "longer than 40 characters". `example` is a value for people, empty where none is shown.
    """

    def __init__(
        self,
        rows: pa.Array,
        column: str,
        table: str,
        reason: str,
        *,
        example: str = "",
        hint: str = HINT,
    ):
        self.rows: pa.Array = rows.fill_null(False)
        self.count: int = pc.sum(self.rows).as_py() or 0
        self.first: int = pc.index(self.rows, True).as_py()
        self.column = column
        self.table = table
        self.reason = reason
        self.example = example
        super().__init__(misfit_text(table, column, self.count, reason, example=example), hint=hint)


def misfit_text(
    table: str, column: str, count: int, reason: str, *, example: str = "", key: str = ""
) -> str:
    """Write the line that tells of misfits; `key` names the row of one of them."""
    noun = "value" if count == 1 else "values"
    text = f"table {table}, column {column}: {count} {noun} {reason}"
    if example:
        return f"{text}, such as {example}{key and f' in the row {key}'}"
    return f"{text}{key and f', one of them in the row {key}'}"


def refuse(
    rows: pa.Array | None,
    column: str,
    table: str,
    reason: str,
    *,
    example: str = "",
    hint: str = HINT,
) -> None:
    """Raise `MisfitError` where any of `rows` (booleans; NULL is false) is true."""
    if rows is not None and pc.any(rows).as_py():
        raise MisfitError(rows, column, table, reason, example=example, hint=hint)
