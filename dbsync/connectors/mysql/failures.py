"""Turning what the driver raises into dbsync's errors, by error number.

What lives here: one translation for source and target alike. Must not know: which statement ran;
the caller says what it was doing. Numbers from 1000 are the server's (MySQL manual, "Server Error
Message Reference"; MariaDB manual, "MariaDB Error Codes"), those from 2000 to 2999 the client's.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable

from dbsync.connectors.redaction import redact
from dbsync.errors import (
    ConflictError,
    DatabaseError,
    DbsyncError,
    TargetError,
    UndoneError,
)

LOST = frozenset(
    {1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 2006, 2013, 2055, 4031}
)
"""The connection is gone, or the server is going."""

INFILE_OFF = frozenset({1148, 2068, 3948, 4166})
"""LOAD DATA LOCAL is switched off on the server, or was not asked for by the client."""

_ACCESS = "check user name and password (DBSYNC_PASSWORD, or percent-encoded in the URL)"
_ACCOUNT = "log in with the server's own client and renew or unlock the account there"
_RIGHT = "grant the missing right to this user; `dbsync check` lists what is needed"
_NETWORK = "check that the server is up and the network is stable, then run the same command again"
_LIMIT = "lower --jobs, or raise the limit of connections on the server"
_HOST = "check host and port, and that the server is up and reachable from here"
_LOCK = "another session holds the lock: wait until it ends, then run it again"
_DEADLOCK = "another session held what this one needed and waited for it: run it again"
_ENDED = "the statement was ended, by a time limit of the server or by someone's KILL QUERY"
_SCHEMA = "the table is not as expected, or was changed meanwhile: check it, then run it again"
_TAKEN = "a row with this key is there already, under the primary key or another unique key"
_NULL = "the column takes no NULL: give it a default, or fill the values in the source"
_VALUE = "the value does not fit the column: widen the column, or leave it out with --columns"
_CHECK = "the row breaks a CHECK of the table: drop the check, or mend the row in the source"
_PARENT = "the row that it refers to is missing: load that table too, or mend the data"
_CHILD = "rows of another table refer to this one: load or empty that table as well"
_FULL = "free space on the server's disk, then run the same command again"
_MEMORY = "give the server more memory, or lower --jobs"
_READONLY = "connect to the primary, and as a user who may write: this server takes no writes"
_PACKET = "raise max_allowed_packet on the server"
_ROW = "the row is too large for the table's engine or page size"
_INFILE = "set local_infile=ON on the server; without it rows go by INSERT, which is slower"
_TLS = "check ssl_mode and the certificates (?ssl_mode=..., ?ssl_ca=...)"
_PLUGIN = "use an encrypted connection (?ssl_mode=required), or a user with another plugin"

_BY_HINT: dict[str, Collection[int]] = {
    _ACCESS: (1045, 1698, 3879),
    _ACCOUNT: (1820, 1862, 3118, 3955, 4151),
    _RIGHT: (1044, 1142, 1143, 1227, 1370, 1410, 1419, 1805),
    _NETWORK: LOST,
    _LIMIT: (1040, 1203, 1226),
    _HOST: (2002, 2003, 2004),
    _LOCK: (1205, 3572),
    _DEADLOCK: (1213,),
    _ENDED: (1028, 1317, 1968, 1969, 1970, 3024),
    _SCHEMA: (1051, 1054, 1109, 1146, 1412, 1684),
    _TAKEN: (1022, 1062, 1169, 1586, 1859),
    _NULL: (1048, 1364),
    _VALUE: (1264, 1265, 1292, 1366, 1367, 1406, 1411, 1441, 1690),
    _CHECK: (3819, 4025),
    _PARENT: (1216, 1452),
    _CHILD: (1217, 1451),
    _FULL: (1021, 1026, 1114, 3675),
    _MEMORY: (1037, 1038, 1041),
    _READONLY: (1290, 1792, 1836, 3098),
    _PACKET: (1153, 1301, 2020),
    _ROW: (1118, 1030),
    _INFILE: INFILE_OFF,
    _TLS: (1043, 2026, 3159),
    _PLUGIN: (1251, 1275, 1524, 2059, 2061),
}
_HINTS: dict[int, str] = {
    **{number: hint for hint, numbers in _BY_HINT.items() for number in numbers},
    1049: "check the database's name, or create the database first",
    1129: "the server blocks this machine after failed attempts: run FLUSH HOSTS there",
    1130: "the server does not let this machine in: check the host part of the user's name there",
    2005: "check the host's name",
}
_CONFLICTS = frozenset({1205, 3572})
_UNDONE = frozenset({1213})
_RETRYABLE = LOST | _CONFLICTS | {1040, 1129, 1203, 1213, 1412, 2002, 2003}


def errno_of(failure: BaseException | None) -> int | None:
    """Return the error number of a driver's error, or of the one that dbsync's was made from."""
    while failure is not None:
        code = failure.args[0] if failure.args else None
        if not isinstance(failure, DbsyncError) and type(code) is int:
            return code
        failure = failure.__cause__
    return None


def cause(failure: BaseException, secrets: Iterable[str] = ()) -> str:
    """Give the server's own words in one line, without a secret."""
    words = failure.args[1] if len(failure.args) > 1 else str(failure)
    return redact(" ".join(str(words).split()) or "the connection is closed", secrets)


def translate(
    failure: BaseException,
    error: type[DatabaseError],
    doing: str,
    *,
    secrets: Iterable[str] = (),
    hint: str | None = None,
) -> DbsyncError:
    """Make dbsync's error of a driver's; the caller raises it ``from`` the driver's.

    `doing` says what was being done and on what, such as ``reading table a``. A lock that was not
    free in time becomes `ConflictError`, everything else `error`. A failure without a number is a
    lost connection. `hint` replaces the general one.
    """
    code = errno_of(failure)
    message = f"{doing} failed: {cause(failure, secrets)}"
    if not code:
        return error(message, hint=hint or _NETWORK, retryable=True)
    kind = ConflictError if code in _CONFLICTS else error
    if code in _UNDONE and error is TargetError:
        kind = UndoneError
    advice = hint or _HINTS.get(code)
    return kind(f"{message} [{code}]", hint=advice, retryable=code in _RETRYABLE)


def connection_failure(
    failure: BaseException, error: type[DatabaseError], place: str, secrets: Iterable[str]
) -> DbsyncError:
    """Make dbsync's error of a failed attempt to connect to `place`.

    The driver gives one number to whatever the operating system said; the kind of that tells
    which of the client's numbers of the manual is meant.
    """
    import ssl

    system = failure if isinstance(failure, OSError) else getattr(failure, "original_exception", 0)
    words, code = cause(failure, secrets), errno_of(failure)
    if isinstance(system, OSError):
        words = redact(system.strerror or str(system), secrets)
        code = 2003
        if isinstance(system, ssl.SSLError):
            code = 2026
        elif isinstance(system, socket.gaierror):
            code = 2005
        elif place.startswith("/"):
            code = 2002
    elif isinstance(failure, RuntimeError):  # a library for the way of logging in is missing
        code = 2059
    number = f" [{code}]" if code else ""
    return error(
        f"cannot connect to MySQL at {place}: {words}{number}",
        hint=_HINTS.get(code or 2013),
        retryable=code in _RETRYABLE,
    )
