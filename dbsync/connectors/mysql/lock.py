"""One import at a time into one database: a named lock of the server.

What lives here: the lock's name and its taking. The server frees it when the session that took it
ends, however that happens. Must not know: what an import is.
"""

from __future__ import annotations

from hashlib import sha256

from dbsync.connectors.mysql.connection import Session
from dbsync.errors import ConflictError, TargetError

_PATIENCE_S = 2
"""How long a server may take to notice that the holder has died."""


def lock_name(database: str) -> str:
    """Name the lock of a database: a hash, since locks have at most 64 characters.

    Case is folded because some servers ignore it in names of databases; two databases that differ
    only by case share a lock, which makes one import wait and does no other harm.
    """
    return f"dbsync:{sha256(database.lower().encode()).hexdigest()[:40]}"


def take_lock(session: Session) -> None:
    """Take the lock of the session's database, to be held until the session is closed.

    Raises `ConflictError` while another session holds it.
    """
    name = lock_name(session.database)
    doing = "locking the target against other imports"
    if session.value("SELECT GET_LOCK(%s, %s)", doing, (name, _PATIENCE_S)) != 1:
        raise ConflictError(
            "another import into this database is running",
            hint="wait until it ends, or end it, then run this one again",
            retryable=True,
        )


def require_lock(session: Session, holder: int) -> None:
    """Insist that connection `holder` still has the lock of this session's database.

    For sessions that write, before they commit: the server frees the lock as soon as it loses
    `holder`, and another import may have begun since. Raises `TargetError`.
    """
    doing = "asking who holds the lock"
    if session.value("SELECT IS_USED_LOCK(%s)", doing, (lock_name(session.database),)) != holder:
        raise TargetError(
            "the connection that keeps other imports out of this database was lost",
            hint="check that the server is up and the network is stable, then run it again",
            retryable=True,
        )


def is_locked(session: Session) -> bool:
    """Say whether an import into the session's database is running."""
    doing = "asking who holds the lock"
    return (
        session.value("SELECT IS_USED_LOCK(%s)", doing, (lock_name(session.database),)) is not None
    )
