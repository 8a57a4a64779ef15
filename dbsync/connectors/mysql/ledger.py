"""The ledger: what of an import is done, kept in the target beside the rows.

What lives here: the table ``dbsync_ledger`` and its lines. A line is keyed by import and item: the
options, one for each table, one for each step of the schema once it is begun, one for each chunk.
Must not know: what tables and steps are.

The line of a chunk is committed in the transaction of its rows. DDL commits by itself, so a step
has a line before it (``begun``) and the same line changed after it (``done``): a step that is
begun and whose object is there was made by this import. No line holds SQL, so that whoever may
write this table cannot make an import run anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Literal

import msgspec

from dbsync.connectors.base import ChunkId
from dbsync.connectors.mysql.connection import Session, quote_name
from dbsync.errors import ConflictError, TargetError
from dbsync.model.schema import Name

TABLE = "dbsync_ledger"
_SQL = quote_name(TABLE)
_DOING = "writing the ledger"
_DUPLICATE_ENTRY = 1062
_LONGEST_ITEM = 250
_BATCH = 200

_CREATE = f"""CREATE TABLE IF NOT EXISTS {_SQL} (
    import_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    item VARCHAR(255) NOT NULL, kind VARCHAR(16) NOT NULL, state VARCHAR(16) NOT NULL,
    digest VARCHAR(128), row_count BIGINT, detail LONGTEXT,
    at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
    PRIMARY KEY (import_id, item)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC
COMMENT='Imports by dbsync that are not complete: run the same command again to go on. \
Dropped when the last one is complete.'"""

LineKind = Literal["options", "table", "step", "chunk"]
State = Literal["planned", "begun", "done"]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line. `detail` is JSON whose meaning belongs to the writer of the line."""

    item: str
    kind: LineKind
    state: State = "planned"
    detail: str | None = None


def exists(session: Session) -> bool:
    """Say whether the ledger's table is there. Raises `TargetError` where it is not InnoDB."""
    found = session.rows(
        "SELECT ENGINE AS engine FROM information_schema.TABLES "
        "WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s",
        "looking for the ledger",
        (session.database, TABLE),
    )
    if found and str(found[0]["engine"]).lower() != "innodb":
        raise TargetError(
            f"the target has a table {TABLE} that is no ledger of dbsync",
            hint="rename it: imports keep their state under this name",
        )
    return bool(found)


def read(session: Session, import_id: str) -> list[Line]:
    """Read the lines of an import that say what was planned, in the order they were written."""
    if not exists(session):
        return []
    rows = session.rows(
        f"SELECT item, kind, state, detail FROM {_SQL} "
        "WHERE import_id = %s AND kind <> 'chunk' ORDER BY item",
        "reading the ledger",
        (import_id,),
    )
    try:
        return [msgspec.convert(row, Line) for row in rows]
    except msgspec.ValidationError as error:
        raise _other_version() from error


def committed(session: Session, import_id: str) -> frozenset[tuple[Name, int]]:
    """Read which chunks an earlier run has committed."""
    if not exists(session):
        return frozenset()
    rows = session.rows(
        f"SELECT detail FROM {_SQL} WHERE import_id = %s AND kind = 'chunk'",
        "reading the ledger",
        (import_id,),
    )
    found = [json.loads(row["detail"]) for row in rows]
    return frozenset((Name(schema, name), number) for schema, name, number in found)


class Ledger:
    """The lines of one import, written through whichever session the change itself uses."""

    def __init__(self, import_id: str):
        self._import = import_id

    def start(self, session: Session, lines: Iterable[Line]) -> None:
        """Begin this import's lines anew, all at once, making the table where it is missing."""
        session.run(_CREATE, "creating the ledger")
        session.run("START TRANSACTION", _DOING)
        session.run(f"DELETE FROM {_SQL} WHERE import_id = %s", _DOING, (self._import,))
        listed = list(lines)
        for first in range(0, len(listed), _BATCH):
            some = listed[first : first + _BATCH]
            session.run(
                f"INSERT INTO {_SQL} (import_id, item, kind, state, detail) VALUES "
                + ", ".join(["(%s, %s, %s, %s, %s)"] * len(some)),
                _DOING,
                [v for x in some for v in (self._import, x.item, x.kind, x.state, x.detail)],
            )
        session.run("COMMIT", _DOING)

    def begin_step(self, session: Session, label: str) -> None:
        """Note that a step is about to be taken; may be repeated."""
        session.run(
            f"INSERT IGNORE INTO {_SQL} (import_id, item, kind, state, detail) "
            "VALUES (%s, %s, 'step', 'begun', %s)",
            _DOING,
            (self._import, step_item(label), encode(label)),
        )

    def finish_steps(self, session: Session, labels: Iterable[str]) -> None:
        """Note that steps are taken, begun or not."""
        for label in labels:
            session.run(
                f"INSERT INTO {_SQL} (import_id, item, kind, state, detail) "
                "VALUES (%s, %s, 'step', 'done', %s) ON DUPLICATE KEY UPDATE state = 'done'",
                _DOING,
                (self._import, step_item(label), encode(label)),
            )

    def add_chunk(self, session: Session, chunk: ChunkId, rows: int) -> None:
        """Note a chunk in the transaction of its rows.

        Raises `ConflictError` where it is noted already: its rows must not be loaded twice.
        """
        detail = encode([chunk.table.schema, chunk.table.name, chunk.number])
        try:
            session.run(
                f"INSERT INTO {_SQL} (import_id, item, kind, state, digest, row_count, detail) "
                "VALUES (%s, %s, 'chunk', 'done', %s, %s, %s)",
                _DOING,
                (self._import, _item("chunk", detail), chunk.digest, rows, detail),
            )
        except TargetError as error:
            cause: Any = error.__cause__
            if cause is None or not cause.args or cause.args[0] != _DUPLICATE_ENTRY:
                raise
            raise ConflictError(
                f"chunk {chunk.number} of table {chunk.table} is in the target already",
                hint="another import of this archive is at work or has finished: run it again",
            ) from error

    def forget_chunks(self, session: Session, table: Name) -> None:
        """Forget the chunks of one table, whose rows have been removed."""
        session.run(
            f"DELETE FROM {_SQL} WHERE import_id = %s AND kind = 'chunk' AND "
            "LEFT(detail, CHAR_LENGTH(%s)) = %s",
            _DOING,
            (self._import, *[encode([table.schema, table.name])[:-1] + ","] * 2),
        )

    def remove(self, session: Session) -> None:
        """Remove this import's lines, and the table where it holds no others."""
        if not exists(session):
            return
        session.run(f"DELETE FROM {_SQL} WHERE import_id = %s", _DOING, (self._import,))
        if not session.rows(f"SELECT 1 AS x FROM {_SQL} LIMIT 1", "reading the ledger"):
            session.run(f"DROP TABLE {_SQL}", "removing the ledger")


def step_item(label: str) -> str:
    """Name the line of a step."""
    return _item("step", label)


def _item(kind: str, text: str) -> str:
    item = f"{kind} {text}"
    if len(item) <= _LONGEST_ITEM:
        return item
    digest = sha256(item.encode()).hexdigest()[:32]
    return f"{item[: _LONGEST_ITEM - 33]} {digest}"


def encode(value: object) -> str:
    """Write a value as the detail of a line."""
    return msgspec.json.encode(value).decode()


def decode(detail: str | None, kind: Any) -> Any:
    """Read the detail of a line as a value of type `kind`.

    Raises `ConflictError` for one that another version wrote in another form.
    """
    try:
        return msgspec.json.decode(detail or "", type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise _other_version() from error


def _other_version() -> ConflictError:
    return ConflictError(
        "the ledger of the earlier run was written by another version of dbsync",
        hint="finish with that version, or start afresh with --no-resume",
    )
