"""Turning what the drivers raise into dbsync's errors, by SQLSTATE.

What lives here: one translation for psycopg2, ADBC and what is read past both, for source and
target alike. Must not know: which statement ran; the caller says what it was doing. The codes are
those of the PostgreSQL manual, appendix A.
"""

from __future__ import annotations

from collections.abc import Iterable

from dbsync.connectors.redaction import redact
from dbsync.errors import (
    ConflictError,
    DatabaseError,
    DbsyncError,
    TargetError,
    UndoneError,
)

_HINTS: dict[str, str] = {
    "08": "check that the server is up and the network is stable, then run the same command again",
    "28": "check user name and password, and the server's pg_hba.conf",
    "40": "run the same command again",
    "53": "free resources on the server, then run the same command again",
    "57": "the server ended the connection: run the same command again when it is up",
    "28P01": "check user name and password (DBSYNC_PASSWORD, or percent-encoded in the URL)",
    "3D000": "check the database's name, or create the database first",
    "25006": "connect to the primary, and as a role whose transactions may write",
    "40P01": "another session held what this one needed and waited for it: run it again",
    "42501": "grant the missing right to this role; `dbsync check` lists what is needed",
    "53100": "the server's disk is full: free space there, then run the same command again",
    "53200": "raise max_locks_per_transaction or memory on the server",
    "53300": "the server has no free connection: lower --jobs or raise max_connections",
    "55P03": "another session holds the lock: wait until it ends, then run it again",
    "57014": "the statement was cancelled, by someone or by a timeout or a recovery conflict",
    "57P01": "an administrator ended the connection: run the same command again",
}
_RETRYABLE = ("08", "40", "53300", "55P03", "57P01", "57P02", "57P03", "57P05")
_CONFLICTS = ("55P03",)
_UNDONE = ("40001", "40P01")


def sqlstate(failure: BaseException) -> str | None:
    """Return the five characters that say what went wrong, or None where the driver has none."""
    code = getattr(failure, "pgcode", None) or getattr(failure, "sqlstate", None)
    return code if isinstance(code, str) and len(code) == 5 else None


def cause(failure: BaseException, secrets: Iterable[str] = ()) -> str:
    """Give the server's own words in one line, without position, query or secret."""
    diagnosis = getattr(failure, "diag", None)
    words = getattr(diagnosis, "message_primary", None)
    detail = getattr(diagnosis, "message_detail", None)
    for key, value in getattr(failure, "details", None) or ():
        name = key.decode() if isinstance(key, bytes) else key
        text = value.decode(errors="replace") if isinstance(value, bytes) else value
        if name == "PG_DIAG_MESSAGE_PRIMARY":
            words = text
        elif name == "PG_DIAG_MESSAGE_DETAIL":
            detail = text
    if words is None:
        text = str(failure).partition("\n\nQuery was:")[0].strip()
        words = " ".join(text.split()) or type(failure).__name__
    if detail:
        words = f"{words} ({detail})"
    return redact(words, secrets)


def translate(
    failure: BaseException,
    error: type[DatabaseError],
    doing: str,
    *,
    secrets: Iterable[str] = (),
    hint: str | None = None,
) -> DbsyncError:
    """Make dbsync's error of a driver's; the caller raises it ``from`` the driver's.

    `doing` says what was being done and on what, such as ``reading table public.a``. A lock that
    was not free in time becomes `ConflictError`, a deadlock of the target `UndoneError`, everything
    else `error`. A failure without a SQLSTATE is a lost connection. `hint` replaces the general
    one.
    """
    code = sqlstate(failure)
    message = f"{doing} failed: {cause(failure, secrets)}"
    if code is None:
        return error(message, hint=hint or _HINTS["08"], retryable=True)
    kind = ConflictError if code in _CONFLICTS else error
    if code in _UNDONE and error is TargetError:
        kind = UndoneError
    advice = hint or _HINTS.get(code) or _HINTS.get(code[:2])
    return kind(f"{message} [{code}]", hint=advice, retryable=code.startswith(_RETRYABLE))


def connection_failure(
    failure: BaseException, error: type[DatabaseError], place: str, secrets: Iterable[str]
) -> DbsyncError:
    """Make dbsync's error of a failed attempt to connect to `place`.

    libpq gives no SQLSTATE here, only its text; that text chooses the hint and nothing else.
    """
    text = cause(failure, secrets)
    code = sqlstate(failure)
    if code is None:
        words = {
            "password": "28P01",
            "no pg_hba.conf entry": "28",
            "does not exist": "28" if "role " in text else "3D000",
            "too many clients": "53300",
            "starting up": "57",
            "shutting down": "57",
        }
        code = next((c for word, c in words.items() if word in text), "08")
    hint = _HINTS.get(code) or _HINTS.get(code[:2])
    if "SSL" in text or "certificate" in text:
        hint = "check sslmode and the certificates (?sslmode=..., ?sslrootcert=...)"
    retryable = code.startswith(_RETRYABLE)
    return error(f"cannot connect to PostgreSQL at {place}: {text}", hint=hint, retryable=retryable)
