"""The end of a table's load: what must be true before it is committed, and before it is seen.

What lives here: `Loading`, the checks of counts, and the exchange of the temporary table with the
final one. Must not know: the order of tables, how rows are spelled.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dbsync.connectors.treasuredata import bulk_calls as bulk
from dbsync.connectors.treasuredata import table_calls as tables
from dbsync.connectors.treasuredata.client import Api
from dbsync.connectors.treasuredata.counting import count_rows
from dbsync.connectors.treasuredata.parts import Ledger
from dbsync.connectors.treasuredata.plan import Landing
from dbsync.errors import ConflictError, TargetError

_SHOWN = 3
_AGAIN = "run the same command again: it begins this table afresh"


@dataclass
class Loading:
    """A table under way."""

    landing: Landing
    session: bulk.Session
    rows: dict[str, int] = field(default_factory=dict[str, int])
    """Rows by part that the session must have."""
    chunks: frozenset[int] = frozenset()
    """Those that an earlier run has uploaded."""
    before: int | None = None
    """Rows of the table that is appended to, where this run has counted them."""

    @property
    def sent(self) -> int:
        """Count the rows that were sent; of a session whose parts are not listed any more, those
        that it has read, since it was closed only when every part was there."""
        return sum(self.rows.values()) if self.rows else self.session.valid_records


def require_rows(one: Loading, found: Ledger) -> None:
    """Raise `TargetError` where the session does not have exactly the parts that were sent."""
    if found.rows == one.rows and not found.stray:
        return
    lacking = len(one.rows.keys() - found.rows.keys())
    more = len(found.rows.keys() - one.rows.keys()) + len(found.stray)
    raise TargetError(
        f"cannot load table {one.landing.final}: of the parts of its bulk import {lacking} are "
        f"missing and {more} are not of this import",
        hint=_AGAIN,
    )


def check_records(api: Api, one: Loading) -> None:
    """Raise `TargetError` where the service did not take every row that was sent."""
    session, final = one.session, one.landing.final
    if session.error_records or session.error_parts:
        shown = bulk.error_records(api, session.name, _SHOWN, final)
        examples = f", such as {'; '.join(shown)}" if shown else ""
        raise TargetError(
            f"Treasure Data refuses {session.error_records} rows and {session.error_parts} parts "
            f"of table {final}{examples}",
            hint="correct these rows in the source; nothing of this table was committed",
        )
    if session.valid_records != one.sent:
        raise TargetError(
            f"Treasure Data has read {session.valid_records} of the {one.sent} rows that were sent "
            f"of table {final}; nothing of it was committed",
            hint=_AGAIN,
        )


def check_appended(api: Api, one: Loading) -> None:
    """Raise `TargetError` where the table has fewer rows than it had, and those appended."""
    if one.before is None:
        return
    final, found = one.landing.final, count_rows(api, one.landing.final)
    if found < one.before + one.sent:
        raise TargetError(
            f"table {final} has {found} rows after {one.sent} were added to {one.before}",
            hint="look whether rows expire or are deleted by others; the import was committed once",
        )


def put_in_place(api: Api, one: Loading) -> None:
    """Verify a temporary table by a count, and let it take the place of the final one.

    Raises `TargetError` where rows are missing, and `ConflictError` where a table that this
    import was to create has got rows meanwhile.
    """
    landing, final, temporary = one.landing, one.landing.final, one.landing.marks.table
    table_id = one.session.name.rpartition("_")[2]
    if tables.is_swapped(api, final, temporary, table_id):
        return
    expected, found = one.sent, count_rows(api, temporary)
    if found != expected:
        raise TargetError(
            f"cannot load table {final}: {found} of the {expected} rows that were sent arrived; "
            "the table was left as it is",
            hint=_AGAIN,
        )
    there = (tables.list_tables(api) or {}).get(final)
    if there is None:
        tables.create_table(api, final)
    elif landing.plan.action == "create" and count_rows(api, final):
        raise ConflictError(
            f"table {final} was made by others while it was being loaded, and has rows",
            hint="choose --existing overwrite or append, or drop that table, and run it again",
        )
    tables.swap_once(api, final, temporary, table_id)
