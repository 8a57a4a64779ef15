"""Reading definitions in tests, and making them again in another database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dbsync.connectors.mysql.catalog import read_database
from dbsync.connectors.mysql.connection import Session, open_session, parse_url
from dbsync.connectors.mysql.native import replayable, without_definer
from dbsync.errors import DatabaseError, SourceError, TargetError
from dbsync.model.schema import Database, NativeObject
from dbsync.model.selection import Selection


@contextmanager
def session(url: str, error: type[DatabaseError] = SourceError) -> Iterator[Session]:
    """Open a pinned session and close it."""
    opened = open_session(parse_url(url), error)
    try:
        yield opened
    finally:
        opened.close()


def read(url: str, *, include_schema: bool = True, **selection: Any) -> Database:
    """Read a database; the selection's fields are keyword arguments."""
    with session(url) as opened:
        return read_database(opened, Selection(**selection), include_schema=include_schema)


def lost(database: Database, severity: str | None = None) -> dict[str, str]:
    """Give the losses, all or of one severity: object to reason."""
    return {o.object: o.reason for o in database.losses if severity in (None, o.severity)}


def replay(url: str, objects: tuple[NativeObject, ...]) -> None:
    """Run native objects in their order, each under its settings, without definers."""
    with session(url, TargetError) as opened:
        opened.run("SET foreign_key_checks = 0", "preparing")
        for item in objects:
            mode = item.settings.get("sql_mode", "")
            sql, settings = replayable(without_definer(item.sql, mode), item.settings)
            own = {n: opened.value(f"SELECT @@SESSION.{n}", "reading") for n in settings}
            for name, value in settings.items():
                opened.run(f"SET SESSION {name} = %s", "preparing", (value,))
            opened.run(sql, f"creating {item.kind} {item.name}")
            for name, value in own.items():
                opened.run(f"SET SESSION {name} = %s", "restoring", (value,))
