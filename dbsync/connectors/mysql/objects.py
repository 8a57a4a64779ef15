"""Views, triggers, routines, events and sequences as SHOW CREATE gives them.

What lives here: one question for each object, its text with the settings under which it was made,
and a loss where this user may not see it. Must not know: which of them are exported, tables.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from dbsync.connectors.mysql.connection import Session, quote_name
from dbsync.connectors.mysql.failures import errno_of
from dbsync.connectors.mysql.information import Information, Within, within_database
from dbsync.connectors.mysql.shown import DENIED, without_database
from dbsync.connectors.mysql.tokens import (
    Token,
    qualified_names,
    significant,
    tokenize,
    without,
)
from dbsync.errors import DatabaseError
from dbsync.model.schema import Loss, Name, Sequence

ObjectKind = Literal[
    "VIEW", "TRIGGER", "FUNCTION", "PROCEDURE", "PACKAGE", "PACKAGE BODY", "EVENT", "SEQUENCE",
]  # fmt: skip
_ROUTINES = ("FUNCTION", "PROCEDURE", "PACKAGE", "PACKAGE BODY")
_SETTINGS = {
    "sql_mode": "sql_mode",
    "character_set_client": "character_set_client",
    "collation_connection": "collation_connection",
    "time_zone": "time_zone",
    "database collation": "collation_database",
}
"""Session variables by the names, in lower case, that SHOW CREATE has for them."""
_INVALID_VIEW = 1356


class ShownObject(msgspec.Struct, frozen=True, kw_only=True):
    """One object: its statement, and the session variables under which it has to run."""

    kind: ObjectKind
    name: str
    sql: str
    settings: dict[str, str] = {}
    table: str | None = None
    """The table of a trigger."""

    @property
    def key(self) -> str:
        """The identifier that others name it by; names of routines have no case."""
        name = self.name if self.kind in ("VIEW", "SEQUENCE") else self.name.lower()
        return f"{self.kind.lower()} {name}"

    @property
    def tokens(self) -> list[Token]:
        """The tokens of its statement, under its own sql_mode, without blanks and comments."""
        return significant(tokenize(self.sql, self.settings.get("sql_mode", "")))


class ObjectReader:
    """Reads the objects of one database; `losses` says what could not be read."""

    def __init__(self, session: Session, information: Information):
        self._session = session
        self._information = information
        self._within: Within = within_database(session)
        self.losses: list[Loss] = []

    def views(self) -> list[ShownObject]:
        """Read the views that work; one that refers to what is gone is a loss.

        SHOW CREATE gives such a view too, but no server would make it again.
        """
        found: list[ShownObject] = []
        for raw in self._information.tables.values():
            if raw.kind != "VIEW":
                continue
            # The server's remark on a good view is the word itself, on a bad one what is wrong;
            # it also thinks a view bad whose definer is gone, which matters to nobody else.
            if raw.comment != "VIEW" and self._invalid(raw.name):
                reason = "it refers to a table, column or function that is not there"
                self._lose("view", raw.name, reason)
                continue
            shown = self._shown("VIEW", raw.name, "Create View")
            if shown is not None:
                found.append(shown)
        return found

    def triggers(self) -> list[ShownObject]:
        """Read the triggers of all tables, those of one event in the order in which they fire.

        Their texts no longer say FOLLOWS or PRECEDES: it is the order of creation that counts.
        """
        found: list[ShownObject] = []
        for row in self._session.rows(
            "SELECT TRIGGER_NAME AS name, EVENT_OBJECT_TABLE AS owner"
            f" FROM information_schema.TRIGGERS WHERE {self._within('TRIGGER_SCHEMA')}"
            " ORDER BY BINARY EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_TIMING, ACTION_ORDER",
            "reading triggers",
        ):
            shown = self._shown("TRIGGER", row["name"], "SQL Original Statement")
            if shown is not None:
                found.append(msgspec.structs.replace(shown, table=row["owner"]))
        return found

    def routines(self) -> list[ShownObject]:
        """Read functions, procedures and packages, functions first."""
        rows = self._session.rows(
            "SELECT ROUTINE_NAME AS name, ROUTINE_TYPE AS kind"
            f" FROM information_schema.ROUTINES WHERE {self._within('ROUTINE_SCHEMA')}"
            " ORDER BY BINARY ROUTINE_NAME",
            "reading routines",
        )
        found: list[ShownObject] = []
        for kind in _ROUTINES:
            for row in rows:
                if row["kind"] == kind:
                    shown = self._shown(kind, row["name"], f"Create {kind.title()}")
                    if shown is not None:
                        found.append(shown)
        return found

    def events(self) -> list[ShownObject]:
        """Read the events."""
        rows = self._session.rows(
            "SELECT EVENT_NAME AS name FROM information_schema.EVENTS"
            f" WHERE {self._within('EVENT_SCHEMA')} ORDER BY BINARY EVENT_NAME",
            "reading events",
        )
        shown = (self._shown("EVENT", row["name"], "Create Event") for row in rows)
        return [item for item in shown if item is not None]

    def sequences(self) -> tuple[list[ShownObject], list[Sequence]]:
        """Read sequences and where they stand: at the first number that no session may have yet.

        Numbers that sessions have reserved and not used are skipped, as when they end.
        """
        objects: list[ShownObject] = []
        positions: list[Sequence] = []
        for raw in self._information.tables.values():
            if raw.kind != "SEQUENCE":
                continue
            shown = self._shown("SEQUENCE", raw.name, "Create Table")
            if shown is None:
                continue
            objects.append(shown)
            row = self._ask(f"SELECT * FROM {quote_name(raw.name)}", "sequence", raw.name)
            if row is not None:
                positions.append(_sequence(raw.name, row))
        return objects, positions

    def _shown(self, kind: ObjectKind, name: str, column: str) -> ShownObject | None:
        row = self._ask(f"SHOW CREATE {kind} {quote_name(name)}", kind.lower(), name)
        if row is None:
            return None
        by_name = {label.lower(): value for label, value in row.items()}
        sql = by_name[column.lower()]
        if sql is None:
            self._lose(kind.lower(), name, "this user may not see its definition")
            return None
        settings = {
            variable: by_name[label] for label, variable in _SETTINGS.items() if label in by_name
        }
        if kind in ("VIEW", "SEQUENCE"):
            sql = without_database(sql, self._session.database)
        elif kind == "TRIGGER":
            mode = settings.get("sql_mode", "")
            sql = _unqualified_head(sql, self._session.database, mode)
        return ShownObject(kind=kind, name=name, sql=sql, settings=settings)

    def _ask(self, sql: str, kind: str, name: str) -> dict[str, Any] | None:
        """Return the first row; None, and a loss, where this user may not see the object."""
        try:
            return self._session.rows(sql, f"reading {kind} {name}")[0]
        except DatabaseError as error:
            if errno_of(error) not in DENIED:
                raise
            self._lose(kind, name, "this user may not see its definition")
            return None

    def _invalid(self, view: str) -> bool:
        sql = f"SELECT 1 FROM {quote_name(view)} LIMIT 0"
        try:
            self._session.rows(sql, f"looking at view {view}")
        except DatabaseError as error:
            return errno_of(error) == _INVALID_VIEW
        return False

    def _lose(self, kind: str, name: str, reason: str) -> None:
        self.losses.append(Loss(object=f"{kind} {name}", reason=reason))


def _sequence(name: str, row: dict[str, Any]) -> Sequence:
    return Sequence(
        name=Name(None, name),
        start=row["start_value"],
        increment=row["increment"] or 1,  # 0 is the server's auto_increment_increment
        minimum=row["minimum_value"],
        maximum=row["maximum_value"],
        cycle=bool(row["cycle_option"]),
        cache=row["cache_size"],
        last_value=row["next_not_cached_value"],
    )


def _unqualified_head(sql: str, database: str, sql_mode: str) -> str:
    """Drop the database's name before the names of a trigger and of its table.

    The server keeps the head of a trigger as it was written. What follows FOR EACH ROW is left
    as it is.
    """
    tokens = significant(tokenize(sql, sql_mode))
    words = [token.upper for token in tokens]
    end = next(
        (p for p in range(len(words)) if words[p : p + 3] == ["FOR", "EACH", "ROW"]), len(words)
    )
    gone = [
        (tokens[place].start, tokens[place + 2].start)
        for place, first, _ in qualified_names(tokens[:end])
        if first == database
    ]
    return without(sql, gone)
