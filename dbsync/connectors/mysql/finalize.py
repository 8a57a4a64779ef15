"""After the rows: foreign keys of new tables are proven, and numbers go on where they stood.

What lives here: which foreign keys are looked at, and AUTO_INCREMENT and SEQUENCE positions. Must
not know: the order of stages, transactions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from dbsync.connectors.base import TablePlan
from dbsync.connectors.mysql.connection import Session, quote_name
from dbsync.connectors.mysql.existing import TargetForeignKey, TargetTable
from dbsync.model.schema import Database, Name, Sequence, Table


def unproven_keys(
    database: Database, plans: Iterable[TablePlan], tables: Mapping[Name, TargetTable]
) -> Iterator[TargetForeignKey]:
    """List the foreign keys of tables that this import made, whose rows came without a check.

    A whole copy of a table of the same engine is left out: InnoDB has checked its rows where they
    come from, or somebody has turned that off there, and a backup has to come back as it was. A
    table that was filtered, or whose referred tables were, is no such copy.
    """
    for plan in plans:
        table = tables.get(plan.target)
        if plan.action != "create" or table is None or _whole_copy(database, plan):
            continue
        yield from table.foreign_keys


def _whole_copy(database: Database, plan: TablePlan) -> bool:
    if database.engine != "mysql":
        return False
    whole = {table.name for table in database.tables if table.where is None}
    return plan.source.name in whole and all(
        key.referred in whole for key in plan.source.foreign_keys
    )


def sequence_of(table: Table, sequences: Iterable[Sequence]) -> Sequence | None:
    """Find the archive's sequence behind the column of a table that numbers itself."""
    numbered = next((c for c in table.columns if c.identity is not None), None)
    if numbered is None or numbered.identity is None:
        return None
    listed = list(sequences)
    named = next((s for s in listed if s.name == numbered.identity.sequence), None)
    owner = (table.name, numbered.name)
    return named or next((s for s in listed if (s.owner_table, s.owner_column) == owner), None)


def set_numbers(
    session: Session, table: TargetTable, sequence: Sequence, *, replaced: bool
) -> bool:
    """Let a table number its next row as the archive says, or later; say whether that moved it."""
    position = new_position(table, sequence, replaced=replaced)
    if position is None:
        return False
    session.run(
        f"ALTER TABLE {quote_name(table.name.name)} AUTO_INCREMENT = {position}",
        f"numbering table {table.name}",
    )
    return True


def new_position(table: TargetTable, sequence: Sequence, *, replaced: bool) -> int | None:
    """Give the number at which a table has to go on, None where it is to stay as it is.

    A table that is there keeps a position beyond the archive's unless all its rows are `replaced`.
    InnoDB itself never goes below the largest number that the table holds.
    """
    following = next_value(sequence)
    current = table.auto_increment
    numbered = any(column.auto_increment for column in table.columns)
    if following is None or not numbered or following == current:
        return None
    if current is not None and following < current and not replaced:
        return None
    return following


def next_value(sequence: Sequence) -> int | None:
    """Give the next number of a sequence, None where it is unknown or no AUTO_INCREMENT has it."""
    if sequence.last_value is None or sequence.increment < 1:
        return None
    step = sequence.increment if sequence.is_called else 0
    return max(1, sequence.last_value + step)


def set_sequence(session: Session, name: str, sequence: Sequence) -> None:
    """Let a SEQUENCE go on as the archive says; the server never lets it go back."""
    if sequence.last_value is None:
        return
    used = 1 if sequence.is_called else 0
    session.rows(
        f"SELECT SETVAL({quote_name(name)}, {sequence.last_value}, {used}) AS at",
        f"setting sequence {name}",
    )
