"""What the archive lacks, or has in native DDL alone: the losses that the source knows.

What lives here: losses that follow from what a table is, from rights that are missing, and from
other databases. Must not know: the portable model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dbsync.connectors.mysql.connection import Session, quote_literal
from dbsync.connectors.mysql.failures import errno_of
from dbsync.connectors.mysql.information import Information, RawTable
from dbsync.connectors.mysql.rights import Rights, read_rights
from dbsync.connectors.mysql.selected import Chosen
from dbsync.connectors.mysql.shown import DENIED, Shown
from dbsync.connectors.mysql.types import SPATIAL
from dbsync.errors import DatabaseError
from dbsync.model.schema import Loss

_NATIVE = "only native DDL carries"
_PARTITIONS = re.compile(r"\bPARTITION BY\b")
_PERIOD = re.compile(r"PERIOD FOR ")


def table_losses(raw: RawTable, shown: Shown | None, chosen: set[str]) -> list[Loss]:
    """List what only native DDL carries of a table, in one line, and what is lost of its rows."""
    losses: list[Loss] = []
    kept = list(_native_only(raw, shown, chosen))
    if kept:
        reason = f"{_NATIVE} {', '.join(kept)}"
        losses.append(Loss(object=f"table {raw.name}", reason=reason, severity="changed"))
    spatial = [c.name for c in raw.columns if c.name in chosen and c.facts.data_type in SPATIAL]
    if spatial:
        listed = f"column{'s' if len(spatial) > 1 else ''} {', '.join(spatial)}"
        reason = "an engine without spatial types gets the bytes, SRID and WKB, as binary"
        losses.append(
            Loss(object=f"{listed} of table {raw.name}", reason=reason, severity="changed")
        )
    if raw.kind == "SYSTEM VERSIONED":
        reason = "only the current rows are exported"
        losses.append(Loss(object=f"history of table {raw.name}", reason=reason))
    return losses


def _native_only(raw: RawTable, shown: Shown | None, chosen: set[str]) -> Iterator[str]:
    engine = raw.engine or ""
    if engine.upper() != "INNODB":
        yield f"its engine {engine}"
    if shown is not None and _PARTITIONS.search(shown.text.tail):
        yield "its partitions"
    if shown is not None and any(_PERIOD.match(element) for element in shown.text.elements):
        yield "its period"
    for column in raw.columns:
        if column.name not in chosen:
            continue
        if column.on_update is not None:
            yield f"ON UPDATE of column {column.name}"
        if column.invisible:
            yield f"that column {column.name} is invisible"
        if column.facts.zerofill:
            yield f"ZEROFILL of column {column.name}"
        if column.reference_system:
            yield f"REF_SYSTEM_ID of column {column.name}"


def database_losses(session: Session, information: Information, chosen: Chosen) -> list[Loss]:
    """List what concerns the database as a whole."""
    rights = read_rights(session)
    return [
        *_collations(chosen),
        *_linked(chosen),
        *_hidden(session, rights, chosen),
        *_referring(session, information, chosen),
    ]


def _collations(chosen: Chosen) -> Iterator[Loss]:
    """Say which collations tables compare text by; column's own ones stand with the columns."""
    used: dict[str, list[str]] = {}
    for raw in chosen.tables.values():
        text = any(c.facts.collation == raw.collation for c in raw.columns)
        if text and raw.collation and not raw.collation.endswith("_bin"):
            used.setdefault(raw.collation, []).append(raw.name)
    for collation, tables in sorted(used.items()):
        count = f"table {tables[0]}" if len(tables) == 1 else f"{len(tables)} tables"
        reason = (
            f"{_NATIVE} it: in {count} it takes texts for equal that are not the same, which"
            " other engines tell apart"
        )
        yield Loss(object=f"collation {collation}", reason=reason, severity="changed")


def _linked(chosen: Chosen) -> Iterator[Loss]:
    for raw in chosen.linked.values():
        reason = f"its engine {raw.engine} keeps them elsewhere; only the definition is carried"
        yield Loss(object=f"rows of table {raw.name}", reason=reason)


def _hidden(session: Session, rights: Rights, chosen: Chosen) -> Iterator[Loss]:
    """Say what this user would not see if it were there."""
    database = session.database
    blind = [t for t in chosen.tables if not rights.on_table(database, t, "TRIGGER")]
    if blind:
        some = f"table {blind[0]}" if len(blind) == 1 else f"{len(blind)} tables"
        yield Loss(object="triggers", reason=f"this user lacks TRIGGER on {some} and sees none")
    if not chosen.everything:
        return
    if not rights.on_database(database, "EVENT"):
        yield Loss(object="events", reason="this user lacks EVENT on the database and sees none")
    sees = (
        rights.on_server("SELECT", "SHOW_ROUTINE", "SHOW CREATE ROUTINE")
        or rights.on_table("mysql", "proc", "SELECT")
        or rights.on_database(
            database, "EXECUTE", "ALTER ROUTINE", "CREATE ROUTINE", "SHOW CREATE ROUTINE"
        )
    )
    if not sees:
        right = "SELECT on mysql.proc" if session.flavour.mariadb else "SHOW_ROUTINE"
        reason = f"this user lacks {right} and sees only its own"
        yield Loss(object="functions and procedures", reason=reason)


def _referring(session: Session, information: Information, chosen: Chosen) -> Iterator[Loss]:
    """List foreign keys of other databases, where this user may know about them."""
    view = session.flavour.foreign_keys_view
    doing = "reading foreign keys of other databases"
    prefix = f"{_encoded(information.database)}/"
    literal = quote_literal(prefix)
    try:
        rows = session.rows(
            f"SELECT FOR_NAME AS owner, REF_NAME AS referred FROM information_schema.{view}"
            f" WHERE LEFT(REF_NAME, {len(prefix)}) = {literal}"
            f" AND LEFT(FOR_NAME, {len(prefix)}) <> {literal} ORDER BY FOR_NAME",
            doing,
        )
    except DatabaseError as error:
        if errno_of(error) not in DENIED:
            raise
        return
    by_name = {_encoded(name): name for name in chosen.tables}
    for row in rows:
        referred = by_name.get(str(row["referred"])[len(prefix) :])
        if referred is not None:
            other = str(row["owner"]).replace("/", ".")
            yield Loss(
                object=f"foreign key of table {other}",
                reason=f"it refers to {referred} from another database, and stays there",
                severity="changed",
            )


def _encoded(name: str) -> str:
    """Write a name as InnoDB does in its own catalog, where letters and digits stay as they are.

    Letters of some alphabets have shorter forms, which are not known here: what refers to such a
    name is not found.
    """
    return "".join(
        c if c.isascii() and (c.isalnum() or c == "_") else f"@{ord(c):04x}" for c in name
    )
