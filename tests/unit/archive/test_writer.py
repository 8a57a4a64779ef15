"""Writing: order, threads, memory, and what is left after a failure."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from dbsync.archive import ArchiveWriter, HeadConsistency, encode_chunk
from dbsync.connectors.base import Consistency
from dbsync.errors import ArchiveError
from dbsync.model.schema import Database
from tests.unit.archive.build import (
    ITEMS,
    NOTES,
    batch,
    column,
    database,
    items,
    opened,
    rows_of,
    small,
    start,
    table,
    write,
)


def names(data: bytes) -> list[str]:
    """List members as the standard library sees them."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getnames()


def test_members_stand_in_order():
    """Head, database and all schemas stand before the first chunk; the trailer stands last."""
    found = names(small())
    assert found[0] == "dbsync.json"
    assert found[1].startswith("database-")
    assert [n.split("-")[0] for n in found[2:7]] == [
        "tables/000001/schema", "tables/000002/schema",
        "tables/000001/00000001", "tables/000002/00000001", "tables/000001/00000002",
    ]  # fmt: skip
    assert found[7:] == ["catalog.parquet", "SHA256SUMS", "manifest.json", "trailer.txt"]


def test_schemas_are_written_at_once():
    """A reader of a pipe has every schema before a chunk exists."""
    out = io.BytesIO()
    start(out, database(ITEMS, NOTES))
    assert names(out.getvalue() + bytes(1024))[-1].startswith("tables/000002/schema-")


def test_equal_input_gives_equal_bytes():
    """Nothing depends on clock or chance where id and time are given."""
    assert small() == small()


def test_ids_differ():
    """Two archives of one database have different ids."""
    ids = {
        ArchiveWriter(
            io.BytesIO().write,
            database=database(ITEMS),
            consistency=HeadConsistency(level="none"),
            include_schema=False,
        ).archive_id
        for _ in range(2)
    }
    assert len(ids) == 2


def test_the_connectors_consistency_is_accepted():
    """What a connector says about its snapshot arrives in the head."""
    out = io.BytesIO()
    said = Consistency(level="per_table", token="t", note="no lock allowed")
    ArchiveWriter(out.write, database=database(), consistency=said, include_schema=False).finish()
    head = opened(out.getvalue(), "stream").head
    assert msgspec.to_builtins(head.consistency) == msgspec.to_builtins(said)
    assert head.include_schema is False


@pytest.mark.parametrize("mode", ["random", "stream"])
def test_many_threads_write_one_archive(mode):
    """Chunks added by eight threads are numbered without gaps, and every row comes back."""

    class Yielding(io.BytesIO):
        """Lets another thread run before each write, so that a missing lock shows."""

        def write(self, data: Any) -> int:
            time.sleep(0)
            return super().write(data)

    out = Yielding()
    writer = start(out, database(ITEMS, NOTES))

    def work(number: int) -> None:
        if number % 3:
            writer.add_chunk(0, encode_chunk(ITEMS, [items(*range(number * 10, number * 10 + 10))]))
        else:
            writer.add_chunk(1, encode_chunk(NOTES, [batch(NOTES, [str(number)])]))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(90)))
    manifest = writer.finish()
    rows = rows_of(opened(out.getvalue(), mode))
    assert {r["id"] for r in rows["items"]} == {
        i for n in range(90) if n % 3 for i in range(n * 10, n * 10 + 10)
    }
    assert {r["text"] for r in rows["notes"]} == {str(n) for n in range(0, 90, 3)}
    assert [t.chunks for t in manifest.tables] == [60, 30]


def test_entry_and_manifest_say_what_was_written():
    """Counts and sizes are those of the members."""
    out = io.BytesIO()
    writer = start(out, database(ITEMS, NOTES))
    chunk = encode_chunk(ITEMS, [items(7, 8, 9)])
    entry = writer.add_chunk(0, chunk)
    assert (entry.rows, entry.size, entry.sha256) == (3, chunk.data.size, chunk.sha256)
    assert (entry.key_min, entry.key_max) == ("7", "9")
    manifest = writer.finish(["odd"])
    assert (manifest.rows, manifest.bytes, manifest.chunks) == (3, chunk.data.size, 1)
    assert manifest.warnings == ("odd",)
    assert writer.size == len(out.getvalue())


def test_a_failed_write_ends_the_archive():
    """After the place failed, nothing more is written, and the archive is not finished."""
    out = io.BytesIO()
    fail = False

    def sink(data) -> None:
        if fail:
            raise OSError(28, "No space left on device")
        out.write(data)

    writer = ArchiveWriter(
        sink,
        database=database(ITEMS),
        consistency=HeadConsistency(level="none"),
        include_schema=True,
    )
    fail = True
    with pytest.raises(OSError, match="No space"):
        writer.add_chunk(0, encode_chunk(ITEMS, [items(1)]))
    fail = False
    size = len(out.getvalue())
    for call in (lambda: writer.add_chunk(0, encode_chunk(ITEMS, [items(1)])), writer.finish):
        with pytest.raises(ArchiveError, match="E_INCOMPLETE"):
            call()
    assert len(out.getvalue()) == size


def test_nothing_is_added_after_the_end():
    """A finished archive stays as it is."""
    out = io.BytesIO()
    writer = start(out, database(ITEMS))
    writer.finish()
    with pytest.raises(ArchiveError, match="E_INCOMPLETE"):
        writer.add_chunk(0, encode_chunk(ITEMS, [items(1)]))


def test_impossible_schemas_are_refused_before_the_first_byte():
    """A table whose chunks no reader would take is found before anything is written."""
    out = io.BytesIO()
    with pytest.raises(ArchiveError, match="E_SCHEMA_MISMATCH"):
        start(out, database(table("t", column("a"), column("a"))))
    assert not out.getvalue()


def test_memory_does_not_grow_with_the_archive():
    """Writing 240 MB takes hardly more memory than writing 60 MB."""
    script = """
import os, resource
from tests.unit.archive.build import *
text = [os.urandom(1000).hex() for _ in range(1000)]
peaks = []
writer = ArchiveWriter(lambda data: None, database=database(NOTES),
                       consistency=HeadConsistency(level="none"), include_schema=True)
for number in range(120):
    writer.add_chunk(0, encode_chunk(NOTES, [batch(NOTES, text)]))
    if number in (29, 119):
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
writer.finish()
print(peaks[1] - peaks[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 40


def test_ten_thousand_tables():
    """Very many tables make a valid archive."""
    many = database(*(table(f"t{i}", column("a")) for i in range(10_000)))
    data = write(many, (9_999, [batch(many.tables[-1], [1])]))
    for mode in ("random", "stream"):
        archive = opened(data, mode)
        assert archive.database == many
        assert [c.table_index for c in archive.chunks()] == [9_999]


def test_a_database_keeps_everything_but_rows():
    """Documents carry the model whole."""
    from dbsync.model.schema import Loss, Name, NativeObject, Sequence

    whole = Database(
        engine="postgresql", version="18.1", name="d", encoding="SQL_ASCII",
        tables=(ITEMS,), details={"k": "v"},
        sequences=(Sequence(name=Name("s", "q"), last_value=7, is_called=True),),
        native=(NativeObject(kind="VIEW", name=Name("s", "v"), sql="…", section="after_rows"),),
        losses=(Loss(object="x", reason="y", severity="changed"),),
    )  # fmt: skip
    for mode in ("random", "stream"):
        assert opened(write(whole), mode).database == whole
