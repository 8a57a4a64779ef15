"""What has to be looked at before rows go into a table, whether it exists or will be made.

What lives here: `table_examiner`, over the conversions of `wire`, by which the writer sends the
same columns, and the keys whose collation finds more texts equal than the archive does. What only
the server can tell (whether a text is JSON, a geometry valid) is left to it.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa

from dbsync.connectors.base import Examiner, MergingKey, TablePlan
from dbsync.connectors.examine import examiner, folded_key
from dbsync.connectors.mysql.connection import Session, quote_literal
from dbsync.connectors.mysql.existing import TargetColumn, TargetTable
from dbsync.connectors.mysql.fit import written_columns
from dbsync.connectors.mysql.flavour import Flavour
from dbsync.connectors.mysql.mapping import column_types
from dbsync.connectors.mysql.stage import folds
from dbsync.connectors.mysql.types import ColumnFacts, logical_type
from dbsync.connectors.mysql.wire import ENGINE, Wire, fits_by_type, wire_column
from dbsync.model.schema import Column, Table

_WEIGHTLESS = frozenset({"Mn", "Me", "Cf", "Cc"})


def table_examiner(
    plan: TablePlan, existing: TargetTable | None, engine: str, session: Session, *, native: bool
) -> Examiner | None:
    """Make the examiner of one table; `existing` is None where the import makes the table.

    `engine` is the archive's; `native`: the table is made by the archive's own DDL. `session` is
    asked which texts its collations find equal, as long as the examiner is used.
    """
    flavour = session.flavour
    if existing is not None:
        pairs = written_columns(plan.source, existing)
    elif native and engine == ENGINE:
        return None  # a table is made with the types that it had
    else:
        pairs = made_columns(plan.source, flavour)
    table = str(plan.source.name)
    keys = _merging_keys(plan.source, existing, engine, session) if existing else ()
    return examiner(
        (
            (
                column,
                partial(_convert, wire_column(column, found, engine, flavour), table),
                fits_by_type(column, found, engine, flavour),
            )
            for column, found in pairs
        ),
        keys,
        engine=engine,
    )


def _convert(wire: Wire, table: str, values: pa.Array, exceptions: pa.StructArray | None) -> None:
    wire.values(values, exceptions, table)


def made_columns(source: Table, flavour: Flavour) -> list[tuple[Column, TargetColumn]]:
    """Describe the columns that portable DDL makes of a table."""
    types = column_types(source, flavour)
    return [(c, made_column(c, types[c.name][0], flavour)) for c in source.columns]


def made_column(column: Column, text: str, flavour: Flavour) -> TargetColumn:
    """Describe a column that is made with the type `text`."""
    kind = text.partition("(")[0].split()[0]
    is_json = kind == "json" and flavour.json_is_text
    is_text = kind in ("enum", "json", "char", "varchar") or kind.endswith("text")
    facts = ColumnFacts(
        data_type="longtext" if is_json else kind,
        column_type="longtext" if is_json else text,
        charset="utf8mb4" if is_text else None,
        collation=flavour.exact_collation if is_text else None,
        is_json=is_json,
    )
    return TargetColumn(
        name=column.name,
        native=facts.column_type,
        logical=logical_type(facts, flavour),
        facts=facts,
        nullable=column.nullable,
        default=None,
        generated=False,
        auto_increment=False,
        invisible=False,
        on_update=None,
        privileges=frozenset(),
    )


def _merging_keys(
    source: Table, target: TargetTable, engine: str, session: Session
) -> Iterator[MergingKey]:
    """List unique keys over texts whose collation finds more of them equal than their bytes.

    A key that the archive promises under the very same collation is left out.
    """
    own = {found.name: column for column, found in written_columns(source, target)}
    promised = [k.columns for k in (source.primary_key, *source.uniques) if k is not None]
    for key in target.unique_keys:
        if not key.whole or not set(key.columns) <= own.keys():
            continue
        columns = tuple(own[name].name for name in key.columns)
        collations = {own[n].name: c for n in key.columns if (c := folds(target.column(n)))}
        if not collations:
            continue
        same = engine == ENGINE and all(
            source.column(n).collation == c for n, c in collations.items()
        )
        if same and columns in promised:
            continue
        named = " and ".join(sorted(set(collations.values())))
        yield MergingKey(
            columns=columns,
            reason=f"are equal under collation {named} of key {key.name} of table {target.name}",
            fold=folded_key(source, columns, dict.fromkeys(collations, _fold)),
            same=_Equality(session, columns, collations),
        )


def _fold(text: pa.Array) -> pa.Array:
    """Bring texts together that any collation may find equal; the server has the last word."""
    encoded = text.dictionary_encode()
    folded = [_folded(value) for value in encoded.dictionary.to_pylist()]
    return pa.array(folded, pa.string()).take(encoded.indices)


def _folded(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text.lower().rstrip(" ")
    # Accents, and characters that have no weight in most collations, go away.
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in parts if unicodedata.category(c) not in _WEIGHTLESS).rstrip(" ")


@dataclass
class _Equality:
    """Asks the server whether two keys are equal to it; from one thread at a time."""

    session: Session
    columns: tuple[str, ...]
    collations: Mapping[str, str]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, one: tuple[str | None, ...], other: tuple[str | None, ...]) -> bool:
        """Compare two keys, given as text in the order of `columns`."""
        return all(
            self._equal(self.collations.get(name), mine, theirs)
            for name, mine, theirs in zip(self.columns, one, other, strict=True)
        )

    def _equal(self, collation: str | None, mine: str | None, theirs: str | None) -> bool:
        if mine is None or theirs is None:
            return False
        if collation is None or mine == theirs:
            return mine == theirs
        charset = collation.partition("_")[0]
        one, other = (f"CONVERT({quote_literal(text)} USING {charset})" for text in (mine, theirs))
        sql = f"SELECT {one} COLLATE {collation} = {other} COLLATE {collation}"
        with self.lock:
            return bool(self.session.value(sql, "comparing keys"))
