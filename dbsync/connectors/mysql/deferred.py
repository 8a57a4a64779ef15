"""A table's native definition in two parts: what its rows need, and keys that can come later.

What lives here: when keys may be built after the rows, which is faster, without giving another
table than the definition says. Must not know: the target.

The server lists a table's keys in an order of its own: the primary key, then unique keys, then the
others, each in the order in which they were made. Keys that are added together later come out in
the same order, but not beside one that was made with the table, and a table without a primary key
is laid out by its first unique one.
"""

from __future__ import annotations

import msgspec

from dbsync.connectors.mysql.connection import quote_name
from dbsync.connectors.mysql.steps import Made, Step
from dbsync.connectors.mysql.tokens import (
    TableText,
    element_column,
    element_foreign_key,
    element_key,
    significant,
    split_table,
    tokenize,
)
from dbsync.model.schema import Name, NativeObject, Table

_PLAIN = (["KEY"], ["UNIQUE", "KEY"])


class NewTable(msgspec.Struct, frozen=True, kw_only=True):
    """The steps that make one table: itself, its keys, its foreign keys."""

    create: Step
    keys: tuple[Step, ...] = ()
    references: tuple[Step, ...] = ()


def new_table(item: NativeObject, table: Table, target: Name) -> NewTable:
    """Plan a table from its native definition.

    Foreign keys that the portable model does not have lead to tables that are not part of the
    import, and are left out; those that lead into another database stay.
    """
    text = split_table(item.sql)
    if text is None:
        return NewTable(create=_create(item.sql, table, target))
    keys = {e: element_key(e) for e in text.elements} if _splittable(text) else {}
    late = [e for e in text.elements if keys.get(e) not in (None, "PRIMARY")]
    wanted = {key.name for key in table.foreign_keys}
    references = {e: element_foreign_key(e) for e in text.elements}
    kept = [e for e, name in references.items() if name in wanted or (name and _leads_away(e))]
    rest = tuple(e for e in text.elements if e not in late and references[e] is None)
    if "InnoDB" not in text.tail.split("ENGINE=", 1)[-1][:6]:
        # Other engines ignore foreign keys, or have rules of their own.
        rest, kept = (*rest, *kept), []
    head = msgspec.structs.replace(text, elements=rest)
    names = [keys[e] or "" for e in late]
    added = [references[e] or "" for e in kept]
    return NewTable(
        create=_create(str(head), table, target),
        keys=(_alter("indexes", late, names, table, target),) if late else (),
        references=(_alter("foreign keys", kept, added, table, target),) if kept else (),
    )


def _splittable(text: TableText) -> bool:
    """Say whether keys can come later without giving another table."""
    if "ENGINE=InnoDB" not in text.tail or "SYSTEM VERSIONING" in text.tail:
        return False
    keys = {e: name for e in text.elements if (name := element_key(e)) is not None}
    primary = next((e for e, name in keys.items() if name == "PRIMARY"), None)
    if primary is None:
        return False
    others = [e for e, name in keys.items() if name != "PRIMARY" and element_foreign_key(e) is None]
    if any(_words(e)[: len(_words(e))] not in _PLAIN for e in others):
        return False
    numbered = next((element_column(e) for e in text.elements if _is_numbered(e)), None)
    if numbered is None:
        return True
    first = next(t for t in significant(tokenize(primary)) if t.kind == "name")
    return first.identifier == numbered


def _words(element: str) -> list[str]:
    """Take the words before the name of a key."""
    words: list[str] = []
    for token in significant(tokenize(element)):
        if token.kind != "word":
            break
        words.append(token.upper)
    return words


def _is_numbered(element: str) -> bool:
    if element_column(element) is None:
        return False
    return any(token.upper == "AUTO_INCREMENT" for token in tokenize(element))


def _leads_away(element: str) -> bool:
    """Say whether a foreign key refers to a table of another database."""
    tokens = significant(tokenize(element))
    place = next(n for n, token in enumerate(tokens) if token.upper == "REFERENCES")
    return tokens[place + 2].text == "."


def _create(sql: str, table: Table, target: Name) -> Step:
    return Step(
        stage="create",
        label=f"table {target.name}",
        sql=sql,
        made=Made(kind="table", names=(target.name,)),
        source=table.name,
    )


def _alter(kind: str, elements: list[str], names: list[str], table: Table, target: Name) -> Step:
    listed = ", ".join(f"ADD {element}" for element in elements)
    indexes = kind == "indexes"
    return Step(
        stage="indexes" if indexes else "foreign_keys",
        label=f"{kind} {', '.join(names)} of table {target.name}",
        sql=f"ALTER TABLE {quote_name(target.name)} {listed}",
        made=Made(
            kind="indexes" if indexes else "foreign keys", names=tuple(names), table=target.name
        ),
        source=table.name,
    )
