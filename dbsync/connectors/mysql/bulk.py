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
    {1048, 1264, 1265, 1292, 1300, 1366, 1367, 1406, 1411, 1441, 1577, 1690, 4025, 4037, 4038}
)
"""Warnings about a value: clamped, cut, not convertible, no NULL here, against a check."""
_NOT_NULL = 1048
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
            stored = self.session.run(statement, doing)
            found = self.session.rows("SHOW WARNINGS", doing)
            warnings = [Warning(w["Level"], w["Code"], w["Message"]) for w in found]
            warned += len(warnings)
            if stored != rows or warned > odd:
                raise _refused(warnings, len(warnings), rows - stored, doing)


def load_statement(
    table: str, names: Sequence[str], columns: Sequence[tuple[pa.Array, Form]]
) -> str:
    """Write the LOAD DATA statement for a file of `encode.lines`; its file has no real name."""
    listed: list[str] = []
    made: list[str] = []
    for number, (name, (_, form)) in enumerate(zip(names, columns, strict=True)):
        quoted = quote_name(name)
        if form in (Form.PLAIN, Form.TEXT):
            listed.append(quoted)
            continue
        variable = f"@dbsync{number}"
        listed.append(variable)
        value = f"UNHEX({variable})" if form is Form.BYTES else f"CAST({variable} AS UNSIGNED)"
        made.append(f"{quoted} = {value}")
    assigned = f" SET {', '.join(made)}" if made else ""
    return (
        f"LOAD DATA LOCAL INFILE 'dbsync' INTO TABLE {table} CHARACTER SET {CHARSET} "
        "FIELDS TERMINATED BY '\\t' ENCLOSED BY '' ESCAPED BY '\\\\' "
        f"LINES STARTING BY '' TERMINATED BY '\\n' ({', '.join(listed)}){assigned}"
    )


def _refused(warnings: Iterable[Warning], count: int, missing: int, doing: str) -> DbsyncError:
    """Make the error for what the server warned of; the first warning of each kind is quoted."""
    first: dict[int, Warning] = {}
    numbers: dict[int, int] = {}
    for warning in warnings:
        first.setdefault(warning.code, warning)
        numbers[warning.code] = numbers.get(warning.code, 0) + 1
    for codes, hint in (
        (_TAKEN, "the rows are there already, or the archive's values are equal here: correct "
                 "them, or import with --on-conflict update"),
        (_REFERENCE, "the rows that they refer to are missing: load that table too"),
    ):  # fmt: skip
        code = next((code for code in numbers if code in codes), None)
        if code is not None:
            rows = max(missing, 1)
            noun = "row was" if rows == 1 else "rows were"
            return TargetError(
                f"{doing} failed: {rows} {noun} refused: {first[code].message} [{code}]", hint=hint
            )
    code = next((code for code in numbers if code in _CHANGED), None)
    if code == _NOT_NULL:
        return TargetError(
            f"{doing} failed: {numbers[code]} NULL: {first[code].message} [{code}]",
            hint="drop NOT NULL, or correct the rows",
        )
    if code is not None:
        noun = "value does" if numbers[code] == 1 else "values do"
        return LossError(
            f"{doing}: {numbers[code]} {noun} not fit: {first[code].message} [{code}]",
            hint="widen the column on the target, or correct the values; nothing of this chunk "
            "is written",
        )
    said = "; ".join(f"{w.message} [{w.code}]" for w in first.values())
    return TargetError(
        f"{doing} failed: {missing} rows were not stored, with {count} warnings"
        + (f": {said}" if said else "")
    )
