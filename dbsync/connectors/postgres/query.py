"""Reading catalog rows over a psycopg2 connection.

What lives here: `Catalog`, which runs a query and translates its failure. Must not know: which
catalogs there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dbsync.connectors.postgres.failures import translate
from dbsync.errors import DatabaseError

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

Row = dict[str, Any]


class Catalog:
    """Runs queries on one connection, which the caller owns; used by one thread at a time."""

    def __init__(
        self, connection: Connection, error: type[DatabaseError], secrets: tuple[str, ...] = ()
    ) -> None:
        self.connection = connection
        self.version: int = connection.server_version
        """As ``server_version_num``: 180004 is 18.4."""
        self._error = error
        self._secrets = secrets

    def rows(
        self,
        sql: str,
        parameters: Mapping[str, object] | None = None,
        *,
        doing: str = "reading the catalog",
        hint: str | None = None,
    ) -> list[Row]:
        """Run one query and return its rows by column name; parameters are ``%(name)s``.

        Without parameters, ``%`` means itself. `doing` and `hint` go into the error.
        """
        import psycopg2
        from psycopg2.extras import RealDictCursor

        try:
            with self.connection.cursor(cursor_factory=RealDictCursor) as cursor:
                cursor.execute(sql, parameters)
                return [dict(row) for row in cursor.fetchall()] if cursor.description else []
        except psycopg2.Error as failure:
            raise translate(
                failure, self._error, doing, secrets=self._secrets, hint=hint
            ) from failure

    def run(self, sql: str, *, doing: str, hint: str | None = None) -> None:
        """Run one statement that returns nothing; ``%`` means itself."""
        self.rows(sql, doing=doing, hint=hint)

    def value(self, sql: str, parameters: Mapping[str, object] | None = None) -> Any:
        """Return the one value of a query that gives one row with one column."""
        (row,) = self.rows(sql, parameters)
        (value,) = row.values()
        return value
