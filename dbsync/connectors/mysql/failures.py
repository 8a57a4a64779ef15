"""Turning what the driver raises into dbsync's errors, by error number.

What lives here: one translation for source and target alike. Must not know: which statement ran;
the caller says what it was doing. Numbers from 1000 are the server's (MySQL manual, "Server Error
Message Reference"; MariaDB manual, "MariaDB Error Codes"), those from 2000 to 2999 the client's.
"""

from __future__ import annotations

from collections.abc import Iterable

from dbsync.errors import ConflictError, DatabaseError, DbsyncError

LOST = frozenset(
    {0, 1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 2006, 2013, 2055, 4031}
)
"""The connection is gone, or the server is going."""

INFILE_OFF = frozenset({1148, 2068, 3948, 4166})
"""LOAD DATA LOCAL is switched off on the server or was not asked for by the client."""

INTERRUPTED = frozenset({1317, 1028, 3024, 1969, 1968, 1970})

_LOGIN = "check user name and password (DBSYNC_PASSWORD, or percent-encoded in the URL)"
_NETWORK = "check that the server is up and the network is stable, then run the same command again"
_RIGHT = "grant the missing right to this user; `dbsync check` lists what is needed"
_SCHEMA = "the table was changed meanwhile, or differs from what is expected: run it again"
_VALUE = "the value does not fit the column: widen the column, or leave the column out"
_REFERENCE = "the row that it refers to is missing: load that table too, or check the data"
_FULL = "free space on the server's disk, then run the same command again"
_READONLY = "connect to the primary; this server takes no writes"
_PACKET = "raise max_allowed_packet on the server"
_TIMEOUT = "the statement was ended by a time limit of the server or by someone's KILL QUERY"
_TLS = "check ssl_mode and the certificates (?ssl_mode=..., ?ssl_ca=...)"
_INFILE = "set local_infile=ON on the server, or use statements of many rows instead"
_LOCK = "another session holds the lock: wait until it ends, then run it again"

_HINTS: dict[int, str] = {
    **dict.fromkeys((1045, 1698, 1862, 1820, 3118, 4151), _LOGIN),
    **dict.fromkeys((1044, 1142, 1143, 1227, 1370, 1410, 1419, 1805), _RIGHT),
    **dict.fromkeys(LOST, _NETWORK),
    **dict.fromkeys(INFILE_OFF, _INFILE),
    **dict.fromkeys((1146, 1054, 1412, 1051, 1109, 1684), _SCHEMA),
    **dict.fromkeys((1264, 1406, 1366, 1292, 1265, 1367, 1690, 1411, 1441), _VALUE),
    **dict.fromkeys((1216, 1452), _REFERENCE),
    **dict.fromkeys((1217, 1451), "rows of another table refer to this one: load or empty it too"),
    **dict.fromkeys((1021, 1114, 3675, 1026), _FULL),
    **dict.fromkeys((1290, 1836, 1792), _READONLY),
    **dict.fromkeys((1153, 1301, 2020), _PACKET),
    **dict.fromkeys(INTERRUPTED, _TIMEOUT),
    **dict.fromkeys((2026, 3159, 1043), _TLS),
    **dict.fromkeys((1205, 3572), _LOCK),
    1040: "the server has no free connection: lower --jobs or raise max_connections",
    1049: "check the database's name, or create the database first",
    1062: "the row is there already, under the primary key or another unique key",
    1129: "the server blocks this host after failed attempts: FLUSH HOSTS there",
    1130: "the server does not let this host in: check the user's host part there",
    1203: "this user has no free connection: lower --jobs or raise max_user_connections",
    1213: "another session held what this one needed and waited for it: run it again",
    1226: "this user's limit on the server is used up: raise it, or wait an hour",
    2002: "check the socket's path (?unix_socket=...) and that the server is up",
    2003: "check host and port, and that the server is up and reachable from here",
    2005: "check the host's name",
    2059: "use a user whose authentication plugin is known, or TLS (?ssl_mode=required)",
    2061: "use TLS (?ssl_mode=required), which this user's way of logging in needs",
}
_RETRYABLE = LOST | {1040, 1129, 1203, 1205, 1213, 1412, 2002, 2003, 3572}
_CONFLICTS = frozenset({1205, 3572})


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
    return redact(" ".join(str(words).split()) or type(failure).__name__, secrets)


def redact(text: str, secrets: Iterable[str]) -> str:
    """Replace every secret in `text`."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


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
    return kind(f"{message} [{code}]", hint=hint or _HINTS.get(code), retryable=code in _RETRYABLE)
