"""Native objects that go along with the chosen tables, in a working order.

What lives here: which objects need which others, found by their names in the statements, and the
choice that follows. Must not know: how anything is read from the server.

Tables bring their triggers, and the sequences and routines that they and their triggers name.
Views come where the selection takes their name. Everything else belongs to no table, and comes
where the selection names none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from dbsync.connectors.mysql.information import RawTable
from dbsync.connectors.mysql.objects import ShownObject
from dbsync.connectors.mysql.selected import Chosen
from dbsync.connectors.mysql.shown import Shown
from dbsync.connectors.mysql.tokens import TableText, Token, element_foreign_key, tokenize
from dbsync.model.schema import Loss, Name, NativeObject, Table

_BEFORE_TABLE = frozenset(
    {"FROM", "JOIN", "STRAIGHT_JOIN", "INTO", "UPDATE", "TABLE", "INSERT", "REPLACE", "IGNORE"}
)
_SEQUENCE_FUNCTIONS = frozenset({"NEXTVAL", "LASTVAL", "SETVAL"})
_NOT_EXPORTED = "it depends on something that is not exported"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Everything in the database that is no table."""

    sequences: tuple[ShownObject, ...]
    routines: tuple[ShownObject, ...]
    views: tuple[ShownObject, ...]
    triggers: tuple[ShownObject, ...]
    events: tuple[ShownObject, ...]


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """What a name in a statement may stand for: names to the keys of objects."""

    database: str
    relations: Mapping[str, str]
    """Tables, views and sequences."""
    routines: Mapping[str, str]
    """Functions, procedures and packages, in lower case."""


def native_objects(
    chosen: Chosen,
    tables: Iterable[Table],
    shown: Mapping[str, Shown],
    found: Found,
    names: Names,
) -> tuple[tuple[NativeObject, ...], list[Loss]]:
    """Choose the objects, and note those that would need something that is left out.

    `tables` are those of the archive, `shown` the definitions of them and of linked tables.
    """
    choice = _Choice(chosen, names, found)
    for table in tables:
        definition = shown.get(table.name.name)
        if definition is not None and table.all_columns:
            choice.add_table(table.name, definition, covers="table")
    for name in chosen.linked:
        if name in shown:
            choice.add_table(Name(None, name), shown[name], covers=None)
    choice.add_triggers(found.triggers)
    choice.add_views(found.views)
    if chosen.everything:
        choice.add_all(found.sequences)
        choice.add_all(found.routines)
        choice.add_all(found.events)
    return choice.in_order(), choice.losses


def names_of(database: str, relations: Mapping[str, RawTable], found: Found) -> Names:
    """List what names may stand for."""
    kinds = {"VIEW": "view", "SEQUENCE": "sequence"}
    return Names(
        database=database,
        relations={n: f"{kinds.get(raw.kind, 'table')} {n}" for n, raw in relations.items()},
        routines={item.name.lower(): item.key for item in found.routines},
    )


class _Choice:
    """The objects chosen so far, by key."""

    def __init__(self, chosen: Chosen, names: Names, found: Found):
        self._chosen = chosen
        self._names = names
        self._helpers = {item.key: item for item in (*found.sequences, *found.routines)}
        self._objects: dict[str, NativeObject] = {}
        self.losses: list[Loss] = []

    def add_table(self, name: Name, definition: Shown, *, covers: str | None) -> None:
        """Take a table without the foreign keys to tables that are left out."""
        text = self._without_lost_keys(definition)
        # Tables need each other by foreign keys only, which are not checked while they are made.
        sequences: set[str] = set()
        if "val(" in str(text):
            needs = self._references(tokenize(str(text)), routines=False)
            sequences = {key for key in needs if key.startswith("sequence ")}
        self._take_helpers(sequences)
        self._objects[f"table {name.name}"] = NativeObject(
            kind="TABLE",
            name=name,
            sql=str(text),
            section="before_rows",
            table=name if covers else None,
            provides=f"table {name.name}",
            requires=tuple(sorted(sequences & self._objects.keys())),
            covers=covers,
        )

    def _without_lost_keys(self, definition: Shown) -> TableText:
        gone = {
            key.name
            for key in definition.foreign_keys
            if key.schema == self._names.database and key.table not in self._chosen.tables
        }
        kept = tuple(e for e in definition.text.elements if element_foreign_key(e) not in gone)
        return msgspec.structs.replace(definition.text, elements=kept)

    def add_triggers(self, triggers: Iterable[ShownObject]) -> None:
        """Take the triggers of the tables that are there in full, in their order."""
        before: dict[str, str] = {}
        for item in triggers:
            table = item.table or ""
            if f"table {table}" not in self._objects:
                if table in self._chosen.tables:
                    self._lose(item, "its table is exported without some of its columns")
                continue
            needs = self._references(item.tokens, routines=True)
            if not all(self._exported(key) for key in needs):
                self._lose(item, _NOT_EXPORTED)
                continue
            self._take_helpers(needs)
            owned = [f"table {table}"]
            if table in before:
                owned.append(before[table])
            before[table] = item.key
            self._put(item, requires=(*owned, *self._helpers_in(needs)), table=Name(None, table))

    def add_views(self, views: Iterable[ShownObject]) -> None:
        """Take the views that the selection names, after the views that they need."""
        waiting = [v for v in views if self._chosen.selection.selects(Name(None, v.name))]
        needs = {item.key: self._references(item.tokens, routines=True) for item in waiting}
        for item in waiting:
            needs[item.key].discard(item.key)
        while True:
            ready = [
                item for item in waiting if not (needs[item.key] & {other.key for other in waiting})
            ]
            if not ready:
                break
            for item in ready:
                self._add_view(item, needs[item.key])
            waiting = [item for item in waiting if item not in ready]

    def _add_view(self, item: ShownObject, needs: set[str]) -> None:
        missing = [
            key for key in needs if key.startswith(("table ", "view ")) and key not in self._objects
        ]
        if missing:
            self._lose(item, _NOT_EXPORTED)
            return
        self._take_helpers(needs)
        self._put(item, requires=tuple(sorted(needs & self._objects.keys())))

    def add_all(self, items: Iterable[ShownObject]) -> None:
        """Take objects that belong to no table; sequences where the selection has their name."""
        for item in items:
            if item.kind == "EVENT":
                self._put(item)
            elif item.kind != "SEQUENCE" or self._chosen.selection.selects(Name(None, item.name)):
                self._take_helpers({item.key})

    def in_order(self) -> tuple[NativeObject, ...]:
        """Give everything, what others need first."""
        ranks = {
            kind: rank
            for rank, kind in enumerate(
                (
                    "SEQUENCE", "TABLE", "FUNCTION", "PROCEDURE", "PACKAGE", "PACKAGE BODY",
                    "VIEW", "TRIGGER", "EVENT",
                )
            )
        }  # fmt: skip
        return tuple(sorted(self._objects.values(), key=lambda item: ranks[item.kind]))

    # What statements name

    def _references(self, tokens: list[Token], *, routines: bool) -> set[str]:
        """Find the keys of the objects that a statement names."""
        solid = [t for t in tokens if t.kind not in ("space", "comment")]
        found: set[str] = set()
        for place, token in enumerate(solid):
            name = token.identifier
            if name is None:
                continue
            before = solid[place - 1].text if place else ""
            if before == ".":
                continue
            parts = _parts(solid, place)
            own = parts[1:] if len(parts) > 1 and parts[0] == self._names.database else parts
            if self._in_table_position(solid, place) and len(own) == 1:
                found.update(self._relation(own[0]))
            if before == "(" and place > 1 and solid[place - 2].upper in _SEQUENCE_FUNCTIONS:
                found.update(self._relation(own[0]))
            if routines:
                found.update(self._routine(solid, place, parts, own))
        return found

    def _relation(self, name: str) -> list[str]:
        key = self._names.relations.get(name)
        return [key] if key else []

    def _routine(
        self, solid: list[Token], place: int, parts: list[str], own: list[str]
    ) -> list[str]:
        end = place + 2 * len(parts) - 1
        called = end < len(solid) and solid[end].text == "("
        if not called and not (place and solid[place - 1].upper == "CALL"):
            return []
        key = self._names.routines.get(own[0].lower())
        return [key] if key else []

    def _in_table_position(self, solid: list[Token], place: int) -> bool:
        at = place - 1
        while at >= 0 and solid[at].text == "(":
            at -= 1
        return at >= 0 and solid[at].upper in _BEFORE_TABLE

    # Helpers: sequences and routines, which come where something needs them

    def _helpers_in(self, needs: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(key for key in needs if key in self._helpers))

    def _take_helpers(self, needs: Iterable[str]) -> None:
        for key in self._helpers_in(needs):
            if key in self._objects:
                continue
            item = self._helpers[key]
            body = self._references(item.tokens, routines=True) - {key}
            requires = ("package " + item.name.lower(),) if item.kind == "PACKAGE BODY" else ()
            self._put(item, requires=requires)
            self._take_helpers(body)
            if item.kind == "PACKAGE":
                self._take_helpers({f"package body {item.name.lower()}"})

    def _exported(self, key: str) -> bool:
        """Say whether a relation that a trigger names will be there when it fires."""
        kind, _, name = key.partition(" ")
        if kind == "table":
            return name in self._chosen.tables or key in self._objects
        return kind != "view" or self._chosen.selection.selects(Name(None, name))

    def _put(
        self, item: ShownObject, *, requires: tuple[str, ...] = (), table: Name | None = None
    ) -> None:
        self._objects[item.key] = NativeObject(
            kind=item.kind,
            name=Name(None, item.name),
            sql=item.sql,
            section="before_rows" if item.kind == "SEQUENCE" else "after_rows",
            table=table,
            provides=item.key,
            requires=requires,
            covers="sequence" if item.kind == "SEQUENCE" else None,
            settings=item.settings,
        )

    def _lose(self, item: ShownObject, reason: str) -> None:
        self.losses.append(Loss(object=f"{item.kind.lower()} {item.name}", reason=reason))


def _parts(solid: list[Token], place: int) -> list[str]:
    """Give the parts of a qualified name that begins at `place`."""
    parts = [solid[place].identifier or ""]
    while place + 2 < len(solid) and solid[place + 1].text == ".":
        name = solid[place + 2].identifier
        if name is None:
            break
        parts.append(name)
        place += 2
    return parts
