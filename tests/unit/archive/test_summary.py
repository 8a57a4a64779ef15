"""What the two ends of an archive say, and how little is read for it."""

from __future__ import annotations

import hashlib
import re

import pytest

from dbsync.archive import Identities, Recipients, generate_identity, open_archive
from dbsync.archive.summary import Summary, read_summary
from dbsync.errors import ArchiveError
from tests.unit.archive.build import ITEMS, STARTED, database, items, small, table, write


def _summary(data: bytes) -> Summary:
    return read_summary(lambda offset, length: data[offset : offset + length], len(data))


def test_it_says_what_the_whole_archive_says() -> None:
    """Head and manifest are those that opening the archive gives, with the trailer's digest."""
    data = small()
    summary = _summary(data)
    whole = open_archive(lambda o, n: data[o : o + n], len(data))
    assert summary.head == whole.head
    assert summary.manifest == whole.manifest
    assert (summary.started, summary.archive_id) == (STARTED, "test")
    assert not summary.encrypted
    assert summary.manifest_sha256.encode() in data[-2048:]


def test_an_encrypted_archive_needs_no_key() -> None:
    """What anyone may know is known, the rest is not, and the digest is that of stored bytes."""
    keys = [generate_identity() for _ in range(2)]
    recipients = Recipients([public for _, public in keys])
    data = write(database(ITEMS), (0, [items(1)]), encryption=recipients)
    summary = _summary(data)
    assert summary.encrypted
    assert (summary.head, summary.manifest) == (None, None)
    assert (summary.started, summary.archive_id) == (STARTED, "test")
    start = int(data[-1536:-1024].split(b"manifest_offset ")[1][:20])
    size = int(data[-1536:-1024].split(b"manifest_size ")[1][:20])
    assert summary.manifest_sha256 == hashlib.sha256(data[start : start + size]).hexdigest()
    assert (
        open_archive(
            lambda o, n: data[o : o + n], len(data), identities=Identities([keys[0][0]])
        ).head.archive_id
        == "test"
    )


def test_little_is_read_of_a_large_archive() -> None:
    """Two reads are enough, whatever lies between the ends."""
    data = write(database(ITEMS), *((0, [items(*range(n, n + 5000))]) for n in range(120)))
    reads: list[int] = []

    def read_at(offset: int, length: int) -> bytes:
        reads.append(length)
        return data[offset : offset + length]

    assert read_summary(read_at, len(data)).manifest is not None
    assert len(data) > 500_000
    assert len(reads) == 2
    assert sum(reads) <= 2 * 65536


def test_a_large_manifest_is_read_whole() -> None:
    """Thousands of tables need a few more reads, and all are there."""
    data = write(database(*(table(f"table_{n}", *ITEMS.columns) for n in range(1500))))
    manifest = _summary(data).manifest
    assert manifest is not None
    assert len(manifest.tables) == 1500


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _manifest_damaged(data: bytes) -> bytes:
    return data.replace(b'"finished": "2', b'"finished": "3', 1)


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (_cut, "E_TRUNCATED"),
        (lambda data: data[:700], "E_TRUNCATED"),
        (lambda _: b"", "E_NOT_ARCHIVE"),
        (lambda _: b"something else" * 1000, "E_NOT_ARCHIVE"),
        (lambda data: data + bytes(512), "E_TRAILING_DATA"),
        (lambda data: data[:-1500] + b"x" + data[-1499:], "E_TRAILER_INVALID"),
        (_manifest_damaged, "E_CHECKSUM"),
        (lambda data: data[:4096] + data[4608:], "E_TRUNCATED"),
        (lambda data: data[:4096] + bytes(512) + data[4096:], "E_TRAILING_DATA"),
    ],
)
def test_what_is_not_whole_is_refused(damage, code: str) -> None:
    """A file that is cut, extended or damaged at its ends is no complete archive."""
    with pytest.raises(ArchiveError) as caught:
        _summary(damage(small()))
    assert caught.value.code == code


def test_the_ends_must_belong_together() -> None:
    """The head of one archive before the rest of another is not taken for either."""
    one = write(database(ITEMS), (0, [items(1)]))
    other = write(database(table("stems", *ITEMS.columns, key=["id"])), (0, [items(1)]))
    assert len(one) == len(other)
    with pytest.raises(ArchiveError, match="another head") as caught:
        _summary(other[:4096] + one[4096:])
    assert caught.value.code == "E_CATALOG_MISMATCH"


def test_the_trailer_must_name_the_archive_of_the_head() -> None:
    """Without a key the trailer alone shows that the two ends are of two archives."""
    data = small()
    end = 512 + int(data[124:135], 8)
    zeros = b"0" * 64
    blank = re.sub(rb'"digest": "[0-9a-f]{64}"', b'"digest": "' + zeros + b'"', data[512:end])
    blank = blank.replace(b'"archive_id": "test"', b'"archive_id": "tess"')
    head = blank.replace(zeros, hashlib.sha256(blank).hexdigest().encode(), 1)
    with pytest.raises(ArchiveError, match="another head") as caught:
        _summary(data[:512] + head + data[end:])
    assert caught.value.code == "E_TRAILER_INVALID"
