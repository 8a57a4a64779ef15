"""Labels and default values that the server shows with question marks, as they really are.

What lives here: asking for the true values, and putting them into what information_schema gave.
Must not know: the portable model, CREATE TABLE.

MariaDB keeps labels of enums and literal defaults in the column's own character set, but writes
DDL in a three-byte Unicode, so that an emoji is shown as ``?`` there and in information_schema;
bytes of binary defaults that are no UTF-8 as well. Nothing else in DDL can hold an emoji: the
server refuses it in names and expressions, and stores comments as they are shown.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from dbsync.connectors.mysql.connection import Session, quote_literal, quote_name
from dbsync.connectors.mysql.information import RawColumn, RawTable

_BINARY = frozenset({"binary", "varbinary"})
_CODE = "@dbsync_labels"


def with_true_literals(session: Session, raw: RawTable) -> tuple[RawTable, frozenset[str]]:
    """Return the table with its true labels and defaults, and the names of what was changed.

    Costs nothing for tables without a question mark in them.
    """
    if not session.flavour.shows_bmp_only:
        return raw, frozenset()
    columns = {column.name: column for column in raw.columns}
    for column in [c for c in raw.columns if _doubtful_labels(c)]:
        columns[column.name] = _with_labels(session, raw, column)
    doubtful = [c for c in columns.values() if _doubtful_default(c)]
    if doubtful:
        for column in _with_defaults(session, raw, doubtful):
            columns[column.name] = column
    changed = frozenset(c.name for c in raw.columns if columns[c.name] != c)
    if not changed:
        return raw, changed
    return replace(raw, columns=tuple(columns[c.name] for c in raw.columns)), changed


def has_raw_default(raw: RawTable, changed: frozenset[str]) -> bool:
    """Say whether SHOW CREATE TABLE may hold bytes of a default that are no text."""
    return any(c.facts.data_type in _BINARY and c.name in changed for c in raw.columns)


def _doubtful_labels(column: RawColumn) -> bool:
    facts = column.facts
    return facts.data_type in ("enum", "set") and any("?" in label for label in facts.labels)


def _doubtful_default(column: RawColumn) -> bool:
    default = column.default or ""
    return default.startswith("'") and "?" in default


def _with_labels(session: Session, raw: RawTable, column: RawColumn) -> RawColumn:
    """Read labels through a variable of the column's type, which needs no row and no right to
    write. The number of an enum's label, or the bit of a set's, is assigned to it."""
    where = quote_name(session.database, raw.name, column.name)
    count = len(column.facts.labels)
    step = "v = n" if column.facts.data_type == "enum" else "v = 1 << (n - 1)"
    doing = f"reading the labels of column {raw.name}.{column.name}"
    session.run(
        f"BEGIN NOT ATOMIC DECLARE v TYPE OF {where}; DECLARE n INT DEFAULT 1;"
        " DECLARE r LONGTEXT CHARACTER SET ascii DEFAULT '';"
        f" WHILE n <= {count} DO SET {step};"
        " SET r = CONCAT(r, HEX(CONVERT(v USING utf8mb4)), ','); SET n = n + 1; END WHILE;"
        f" SET {_CODE} = r; END",
        doing,
    )
    found = str(session.value(f"SELECT {_CODE} AS labels", doing)).split(",")[:count]
    labels = [bytes.fromhex(code).decode() for code in found]
    return replace(
        column,
        facts=replace(column.facts, column_type=f"{column.facts.data_type}({_listed(labels)})"),
    )


def _listed(labels: Sequence[str]) -> str:
    """Write labels as the server does: quotes are doubled there and not escaped."""
    return ",".join(quoted(label) for label in labels)


def quoted(text: str) -> str:
    """Write a string as SHOW CREATE TABLE does."""
    return quote_literal(text).replace("\\'", "''").replace("\n", "\\n").replace("\r", "\\r")


def _with_defaults(
    session: Session, raw: RawTable, doubtful: Sequence[RawColumn]
) -> list[RawColumn]:
    """Read defaults from a row that is not there, which works for empty tables too.

    The rows of the subquery are not the table's own, or else a column that is NOT NULL would have
    no default in a row without them.
    """
    parts: list[str] = []
    for place, column in enumerate(doubtful):
        value = f"DEFAULT(t.{quote_name(column.name)})"
        text = value if column.facts.charset is None else f"CONVERT({value} USING utf8mb4)"
        parts.append(f"HEX({text}) AS d{place}")
    names = ", ".join(quote_name(column.name) for column in doubtful)
    row = session.rows(
        f"SELECT {', '.join(parts)} FROM (SELECT 1 AS x) o LEFT JOIN"
        f" (SELECT {names} FROM {quote_name(raw.name)} LIMIT 0) t ON FALSE",
        f"reading the defaults of table {raw.name}",
    )[0]
    found: list[RawColumn] = []
    for place, column in enumerate(doubtful):
        digits = row[f"d{place}"]
        if digits is None:
            continue
        # Hexadecimal digits are right in a statement whatever the bytes are.
        text = f"x'{digits}'" if column.facts.charset is None else None
        found.append(replace(column, default=text or quoted(bytes.fromhex(digits).decode())))
    return found
