"""Sending rows into a table: by LOAD DATA LOCAL where the server takes it, else by INSERT.

What lives here: `Bulk`, which sends, and reads what the server says about it. Must not know:
transactions, what the values mean.

LOAD DATA LOCAL never stops at a row that the server refuses: it leaves it out, or clamps its
values, and warns. So every warning and every row that is missing is an error here, and the
caller rolls back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from dbsync.connectors.mysql.connection import Session, quote_name
from dbsync.connectors.mysql.encode import CHARSET, Form, lines
from dbsync.connectors.mysql.failures import INFILE_OFF, errno_of
from dbsync.connectors.mysql.infile import Warning
from dbsync.connectors.mysql.insert import statements
from dbsync.errors import DbsyncError, LossError, TargetError

_CHANGED = frozenset(
    {1264, 1265, 1292, 1300, 1366, 1367, 1406, 1411, 1416, 1441, 1577, 1690, 3140, 4037, 4038}
)
"""A value was clamped, cut, or is none of its type; the last three: it is no JSON."""
_CONSTRAINT = frozenset({1048, 1263, 3819, 4025})
"""NULL where none may be; a check, in MySQL and in MariaDB."""
_TAKEN = frozenset({1022, 1062, 1169, 1586, 1859})
_REFERENCE = frozenset({1216, 1452})


@dataclass
class Bulk:
    """Sends rows over one session. `infile` is None until it is known whether the server takes
    LOAD DATA LOCAL."""

    session: Session
    infile: bool | None = None
    _max_packet: int = 0

    def send(
        self,
        table: str,
        names: Sequence[str],
        columns: Sequence[tuple[pa.Array, Form]],
        doing: str,
        *,
        odd: int = 0,
    ) -> None:
        """Insert rows into the columns `names` of `table`, all of them or none that may stay.

        `odd` is how many values will be warned of although they are stored as they should be: the
        empty value of an enum that is none of its labels. After an error the caller must roll
        back. Raises `LossError` where the server would change a value, `TargetError` where it
        refuses a row.
        """
        if self.infile is None:
            self.infile = bool(self.session.value("SELECT @@local_infile", doing))
        if self.infile:
            try:
                self._load(table, names, columns, doing, odd)
            except TargetError as error:
                if errno_of(error) not in INFILE_OFF:
                    raise
                self.infile = False
            else:
                return
        self._insert(table, names, columns, doing, odd)

    def _load(
        self,
        table: str,
        names: Sequence[str],
        columns: Sequence[tuple[pa.Array, Form]],
        doing: str,
        odd: int,
    ) -> None:
        rows = len(columns[0][0])
        loaded = self.session.load_data(
            load_statement(table, names, columns), lines(columns), doing
        )
        if loaded.warning_count == odd and loaded.affected == loaded.records == rows:
            return
        stored = loaded.records - loaded.skipped
        raise _refused(loaded.warnings, loaded.warning_count, rows - stored, doing)

    def _insert(
        self,
        table: str,
        names: Sequence[str],
        columns: Sequence[tuple[pa.Array, Form]],
        doing: str,
        odd: int,
    ) -> None:
        if not self._max_packet:
            self._max_packet = int(self.session.value("SELECT @@max_allowed_packet", doing))
        listed = ", ".join(quote_name(name) for name in names)
        # A strict server takes the odd values under IGNORE only; then as LOAD DATA, it warns.
        ignore = "IGNORE " if odd else ""
        head = f"INSERT {ignore}INTO {table} ({listed}) VALUES"
        warned = 0
        for statement, rows in statements(head, columns, self._max_packet, doing):
            stored = run_explained(self.session, statement, doing)
            warnings = _warnings(self.session, doing)
            warned += len(warnings)
            if stored != rows or warned > odd:
                raise _refused(warnings, len(warnings), rows - stored, doing)


def run_explained(session: Session, statement: str, doing: str) -> int:
    """Run a statement that inserts or updates; see `Bulk.send` for what is raised."""
    try:
        return session.run(statement, doing)
    except TargetError as error:
        if errno_of(error) not in _TAKEN | _REFERENCE | _CHANGED | _CONSTRAINT:
            raise
        warnings = _warnings(session, doing)
        raise _refused(warnings, len(warnings), 1, doing) from error


def _warnings(session: Session, doing: str) -> list[Warning]:
    found = session.rows("SHOW WARNINGS", doing)
    return [Warning(w["Level"], w["Code"], w["Message"]) for w in found]


def load_statement(
    table: str, names: Sequence[str], columns: Sequence[tuple[pa.Array, Form]]
) -> str:
    """Write the LOAD DATA statement for a file of `encode.lines`; its file has no real name.

    With SET the servers forget that the file gave a value for an AUTO_INCREMENT column, and make a
    new number of a 0 in spite of NO_AUTO_VALUE_ON_ZERO (seen on MariaDB 10.11), so that column
    is set too.
    """
    listed: list[str] = []
    made: list[str] = []
    made_up = any(form in (Form.BYTES, Form.NUMBER) for _, form in columns)
    for number, (name, (_, form)) in enumerate(zip(names, columns, strict=True)):
        quoted = quote_name(name)
        variable = f"@dbsync{number}"
        match form:
            case Form.BYTES:
                made.append(f"{quoted} = UNHEX({variable})")
            case Form.NUMBER:
                made.append(f"{quoted} = CAST({variable} AS UNSIGNED)")
            case Form.COUNTER if made_up:
                made.append(f"{quoted} = {variable}")
            case _:
                variable = quoted
        listed.append(variable)
    assigned = f" SET {', '.join(made)}" if made else ""
    return (
        f"LOAD DATA LOCAL INFILE 'dbsync' INTO TABLE {table} CHARACTER SET {CHARSET} "
        "FIELDS TERMINATED BY '\\t' ENCLOSED BY '' ESCAPED BY '\\\\' "
        f"LINES STARTING BY '' TERMINATED BY '\\n' ({', '.join(listed)}){assigned}"
    )


def _refused(warnings: Iterable[Warning], count: int, missing: int, doing: str) -> DbsyncError:
    """Make the error for what the server warned of, quoting its first warning of that kind."""
    first: dict[int, Warning] = {}
    numbers: dict[int, int] = {}
    for warning in warnings:
        first.setdefault(warning.code, warning)
        numbers[warning.code] = numbers.get(warning.code, 0) + 1

    def found(codes: frozenset[int]) -> str | None:
        """Quote the first warning with one of these codes."""
        code = next((code for code in numbers if code in codes), None)
        return None if code is None else f"{first[code].message} [{code}]"

    rows = "1 row was" if missing <= 1 else f"{missing} rows were"
    if said := found(_TAKEN):
        return TargetError(
            f"{doing} failed: {rows} refused: {said}",
            hint="the rows are there already, or the archive's values are equal here: correct "
            "them, or import with --on-conflict update",
        )
    if said := found(_REFERENCE):
        return TargetError(
            f"{doing} failed: {rows} refused: {said}",
            hint="the rows that they refer to are missing: load that table too",
        )
    if said := found(_CHANGED):
        number = sum(n for code, n in numbers.items() if code in _CHANGED)
        # Which column a text that is no JSON was for, MariaDB says by the column's check only.
        all_said = "; ".join(text for text in (said, found(_CONSTRAINT)) if text)
        return LossError(
            f"{doing}: {number} {'value does' if number == 1 else 'values do'} not fit: {all_said}",
            hint="widen the column on the target, or correct the values; nothing of this chunk "
            "is written",
        )
    if said := found(_CONSTRAINT):
        return TargetError(
            f"{doing} failed: {rows} refused: {said}",
            hint="correct the rows, or drop the constraint on the target",
        )
    said = "; ".join(f"{w.message} [{w.code}]" for w in first.values())
    return TargetError(
        f"{doing} failed: {missing} rows were not stored, with {count} warnings"
        + (f": {said}" if said else "")
    )
