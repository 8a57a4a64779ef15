"""A connection's bytes, read past libpq, which has opened the connection and leaves it idle.

What lives here: `open_channel`, for connections without encryption and with OpenSSL's, and
`cancel`. Must not know: the protocol.

libpq gives rows one at a time, each with a call, an allocation and a copy of its own; from here
they come as many at a time as there are. For TLS, libpq hands out OpenSSL's own object, and
OpenSSL is called where libpq itself would call it, in the copy that libpq has loaded.

Sources: PostgreSQL manual, libpq, "Connection Status Functions", PQsslStruct; OpenSSL manual,
SSL_read, SSL_get_error; psycopg2 documentation, "connection.pgconn_ptr".
"""

from __future__ import annotations

import ctypes
import os
import select
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_WANT_READ, _WANT_WRITE, _CLOSED = 2, 3, 6
_WORDS = 256  # how long PQcancel's words about a failure may be


class Channel(Protocol):
    """Bytes to and from the server; used by one thread, while the connection is open.

    Waits as long as the connection lives; that it is gone is noticed by its keepalives.
    """

    def read_into(self, view: memoryview) -> int:
        """Read what there is, at least one byte; 0 means that the server has closed.

        Raises `OSError`.
        """
        ...

    def write(self, data: bytes) -> None:
        """Send all of it. Raises `OSError`."""
        ...


def open_channel(connection: Connection) -> Channel | None:
    """Find out how an idle connection's bytes can be read, None where only libpq can do it.

    The connection commits by itself. The channel needs no closing and dies with the connection.
    Raises the driver's errors.
    """
    if not hasattr(os, "readv"):
        return None
    if connection.info.ssl_in_use:
        openssl = _openssl()
        handle = openssl and openssl.PQsslStruct(connection.pgconn_ptr, b"OpenSSL")
        return TlsChannel(connection.fileno(), openssl, handle) if handle else None
    return None if _uses_gssapi(connection) else PlainChannel(connection.fileno())


def cancel(connection: Connection) -> None:
    """Ask the server, from any thread, to give up what runs on a connection, which stays open.

    Nothing happens where the server cannot be asked.
    """
    libpq = _libpq()
    if libpq is None:
        import psycopg2

        with suppress(psycopg2.Error):
            connection.cancel()
        return
    # The driver's own method lets no other thread run until the server has answered.
    request = libpq.PQgetCancel(connection.pgconn_ptr)
    if request:
        libpq.PQcancel(request, ctypes.create_string_buffer(_WORDS), _WORDS)
        libpq.PQfreeCancel(request)


class PlainChannel:
    """The socket itself, which libpq has made non-blocking."""

    def __init__(self, descriptor: int):
        self._descriptor = descriptor

    def read_into(self, view: memoryview) -> int:
        """Read from the socket."""
        while True:
            try:
                return os.readv(self._descriptor, [view])
            except BlockingIOError:
                _wait(self._descriptor, select.POLLIN)

    def write(self, data: bytes) -> None:
        """Write to the socket."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                _wait(self._descriptor, select.POLLOUT)


class TlsChannel:
    """OpenSSL's connection over the socket."""

    def __init__(self, descriptor: int, openssl: Any, handle: int):
        self._descriptor = descriptor
        self._openssl = openssl
        self._handle = handle

    def read_into(self, view: memoryview) -> int:
        """Read what one or more records hold."""
        first = ctypes.c_char.from_buffer(view)
        return self._call(self._openssl.SSL_read, ctypes.addressof(first), len(view))

    def write(self, data: bytes) -> None:
        """Write records."""
        rest = data
        while rest:
            count = self._call(self._openssl.SSL_write, rest, len(rest))
            if not count:
                raise BrokenPipeError("the server has closed the connection")
            rest = rest[count:]

    def _call(self, function: Any, place: int | bytes, size: int) -> int:
        while True:
            # What an earlier call of anyone has left in this thread would be taken for its error.
            self._openssl.ERR_clear_error()
            count = function(self._handle, place, size)
            if count > 0:
                return count
            code = self._openssl.SSL_get_error(self._handle, count)
            if code == _CLOSED:
                return 0
            if code not in (_WANT_READ, _WANT_WRITE):
                raise ConnectionError(f"error {code} of OpenSSL")
            _wait(self._descriptor, select.POLLIN if code == _WANT_READ else select.POLLOUT)


def _wait(descriptor: int, event: int) -> None:
    poll = select.poll()
    poll.register(descriptor, event)
    poll.poll()


@cache
def _libpq() -> Any:
    """Give the functions of the libpq that the driver uses; None where they cannot be found."""
    try:
        # Names are looked up in the driver, then in the libraries that it was linked with.
        library: Any = ctypes.CDLL(import_module("psycopg2._psycopg").__file__)
        library.PQgetCancel.argtypes = (ctypes.c_void_p,)
        library.PQgetCancel.restype = ctypes.c_void_p
        library.PQcancel.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)
        library.PQfreeCancel.argtypes = (ctypes.c_void_p,)
        library.PQfreeCancel.restype = None
        library.PQsslStruct.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
        library.PQsslStruct.restype = ctypes.c_void_p
    except (OSError, AttributeError):
        return None
    return library


@cache
def _openssl() -> Any:
    """Give the functions of libpq's OpenSSL, and its own; None where it uses another library."""
    library = _libpq()
    try:
        library.SSL_read.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
        library.SSL_write.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)
        library.SSL_get_error.argtypes = (ctypes.c_void_p, ctypes.c_int)
        library.ERR_clear_error.argtypes = ()
        library.ERR_clear_error.restype = None
    except AttributeError:
        return None
    return library


def _uses_gssapi(connection: Connection) -> bool:
    """Ask the server, because the driver does not ask libpq; one that cannot tell might."""
    from psycopg2.errors import UndefinedTable

    if connection.server_version < 120_000:
        return False
    with connection.cursor() as cursor:
        try:
            cursor.execute(
                "SELECT encrypted FROM pg_catalog.pg_stat_gssapi "
                "WHERE pid = pg_catalog.pg_backend_pid()"
            )
        except UndefinedTable:
            return True
        found = cursor.fetchone()
    return found is not None and bool(found[0])
