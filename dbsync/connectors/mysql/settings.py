"""The settings under which native objects were made, as far as this server can make them so again.

What lives here: `PossibleSettings`, which tries them and reports those that cannot be. Must not
know: statements, the order in which objects are made.

Outside facts: a routine, trigger or event keeps ``sql_mode``, ``character_set_client``,
``collation_connection`` and the database's collation of the moment in which it was made, an event
the time zone too (https://mariadb.com/kb/en/show-create-procedure/).
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property

from dbsync.connectors.mysql.connection import Session
from dbsync.connectors.mysql.rights import read_rights
from dbsync.connectors.mysql.steps import DATABASE_COLLATION, under
from dbsync.errors import DatabaseError
from dbsync.model.schema import Loss, NativeObject


class PossibleSettings:
    """Chooses settings for one import. Every setting is tried: a server of another version may
    lack a collation or a mode, and one of the same version the time zones."""

    def __init__(self, session: Session):
        self._session = session
        self._known: dict[tuple[str, str], bool] = {}
        self._left_out: Counter[tuple[str, str, str]] = Counter()

    def of(self, item: NativeObject) -> dict[str, str]:
        """Give the settings of an object, without those that it cannot be made under here."""
        kept: dict[str, str] = {}
        for name, value in item.settings.items():
            if name == "sql_mode":
                modes = [mode for mode in value.split(",") if mode and self._possible(name, mode)]
                kept[name] = ",".join(modes)
            elif self._possible(name, value):
                kept[name] = value
        return kept

    def losses(self) -> list[Loss]:
        """Report what has been left out so far, in one line for each setting and value."""
        return [
            Loss(
                object=f"{name} of {count} views, routines, triggers and events",
                reason=f"they were made under {value}, and will not be: {hindrance}",
                severity="changed",
            )
            for (name, value, hindrance), count in sorted(self._left_out.items())
        ]

    def _possible(self, name: str, value: str) -> bool:
        hindrance = self._hindrance(name, value)
        if hindrance is not None:
            self._left_out[name, value, hindrance] += 1
        return hindrance is None

    def _hindrance(self, name: str, value: str) -> str | None:
        if name == DATABASE_COLLATION and value != self._collation and not self._may_alter:
            return "this user may not ALTER the database"
        if not self._is_known(name, value):
            return "this server does not know it"
        return None

    @cached_property
    def _collation(self) -> str:
        return str(self._session.value("SELECT @@collation_database", "reading settings"))

    @cached_property
    def _may_alter(self) -> bool:
        return read_rights(self._session).on_database(self._session.database, "ALTER")

    def _is_known(self, name: str, value: str) -> bool:
        """Try a setting; a collation that a connection can have, a database can have too."""
        if (name, value) not in self._known:
            tried = "collation_connection" if name == DATABASE_COLLATION else name
            try:
                with under(self._session, {tried: value}, f"looking at {name}"):
                    self._known[name, value] = True
            except DatabaseError:
                self._known[name, value] = False
        return self._known[name, value]
