"""What this user may do on the target, found out without changing anything.

What lives here: asking the server to prepare a statement, which checks rights and runs nothing.
Must not know: what an import needs them for.

Rights are asked for this way because what SHOW GRANTS lists has to be interpreted (roles, patterns
in names of databases, columns), and the server does that better.
"""

from __future__ import annotations

from dbsync.connectors.mysql.connection import Session, quote_literal, quote_name
from dbsync.connectors.mysql.failures import errno_of
from dbsync.errors import TargetError

_DENIED = frozenset({1044, 1045, 1142, 1143, 1227, 1370, 1410})
_READ_ONLY = frozenset({1290, 1792, 1836})
_NOT_PREPARED = frozenset({1295, 1461})
"""The server prepares no statement of this kind, or no more statements."""

_PROBE = "dbsync_probe"
_DOING = "asking for rights"


def refused(session: Session, statement: str) -> TargetError | None:
    """Return why the server would not run a statement, None where nothing speaks against it.

    Nothing is run. What the server cannot prepare counts as possible.
    """
    try:
        session.run(f"PREPARE {_PROBE} FROM {quote_literal(statement)}", _DOING)
    except TargetError as error:
        return None if errno_of(error) in _NOT_PREPARED else error
    session.run(f"DEALLOCATE PREPARE {_PROBE}", _DOING)
    return None


def may_run(session: Session, statement: str) -> bool:
    """Say whether the rights for a statement are there; nothing is run."""
    return errno_of(refused(session, statement)) not in _DENIED


def may_create(session: Session) -> bool:
    """Say whether this user may create tables in the database."""
    return may_run(session, f"CREATE TABLE {quote_name(_PROBE)} (a INT)")


def may_stage(session: Session) -> bool:
    """Say whether this user may create temporary tables."""
    return may_run(session, f"CREATE TEMPORARY TABLE {quote_name(_PROBE)} (a INT)")


def refuse_read_only(session: Session) -> None:
    """Raise `TargetError` where the server takes no writes from this user."""
    problem = _read_only(session)
    if problem is not None:
        raise TargetError(
            f"the target is read-only: {problem}",
            hint="connect to the primary, or as a user that may write while it is read-only",
        )


def _read_only(session: Session) -> str | None:
    doing = "asking whether the target can be written"
    try:
        # The server answers this as it would answer a write.
        session.run("START TRANSACTION READ WRITE", doing)
    except TargetError as error:
        if errno_of(error) in _READ_ONLY:
            return "the server runs with read_only"
        raise
    session.run("ROLLBACK", doing)
    if int(session.value("SELECT @@innodb_read_only", doing) or 0):
        return "the server runs with innodb_read_only"
    return None
