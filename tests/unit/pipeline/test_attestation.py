"""The note beside an archive: what it says, what it is bound to, and what counts as none."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from dbsync.pipeline.attestation import (
    Attestation,
    attestation_key,
    is_attestation,
    read_attestation,
    write_attestation,
)
from dbsync.storage.memory import MemoryStorage

DIGEST = "ab" * 32


def note(**fields: object) -> Attestation:
    """Make an attestation that passed, with `fields` in place of the usual ones."""
    usual = Attestation(
        archive_id="one",
        manifest_sha256=DIGEST,
        time=datetime(2025, 1, 31, 2, 0, tzinfo=UTC),
        engine="sqlite",
        engine_version="3.45.1",
        result="passed",
        tables=3,
        rows=12,
        writer="dbsync 1",
    )
    return msgspec.structs.replace(usual, **fields)


def put(storage: MemoryStorage, key: str, data: bytes) -> None:
    """Store `data` as it is."""
    with storage.put_stream(key, overwrite=True) as out:
        out.write(data)


def test_what_was_written_is_read_again() -> None:
    """A note comes back equal, under the archive's name with its suffix."""
    storage = MemoryStorage()
    write_attestation(storage, "folder/a.dbsync.tar", note())
    assert [info.key for info in storage.list()] == ["folder/a.dbsync.tar.rehearsed.json"]
    assert read_attestation(storage, "folder/a.dbsync.tar", DIGEST) == note()


def test_a_later_note_takes_the_place_of_the_first() -> None:
    """The last rehearsal counts, also where it failed after one that passed."""
    storage = MemoryStorage()
    write_attestation(storage, "a", note())
    write_attestation(storage, "a", note(result="failed", differences=("table t",)))
    found = read_attestation(storage, "a", DIGEST)
    assert found is not None
    assert not found.passed
    assert found.differences == ("table t",)


def test_a_note_of_another_archive_counts_as_none() -> None:
    """An archive that was replaced under the same name has no rehearsal any more."""
    storage = MemoryStorage()
    write_attestation(storage, "a", note())
    assert read_attestation(storage, "a", "cd" * 32) is None


def test_the_note_of_a_longer_name_is_not_taken() -> None:
    """A key that merely starts like the note is another object."""
    storage = MemoryStorage()
    put(storage, attestation_key("a") + ".bak", msgspec.json.encode(note()))
    assert read_attestation(storage, "a", DIGEST) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format": "dbsync-rehearsal"}',
        msgspec.json.encode(note()).replace(b'"version":1', b'"version":2'),
        msgspec.json.encode(note()).replace(b'"passed"', b'"perhaps"'),
        msgspec.json.encode(note()) + b" " * (1 << 20),
    ],
    ids=["empty", "binary", "deep", "partial", "version", "result", "huge"],
)
def test_what_cannot_be_understood_counts_as_none(data: bytes) -> None:
    """A damaged, foreign, later or oversize note proves nothing and breaks nothing."""
    storage = MemoryStorage()
    put(storage, attestation_key("a"), data)
    assert read_attestation(storage, "a", DIGEST) is None


def test_very_many_differences_stay_a_small_note() -> None:
    """A note of an archive that differs everywhere is short enough to be read again."""
    storage = MemoryStorage()
    lines = tuple(f"table {number}: " + "x" * 5000 for number in range(5000))
    write_attestation(storage, "a", note(result="failed", differences=lines))
    found = read_attestation(storage, "a", DIGEST)
    assert found is not None
    assert len(found.differences) == 101
    assert found.differences[-1] == "and 4900 more"


def test_notes_are_known_by_their_name() -> None:
    """A listing can tell notes from archives without reading them."""
    assert is_attestation(attestation_key("shop-20250131T020000Z.dbsync.tar"))
    assert not is_attestation("shop-20250131T020000Z.dbsync.tar")
