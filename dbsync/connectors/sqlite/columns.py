"""Which logical type and storage each column gets: declared type, affinity, and a look at values.

What lives here: the sample of storage classes, the choice made from it, and the SQL that tells
whether a value is of the column's own class. Must not know: snapshots, batches, the target.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from dbsync.connectors.sqlite.connection import Connection, quote
from dbsync.connectors.sqlite.types import Affinity, affinity, logical_type, take_apart
from dbsync.model.types import LogicalType, integer

SAMPLE_ROWS = 1000
EXACT = 2**53
"""Integers up to here, and their negatives, survive the way through a double."""

Klass = Literal["integer", "real", "text", "blob"]
STORAGE_OF: dict[str, str] = {
    "integer": "int64", "real": "double", "text": "string", "blob": "binary",
}  # fmt: skip
_NATURAL: dict[Affinity, Klass | None] = {
    "integer": "integer", "real": "real", "text": "text", "blob": None, "numeric": None,
}  # fmt: skip


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What about a thousand rows say about one column."""

    classes: dict[str, int] = {}
    """Storage class to how many values have it; NULLs are left out."""
    longest: int = 0
    """Bytes of the longest value."""
    mean_bytes: float = 0.0
    big: bool = False
    """Holds an integer that a double cannot."""
    lowest: int = 0
    highest: int = 0

    @property
    def klass(self) -> str | None:
        """Name the class of most values; None where all are NULL."""
        return max(self.classes, key=lambda k: self.classes[k]) if self.classes else None


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """The decision for one column."""

    type: LogicalType
    storage: str


def take_samples(connection: Connection, table: str, columns: Sequence[str]) -> list[Sample]:
    """Look at the first rows of a table; large values are measured without being read."""
    samples: list[Sample] = []
    # A statement has a limited number of result columns; wide tables are asked in slices.
    for start in range(0, len(columns), 400):
        names = [quote(name) for name in columns[start : start + 400]]
        parts = [
            f"typeof({n}), octet_length({n}), CASE typeof({n}) WHEN 'integer' THEN {n} END"
            for n in names
        ]
        seed = ", ".join("'', 0, 0" for _ in names)
        # The first row fixes the types of the result: a column of NULLs would have none.
        sql = (
            f"SELECT {seed} UNION ALL SELECT * FROM"
            f" (SELECT {', '.join(parts)} FROM {quote(table)} LIMIT {SAMPLE_ROWS})"
        )
        rows = connection.rows(sql, doing=f"look at the values of table {table}")[1:]
        for index in range(len(names)):
            samples.append(_sample([row[3 * index : 3 * index + 3] for row in rows]))
    return samples


def _sample(values: Sequence[Sequence[object]]) -> Sample:
    classes = Counter(str(value[0]) for value in values if value[0] != "null")
    lengths = [value[1] for value in values if isinstance(value[1], int)]
    integers = [value[2] for value in values if isinstance(value[2], int)]
    return Sample(
        classes=dict(classes),
        longest=max(lengths, default=0),
        mean_bytes=sum(lengths) / len(values) if values else 0.0,
        big=any(abs(number) > EXACT for number in integers),
        lowest=min(integers, default=0),
        highest=max(integers, default=0),
    )


def choose(
    declared: str, sample: Sample, *, strict: bool = False, labels: tuple[str, ...] = ()
) -> Kind:
    """Choose logical type and storage so that most values need no exception."""
    kind = affinity(declared, strict=strict)
    natural = _NATURAL[kind]
    klass = sample.klass
    if natural is not None and (not sample.classes or natural in sample.classes):
        logical = logical_type(declared, natural, strict=strict, labels=labels)
        return Kind(type=_fit(logical, sample), storage=STORAGE_OF[natural])
    if natural is not None and klass is not None:
        # Nothing is of the declared kind, such as geometry blobs in a column of type POINT.
        return Kind(type=_of_class(klass), storage=STORAGE_OF[klass])
    if kind == "numeric" and klass == "integer" and "real" in sample.classes:
        # Whole numbers are stored as INTEGER in such a column: it is one of fractions.
        klass = "real"
    logical = logical_type(declared, klass, strict=strict, labels=labels)
    return Kind(type=_fit(logical, sample), storage=_storage(declared, kind, logical, sample))


def _of_class(klass: str) -> LogicalType:
    if klass == "integer":
        return integer(64)
    if klass == "real":
        return LogicalType(name="float", bits=64)
    return LogicalType(name="string" if klass == "text" else "binary")


def _fit(logical: LogicalType, sample: Sample) -> LogicalType:
    """Widen what the sample contradicts, since SQLite enforces neither ranges nor lengths."""
    if logical.name == "integer" and logical.bits is not None:
        low = 0 if logical.unsigned else -(1 << (logical.bits - 1))
        high = (1 << (logical.bits - (not logical.unsigned))) - 1
        if sample.lowest < low or sample.highest > high:
            return integer(64)
    if logical.length is not None and sample.longest > logical.length:
        return LogicalType(name="string")
    return logical


def _storage(declared: str, kind: Affinity, logical: LogicalType, sample: Sample) -> str:
    klass = sample.klass
    if klass in ("text", "blob") or (klass is not None and kind == "blob"):
        return STORAGE_OF[klass]
    if logical.name == "boolean":
        return "int64"
    if logical.name in ("decimal", "numeric"):
        whole = logical.name == "decimal" and logical.scale == 0 and "real" not in sample.classes
        if kind == "numeric":
            return "int64" if whole or (sample.big and klass == "integer") else "double"
    if klass is not None:
        return "double" if "real" in sample.classes else "int64"
    if logical.name in ("any", "binary"):
        return "binary"
    return "double" if kind == "numeric" and not take_apart(declared).base else "string"


def is_foreign(column: str, storage: str, declared: str, *, strict: bool = False) -> str:
    """Write the SQL that is true for values which the storage cannot carry in their own class."""
    name = quote(column)
    klass = next(k for k, s in STORAGE_OF.items() if s == storage)
    if storage == "double" and affinity(declared, strict=strict) == "numeric":
        # Whole numbers become INTEGER again when a double is put into such a column.
        return (
            f"(typeof({name})<>'real' AND {name} IS NOT NULL AND NOT (typeof({name})='integer'"
            f" AND {name} BETWEEN -{EXACT} AND {EXACT}))"
        )
    return f"(typeof({name})<>'{klass}' AND {name} IS NOT NULL)"


def is_certain(storage: str, declared: str, *, strict: bool, rowid_alias: bool) -> bool:
    """Say whether SQLite itself promises that every value is of the storage's class."""
    if rowid_alias:
        return True
    own = {"int64": ("INT", "INTEGER"), "double": ("REAL",), "string": ("TEXT",)}
    return strict and declared.upper() in (*own.get(storage, ()), *_BLOB.get(storage, ()))


_BLOB = {"binary": ("BLOB",)}


def arrow_bytes(samples: Iterable[Sample]) -> float:
    """Estimate the bytes of one row as Arrow: eight for a number, offsets beside the rest."""
    return sum(
        8.0 if sample.klass in ("integer", "real") else sample.mean_bytes + 5 for sample in samples
    )
