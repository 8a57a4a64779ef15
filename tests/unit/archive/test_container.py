"""The container: headers, names and order, trailer."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbsync.archive.names import Kind, MemberOrder, chunk_path, parse_path, schema_path
from dbsync.archive.trailer import Trailer, build_trailer, parse_trailer, refuse_tail
from dbsync.archive.ustar import Header, TarReader, build_header, footprint, parse_header
from dbsync.errors import ArchiveError
from tests.unit.archive.build import small

DIGEST = "0123456789abcdef" * 4
TRAILER = Trailer(
    archive_id="a", manifest_offset=1024, manifest_size=7, manifest_sha256=DIGEST, archive_size=4096
)


def code_of(call, *arguments) -> str:
    """Return the error name that a call raises."""
    with pytest.raises(ArchiveError) as error:
        call(*arguments)
    return error.value.code


def test_header_is_read_by_tarfile():
    """The standard library reads every field of a header as it was meant."""
    info = tarfile.TarInfo.frombuf(build_header("a/b.json", 1234, 99), "ascii", "strict")
    assert (info.name, info.size, info.mtime) == ("a/b.json", 1234, 99)
    assert (info.mode, info.uid, info.gid, info.uname, info.isreg()) == (0o644, 0, 0, "", True)


def test_header_reads_back():
    """What was written is what is read, up to the largest size."""
    for size in (0, 1, 8**11 - 1):
        header = parse_header(build_header("x", size, 7), "here")
        assert header is not None
        assert (header.path, header.size, header.mtime) == ("x", size, 7)


def test_header_of_eight_gibibytes_is_refused():
    """A size that eleven octal digits cannot say is refused, not truncated."""
    assert code_of(build_header, "x", 8**11, 0) == "E_LIMIT"


@pytest.mark.parametrize("position", range(0, 512, 5))
def test_any_changed_byte_in_a_header_is_found(position):
    """A header is accepted only in exactly its one form, wherever a byte is changed."""
    header = bytearray(build_header("tables/x", 512, 7))
    header[position] ^= 4
    assert code_of(parse_header, bytes(header), "here") == "E_CHECKSUM"


@pytest.mark.parametrize("position", [*range(20, 148, 3), *range(157, 512, 7)])
def test_a_changed_header_with_a_fitting_checksum_is_found(position):
    """Fields that nobody reads may not hide anything, even under a right header checksum."""
    header = bytearray(build_header("tables/x", 512, 7))
    header[position] ^= 9
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    try:
        found = parse_header(bytes(header), "here")
    except ArchiveError as error:
        code = error.code
    else:  # another name, size or time is another header, which the readers compare
        code = "E_MEMBER_TYPE" if found != Header("tables/x", 512, 7) else "accepted"
    assert code in {"E_MEMBER_TYPE", "E_PATH_UNSAFE"}


def test_reader_takes_short_reads():
    """A pipe that gives one byte at a time is read like any other."""
    data = small()
    drops = io.BytesIO(data)
    whole, slow = TarReader(io.BytesIO(data).read), TarReader(lambda _: drops.read(1))
    for _ in range(4):
        one, two = whole.next(), slow.next()
        assert one == two
        assert one is not None
        assert whole.content(one, 1 << 20) == slow.content(two, 1 << 20)


def test_reader_does_not_believe_a_size():
    """A header that claims more than allowed is refused before any content is read."""
    reader = TarReader(io.BytesIO(build_header("dbsync.json", 10**9, 0)).read)
    header = reader.next()
    assert header is not None
    assert code_of(reader.content, header, 10**6) == "E_LIMIT"
    assert reader.position == 512


def test_names_read_back():
    """A generated name gives back table, number and digest."""
    name = parse_path(chunk_path(41, 7, DIGEST))
    assert (name.table, name.number, name.digest) == (41, 7, DIGEST[:32])
    assert parse_path(schema_path(0, DIGEST)).table == 0


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/x",
        "../x",
        "a/../b",
        "a//b",
        "./a",
        "a/.b",
        "a\\b",
        "a\nb",
        "ä",
        "c:x",
        "x/",
        "-x",
        "x" * 101,
    ],
)
def test_unsafe_names_are_refused(path):
    """A name that could leave the folder, or means different things elsewhere, is refused."""
    assert code_of(parse_path, path) == "E_PATH_UNSAFE"


@given(st.text(max_size=40))
def test_any_text_is_a_name_or_an_error(path):
    """No text makes the name parser fail in another way."""
    try:
        code = parse_path(path).kind.name
    except ArchiveError as error:
        code = error.code
    assert code in {"E_PATH_UNSAFE", "E_ORDER", *Kind.__members__}


def follow(tables: int, *paths: str) -> None:
    """Run names through the order rules."""
    order = MemberOrder(tables)
    for path in paths:
        order.accept(path)
    order.finish_data()


HEAD, BASE = "dbsync.json", f"database-{DIGEST[:32]}.json"
S1, S2 = schema_path(0, DIGEST), schema_path(1, DIGEST)


def chunk(table: int, number: int) -> str:
    return chunk_path(table - 1, number, DIGEST)


def test_legal_orders_are_accepted():
    """Tables may take turns, rows may be missing, a database may be empty."""
    follow(0, HEAD, BASE)
    follow(0, HEAD, BASE, "extra/a", "extra/b/c.json", "catalog.parquet", "SHA256SUMS",
           "manifest.json", "trailer.txt")  # fmt: skip
    follow(2, HEAD, BASE, S1, S2, chunk(2, 1), chunk(1, 1), "extra/a", chunk(2, 2),
           "catalog-000001.parquet", "catalog-000002.parquet", "SHA256SUMS")  # fmt: skip


@pytest.mark.parametrize(
    ("code", "paths"),
    [
        ("E_ORDER", [BASE]),
        ("E_ORDER", [HEAD, S1]),
        ("E_ORDER", [HEAD, BASE, S2, S1]),
        ("E_ORDER", [HEAD, BASE, S1, chunk(1, 1)]),
        ("E_ORDER", [HEAD, BASE, S1, S2, schema_path(2, DIGEST)]),
        ("E_ORDER", [HEAD, BASE, S1, S2, chunk(1, 2)]),
        ("E_ORDER", [HEAD, BASE, S1, S2, chunk(1, 0)]),
        ("E_ORDER", [HEAD, BASE, S1, S2, chunk(3, 1)]),
        ("E_ORDER", [HEAD, BASE, S1, S2, chunk(0, 1)]),
        ("E_ORDER", [HEAD, BASE, S1, S2, "SHA256SUMS"]),
        ("E_ORDER", [HEAD, BASE, S1, S2, "catalog.parquet", chunk(1, 1)]),
        ("E_ORDER", [HEAD, BASE, S1, S2, "catalog.parquet", "manifest.json"]),
        ("E_ORDER", [HEAD, BASE, S1, S2, "catalog-000002.parquet"]),
        ("E_ORDER", [HEAD, BASE, S1]),
        ("E_ORDER", [HEAD, BASE, S1, S2, "trailer.txt"]),
        ("E_DUPLICATE_MEMBER", [HEAD, HEAD]),
        ("E_DUPLICATE_MEMBER", [HEAD, BASE, BASE]),
        ("E_DUPLICATE_MEMBER", [HEAD, BASE, S1, S1]),
        ("E_DUPLICATE_MEMBER", [HEAD, BASE, S1, S2, chunk(1, 1), chunk(1, 1)]),
        ("E_DUPLICATE_MEMBER", [HEAD, BASE, S1, S2, "extra/a", "extra/a"]),
        ("E_DUPLICATE_MEMBER", [HEAD, BASE, S1, S2, "catalog.parquet", "catalog.parquet"]),
    ],
)
def test_illegal_orders_are_refused(code, paths):
    """Gaps, repetitions and members in the wrong place each have their error."""
    assert code_of(follow, 2, *paths) == code


def test_trailer_reads_back():
    """A trailer has 512 bytes and gives back its values."""
    block = build_trailer(TRAILER)
    assert len(block) == 512
    assert parse_trailer(block) == TRAILER


@pytest.mark.parametrize("position", range(0, 512, 3))
def test_any_changed_byte_in_a_trailer_is_found(position):
    """A trailer protects every one of its bytes, blanks included."""
    block = bytearray(build_trailer(TRAILER))
    block[position] ^= 2
    assert code_of(parse_trailer, bytes(block)) == "E_TRAILER_INVALID"


def test_wrong_tails_are_told_apart():
    """Missing end blocks, appended bytes, a missing trailer and a cut have different names."""
    end = build_trailer(TRAILER) + bytes(1024)
    assert refuse_tail(end[:-1]).code == "E_TRUNCATED"
    assert refuse_tail(end + b"x").code == "E_TRAILING_DATA"
    assert refuse_tail(b"x" * 512 + bytes(1024)).code == "E_INCOMPLETE"
    assert refuse_tail(b"x" * 2048).code == "E_TRUNCATED"


def test_footprint_counts_header_and_padding():
    """Sizes add up to offsets."""
    assert [footprint(n) for n in (0, 1, 512, 513)] == [512, 1024, 1024, 1536]
