"""A condition for ranges of an integer column, in the SQL that all engines share.

Must not know: how an engine quotes names, whether it has an index.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dbsync.model.schema import Table

_LEAST, _GREATEST = -(2**63), 2**63 - 1


def narrowed(
    table: Table, quoted: str, ranges: Sequence[tuple[int, int]], *, otherwise: str = ""
) -> Table:
    """Return `table` with its condition narrowed to ranges of a column, both ends included.

    `quoted` is the column in the engine's SQL; rows that meet the condition `otherwise` stay, too.
    """
    parts = [_range(quoted, low, high) for low, high in ranges]
    parts += [otherwise] if otherwise else []
    condition = " OR ".join(parts) or "1 = 0"
    if table.where is not None:
        # The line break ends a comment in the condition.
        condition = f"({table.where}\n) AND ({condition})"
    return msgspec.structs.replace(table, where=condition)


def _range(quoted: str, low: int, high: int) -> str:
    # The ends of 64 bits bind nothing, and the least integer is no literal everywhere.
    bounds = [f"{quoted} >= {low}"] if low > _LEAST else []
    bounds += [f"{quoted} <= {high}"] if high < _GREATEST else []
    return f"({' AND '.join(bounds) or '1 = 1'})"
