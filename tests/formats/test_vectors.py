"""The vectors of ``formats/``: every reader outcome, and what other tools make of good archives."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from hashlib import sha256

import duckdb
import pyarrow as pa
import pyrage
import pytest

from dbsync.archive import (
    Archive,
    Identities,
    open_archive,
    open_stream,
    open_unpacked,
    verify_archive,
)
from dbsync.errors import ArchiveError
from tests.formats.identities import INDEX, VECTORS, identity_of, key_of

FORMATS = VECTORS.parent
ALL = INDEX["vectors"]
BY_FILE = {v["file"]: v for v in ALL}
GOOD = [v["file"] for v in ALL if v["random"] == "ok"]
ENCRYPTED = [file for file in GOOD if "identity" in BY_FILE[file]]


def identities(file: str) -> Identities | None:
    key = key_of(BY_FILE[file])
    return None if key is None else Identities([key])


def opened(data: bytes, mode: str, file: str = "good/base.dbsync.tar") -> Archive:
    """Open the bytes of a vector, with the identity of `file`."""
    keys = identities(file)
    if mode == "stream":
        return open_stream(io.BytesIO(data), identities=keys)
    return open_archive(
        lambda offset, length: data[offset : offset + length], len(data), identities=keys
    )


def outcome(data: bytes, mode: str, file: str) -> str:
    """Read an archive to its end and name what happened."""
    try:
        for chunk in opened(data, mode, file).chunks():
            for _ in chunk.batches():
                pass
    except ArchiveError as error:
        return error.code
    return "ok"


def content(archive: Archive) -> tuple[object, list[tuple[int, int, pa.Table]]]:
    """Read everything that an archive says."""
    chunks = [
        (c.table_index, c.number, pa.Table.from_batches(c.batches())) for c in archive.chunks()
    ]
    return archive.database, chunks


@pytest.mark.parametrize("mode", ["random", "stream"])
@pytest.mark.parametrize("vector", ALL, ids=lambda v: v["file"].split("/")[1].split(".")[0])
def test_outcome(vector, mode):
    """Each vector is read, or refused under the name that the index gives."""
    data = (VECTORS / vector["file"]).read_bytes()
    assert outcome(data, mode, vector["file"]) == vector[mode]


@pytest.mark.parametrize("file", GOOD)
def test_every_way_of_reading_agrees(file):
    """Random mode, stream mode and the unpacked form give the same schema and rows."""
    data = (VECTORS / file).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        files = {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]
    unpacked = open_unpacked(
        files.__getitem__,
        lambda: {n: len(d) for n, d in files.items()},
        identities=identities(file),
    )
    database, chunks = content(unpacked)
    for mode in ("random", "stream"):
        other, rows = content(opened(data, mode, file))
        assert other == database
        assert str(rows) == str(chunks)  # NaN equals nothing, but prints alike


@pytest.mark.parametrize("file", GOOD)
def test_gnu_tar_and_sha256sum(file, tmp_path):
    """Good archives unpack with GNU tar without a word, and their sums are right."""
    tar = shutil.which("tar")
    assert tar is not None, "GNU tar is needed"
    done = subprocess.run(
        [tar, "-xf", str(VECTORS / file), "-C", str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    sums = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    checked = {line.removesuffix(": OK") for line in sums.stdout.splitlines()}
    found = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    manifest = "manifest.json.age" if file in ENCRYPTED else "manifest.json"
    assert found - checked == {"SHA256SUMS", manifest, "trailer.txt"}


def unpack(tar, folder):
    """Unpack an archive of ours; Debian 12's Python has no extraction filters yet."""
    safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    tar.extractall(folder, **safe)  # noqa: S202  # the committed good vectors


@pytest.mark.parametrize("file", GOOD)
def test_duckdb_reads_what_tar_unpacked(file, tmp_path):
    """An independent Parquet reader finds the same rows in chunks and catalog.

    Those of an encrypted archive are opened one by one first, as the program age would do.
    """
    data = (VECTORS / file).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        unpack(tar, tmp_path)
    for path in tmp_path.rglob("*.age"):
        clear = pyrage.decrypt(path.read_bytes(), [identity_of(BY_FILE[file])])
        path.with_suffix("").write_bytes(clear)
    archive = opened(data, "random", file)
    with duckdb.connect() as connection:
        for entry in archive.entries:
            if entry.table is None:
                continue
            path = str(tmp_path / entry.path.removesuffix(".age"))
            found = connection.execute("SELECT count(*) FROM read_parquet(?)", [path]).fetchone()
            assert found == (entry.rows,)
            # Every value is decoded, but none has to fit into a Python object.
            connection.execute("CREATE OR REPLACE TABLE t AS SELECT * FROM read_parquet(?)", [path])
        listed = connection.execute(
            "SELECT path, size, sha256 FROM read_parquet(?)",
            [sorted(str(p) for p in tmp_path.glob("catalog*.parquet"))],
        ).fetchall()
    assert listed == [(e.path, e.size, e.sha256) for e in archive.entries]


@pytest.mark.parametrize("file", ENCRYPTED)
def test_every_member_that_is_not_public_is_an_age_file(file):
    """Of an encrypted archive three members can be read without a key, and all others with it."""
    key = identity_of(BY_FILE[file])
    with tarfile.open(VECTORS / file) as tar:
        members = {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]
    clear = {name for name in members if not name.endswith(".age")}
    assert clear == {"dbsync.json", "SHA256SUMS", "trailer.txt"}
    for name in members.keys() - clear:
        content = pyrage.decrypt(members[name], [key])
        magic = b"PAR1" if ".parquet" in name else b"{"
        assert content.startswith(magic), name


@pytest.mark.parametrize("file", ENCRYPTED)
def test_nothing_of_the_source_can_be_read_without_a_key(file):
    """Neither names nor engine, values, counts of rows or key ranges stand in the stored bytes."""
    data = (VECTORS / file).read_bytes()
    archive = opened(data, "random", file)
    words = {archive.head.source.engine, archive.head.source.database, "snapshot", "INTEGER"}
    for table in archive.database.tables:
        words |= {table.name.name, '"rows"', '"columns"', "arrow_bytes"}
    words |= {"secret note", sha256(b"17").hexdigest(), archive.head.source.version}
    assert [word for word in sorted(words) if word.encode() in data] == []
    public = json.loads(data[512 : data.index(b"\0", 512)])
    assert set(public) - {"later"} == {
        "format", "version", "digest", "archive_id", "writer", "started", "encryption",
        "features_required", "features_optional",
    }  # fmt: skip


def test_duckdb_reads_values(tmp_path):
    """Numbers, text, identifiers and exceptions are what they were."""
    with tarfile.open(VECTORS / "good" / "exceptions.dbsync.tar") as tar:
        unpack(tar, tmp_path)
    (path,) = tmp_path.glob("tables/000001/00000002-*.parquet")
    with duckdb.connect() as connection:
        rows = connection.execute(
            'SELECT n::VARCHAR, i, "n:exceptions".value, "i:exceptions".kind FROM read_parquet(?)',
            [str(path)],
        ).fetchall()
    assert rows == [
        ("1.25", 1, None, None),
        (None, 2, None, None),
        (None, 3, b"NaN", None),
        ("-2.50", None, None, "text"),
        (None, None, None, None),
    ]


def test_a_wrong_row_count_is_found_before_decoding():
    """A chunk is not handed out if its footer contradicts the catalog."""
    data = (VECTORS / "bad" / "rowcount-chunk.dbsync.tar").read_bytes()
    chunk = next(opened(data, "random").chunks())
    with pytest.raises(ArchiveError, match="E_ROWCOUNT"):
        chunk.load()


def test_members_that_this_version_does_not_know_are_verified():
    """Damage in an extra member is found by verification, though nothing else reads it."""
    data = bytearray((VECTORS / "good" / "minor-version.dbsync.tar").read_bytes())
    assert verify_archive(opened(bytes(data), "random")).rows == 5
    data[data.index(b'{"items":"blue"}') + 5] ^= 1
    with pytest.raises(ArchiveError, match=r"E_CHECKSUM.*extra/colours"):
        verify_archive(opened(bytes(data), "random"))


def test_each_error_name_has_a_vector_and_a_line():
    """The specification, the code and the vectors know the same error names."""
    text = (FORMATS / "archive-v1.md").read_text()
    documented = set(re.findall(r"^\| (E_[A-Z_]+) \|", text, re.MULTILINE))
    code = {
        name
        for path in (FORMATS.parent / "dbsync" / "archive").glob("*.py")
        for name in re.findall(r'"(E_[A-Z_]+)"', path.read_text())
    }
    tried = {v[mode] for v in ALL for mode in ("random", "stream")} - {"ok"}
    assert documented == code == tried
    assert set(re.findall(r"\bE_[A-Z_]+", text)) == documented


def test_rules_are_numbered_once():
    """Every rule of the specification has a number of its own, in order within its section."""
    text = (FORMATS / "archive-v1.md").read_text()
    rules = re.findall(r"^(\d+)\.(\d+)\. ", text, re.MULTILINE)
    numbers = [(int(section), int(rule)) for section, rule in rules]
    assert numbers == sorted(set(numbers))
    assert len(numbers) > 50
    sections = {section for section, _ in numbers}
    assert all(
        [r for s, r in numbers if s == section]
        == list(range(1, 1 + sum(s == section for s, _ in numbers)))
        for section in sections
    )


def test_vectors_are_generated(tmp_path):
    """Two runs of the generator give the same bytes, with the outcomes of the index.

    Under the release of pyarrow that wrote the committed vectors, they are those, byte by byte.
    """
    folders = [tmp_path / "one", tmp_path / "two"]
    for seed, folder in enumerate(folders):
        subprocess.run(
            [sys.executable, str(VECTORS / "generate.py"), str(folder)],
            env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONDONTWRITEBYTECODE": "1"},
            check=True,
        )
    one, two = ((folder / "index.json").read_text() for folder in folders)
    assert one == two  # it holds the digest of each vector
    fresh = json.loads(one)
    keys = ("file", "description", "random", "stream")
    assert [[v[k] for k in keys] for v in fresh["vectors"]] == [[v[k] for k in keys] for v in ALL]
    for vector in fresh["vectors"]:
        data = (folders[0] / vector["file"]).read_bytes()
        assert outcome(data, "random", vector["file"]) == vector["random"], vector["file"]
        assert outcome(data, "stream", vector["file"]) == vector["stream"], vector["file"]
    if fresh["pyarrow"] == INDEX["pyarrow"]:
        assert fresh == INDEX


def test_vectors_are_those_of_the_index():
    """No vector was changed, lost or added by hand."""
    import hashlib

    found = {str(p.relative_to(VECTORS)) for p in VECTORS.glob("*/*.dbsync.tar")}
    assert found == {v["file"] for v in ALL}
    for vector in ALL:
        data = (VECTORS / vector["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == vector["sha256"]
    assert sum(p.stat().st_size for p in VECTORS.rglob("*.tar")) < 1_900_000


def test_archives_of_earlier_releases():
    """Whatever a release left behind stays readable, with the rows that were written down."""
    text = (FORMATS / "compat" / "README.md").read_text()
    lines = re.findall(r"^\| (\S+\.dbsync\.tar) \| \S+ \| (\d+) \| (\d+) \|", text, re.MULTILINE)
    assert {p.name for p in (FORMATS / "compat").glob("*.tar")} == {name for name, _, _ in lines}
    for name, tables, rows in lines:
        for mode in ("random", "stream"):
            database, chunks = content(opened((FORMATS / "compat" / name).read_bytes(), mode))
            assert len(database.tables) == int(tables)  # type: ignore[attr-defined]
            assert sum(table.num_rows for _, _, table in chunks) == int(rows)
