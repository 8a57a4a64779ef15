"""Opening a connection with PyMySQL: encryption, authentication, the socket's options.

What lives here: `connect` and what it configures. Must not know: sessions, statements.
"""

from __future__ import annotations

import socket
from typing import Any

from dbsync.connectors.mysql.address import Address, tls_context

CONNECT_TIMEOUT_S = 15
"""For each step of connecting and logging in."""

_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
_UNACKNOWLEDGED_S = {False: 60, True: 3600}
"""How long sent bytes may stay unacknowledged. The kernel also counts the time in which a busy
server does not read, so a connection that sends files needs longer."""


def connect(address: Address, *, files: bool, timeout_s: int = CONNECT_TIMEOUT_S) -> Any:
    """Open a connection, which the caller closes; statements then have no time limit.

    Only with `files` does the server hear that it may ask for a file in answer to LOAD DATA
    LOCAL. The driver itself is never told: it would open whatever file the server names. Results
    hold numbers as numbers, binary columns as bytes, everything else as text. Raises the driver's
    errors, and `UsageError` for a certificate that cannot be read.
    """
    import pymysql
    from pymysql.constants import CLIENT

    context = tls_context(address)
    flags = CLIENT.FOUND_ROWS | (CLIENT.LOCAL_FILES if files else 0)
    driver: Any = pymysql
    connection = driver.Connection(
        host=address.host,
        port=address.port,
        unix_socket=address.socket,
        user=address.user or None,
        password=address.password.encode(),
        database=address.database,
        charset="utf8mb4",
        client_flag=flags,
        autocommit=None,
        connect_timeout=timeout_s,
        read_timeout=timeout_s,
        write_timeout=timeout_s,
        conv=_conversions(),
        program_name="dbsync",
        ssl=context,
        ssl_disabled=context is None,
        auth_plugin_map={"mysql_clear_password": _Encrypted, "dialog": _Dialog},
        defer_connect=True,
    )
    if address.ssl_mode == "preferred":
        connection._ssl_required = False
        connection.client_flag = flags | CLIENT.CAPABILITIES | CLIENT.CONNECT_WITH_DB
    connection.connect()
    connection._read_timeout = connection._write_timeout = None
    if not address.socket:
        _watch(connection._sock, _UNACKNOWLEDGED_S[files])
    return connection


class _Encrypted:
    """Sends the password as it is, which some accounts need, over an encrypted connection only.

    The driver's own answer would give it to whoever asks.
    """

    def __init__(self, connection: Any) -> None:
        """Answer for `connection`, as the driver demands of such a class."""
        self._connection = connection

    def authenticate(self, packet: Any) -> Any:
        """Answer the server's request and return its next packet."""
        del packet
        self._require_encryption()
        self._connection.write_packet(self._connection.password + b"\0")
        return self._connection._read_packet()

    def _require_encryption(self) -> None:
        from pymysql import err
        from pymysql.constants import CR

        if not self._connection._secure:
            raise err.OperationalError(
                CR.CR_AUTH_PLUGIN_ERR,
                "the server asks for the password itself, and the connection is not encrypted",
            )


class _Dialog(_Encrypted):
    """The same for accounts that are asked questions, of which the driver answers the password."""

    def authenticate(self, packet: Any) -> Any:
        """Leave the answer to the driver, which asks for `prompt` after an AttributeError."""
        del packet
        self._require_encryption()
        raise AttributeError("authenticate")


def _watch(sock: socket.socket, unacknowledged_s: int) -> None:
    """Have the kernel notice a connection whose other end is gone."""
    options = {**_KEEPALIVE, "TCP_USER_TIMEOUT": unacknowledged_s * 1000}
    for name, value in options.items():
        if hasattr(socket, name):  # systems other than Linux lack some
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _conversions() -> dict[Any, Any]:
    from pymysql.constants import FIELD_TYPE
    from pymysql.converters import decoders, encoders

    numbers = (
        FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.INT24, FIELD_TYPE.LONG,
        FIELD_TYPE.LONGLONG, FIELD_TYPE.YEAR, FIELD_TYPE.FLOAT, FIELD_TYPE.DOUBLE,
        FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL,
    )  # fmt: skip
    return {**encoders, **{kind: decoders[kind] for kind in numbers}}
