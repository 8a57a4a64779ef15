"""Reading: the two modes and the unpacked form, what they read, and when they refuse."""

from __future__ import annotations

import io
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from dbsync.archive import (
    Archive,
    Limits,
    encode_chunk,
    open_archive,
    open_stream,
    open_unpacked,
    verify_archive,
)
from dbsync.errors import ArchiveError
from tests.unit.archive.build import (
    ITEMS,
    MODES,
    NOTES,
    batch,
    database,
    items,
    opened,
    rows_of,
    small,
    start,
    write,
)

WHOLE = {
    "items": [{"id": i, "name": f"item {i}"} for i in range(1, 6)],
    "notes": [
        {"text": "a", "text:exceptions": None},
        {"text": None, "text:exceptions": {"kind": "blob", "value": b"\xff"}},
    ],
}


class Recorder:
    """An object that remembers which ranges were read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads: list[tuple[int, int]] = []

    def read_at(self, offset: int, length: int) -> bytes:
        self.reads.append((offset, length))
        return self.data[offset : offset + length]


def large() -> bytes:
    """Write an archive of 4 MB in 20 chunks."""
    import os

    out = io.BytesIO()
    writer = start(out, database(ITEMS, NOTES))
    for number in range(20):
        text = [os.urandom(500).hex() for _ in range(400)]
        writer.add_chunk(1, encode_chunk(NOTES, [batch(NOTES, text)]))
        writer.add_chunk(0, encode_chunk(ITEMS, [items(number)]))
    writer.finish()
    return out.getvalue()


@pytest.mark.parametrize("mode", MODES)
def test_everything_comes_back(mode):
    """Both modes give the same schema, rows and manifest."""
    archive = opened(small(), mode)
    assert archive.database == database(ITEMS, NOTES)
    assert archive.sequential is (mode == "stream")
    assert (archive.manifest is None) is (mode == "stream")
    assert rows_of(archive) == WHOLE
    assert archive.manifest is not None
    assert (archive.manifest.rows, archive.size) == (7, len(small()))
    assert [e.chunk for e in archive.entries if e.chunk] == [1, 1, 2]


@pytest.mark.parametrize("mode", MODES)
def test_chunks_of_some_tables(mode):
    """Only the chunks asked for are handed out, in archive order."""
    found = [(c.table_index, c.number, c.rows) for c in opened(small(), mode).chunks({0})]
    assert found == [(0, 1, 3), (0, 2, 2)]


def test_opening_reads_only_both_ends():
    """Opening touches neither the chunks nor more than a few ranges; a chunk is one read."""
    data = large()
    file = Recorder(data)
    archive = open_archive(file.read_at, len(data))
    assert len(file.reads) <= 3
    assert sum(length for _, length in file.reads) < len(data) / 2
    file.reads.clear()
    chunks = list(archive.chunks())
    assert not file.reads
    chunks[3].load()
    assert len(file.reads) == 1
    assert file.reads[0][1] < chunks[3].size + 1024


def test_chunks_are_loaded_in_parallel():
    """Random mode serves several threads at once, and a chunk more than once."""
    archive = opened(large(), "random")
    with ThreadPoolExecutor(6) as pool:
        sizes = list(pool.map(lambda c: (c.load().size, c.load().size, c.size), archive.chunks()))
    assert all(one == two == three for one, two, three in sizes)
    assert len(sizes) == 40


def test_a_large_catalog_is_found_beyond_the_first_read():
    """A tail longer than what is read at once is read in further pieces."""
    out = io.BytesIO()
    writer = start(out, database(ITEMS))
    chunk = encode_chunk(ITEMS, [items(1)])
    for _ in range(3000):
        writer.add_chunk(0, chunk)
    writer.finish()
    for mode in MODES:
        assert sum(1 for _ in opened(out.getvalue(), mode).chunks()) == 3000


@pytest.mark.parametrize("mode", MODES)
def test_catalog_in_parts(mode):
    """A catalog in parts is read like one in one piece."""
    data = write(database(ITEMS), *[(0, [items(i)]) for i in range(7)], catalog_part_rows=4)
    archive = opened(data, mode)
    assert [r["id"] for r in rows_of(archive)["items"]] == list(range(7))
    assert archive.manifest is not None
    assert len(archive.manifest.catalog) == 3


def test_a_stream_hands_out_chunks_as_they_come():
    """The first chunk is there before the input has gone beyond it."""
    data = large()
    source = io.BytesIO(data)
    archive = open_stream(source)
    next(archive.chunks())
    assert source.tell() < len(data) / 5


def test_a_stream_is_read_once():
    """Asking for the chunks of a stream again is a mistake of the program, and said so."""
    archive = opened(small(), "stream")
    list(archive.chunks())
    with pytest.raises(RuntimeError):
        archive.chunks()


def test_a_stream_of_one_byte_reads():
    """Reads may return less than asked for."""
    source = io.BytesIO(small())

    class Drops(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return source.read(min(size, 3))

    assert rows_of(open_stream(Drops())) == WHOLE  # type: ignore[arg-type]


def test_random_reads_that_end_early():
    """A store that gives less than it promised is a truncated archive, not wrong rows."""
    data = small()
    size = len(data)
    archive = opened(data, "random")
    cut = len(data) // 2

    def read_at(offset: int, length: int) -> bytes:
        return data[:cut][offset : offset + length]

    with pytest.raises(ArchiveError):
        open_archive(read_at, size)
    assert archive.size == size


@pytest.mark.parametrize("mode", MODES)
def test_verify_counts(mode):
    """Verification says what it looked at, and tells of each chunk."""
    seen = []
    report = verify_archive(opened(small(), mode), on_chunk=lambda c, rows: seen.append(rows))
    assert (report.members, report.chunks, report.rows, report.bytes) == (7, 3, 7, len(small()))
    assert seen == [3, 2, 2]


@pytest.mark.parametrize(
    "limits",
    [
        Limits(max_json_bytes=100),
        Limits(max_member_bytes=100),
        Limits(max_members=2),
        Limits(max_tables=1),
        Limits(max_arrow_bytes=10),
        Limits(max_footer_bytes=20),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_every_limit_holds(mode, limits):
    """Whatever is larger than allowed is refused by name, in both modes."""
    with pytest.raises(ArchiveError, match="E_LIMIT"):
        verify_archive(opened(small(), mode, limits))


def test_a_stream_without_end_is_bounded():
    """Members are counted as they come, not only when a catalog arrives."""
    with pytest.raises(ArchiveError, match="E_LIMIT"):
        open_stream(io.BytesIO(small()), limits=Limits(max_members=2))


def unpacked(data: bytes) -> dict[str, bytes]:
    """Unpack with the standard library."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]


def open_folder(files: dict[str, bytes]) -> Archive:
    return open_unpacked(files.__getitem__, lambda: {n: len(d) for n, d in files.items()})


def test_the_unpacked_form():
    """What tar unpacked is read like the archive; strange files beside it do not matter."""
    files = unpacked(small())
    files["tables/000001/leftover.parquet"] = b"x"
    archive = open_folder(files)
    assert rows_of(archive) == WHOLE
    assert not archive.sequential
    del files["trailer.txt"]
    assert verify_archive(open_folder(files)).rows == 7


def test_the_unpacked_form_with_something_wrong():
    """Missing, short, long and changed members are refused by name, before any row if possible."""
    for path in unpacked(small()):
        if path == "trailer.txt":
            continue
        changes = {
            "missing": lambda d: None,
            "short": lambda d: d[:-1],
            "long": lambda d: d + b"x",
            "changed": lambda d: d[:40] + bytes([d[40] ^ 1]) + d[41:],
        }
        for change, edit in changes.items():
            files = unpacked(small())
            new = edit(files.pop(path))
            if new is not None:
                files[path] = new
            with pytest.raises(ArchiveError) as error:
                verify_archive(open_folder(files))
            listed = path.endswith(".parquet") and path.startswith("tables/")
            if change == "missing":
                assert error.value.code == "E_INCOMPLETE", path
            if listed and change == "short":
                assert error.value.code == "E_TRUNCATED", path
            if listed and change == "long":
                assert error.value.code == "E_CATALOG_MISMATCH", path
            assert error.value.hint
