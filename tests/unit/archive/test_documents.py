"""Documents: deterministic, sealed, and refused for the right reason; the catalog's rows."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pytest

from dbsync.archive import CatalogEntry, HeadConsistency, Limits
from dbsync.archive.catalog import check_entries, decode_catalog, encode_catalog, sums_text
from dbsync.archive.documents import (
    Feature,
    Head,
    HeadSource,
    decode_database,
    decode_document,
    decode_head,
    decode_table,
    encode_database,
    encode_document,
    mtime_of,
    seal,
)
from dbsync.archive.names import chunk_path, database_path, schema_path
from dbsync.errors import ArchiveError
from tests.unit.archive.build import ITEMS, NOTES, database

BLANK = Head(
    format="dbsync-archive",
    version="1.0",
    digest="",
    archive_id="a",
    writer="w",
    started="2026-01-02T03:04:05Z",
    source=HeadSource(engine="sqlite", version="3", database="d", encoding="UTF8"),
    consistency=HeadConsistency(level="none"),
    include_schema=True,
    tables=(ITEMS.name, NOTES.name),
)


def code_of(call: Any, *arguments: Any) -> str:
    """Return the error name that a call raises."""
    with pytest.raises(ArchiveError) as error:
        call(*arguments)
    return error.value.code


def sealed(**changes: Any) -> bytes:
    """Write the head with some fields changed, the seal fitting."""
    fields = {**json.loads(seal(BLANK)[1]), **changes, "digest": "0" * 64}
    blank = json.dumps(fields).encode()
    return blank.replace(b"0" * 64, hashlib.sha256(blank).hexdigest().encode(), 1)


def test_head_reads_back():
    """The head that is read is the one that was written, seal included."""
    head, data = seal(BLANK)
    assert decode_head(data) == head
    assert len(head.digest) == 64
    assert mtime_of(head) == 1767323045


def test_seal_is_as_the_specification_says():
    """The digest is that of the bytes with zeros in its place."""
    head, data = seal(BLANK)
    blank = data.replace(head.digest.encode(), b"0" * 64)
    assert hashlib.sha256(blank).hexdigest() == head.digest


def test_an_id_of_zeros_does_not_confuse_the_seal():
    """Sixty-four zeros elsewhere stay what they are."""
    head, data = seal(msgspec.structs.replace(BLANK, archive_id="0" * 64))
    assert decode_head(data) == head
    assert head.archive_id == "0" * 64


def test_every_flipped_bit_in_the_head_is_found():
    """No bit of the head can change unseen."""
    _, data = seal(BLANK)
    for position in range(len(data) * 8):
        broken = bytearray(data)
        broken[position // 8] ^= 1 << position % 8
        assert code_of(decode_head, broken) in {"E_CHECKSUM", "E_JSON", "E_NOT_ARCHIVE"}


def test_a_digest_that_occurs_twice_is_refused():
    """Another reader might replace the other one."""
    _, data = seal(BLANK)
    digest = json.loads(data)["digest"]
    twice = data.replace(b'"writer": "w"', b'"writer": "%s"' % digest.encode())
    assert code_of(decode_head, twice) == "E_CHECKSUM"
    # Even where one of the two readings would fit:
    blank = data.replace(digest.encode(), b"0" * 64).replace(b'"w"', b'"%s"' % (b"0" * 64))
    assert code_of(decode_head, blank) == "E_CHECKSUM"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"format": "zip"}, "E_NOT_ARCHIVE"),
        ({"version": "2.0"}, "E_VERSION_UNSUPPORTED"),
        ({"version": "0.9"}, "E_VERSION_UNSUPPORTED"),
        ({"version": "1"}, "E_JSON"),
        ({"version": "1.0\n"}, "E_JSON"),
        ({"tables": [{"schema": None, "name": "t"}] * 2}, "E_SCHEMA_MISMATCH"),
        ({"archive_id": "../x"}, "E_JSON"),
        ({"archive_id": ""}, "E_JSON"),
        ({"consistency": {"level": "perhaps"}}, "E_JSON"),
        ({"started": "yesterday"}, "E_JSON"),
        ({"features_required": [{"name": "x", "message": "m", "version": "9"}]},
         "E_FEATURE_UNSUPPORTED"),
        ({"source": None}, "E_JSON"),
    ],
)  # fmt: skip
def test_heads_that_are_refused(changes, code):
    """Each kind of unusable head has its error."""
    assert code_of(decode_head, sealed(**changes)) == code


def test_a_version_is_judged_before_the_rest():
    """A later major version may look quite different, and is still told apart from damage."""
    assert code_of(decode_head, sealed(version="7.2", tables="elsewhere")) == (
        "E_VERSION_UNSUPPORTED"
    )


def test_a_required_feature_says_what_is_needed():
    """The message and the version of the feature reach the user."""
    feature = {"name": "age", "message": "chunks are encrypted", "version": "3.1"}
    with pytest.raises(ArchiveError, match="chunks are encrypted") as error:
        decode_head(sealed(features_required=[feature]))
    assert "3.1" in (error.value.hint or "")


def test_later_minor_versions_are_read():
    """Unknown fields and optional features are ignored."""
    optional = [{"name": "x", "message": "m", "version": "9", "more": 1}]
    head = decode_head(sealed(version="1.99", later={"a": [1]}, features_optional=optional))
    assert head.features_optional == (Feature(name="x", message="m", version="9"),)


@pytest.mark.parametrize("started", ["1969-12-31T23:59:59Z", "2026-02-31T00:00:00Z"])
def test_moments_that_tar_cannot_say(started):
    """A time before 1970, or a day that does not exist, is refused by name."""
    assert code_of(mtime_of, msgspec.structs.replace(BLANK, started=started)) == "E_JSON"


def test_equal_documents_have_equal_bytes():
    """The order in which details were added does not show."""
    one = msgspec.structs.replace(ITEMS, details={"a": "1", "b": "2"})
    two = msgspec.structs.replace(ITEMS, details={"b": "2", "a": "1"})
    assert encode_document(one) == encode_document(two)
    assert json.loads(encode_document(one))["details"] == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b"\xff", b'{"name": 1}', b"{}", b"[" * 100_000, b'{"a":1e9']
)
def test_what_is_no_document(data):
    """Whatever is not a document of the type gives E_JSON, and no other exception."""
    assert code_of(decode_document, data, type(ITEMS), "x") == "E_JSON"


def test_database_document():
    """It holds everything but tables, and must fit the head."""
    whole = database(ITEMS, NOTES)
    data = encode_database(whole)
    assert decode_database(data, BLANK, "x") == msgspec.structs.replace(whole, tables=())
    assert code_of(decode_database, encode_document(whole), BLANK, "x") == "E_SCHEMA_MISMATCH"
    other = encode_database(msgspec.structs.replace(whole, version="4"))
    assert code_of(decode_database, other, BLANK, "x") == "E_SCHEMA_MISMATCH"


def test_table_document():
    """It must be that of the table planned at its place."""
    assert decode_table(encode_document(NOTES), BLANK, 1, "x") == NOTES
    assert code_of(decode_table, encode_document(NOTES), BLANK, 0, "x") == "E_SCHEMA_MISMATCH"


DIGEST = "ab" * 32
HEAD = CatalogEntry(path="dbsync.json", size=1, sha256=DIGEST)
BASE = CatalogEntry(path=database_path(DIGEST), size=1, sha256=DIGEST)
PLAN = CatalogEntry(path=schema_path(0, DIGEST), size=1, sha256=DIGEST)
ROWS = CatalogEntry(
    path=chunk_path(0, 1, DIGEST), size=1, sha256=DIGEST, table=1, chunk=1, rows=1, arrow_bytes=8
)


def test_catalog_reads_back():
    """Rows and their order survive, in one part or in several."""
    entries = [HEAD, BASE, PLAN, ROWS, msgspec.structs.replace(ROWS, key_min="a", key_max="ü")]
    for size, parts in ((10, 1), (2, 3)):
        data = list(encode_catalog(entries, size))
        assert len(data) == parts
        assert [e for part in data for e in decode_catalog(part, Limits())] == entries


def test_possible_catalogs():
    """A catalog may end with chunks, schemas or extra members."""
    check_entries([HEAD, BASE], 0)
    check_entries([HEAD, BASE, PLAN], 1)
    check_entries([HEAD, BASE, PLAN, ROWS], 1)


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([], "E_ORDER"),
        ([HEAD], "E_ORDER"),
        ([HEAD, BASE], "E_ORDER"),
        ([HEAD, BASE, PLAN, msgspec.structs.replace(HEAD, path="catalog.parquet")], "E_ORDER"),
        ([HEAD, BASE, PLAN, msgspec.structs.replace(ROWS, rows=0)], "E_ROWCOUNT"),
        ([HEAD, BASE, PLAN, msgspec.structs.replace(ROWS, rows=None)], "E_CATALOG_MISMATCH"),
        ([HEAD, BASE, PLAN, msgspec.structs.replace(ROWS, rows=-1)], "E_CATALOG_MISMATCH"),
        ([HEAD, BASE, PLAN, msgspec.structs.replace(ROWS, table=2)], "E_CATALOG_MISMATCH"),
        ([HEAD, BASE, PLAN, msgspec.structs.replace(ROWS, chunk=2)], "E_CATALOG_MISMATCH"),
        ([HEAD, BASE, PLAN, msgspec.structs.replace(ROWS, size=-1)], "E_CATALOG_MISMATCH"),
        ([HEAD, BASE, PLAN, msgspec.structs.replace(ROWS, sha256="x")], "E_CATALOG_MISMATCH"),
        ([HEAD, BASE, PLAN, msgspec.structs.replace(ROWS, sha256="cd" * 32)],
         "E_CATALOG_MISMATCH"),
        ([HEAD, BASE, msgspec.structs.replace(PLAN, table=1)], "E_CATALOG_MISMATCH"),
        ([HEAD, BASE, msgspec.structs.replace(PLAN, rows=1)], "E_CATALOG_MISMATCH"),
    ],
)  # fmt: skip
def test_impossible_catalogs(entries, code):
    """A catalog that no archive could have is refused, whatever its digests say."""
    assert code_of(check_entries, entries, 1) == code


def test_sums_are_those_of_sha256sum():
    """The text has the form that coreutils reads."""
    assert sums_text([("ab", "x"), ("cd", "y/z")]) == b"ab  x\ncd  y/z\n"


def test_threads_meet_a_new_type_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads that read their first document together could crash msgspec, and never do."""
    import threading
    from concurrent.futures import ThreadPoolExecutor

    from dbsync.archive import documents

    class New(msgspec.Struct):
        a: int

    inside, worst, made = [0], [0], documents.msgspec.json.Decoder

    def slow(kind: type) -> object:
        inside[0] += 1
        worst[0] = max(worst[0], inside[0])
        threading.Event().wait(0.02)
        inside[0] -= 1
        return made(kind)

    monkeypatch.setattr(documents.msgspec.json, "Decoder", slow)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: documents.decode_document(b'{"a": 1}', New, "x"), range(4)))
    assert found == [New(1)] * 4
    assert worst == [1]
