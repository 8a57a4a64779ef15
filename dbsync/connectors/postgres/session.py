"""Statements against the target: one way to ask, to run and to send rows, with errors translated.

What lives here: `Control`, a psycopg2 session for questions and the lock, and `Session`, an ADBC
session for everything that is written, with transactions begun and ended in SQL. Must not know:
what the statements mean.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from dbsync.connectors.postgres.connection import Address, open_bulk, open_session
from dbsync.connectors.postgres.failures import translate
from dbsync.errors import TargetError

if TYPE_CHECKING:
    import pyarrow as pa

_SEND_TIMEOUT_S = 3600
"""A server that builds an index reads nothing meanwhile, which the kernel counts as well."""

DDL_SETTINGS = {
    "search_path": "",
    "check_function_bodies": "off",
    "client_min_messages": "warning",
    "default_table_access_method": "heap",
    "default_tablespace": "",
}
"""What pg_dump sets before its own output, so that native DDL means here what it meant there."""


class Asks(Protocol):
    """Something that answers a query; see `Control.rows`."""

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Return the rows of a query."""
        ...


class Control:
    """Questions about the target, each its own transaction; closed by whoever opened it."""

    def __init__(self, address: Address):
        self._connection = open_session(address, TargetError)
        self._secrets = address.secrets

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Return the rows of a query as dictionaries of JSON values. Raises `TargetError`."""
        import psycopg2

        try:
            with self._connection.cursor() as cursor:
                cursor.execute(_as_json(query))
                found = cursor.fetchone()
        except psycopg2.Error as error:
            raise translate(
                error, TargetError, "looking at the target", secrets=self._secrets
            ) from error
        return json.loads(found[0]) if found else []

    def close(self) -> None:
        """Close the connection, which frees its locks; may be repeated."""
        self._connection.close()


class Session:
    """One connection that writes. Used by one thread at a time; the owner closes it."""

    def __init__(self, address: Address):
        self._connection = open_bulk(address, TargetError, tcp_user_timeout_s=_SEND_TIMEOUT_S)
        self._secrets = address.secrets
        self._settings: dict[str, str] | None = None

    def for_ddl(self) -> None:
        """Take on the settings under which native DDL is written."""
        if self._settings is not DDL_SETTINGS:
            for name, value in DDL_SETTINGS.items():
                self.run(f"SET {name} = '{value}'", "preparing the session")
            self._settings = DDL_SETTINGS

    def for_rows(self) -> None:
        """Take on the role's own search path, for which its triggers and functions are written."""
        if self._settings is not _ROW_SETTINGS:
            self.run("RESET search_path", "preparing the session")
            self.run("SET client_min_messages = 'warning'", "preparing the session")
            self._settings = _ROW_SETTINGS

    def run(
        self, statement: str, doing: str, values: Sequence[object] = (), *, hint: str | None = None
    ) -> int:
        """Run one statement and return how many rows it changed, -1 where it cannot say.

        `doing` completes the message of a failure, which is a `TargetError`.
        """
        import adbc_driver_manager

        try:
            with self._connection.cursor() as cursor:
                cursor.execute(statement, list(values) or None)
                return cursor.rowcount
        except adbc_driver_manager.Error as error:
            raise self.failure(error, doing, hint) from error

    def script(self, statements: str, doing: str) -> None:
        """Run text that may hold several statements, all or none of them."""
        # A driver that prepares statements takes one at a time; the server splits the text here.
        inner, outer = _tag(statements, "body"), _tag(statements, "block")
        self.run(
            f"DO {outer} BEGIN EXECUTE {inner}{statements}{inner}; END {outer}",
            doing,
        )

    def rows(
        self, query: str, *, doing: str = "looking at the target", before: str = ""
    ) -> list[dict[str, Any]]:
        """Return the rows of a query as dictionaries of JSON values. Raises `TargetError`.

        `before` is a WITH clause that changes data, which may stand only at the very front.
        """
        import adbc_driver_manager

        try:
            with self._connection.cursor() as cursor:
                cursor.execute(before + _as_json(query))
                found = cursor.fetchone()
        except adbc_driver_manager.Error as error:
            raise self.failure(error, doing, None) from error
        return json.loads(found[0]) if found else []

    def ingest(self, table: str, batch: pa.RecordBatch, doing: str, *, schema: str | None) -> None:
        """Append rows by binary COPY; the fields are named like columns. No schema: temporary."""
        import adbc_driver_manager

        try:
            with self._connection.cursor() as cursor:
                cursor.adbc_ingest(
                    table,
                    batch,
                    mode="append",
                    db_schema_name=schema,
                    temporary=schema is None,
                )
        except adbc_driver_manager.Error as error:
            raise self.failure(error, doing, None) from error

    def begin(self) -> None:
        """Begin a transaction."""
        self.run("BEGIN", "beginning a transaction")

    def commit(self, doing: str) -> None:
        """Commit; deferred constraints are checked here."""
        self.run("COMMIT", f"committing {doing}")

    def rollback(self) -> None:
        """Undo the transaction, also a failed one."""
        self._settings = None
        self.run("ROLLBACK", "rolling back")

    def failure(self, error: BaseException, doing: str, hint: str | None) -> Exception:
        """Translate a driver's error."""
        return translate(error, TargetError, doing, secrets=self._secrets, hint=hint)

    def close(self) -> None:
        """Close the connection, undoing what is not committed; may be repeated."""
        self._connection.close()


_ROW_SETTINGS = {"search_path": "the role's own"}


def _as_json(query: str) -> str:
    return f"SELECT coalesce(pg_catalog.json_agg(q), '[]')::text FROM ({query}) q"


def _tag(text: str, name: str) -> str:
    """Choose a dollar quote that does not occur in `text`."""
    number = 0
    while f"$dbsync_{name}{number}" in text:
        number += 1
    return f"$dbsync_{name}{number}$"
