"""The transaction that several tables share: how it begins and how it ends.

What lives here: emptying what is overwritten, and proving at the end that foreign keys hold which
were off meanwhile. Must not know: how rows are written, who commits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dbsync.connectors.mysql.connection import Session, quote_name
from dbsync.connectors.mysql.existing import TargetForeignKey
from dbsync.errors import TargetError
from dbsync.model.schema import Name


def empty_tables(session: Session, tables: Iterable[Name]) -> None:
    """Delete every row of `tables`; TRUNCATE would commit."""
    for name in tables:
        session.run(f"DELETE FROM {quote_name(name.name)}", f"emptying table {name}")


class ForeignKeyCheck:
    """Foreign keys that are off during a load. Rows that led nowhere before it do not count."""

    def __init__(self, keys: Iterable[TargetForeignKey]):
        self._before: dict[tuple[str, str], int] = {}
        self._keys = tuple(keys)

    def remember(self, session: Session, emptied: Iterable[Name]) -> None:
        """Count what leads nowhere before rows arrive; tables that are emptied begin with none."""
        gone = {name.name for name in emptied}
        for key in self._keys:
            if key.table not in gone:
                self._before[key.table, key.name] = count_orphans(session, key)

    def require(self, session: Session, *, committed: bool) -> None:
        """Raise `TargetError` where a key has more rows that lead nowhere than before."""
        for key in self._keys:
            before = self._before.get((key.table, key.name), 0)
            require_no_orphans(session, key, before, committed=committed)


def require_no_orphans(
    session: Session, key: TargetForeignKey, before: int = 0, *, committed: bool
) -> None:
    """Raise `TargetError` where more than `before` rows break a foreign key, naming one."""
    if not _orphans(session, key, "1", limit=before + 1)[before:]:
        return
    count = count_orphans(session, key) - before
    row = _orphans(session, key, ", ".join(f"c.{quote_name(c)}" for c in key.columns), limit=1)[0]
    example = ", ".join(str(value) for value in row.values())
    state = "its rows are committed" if committed else "nothing was changed"
    raise TargetError(
        f"table {key.table}: {count} rows break foreign key {key.name}: there is no row in "
        f"{key.referred} with ({', '.join(key.referred_columns)}) = ({example}); {state}",
        hint="import the tables and rows they refer to as well"
        + (", or delete these rows; then run the same import again" if committed else ""),
    )


def count_orphans(session: Session, key: TargetForeignKey) -> int:
    """Count the rows of a foreign key's table that refer to a row that is not there."""
    return int(_orphans(session, key, "count(*) AS n", limit=None)[0]["n"])


def _orphans(
    session: Session, key: TargetForeignKey, columns: str, limit: int | None
) -> list[dict[str, Any]]:
    own = [f"c.{quote_name(name)}" for name in key.columns]
    given = " AND ".join(f"{name} IS NOT NULL" for name in own)
    equal = " AND ".join(
        f"p.{quote_name(other)} = {name}"
        for name, other in zip(own, key.referred_columns, strict=True)
    )
    sql = (
        f"SELECT {columns} FROM {quote_name(key.table)} c WHERE {given} AND NOT EXISTS "
        f"(SELECT 1 FROM {quote_name(key.schema, key.referred)} p WHERE {equal})"
    )
    doing = f"checking foreign key {key.name} of table {key.table}"
    return session.rows(sql if limit is None else f"{sql} LIMIT {limit}", doing)
