"""Rows as INSERT statements of many rows, for servers that do not take LOAD DATA LOCAL.

What lives here: the same forms of values as in `encode`, spelled as literals of SQL, and how long
a statement may be. Must not know: sessions, what the values mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from dbsync.connectors.mysql.encode import (
    Escape,
    Form,
    escaped,
    hexadecimal,
    joined,
    slices,
)
from dbsync.errors import TargetError
from dbsync.model.values.kernels import pc

STATEMENT_BYTES = 1 << 20
_SLACK_BYTES = 1024
_LITERAL = Escape({b"\\": b"\\", b"'": b"'", b"\n": b"n", b"\r": b"r", b"\0": b"0"})


def statements(
    head: str, columns: Sequence[tuple[pa.Array, Form]], max_packet: int, doing: str
) -> Iterator[tuple[str, int]]:
    """Spell rows as statements, each with the number of its rows.

    `head` goes up to ``VALUES``. No statement is longer than `max_packet`, the server's
    ``max_allowed_packet``; raises `TargetError` for a row that is too long for it.
    """
    room = max_packet - len(head.encode()) - _SLACK_BYTES
    # An escape doubles a character at most.
    for part in slices(columns, min(STATEMENT_BYTES, room // 2)):
        rows = joined(_rows(part))
        if rows.size > room:
            raise TargetError(
                f"{doing} failed: a row of {rows.size:,} bytes is longer than the server's "
                f"max_allowed_packet of {max_packet:,} bytes allows",
                hint="raise max_allowed_packet on the server, or set local_infile=ON there",
            )
        # The comma after the last row is left out.
        text = rows.slice(0, rows.size - 1).to_pybytes().decode()
        yield f"{head} {text}", len(part[0][0])


def _rows(columns: Sequence[tuple[pa.Array, Form]]) -> pa.StringArray:
    null = {"null_handling": "replace", "null_replacement": "NULL"}
    fields = [_literal(values, form) for values, form in columns]
    rows = fields[0]
    if len(fields) == 1:
        rows = pc.binary_join_element_wise(rows, "", "", **null)
    else:
        rows = pc.binary_join_element_wise(*fields, ",", **null)
    return pc.binary_join_element_wise("(", rows, "),", "")


def _literal(values: pa.Array, form: Form) -> pa.StringArray:
    match form:
        case Form.NUMBER:
            return values
        case Form.BYTES:
            return pc.binary_join_element_wise("x'", hexadecimal(values), "'", "")
        case Form.TEXT:
            return pc.binary_join_element_wise("'", escaped(values, _LITERAL), "'", "")
        case Form.PLAIN | Form.COUNTER:
            return pc.binary_join_element_wise("'", values, "'", "")
