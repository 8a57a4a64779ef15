"""SHOW CREATE TABLE of the chosen tables, and what only its text tells.

What lives here: reading the text, making it true where the server shows something else than it
has, and the foreign keys and checks that stand in it, because information_schema hides them or
parts of them from users who may only read. Must not know: the portable model.
"""

from __future__ import annotations

import msgspec

from dbsync.connectors.mysql.connection import Session, quote_name
from dbsync.connectors.mysql.failures import errno_of
from dbsync.connectors.mysql.information import RawColumn, RawForeignKey, RawTable, json_check
from dbsync.connectors.mysql.literals import has_raw_default
from dbsync.connectors.mysql.tokens import (
    TableText,
    Token,
    element_column,
    element_foreign_key,
    element_key,
    qualified_names,
    replaced,
    significant,
    split_table,
    tokenize,
    without,
)
from dbsync.errors import DatabaseError

DENIED = frozenset({1044, 1142, 1143, 1227, 1370})
"""Errors for a right that is missing."""

_SEQUENCE_FUNCTIONS = frozenset({"NEXTVAL", "LASTVAL", "SETVAL"})


class ShownCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A check as the table's text has it; `name` is None for one that belongs to a column."""

    expression: str
    name: str | None


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The definition of one table."""

    text: TableText
    foreign_keys: tuple[RawForeignKey, ...]
    checks: tuple[ShownCheck, ...]
    """Those that are enforced, but for the check that makes a column JSON."""

    @property
    def indexes(self) -> dict[str, str]:
        """The text of each index by name."""
        found = {element_key(element): element for element in self.text.elements}
        return {name: element for name, element in found.items() if name is not None}


def read_shown(session: Session, raw: RawTable, changed: frozenset[str]) -> Shown | None:
    """Read a table's definition; None where this user may not see it.

    `changed` are the columns of `raw` whose labels or defaults the server does not show truly.
    """
    try:
        sql = _show(session, raw, changed)
    except DatabaseError as error:
        if errno_of(error) in DENIED:
            return None
        raise
    text = split_table(without_database(sql, session.database))
    if text is None:
        return None
    columns = {column.name: column for column in raw.columns}
    elements = text.elements
    untold = {name for name, column in columns.items() if column.reference_system}
    if changed or untold:
        elements = tuple(
            _true(element, columns[name], shown=name not in changed)
            if (name := element_column(element)) in changed | untold
            else element
            for element in elements
        )
        text = msgspec.structs.replace(text, elements=elements)
    keys = [_foreign_key(element, session.database) for element in elements]
    return Shown(
        text=text,
        foreign_keys=tuple(key for key in keys if key is not None),
        checks=tuple(c for element in elements for c in _checks(element)),
    )


def _show(session: Session, raw: RawTable, changed: frozenset[str]) -> str:
    statement = f"SHOW CREATE TABLE {quote_name(raw.name)}"
    doing = f"reading the definition of table {raw.name}"
    if not has_raw_default(raw, changed):
        return session.rows(statement, doing)[0]["Create Table"]
    # The driver would fail over bytes that are no UTF-8. They are replaced afterwards.
    batches = list(session.stream(statement, doing))
    return bytes(batches[0][1][0].as_py()).decode(errors="replace")


def without_database(sql: str, database: str) -> str:
    """Drop the database's name where the server writes it although it is the current one.

    That is in front of sequences in defaults and views, and of stored functions in views.
    """
    if quote_name(database) not in sql:
        return sql
    tokens = significant(tokenize(sql))
    gone: list[tuple[int, int]] = []
    for place, first, _ in qualified_names(tokens):
        if first != database:
            continue
        follows = tokens[place + 3] if place + 3 < len(tokens) else None
        calls = follows is not None and follows.text == "("
        inside = place > 1 and tokens[place - 1].text == "("
        if calls or (inside and tokens[place - 2].upper in _SEQUENCE_FUNCTIONS):
            gone.append((tokens[place].start, tokens[place + 2].start))
    return without(sql, gone)


def _true(element: str, column: RawColumn, *, shown: bool) -> str:
    """Put what the server does not show truly into a column's definition.

    That is its reference system, and, unless they are `shown` as they are, its labels and default.
    """
    tokens = tokenize(element)
    kind = next(place for place, token in enumerate(tokens) if token.kind == "word")
    pieces = [] if shown else _true_literals(tokens, kind, column)
    if column.reference_system:
        end = tokens[kind].end
        pieces.append((end, end, f" REF_SYSTEM_ID={column.reference_system}"))
    return replaced(element, pieces)


def _true_literals(tokens: list[Token], kind: int, column: RawColumn) -> list[tuple[int, int, str]]:
    """Find where the true labels and the true default go; `kind` is the place of the type."""
    pieces: list[tuple[int, int, str]] = []
    if tokens[kind].upper in ("ENUM", "SET"):
        close = _closing(tokens, kind + 1)
        pieces.append((tokens[kind].start, tokens[close].end, column.facts.column_type))
    depth = 0
    for place, token in enumerate(tokens):
        depth += {"(": 1, ")": -1}.get(token.upper, 0)
        if depth == 0 and token.upper == "DEFAULT" and column.default is not None:
            value = next(t for t in tokens[place + 1 :] if t.kind != "space")
            if value.kind == "string":
                pieces.append((value.start, value.end, column.default))
            break
    return pieces


def _closing(tokens: list[Token], opening: int) -> int:
    """Find the parenthesis that closes the one at `opening`."""
    depth = 0
    for place in range(opening, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[place].upper, 0)
        if depth == 0:
            return place
    return len(tokens) - 1


def _foreign_key(element: str, database: str) -> RawForeignKey | None:
    name = element_foreign_key(element)
    if name is None:
        return None
    tokens = significant(tokenize(element))
    words = [token.upper for token in tokens]
    own = words.index("(")
    refers = words.index("REFERENCES")
    other = words.index("(", refers)
    target = [t.identifier or "" for t in tokens[refers + 1 : other] if t.identifier is not None]
    return RawForeignKey(
        name=name,
        columns=_names(tokens, own),
        schema=target[0] if len(target) > 1 else database,
        table=target[-1],
        referred_columns=_names(tokens, other),
        on_update=_action(words, other, "UPDATE"),
        on_delete=_action(words, other, "DELETE"),
    )


def _names(tokens: list[Token], opening: int) -> tuple[str, ...]:
    inside = tokens[opening + 1 : _closing(tokens, opening)]
    return tuple(name for name in (token.identifier for token in inside) if name is not None)


def _action(words: list[str], start: int, event: str) -> str:
    """Read an action; without one it is NO ACTION, which InnoDB does not tell from RESTRICT."""
    for place in range(start, len(words) - 2):
        if words[place : place + 2] == ["ON", event]:
            action = words[place + 2]
            return action if action in ("CASCADE", "RESTRICT") else " ".join(words[place + 2 :][:2])
    return "NO ACTION"


def _checks(element: str) -> list[ShownCheck]:
    if "CHECK" not in element:
        return []
    tokens = tokenize(element)
    if any(token.kind == "comment" and "NOT ENFORCED" in token.text for token in tokens):
        return []
    found: list[ShownCheck] = []
    column = element_column(element)
    depth = 0
    for place, token in enumerate(tokens):
        depth += {"(": 1, ")": -1}.get(token.upper, 0)
        if depth != 0 or token.upper != "CHECK":
            continue
        opening = next(p for p in range(place, len(tokens)) if tokens[p].text == "(")
        closing = _closing(tokens, opening)
        text = element[tokens[opening].end : tokens[closing].start]
        if column is not None and text == json_check(column):
            continue
        names = [t.identifier for t in significant(tokens[:place])]
        named = len(names) == 2 and names[0] is not None and names[0].upper() == "CONSTRAINT"
        found.append(ShownCheck(expression=text, name=names[1] if named else None))
    return found
