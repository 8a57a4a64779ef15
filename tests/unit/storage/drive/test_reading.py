"""Ranged reads under faults, and what happens when a file changes while it is read."""

from __future__ import annotations

import random
from typing import Any

import pytest

from dbsync.errors import StorageError
from dbsync.storage.drive import reader
from tests.fakes.drive import READ
from tests.unit.storage.drive.conftest import KEY, Lab

DATA = random.Random(11).randbytes(700_000)  # noqa: S311 - data

PASSING: list[tuple[str, str, dict[str, Any]]] = [
    ("media", "status", {"status": 500}),
    ("media", "status", {"status": 503, "times": 3}),
    ("media", "status", {"status": 429, "reason": "rateLimitExceeded", "retry_after": "0"}),
    ("media", "status", {"status": 403, "reason": "userRateLimitExceeded"}),
    ("media", "reset", {}),
    ("media", "short", {"size": 1000, "times": 2}),
    ("media", "short", {"size": 0}),
    ("media", "broken", {"size": 100_000}),
    ("media", "slow", {}),
    ("media", "whole", {}),
    ("describe", "status", {"status": 503}),
    ("describe", "reset", {}),
    ("list", "status", {"status": 500, "times": 2}),
    ("token", "status", {"status": 500}),
]


@pytest.mark.parametrize(("kind", "action", "settings"), PASSING)
@pytest.mark.parametrize("bounds", [(0, None), (123_456, 400_000)])
def test_a_passing_fault_ends_in_equal_data(
    lab: Lab, kind: Any, action: Any, settings: dict[str, Any], bounds: tuple[int, int | None]
) -> None:
    """After any fault that passes, every byte of the range is right."""
    lab.drive.make_file(KEY, DATA, lab.folder)
    fault = lab.fake.fail(kind, action, **settings)
    offset, length = bounds
    with lab.store().open(KEY, offset=offset, length=length) as stream:
        assert stream.read() == DATA[offset : None if length is None else offset + length]
    assert fault.struck == fault.times


@pytest.mark.parametrize("action", ["stall", "stall_body"])
def test_a_stalled_answer_is_given_up_and_asked_for_again(lab: Lab, action: Any) -> None:
    """A body that stops coming costs one wait, and the range is asked for again."""
    lab.drive.make_file(KEY, DATA, lab.folder)
    lab.fake.fail("media", action, size=5000)
    with lab.store(timeout_s=1).open(KEY) as stream:
        assert stream.read() == DATA


def test_an_expired_token_is_renewed_between_ranges(lab: Lab) -> None:
    """A token that ends between two reads is renewed."""
    lab.drive.make_file(KEY, DATA, lab.folder)
    store = lab.store()
    version = store.stat(KEY).version
    lab.fake.accounts.expire_tokens()
    with store.open(KEY, offset=5, length=10, version=version) as stream:
        assert stream.read() == DATA[5:15]


@pytest.mark.parametrize(
    ("action", "settings", "message"),
    [
        ("short", {"size": 1}, "sent 5 of 700000 bytes at 0, in 5 answers"),
        ("short", {"size": 0}, "sent 0 of 700000 bytes"),
        ("status", {"status": 503}, "busy or fails: HTTP 503"),
        ("broken", {"size": 10}, "cannot be reached"),
        ("status", {"status": 403, "reason": "cannotDownloadFile"}, "cannotDownloadFile"),
    ],
)
def test_a_lasting_fault_is_a_clear_error(
    lab: Lab, action: Any, settings: dict[str, Any], message: str
) -> None:
    """What cannot be read is a `StorageError` that names the file; never fewer bytes."""
    lab.drive.make_file(KEY, DATA, lab.folder)
    lab.fake.fail("media", action, times=99, **settings)
    with lab.store().open(KEY) as stream, pytest.raises(StorageError, match=message) as caught:
        stream.read()
    assert f"gdrive://{lab.folder}/{KEY}" in caught.value.message
    assert caught.value.hint


def test_a_range_costs_its_bytes_and_one_look(lab: Lab) -> None:
    """A range of a version that is known transfers exactly its bytes, in one request."""
    lab.drive.make_file(KEY, DATA, lab.folder)
    store = lab.store()
    version = store.stat(KEY).version
    before = len(lab.fake.log)
    with store.open(KEY, offset=1000, length=2000, version=version) as stream:
        assert stream.read() == DATA[1000:3000]
    kinds = [logged.kind for logged in lab.fake.log[before:]]
    assert kinds == ["media", "describe"]
    assert lab.fake.requests("media")[0].content_bytes == 2000


def test_a_reader_goes_on_in_the_old_content(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may edit the file reads the old revision to its end, though it was replaced."""
    monkeypatch.setattr(reader, "BLOCK_BYTES", 300_000)
    store = lab.store()
    lab.put(store, DATA)
    with store.open(KEY) as stream:
        begin = stream.read(10)
        lab.put(store, b"new" * 300_000, overwrite=True)
        assert begin + stream.read() == DATA


@pytest.mark.parametrize("change", ["replace", "delete", "bin"])
def test_a_reader_without_rights_to_revisions_is_told(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Who may only read gets an error when the file changes: never a mixture."""
    monkeypatch.setattr(reader, "BLOCK_BYTES", 300_000)
    owner = lab.store()
    lab.put(owner, DATA)
    lab.drive.items[lab.folder].rights["bob@example.com"] = READ
    bob = lab.store(credentials=lab.fake.accounts.user(lab.path / "bob.json", "bob@example.com"))
    version = bob.stat(KEY).version
    assert version.rpartition("/")[2] == next(
        item.revisions[0].md5 for item in lab.drive.items.values() if item.revisions
    )
    with bob.open(KEY) as stream:
        stream.read(10)
        if change == "replace":
            lab.put(owner, b"new" * 300_000, overwrite=True)
        elif change == "delete":
            owner.delete(KEY)
        else:
            for item in lab.drive.items.values():
                item.trashed = bool(item.revisions)
        with pytest.raises(StorageError, match="changed or removed by someone else"):
            stream.read()
    with pytest.raises(StorageError, match="changed or removed"):
        bob.open(KEY, version=version)


def test_a_malformed_version_is_no_version(lab: Lab) -> None:
    """A version of another store is refused as one that is not there."""
    lab.drive.make_file(KEY, DATA, lab.folder)
    with pytest.raises(StorageError, match="changed or removed"):
        lab.store().open(KEY, version="17")
