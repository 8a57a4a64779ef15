"""Opening connections to PostgreSQL: the URL, the driver's parameters, the pinned session.

What lives here: `Address`, and the two kinds of connection, psycopg2 for catalogs and statements
and ADBC for writing rows. Must not know: what is read or written over them.

Every session is pinned to the same settings, so that a value's text never depends on how the
server, the database or the role is configured. `search_path` is ``pg_catalog``: names that dbsync
writes are always qualified, and names that the server writes for it come back qualified. Text
that a user wrote (a ``--where`` condition) was written for the user's own path, which
``RESET search_path`` brings back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dbsync.connectors.postgres.failures import connection_failure
from dbsync.errors import DatabaseError, UsageError

if TYPE_CHECKING:
    import adbc_driver_postgresql.dbapi as adbc
    from psycopg2.extensions import connection as Connection

PARAMETERS: dict[str, str] = {
    "connect_timeout": "15",
    "application_name": "dbsync",
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}
"""Used where the URL does not say otherwise. A connection whose other end is gone is noticed
within a minute instead of never."""

SETTINGS: dict[str, str] = {
    "search_path": "pg_catalog",
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "xmloption": "content",
    "xmlbinary": "base64",
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
    "array_nulls": "on",
    "row_security": "off",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
}
"""Pinned on every session; a setting that the server does not have is left out."""

_SECRETS = ("password", "sslpassword")


@dataclass(frozen=True)
class Address:
    """Where a database is and how to log in: libpq parameters by name, without defaults."""

    parameters: dict[str, str] = field(repr=False)

    def __str__(self) -> str:
        """Name the place in messages, never with a secret."""
        host = self.parameters.get("host") or self.parameters.get("hostaddr") or "local socket"
        port = self.parameters.get("port")
        return f"{host}:{port}" if port and not host.startswith("/") else host

    @property
    def database(self) -> str | None:
        """The database's name, where the URL gives one; otherwise libpq decides."""
        return self.parameters.get("dbname")

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every text that must not appear in any output."""
        return tuple(value for key in _SECRETS if (value := self.parameters.get(key)))

    @property
    def public(self) -> dict[str, str]:
        """The parameters that may be shown, or passed in a child's arguments."""
        return {k: v for k, v in self.parameters.items() if k not in _SECRETS}

    def with_database(self, name: str) -> Address:
        """Return the address of another database of the same server."""
        return Address({**self.parameters, "dbname": name})


def parse_url(url: str) -> Address:
    """Split a ``postgresql://`` or ``postgres://`` URL into libpq parameters.

    ``+driver`` is ignored, every parameter of libpq may follow ``?``, parts are percent-decoded,
    and several hosts are allowed, all as in libpq (PostgreSQL manual, "Connection URIs"). Raises
    `UsageError`, which quotes nothing of the URL: a misplaced part may be the password.
    """
    import psycopg2
    from psycopg2.extensions import parse_dsn

    scheme, separator, rest = url.partition("://")
    if not separator or scheme.partition("+")[0].lower() not in ("postgresql", "postgres"):
        raise UsageError("a PostgreSQL URL starts with postgresql:// or postgres://")
    hint = "in user and password write @ as %40, / as %2F, : as %3A and % as %25"
    login, at, place = rest.partition("@")
    if not at or "/" in login:
        place = rest
    if "@" in place.partition("?")[0]:
        raise UsageError("the database URL has more than one @, or a / before it", hint=hint)
    try:
        parameters: dict[str, str] = parse_dsn(f"postgresql://{rest}")
    except psycopg2.Error:
        raise UsageError(
            "the database URL is malformed, or has a parameter that libpq does not know",
            hint=f"the form is postgresql://user:password@host:port/database?name=value; {hint}",
        ) from None
    if not all(port.isdigit() for port in parameters.get("port", "0").split(",") if port):
        raise UsageError("the port in the database URL is not a number", hint=hint)
    return Address(parameters)


def open_session(
    address: Address,
    error: type[DatabaseError],
    *,
    settings: Mapping[str, str] | None = None,
    tcp_user_timeout_s: int = 60,
) -> Connection:
    """Open a psycopg2 connection in autocommit mode with pinned settings; the caller closes it.

    `settings` are added to `SETTINGS`. `tcp_user_timeout_s` bounds how long sent bytes may stay
    unacknowledged; the kernel also counts the time in which a busy server does not read, so a
    session that sends much data needs a longer one. Raises `error`.
    """
    import psycopg2

    parameters = _parameters(address, tcp_user_timeout_s)
    try:
        connection = psycopg2.connect(**parameters)
    except psycopg2.Error as failure:
        raise connection_failure(failure, error, str(address), address.secrets) from failure
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(pin_statement(settings))
    except psycopg2.Error as failure:
        connection.close()
        raise connection_failure(failure, error, str(address), address.secrets) from failure
    return connection


def open_bulk(
    address: Address,
    error: type[DatabaseError],
    *,
    settings: Mapping[str, str] | None = None,
    tcp_user_timeout_s: int = 60,
) -> adbc.Connection:
    """Open an ADBC connection in autocommit mode, otherwise as `open_session`.

    Transactions are begun and ended with SQL. Close every cursor before the connection.
    """
    import adbc_driver_manager
    import adbc_driver_postgresql.dbapi as adbc
    from psycopg2.extensions import make_dsn

    dsn = make_dsn(**_parameters(address, tcp_user_timeout_s))
    try:
        connection = adbc.connect(dsn, autocommit=True)
    except adbc_driver_manager.Error as failure:
        raise connection_failure(failure, error, str(address), address.secrets) from failure
    try:
        with connection.cursor() as cursor:
            cursor.execute(pin_statement(settings))
            cursor.fetchall()
    except adbc_driver_manager.Error as failure:
        connection.close()
        raise connection_failure(failure, error, str(address), address.secrets) from failure
    return connection


def pin_statement(settings: Mapping[str, str] | None = None) -> str:
    """Give the one statement that sets `SETTINGS` and `settings` for the session."""
    values = ", ".join(
        f"({quote_literal(name)}, {quote_literal(value)})"
        for name, value in {**SETTINGS, **(settings or {})}.items()
    )
    return (
        "SELECT pg_catalog.set_config(s.name, v.value, false) "
        f"FROM (VALUES {values}) v(name, value) "
        "JOIN pg_catalog.pg_settings s ON pg_catalog.lower(s.name) = v.name"
    )


def quote_name(*parts: str | None) -> str:
    """Quote an identifier, qualified where there are several parts; None parts are left out."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts if part is not None)


def quote_literal(text: str) -> str:
    """Quote a string constant; backslashes mean themselves under the pinned settings."""
    return "'" + text.replace("'", "''") + "'"


def _parameters(address: Address, tcp_user_timeout_s: int) -> dict[str, Any]:
    timeout = {"tcp_user_timeout": str(tcp_user_timeout_s * 1000)}
    return {**PARAMETERS, **timeout, **address.parameters, "client_encoding": "UTF8"}
