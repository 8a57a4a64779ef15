"""The ledger: what of an import is done, committed together with what it speaks of.

What lives here: the table ``dbsync_ledger`` and its lines. A line is keyed by import and item:
the options, one item for each table and each step of the schema (written when the import starts,
so that a later run does exactly the rest), one for each chunk. Must not know: what tables and
steps are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from dbsync.connectors.base import ChunkId
from dbsync.connectors.postgres.connection import quote_literal, quote_name
from dbsync.connectors.postgres.session import Asks, Session
from dbsync.errors import ConflictError, TargetError
from dbsync.model.schema import Name

TABLE = "dbsync_ledger"
_DOING = "writing the ledger"

_CREATE = """CREATE TABLE {name} (
    import_id text NOT NULL, item text NOT NULL, kind text NOT NULL, done boolean NOT NULL,
    digest text, rows bigint, detail text, at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (import_id, item))"""
_COMMENT = (
    "Imports by dbsync that are not complete: run the same command again to go on. "
    "Dropped when the last one is complete."
)

LineKind = Literal["options", "table", "step", "mark", "chunk"]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line. `detail` is JSON whose meaning belongs to the writer of the line."""

    item: str
    kind: LineKind
    done: bool = False
    detail: str | None = None


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where the ledger is or would be. `schema` None: this role can create it nowhere."""

    schema: str | None
    exists: bool = False

    @property
    def sql(self) -> str:
        """The quoted, qualified name."""
        return quote_name(self.schema, TABLE)


def find(asks: Asks) -> Place:
    """Look for the ledger, or for where to create it: ``public``, else the role's default schema.

    Raises `TargetError` where one is there that belongs to another role: its lines are
    instructions, and only this role's own are followed.
    """
    found = asks.rows(
        "SELECT n.nspname AS schema, pg_has_role(c.relowner, 'USAGE') AS own, "
        "pg_get_userbyid(c.relowner) AS owner FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace "
        f"WHERE c.relname = '{TABLE}' AND c.relkind = 'r' ORDER BY n.nspname <> 'public', 1"
    )
    if found:
        if not found[0]["own"]:
            raise TargetError(
                f"{found[0]['schema']}.{TABLE} belongs to role {found[0]['owner']}",
                hint="finish that import as that role, or drop the table if it was given up",
            )
        return Place(schema=found[0]["schema"], exists=True)
    # The session's own path is pinned, so the role's default one is looked up.
    able = asks.rows(
        "SELECT n.nspname AS schema FROM pg_namespace n "
        "WHERE n.nspname IN ('public', current_user) "
        "AND has_schema_privilege(n.oid, 'CREATE') ORDER BY n.nspname <> 'public'"
    )
    return Place(schema=able[0]["schema"] if able else None)


def read(asks: Asks, place: Place, import_id: str) -> list[Line]:
    """Read the lines of an import that say what was planned, in the order they were written."""
    if not place.exists:
        return []
    rows = asks.rows(
        f"SELECT item, kind, done, detail FROM {place.sql} "
        f"WHERE import_id = {quote_literal(import_id)} AND kind <> 'chunk' ORDER BY item"
    )
    return [Line(**row) for row in rows]


def committed(asks: Asks, place: Place, import_id: str) -> frozenset[tuple[Name, int]]:
    """Read which chunks an earlier run has committed."""
    if not place.exists:
        return frozenset()
    rows = asks.rows(
        f"SELECT detail FROM {place.sql} "
        f"WHERE import_id = {quote_literal(import_id)} AND kind = 'chunk'"
    )
    found = [json.loads(row["detail"]) for row in rows]
    return frozenset((Name(schema, name), number) for schema, name, number in found)


class Ledger:
    """The lines of one import, written through whichever session the change itself uses."""

    def __init__(self, place: Place, import_id: str):
        self._place = place
        self._import = import_id

    def start(self, session: Session, lines: Iterable[Line]) -> None:
        """Begin this import's lines anew, making the table where it is not there yet."""
        import pyarrow as pa

        session.begin()
        if not self._place.exists:
            session.run(_CREATE.format(name=self._place.sql), "creating the ledger")
            comment = quote_literal(_COMMENT)
            session.run(f"COMMENT ON TABLE {self._place.sql} IS {comment}", "creating the ledger")
        session.run(f"DELETE FROM {self._place.sql} WHERE import_id = $1", _DOING, [self._import])
        listed = list(lines)
        batch = pa.record_batch(
            {
                "import_id": pa.array([self._import] * len(listed), pa.string()),
                "item": pa.array([line.item for line in listed], pa.string()),
                "kind": pa.array([line.kind for line in listed], pa.string()),
                "done": pa.array([line.done for line in listed], pa.bool_()),
                "detail": pa.array([line.detail for line in listed], pa.string()),
            }
        )
        session.ingest(TABLE, batch, _DOING, schema=self._place.schema)
        session.commit("the ledger")
        self._place = Place(schema=self._place.schema, exists=True)

    def finish(self, session: Session, items: Iterable[str]) -> None:
        """Mark items as done, in the transaction that does them."""
        session.run(
            f"UPDATE {self._place.sql} SET done = true, at = now() WHERE import_id = $1 "
            "AND item IN (SELECT pg_catalog.json_array_elements_text($2::json))",
            _DOING,
            [self._import, json.dumps(list(items))],
        )

    def add_chunk(self, session: Session, chunk: ChunkId, rows: int) -> None:
        """Note a chunk in the transaction of its rows.

        Raises `ConflictError` where it is noted already: its rows must not be loaded twice.
        """
        detail = json.dumps([chunk.table.schema, chunk.table.name, chunk.number])
        added = session.run(
            f"INSERT INTO {self._place.sql} (import_id, item, kind, done, digest, rows, detail) "
            "VALUES ($1, $2, 'chunk', true, $3, $4, $5) ON CONFLICT DO NOTHING",
            _DOING,
            [self._import, f"chunk {detail}", chunk.digest, rows, detail],
        )
        if added == 0:
            raise ConflictError(
                f"chunk {chunk.number} of table {chunk.table} is in the target already",
                hint="another import of this archive is at work or has finished: run it again",
            )

    def remove(self, session: Session) -> None:
        """Remove this import's lines, and the table where it holds no others."""
        session.begin()
        session.run(f"DELETE FROM {self._place.sql} WHERE import_id = $1", _DOING, [self._import])
        if not session.rows(f"SELECT 1 AS x FROM {self._place.sql} LIMIT 1"):
            session.run(f"DROP TABLE {self._place.sql}", "removing the ledger")
        session.commit("the end of the import")


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
        raise ConflictError(
            "the ledger of the earlier run was written by another version of dbsync",
            hint="finish with that version, or start afresh with --no-resume",
        ) from error
