"""Uploaded parts: gunzipped, unpacked, and each record judged and laid out in columns."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgpack
import pyarrow as pa

from tests.fakes.treasuredata import types
from tests.fakes.treasuredata.catalog import Columns

_BATCH = 20_000


@dataclass
class Judged:
    """What became of some parts."""

    batches: list[pa.Table] = field(default_factory=list)
    errors: list[Any] = field(default_factory=list)
    valid_parts: int = 0
    error_parts: int = 0

    @property
    def valid_records(self) -> int:
        """How many records can be committed."""
        return sum(batch.num_rows for batch in self.batches)

    def lose(self, count: int) -> None:
        """Forget the first records."""
        if self.batches:
            self.batches[0] = self.batches[0].slice(count)


def judge(parts: Iterator[bytes], columns: Columns, *, refuse: int = 0) -> Judged:
    """Read parts: a record without an integer `time` is an error, and so is a part that breaks.

    `refuse` makes errors of as many records at the beginning.
    """
    judged = Judged()
    kinds = {column[0]: column[1] for column in columns}
    for part in parts:
        batches: list[pa.Table] = []
        errors: list[Any] = []
        try:
            records = _unpacked(part)
            while block := list(islice(records, _BATCH)):
                good = [record for record in block if _sound(record)]
                errors += [record for record in block if not _sound(record)]
                errors += good[:refuse]
                good, refuse = good[refuse:], max(0, refuse - len(good))
                if good:
                    batches.append(_table(good, kinds))
        except (zlib.error, ValueError, msgpack.exceptions.UnpackException):
            judged.error_parts += 1
            continue
        judged.valid_parts += 1
        judged.batches += batches
        judged.errors += errors
    return judged


def _unpacked(part: bytes) -> Iterator[Any]:
    unpacker = msgpack.Unpacker(
        raw=False, strict_map_key=False, unicode_errors="replace", max_buffer_size=1 << 31
    )
    size = 0
    while part:
        gzip = zlib.decompressobj(31)
        data = gzip.decompress(part)
        if not gzip.eof:
            raise ValueError("the gzip ends early")
        unpacker.feed(data)
        size += len(data)
        part = gzip.unused_data
    yield from unpacker
    if unpacker.tell() != size:
        raise ValueError("the last record is cut")


def _sound(record: Any) -> bool:
    if not isinstance(record, dict) or not all(isinstance(name, str) for name in record):
        return False
    time = record.get("time")
    return isinstance(time, int) and not isinstance(time, bool) and -(1 << 63) <= time < 1 << 63


def _table(records: list[dict[str, Any]], kinds: dict[str, str]) -> pa.Table:
    names = dict.fromkeys(name for record in records for name in record)
    arrays, fields = [], []
    for name in names:
        values = [record.get(name) for record in records]
        if name == "time":
            array = pa.array(values, pa.int64())
            fields.append(pa.field(name, array.type))
        else:
            kind = kinds.get(name) or types.guess(values)
            array = types.column(values, kind)
            fields.append(pa.field(name, array.type, metadata={"td": kind}))
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))
