"""Encrypted archives: the same rows for whoever has a key, nothing for anyone else, no crash."""

from __future__ import annotations

import io
import random
import re
import sys
import tarfile
from typing import Any

import pyarrow as pa
import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbsync.archive import (
    Archive,
    Identities,
    Limits,
    Recipients,
    encode_chunk,
    generate_identity,
    open_archive,
    open_stream,
    open_unpacked,
    verify_archive,
)
from dbsync.archive.encryption import MAX_RECIPIENTS
from dbsync.errors import ArchiveError, UsageError
from tests.unit.archive.build import (
    ITEMS,
    MODES,
    NOTES,
    batch,
    database,
    items,
    rows_of,
    start,
    table,
    write,
)
from tests.unit.archive.test_bombs import _DICTIONARY, bomb, run
from tests.unit.archive.test_roundtrip import contents, same

SECRETS, PUBLIC = zip(*(generate_identity() for _ in range(3)), strict=True)
KEY = Identities([SECRETS[0]])
ROWS = {"items": items(1, 2, 3).to_pylist() + items(4, 5).to_pylist(), "notes": [{"text": "a"}]}


def small(recipients: Recipients | None = None) -> bytes:
    """Write two tables and three chunks for the first key."""
    return write(
        database(ITEMS, NOTES),
        (0, [items(1, 2, 3)]),
        (1, [batch(NOTES, ["a"])]),
        (0, [items(4, 5)]),
        encryption=recipients or Recipients([PUBLIC[0]]),
    )


def opened(
    data: bytes, mode: str, identities: Identities | None = KEY, limits: Limits | None = None
) -> Archive:
    """Open bytes in one of the two modes."""
    if mode == "stream":
        return open_stream(io.BytesIO(data), identities=identities, limits=limits)
    return open_archive(
        lambda offset, length: data[offset : offset + length],
        len(data),
        identities=identities,
        limits=limits,
    )


def attempt(data: bytes, mode: str) -> tuple[dict[str, list[dict[str, Any]]], str | None]:
    """Read what can be read; return the rows that got out, and the error name at the end."""
    rows: dict[str, list[dict[str, Any]]] = {"items": [], "notes": []}
    try:
        for chunk in opened(data, mode).chunks():
            parts = [part.to_pylist() for part in chunk.batches()]
            rows[str(chunk.table.name)] += [row for part in parts for row in part]
    except ArchiveError as error:
        return rows, error.code
    return rows, None


def members(data: bytes) -> dict[str, bytes]:
    """Unpack with the standard library."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=40, deadline=None)
@given(contents(), st.integers(1, 3), st.data())
def test_rows_come_back_to_whoever_has_a_key(mode, content, recipients, data):
    """Whatever the rows and however many recipients: each of their keys opens the same rows."""
    of, batches = content
    archive = write(database(of), (0, batches), encryption=Recipients(list(PUBLIC[:recipients])))
    key = data.draw(st.sampled_from(SECRETS[:recipients]))
    found = opened(archive, mode, Identities([key]))
    assert found.database.tables == (of,)
    parts = [part for chunk in found.chunks() for part in chunk.batches()]
    assert same(parts, batches, of)


def test_the_unpacked_form():
    """What tar unpacked is read with the key, and one changed byte of a member is found."""
    files = members(small())

    def listed() -> dict[str, int]:
        return {name: len(data) for name, data in files.items()}

    assert rows_of(open_unpacked(files.__getitem__, listed, identities=KEY)) == ROWS
    with pytest.raises(ArchiveError, match="E_ENCRYPTED"):
        open_unpacked(files.__getitem__, listed)
    for name in [name for name in files if name != "trailer.txt"]:
        whole = files[name]
        files[name] = whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:]
        with pytest.raises(ArchiveError):
            rows_of(open_unpacked(files.__getitem__, listed, identities=KEY))
        files[name] = whole
        del files[name]
        with pytest.raises(ArchiveError, match="E_INCOMPLETE"):
            open_unpacked(files.__getitem__, listed, identities=KEY)
        files[name] = whole


@pytest.mark.parametrize("mode", MODES)
def test_flipped_bits(mode):
    """A flipped bit anywhere is found, as damage, and no wrong row gets out."""
    data, rng = small(), random.Random(11)  # noqa: S311
    for position in rng.sample(range(len(data) * 8), 400):
        broken = bytearray(data)
        broken[position // 8] ^= 1 << position % 8
        rows, code = attempt(bytes(broken), mode)
        assert code not in {None, "E_DECRYPT", "E_IDENTITY", "E_ENCRYPTED"}, position
        assert all(found == ROWS[name][: len(found)] for name, found in rows.items())


@pytest.mark.parametrize("mode", MODES)
def test_a_digest_is_checked_before_anything_is_decrypted(mode, monkeypatch):
    """A member whose stored digest is wrong never reaches the cipher."""
    data = small()
    path = next(name for name in members(data) if "000001/00000002-" in name)
    position = data.index(path.encode()) + 512 + 250
    broken = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
    decrypted: list[str] = []
    original = Identities.decrypt

    def watched(self: Identities, stored: bytes, name: str) -> memoryview:
        decrypted.append(name)
        return original(self, stored, name)

    monkeypatch.setattr(Identities, "decrypt", watched)
    with pytest.raises(ArchiveError, match="E_CHECKSUM"):
        rows_of(opened(broken, mode))
    assert decrypted
    assert path not in decrypted


def test_one_chunk_is_one_ranged_read():
    """Loading a chunk of an open archive reads that member and nothing else."""
    data = small()
    reads: list[tuple[int, int]] = []

    def read_at(offset: int, length: int) -> bytes:
        reads.append((offset, length))
        return data[offset : offset + length]

    archive = open_archive(read_at, len(data), identities=KEY)
    reads.clear()
    chunk = list(archive.chunks())[1]
    narrow = chunk.narrowed(["text"])
    assert [row for part in narrow.batches() for row in part.to_pylist()] == ROWS["notes"]
    ((offset, length),) = reads
    assert data[offset : offset + 40].startswith(b"tables/000002/00000001-")
    assert length == 512 + chunk.size + -chunk.size % 512
    assert len(list(archive.load_together(list(archive.chunks())))) == 3


def test_equal_content_gives_different_bytes():
    """Each member gets a key of its own, so that nobody can see which members are alike."""
    one, two = members(small()), members(small())
    assert {name for name in one if name.endswith(".age")}.isdisjoint(
        name for name in two if "-" in name
    )
    assert one["manifest.json.age"] != two["manifest.json.age"]


def test_keys_appear_in_no_message():
    """Nobody's secret is repeated, whichever way it was given wrongly; counts are said."""
    data, stranger = small(), generate_identity()[0]
    two = small(Recipients([PUBLIC[0], PUBLIC[1]]))
    attempts = [
        (lambda: opened(data, "stream", None), "E_ENCRYPTED.*1 recipient;"),
        (lambda: opened(two, "random", None), "E_ENCRYPTED.*2 recipients;"),
        (lambda: opened(data, "random", Identities([])), "E_ENCRYPTED"),
        (lambda: opened(data, "random", Identities([stranger])), "E_IDENTITY.*other keys"),
        (lambda: opened(two, "stream", Identities([stranger, SECRETS[2]])), "none of 2"),
        (lambda: Identities([stranger[:-3]]), "no age key"),
        (lambda: Identities([stranger + "X"]), "no age key"),
        (lambda: Recipients([stranger]), "a text is no age recipient"),
        (lambda: Recipients(["age1nothing"]), "'age1nothing' is no age recipient"),
        (lambda: Recipients([]), "0 recipients"),
    ]
    for attempt, said in attempts:
        with pytest.raises((ArchiveError, UsageError), match=said) as caught:
            attempt()
        error, text = caught.value, ""
        while error is not None:
            text += f"{error} {getattr(error, 'hint', '')}"
            error = error.__cause__
        assert stranger[20:40] not in text.upper()
        assert SECRETS[2][20:40] not in text.upper()
    with pytest.raises(ArchiveError) as caught:
        opened(data, "stream", None)
    assert "--identity" in str(caught.value.hint)
    assert caught.value.exit_code == 6


def test_recipients_are_counted_once():
    """A key that is named twice, in either case of letters, is one recipient; 64 are allowed."""
    assert Recipients([PUBLIC[0], PUBLIC[0].upper(), f" {PUBLIC[0]}\n"]).count == 1
    many = [generate_identity()[1] for _ in range(MAX_RECIPIENTS + 1)]
    with pytest.raises(UsageError, match="65 recipients"):
        Recipients(many)
    recipients = Recipients([*many[:-2], PUBLIC[0]])
    assert rows_of(opened(small(recipients), "stream")) == ROWS


def test_a_member_is_opened_by_pyrage_alone():
    """Members are ordinary age files: another caller of the library reads the manifest."""
    stored = members(small())["manifest.json.age"]
    content = pyrage.decrypt(stored, [pyrage.x25519.Identity.from_str(SECRETS[0])])
    assert b'"rows": 6' in content


@pytest.mark.parametrize("mode", MODES)
def test_content_beyond_a_limit_is_refused_before_it_is_decrypted(mode, monkeypatch):
    """The size of the content follows from that of the age file, to the byte."""
    text = "".join(random.Random(3).choices("abcdefgh", k=300_000))  # noqa: S311
    chunk = encode_chunk(NOTES, [batch(NOTES, [text])])
    out = io.BytesIO()
    writer = start(out, database(NOTES), encryption=Recipients([PUBLIC[0]]))
    writer.add_chunk(0, chunk)
    writer.finish()
    size = chunk.data.size
    assert size > 2 * 64 * 1024
    data = out.getvalue()
    fits = Limits(max_member_bytes=size)
    assert rows_of(opened(data, mode, limits=fits)) == {"notes": [{"text": text}]}
    original = Identities.decrypt

    def watched(self: Identities, stored: memoryview, name: str) -> memoryview:
        assert len(stored) < size
        return original(self, stored, name)

    monkeypatch.setattr(Identities, "decrypt", watched)
    with pytest.raises(ArchiveError, match="E_LIMIT"):
        rows_of(opened(data, mode, limits=Limits(max_member_bytes=size - 1)))


def test_a_bomb_is_refused_in_little_memory(tmp_path):
    """What expands behind the encryption is refused before memory is spent on it, as without."""
    out = run(
        """
        from dbsync.archive import Identities, Recipients, generate_identity
        from dbsync.archive.encode import EncodedChunk
        secret, public = generate_identity()
        out = io.BytesIO()
        writer = start(out, database(NOTES), encryption=Recipients([public]))
        data = pa.py_buffer(open(sys.argv[1], "rb").read())
        writer.add_chunk(0, EncodedChunk(data=data, rows=4000, arrow_bytes=64))
        writer.finish()
        archive = open_stream(io.BytesIO(out.getvalue()), identities=Identities([secret]))
        before = peak()
        try:
            rows_of(archive)
        except ArchiveError as error:
            print(error.code, peak() - before)
        """,
        bomb(tmp_path, _DICTIONARY),
    )
    code, grown = out.split()
    assert code == "E_LIMIT"
    assert int(grown) < 100


def test_a_long_header_costs_nothing():
    """A header of many stanzas is refused before the library would read them all."""
    out = run(
        """
        from dbsync.archive.encryption import EncryptedContents, Identities, generate_identity
        contents = EncryptedContents(Identities([generate_identity()[0]]), 1)
        stanza = b"-> X25519 " + b"A" * 43 + b"\\n" + b"A" * 43 + b"\\n"
        data = b"age-encryption.org/v1\\n" + stanza * 500_000 + b"--- " + b"A" * 43 + b"\\n"
        before = peak()
        try:
            contents.open(data, "x.age", 1 << 30)
        except ArchiveError as error:
            print(error.code, peak() - before)
        """
    )
    code, grown = out.split()
    assert code == "E_DECRYPT"
    assert int(grown) < 20


def test_many_threads_write_one_encrypted_archive():
    """Chunks that several threads bring are all there, each once, whole."""
    from concurrent.futures import ThreadPoolExecutor

    out = io.BytesIO()
    writer = start(out, database(ITEMS), encryption=Recipients(list(PUBLIC[:2])))
    with ThreadPoolExecutor(4) as pool:
        chunks = [encode_chunk(ITEMS, [items(n)]) for n in range(40)]
        list(pool.map(lambda chunk: writer.add_chunk(0, chunk), chunks))
    writer.finish()
    archive = opened(out.getvalue(), "random", Identities([SECRETS[1]]))
    assert sorted(row["id"] for row in rows_of(archive)["items"]) == list(range(40))
    assert verify_archive(archive).rows == 40


def test_sizes_in_documents_are_those_of_stored_bytes():
    """The manifest sums up what lies in the file, so that a list of archives tells the truth."""
    data = small()
    archive = opened(data, "random")
    assert archive.manifest is not None
    found = members(data)
    chunks = {n: d for n, d in found.items() if re.match(r"tables/.*parquet\.age", n)}
    assert archive.manifest.bytes == sum(len(d) for d in chunks.values())
    assert {e.path: e.size for e in archive.entries if e.table} == {
        name: len(content) for name, content in chunks.items()
    }
    loaded = next(iter(archive.chunks())).load()
    assert isinstance(loaded, pa.Buffer)
    assert loaded.to_pybytes().startswith(b"PAR1")


def test_odd_tables():
    """A table without rows, and one without columns, are encrypted like any other."""
    bare = table("bare")
    rows = pa.record_batch({":rows": pa.nulls(4, pa.bool_())})
    data = write(database(bare, ITEMS), (0, [rows]), encryption=Recipients([PUBLIC[0]]))
    assert len(rows_of(opened(data, "stream"))["bare"]) == 4


def test_the_two_ends_without_a_key_and_with_one():
    """A list says of an encrypted archive that it is whole, and with the key what it holds."""
    from dbsync.archive.summary import read_summary

    data = small()

    def read_at(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    for identities in (None, Identities([SECRETS[1]])):
        shut = read_summary(read_at, len(data), identities=identities)
        assert (shut.encrypted, shut.head, shut.manifest) == (True, None, None)
    known = read_summary(read_at, len(data), identities=KEY)
    assert known.encrypted
    assert known.head is not None
    assert known.manifest is not None
    assert (known.head.source.database, known.manifest.rows) == ("d", 6)
    assert known.manifest_sha256 == shut.manifest_sha256
    cut = data[:-600]
    with pytest.raises(ArchiveError):
        read_summary(lambda offset, length: cut[offset : offset + length], len(cut))


def test_the_missing_package_is_named(monkeypatch):
    """Without pyrage, whoever needs it reads what to install; plain archives need nothing."""
    from tests.unit.archive.build import small as plain

    monkeypatch.setitem(sys.modules, "pyrage", None)
    assert rows_of(opened(plain(), "stream", None))["items"]
    for attempt in (lambda: Recipients(PUBLIC), lambda: Identities(SECRETS), generate_identity):
        with pytest.raises(UsageError, match="pyrage") as caught:
            attempt()
        assert "dbsync[encryption]" in str(caught.value.hint)


def test_some_columns_of_a_large_chunk():
    """Ranges within a member mean nothing here: the chunk is read whole and the column is right."""
    ids = range(60_000)
    words = random.Random(5).choices(range(10**9), k=len(ids))  # noqa: S311
    rows = batch(ITEMS, ids, [str(word) for word in words])
    data = write(database(ITEMS), (0, [rows]), encryption=Recipients([PUBLIC[0]]))
    (chunk,) = opened(data, "random").chunks()
    assert chunk.size > 300_000
    found = [row["id"] for part in chunk.narrowed(["id"]).batches() for row in part.to_pylist()]
    assert found == list(ids)
