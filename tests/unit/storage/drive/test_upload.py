"""Uploads under faults end in the same bytes or in a clear error, and never in fewer bytes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from dbsync.errors import ConflictError, StorageError
from tests.unit.storage.drive.conftest import KEY, PIECE, Lab

QUANTUM = 256 << 10
DATA = random.Random(7).randbytes(3 * PIECE + 12_345)  # noqa: S311 - data

PASSING: list[tuple[str, str, dict[str, Any]]] = [
    ("start", "status", {"status": 503, "times": 2}),
    ("start", "reset", {}),
    ("start", "lost", {}),
    ("ids", "status", {"status": 500}),
    ("list", "status", {"status": 502}),
    ("token", "status", {"status": 503}),
    ("chunk", "status", {"status": 500}),
    ("chunk", "status", {"status": 503, "times": 3, "skip": 1}),
    ("chunk", "status", {"status": 429, "reason": "rateLimitExceeded", "retry_after": "0"}),
    ("chunk", "status", {"status": 403, "reason": "userRateLimitExceeded", "times": 2}),
    ("chunk", "reset", {"size": 0}),
    ("chunk", "reset", {"size": 300_000, "skip": 1}),
    ("chunk", "lost", {"skip": 1}),
    ("chunk", "partial", {"size": QUANTUM, "skip": 1}),
    ("chunk", "partial", {"size": 0}),
    ("chunk", "partial", {"size": 100_001, "skip": 1}),
    ("chunk", "die", {}),
    ("final", "status", {"status": 503, "times": 2}),
    ("final", "status", {"status": 403, "reason": "rateLimitExceeded"}),
    ("final", "reset", {"size": 5000}),
    ("final", "partial", {"size": 5000}),
    ("final", "lost", {}),
    ("final", "die_finished", {}),
]


@pytest.mark.parametrize(("kind", "action", "settings"), PASSING)
def test_a_passing_fault_ends_in_equal_data(
    lab: Lab, kind: Any, action: Any, settings: dict[str, Any]
) -> None:
    """After any fault that passes, the file is there once, with every byte."""
    fault = lab.fake.fail(kind, action, **settings)
    store = lab.store()
    lab.put(store, DATA)
    assert fault.struck == fault.times
    assert lab.visible() == [KEY]
    with store.open(KEY) as stream:
        assert stream.read() == DATA


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("chunk", "lost", {}), ("ask", "status", {"status": 503, "times": 2})),
        (("chunk", "status", {"status": 503}), ("ask", "reset", {})),
        (("final", "lost", {}), ("ask", "lost", {})),
        (("final", "partial", {"size": 1000}), ("final", "lost", {"skip": 0})),
        (("final", "lost", {}), ("ask", "die", {})),
    ],
)
def test_faults_while_recovering(lab: Lab, first: Any, second: Any) -> None:
    """A fault in the question where the server stands is survived as well."""
    faults = [lab.fake.fail(kind, action, **more) for kind, action, more in (first, second)]
    store = lab.store()
    lab.put(store, DATA)
    assert [fault.struck for fault in faults] == [fault.times for fault in faults]
    assert lab.visible() == [KEY]
    with store.open(KEY) as stream:
        assert stream.read() == DATA


@pytest.mark.parametrize("kind", ["start", "chunk", "final"])
def test_a_stalled_request_is_given_up_and_repeated(lab: Lab, kind: Any) -> None:
    """A server that never answers costs one wait, not the upload."""
    lab.fake.fail(kind, "stall")
    store = lab.store(timeout_s=1)
    lab.put(store, DATA)
    with store.open(KEY) as stream:
        assert stream.read() == DATA


@pytest.mark.parametrize("kind", ["start", "chunk", "final", "list"])
def test_an_expired_token_is_renewed_on_the_way(lab: Lab, kind: Any) -> None:
    """An access token that ends during an upload is renewed, without a byte lost."""
    lab.fake.before(kind, lab.fake.accounts.expire_tokens)
    store = lab.store()
    lab.put(store, DATA)
    assert len(lab.fake.requests("token")) >= 2
    with store.open(KEY) as stream:
        assert stream.read() == DATA


@pytest.mark.parametrize(
    ("kind", "action", "settings", "message"),
    [
        ("start", "status", {"status": 503, "times": 99}, "busy or fails: HTTP 503"),
        ("chunk", "status", {"status": 503, "times": 99}, "busy or fails: HTTP 503"),
        ("chunk", "status", {"status": 429, "times": 99}, "busy or fails: HTTP 429"),
        ("chunk", "reset", {"times": 99}, "cannot be reached"),
        ("chunk", "partial", {"size": 0, "times": 99}, "busy or fails: HTTP 503"),
        ("chunk", "die", {"skip": 1}, "ended the upload after 524288 bytes"),
        ("final", "die", {}, "ended the upload after 1572864 bytes"),
        ("final", "status", {"status": 503, "times": 99}, "busy or fails: HTTP 503"),
        ("final", "flip", {}, "other bytes than were sent"),
        ("chunk", "flip", {"skip": 1}, "other bytes than were sent"),
        ("chunk", "status", {"status": 403, "reason": "storageQuotaExceeded"}, "no storage left"),
        ("chunk", "status", {"status": 400, "reason": "badRequest", "times": 99}, "HTTP 400"),
    ],
)
def test_a_lasting_fault_is_a_clear_error_and_leaves_nothing(
    lab: Lab, kind: Any, action: Any, settings: dict[str, Any], message: str
) -> None:
    """What cannot be repaired is a `StorageError` that names the file, and no file is visible."""
    lab.fake.fail(kind, action, **settings)
    with pytest.raises(StorageError, match=message) as caught:
        lab.put(lab.store(), DATA)
    assert f"gdrive://{lab.folder}/{KEY}" in caught.value.message
    assert caught.value.hint
    assert lab.visible() == []
    assert list(lab.store().list()) == []


def test_bytes_that_the_server_forgets_are_noticed(lab: Lab) -> None:
    """A server that takes back what it confirmed, and what is sent already, is not believed."""

    def forget() -> None:
        for session in lab.drive.sessions.values():
            session.received = 0

    lab.fake.fail("chunk", "status", skip=1)
    lab.fake.before("ask", forget)
    with pytest.raises(StorageError, match="lost bytes that it had confirmed"):
        lab.put(lab.store(), DATA)
    assert lab.visible() == []


@pytest.mark.parametrize("size", [0, 1, QUANTUM, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE])
def test_sizes_around_pieces(lab: Lab, size: int) -> None:
    """Every size arrives whole, an exact multiple of a piece and an empty file too."""
    store = lab.store()
    lab.put(store, DATA[:size])
    with store.open(KEY) as stream:
        assert stream.read() == DATA[:size]
    assert len(lab.fake.requests("final")) == 1


def test_pieces_are_multiples_and_never_more_than_two_are_held(lab: Lab) -> None:
    """All but the last request carry one piece, whatever the writes are."""
    store = lab.store()
    with store.put_stream(KEY) as writer:
        for begin in range(0, len(DATA), 77_777):
            writer.write(DATA[begin : begin + 77_777])
    sizes = [logged.content_bytes for logged in lab.fake.requests("chunk")]
    assert sizes == [PIECE] * 3
    assert lab.fake.requests("final")[0].content_bytes == len(DATA) - 3 * PIECE


def test_an_abandoned_upload_ends_its_session(lab: Lab) -> None:
    """A failure of the writer's side tells the server, which then holds nothing."""

    def write() -> None:
        with lab.store().put_stream(KEY) as writer:
            writer.write(DATA)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert lab.drive.sessions == {}
    assert lab.visible() == []


def test_an_interruption_does_not_wait_for_a_stalled_server(lab: Lab) -> None:
    """Leaving while a piece is on its way breaks it off at once, long before its timeout."""

    def write() -> None:
        with lab.store(timeout_s=300).put_stream(KEY) as writer:
            writer.write(DATA[: PIECE + 1])
            assert lab.fake.stalled.wait(30)
            raise KeyboardInterrupt

    lab.fake.fail("chunk", "stall")
    with pytest.raises(KeyboardInterrupt):
        write()
    assert lab.visible() == []


def test_a_file_that_appears_during_an_upload_stops_it_before_its_end(lab: Lab) -> None:
    """The name is looked up again before the last byte, so that nothing needs to be taken back."""
    store = lab.store()
    writing = store.put_stream(KEY)
    writing.__enter__().write(DATA)
    lab.drive.make_file(KEY, b"theirs", lab.folder, owner=ANN_OTHER)
    with pytest.raises(ConflictError) as caught:
        writing.__exit__(None, None, None)
    assert caught.value.exit_code == 8
    assert lab.fake.requests("final") == []
    assert lab.visible() == [KEY]


ANN_OTHER = "bob@example.com"


def test_of_two_files_completed_at_once_the_later_one_goes(lab: Lab) -> None:
    """A file that was made a moment before ours stays, and ours is taken back."""
    lab.fake.before("final", lambda: lab.drive.make_file(KEY, b"theirs", lab.folder))
    with pytest.raises(ConflictError):
        lab.put(lab.store(), DATA)
    assert lab.visible() == [KEY]
    with lab.store().open(KEY) as stream:
        assert stream.read() == b"theirs"


def test_of_two_files_completed_at_once_the_earlier_one_stays(lab: Lab) -> None:
    """A file that is made a moment after ours is the loser; ours stays."""

    def later() -> None:
        lab.fake.before("list", lambda: lab.drive.make_file(KEY, b"theirs", lab.folder))

    lab.fake.before("final", later)
    lab.put(lab.store(), DATA)
    sizes = sorted(item.revisions[0].size for item in lab.drive.items.values() if item.revisions)
    assert sizes == [6, len(DATA)]


def test_overwrite_of_a_free_name_replaces_what_came_first(lab: Lab) -> None:
    """With overwrite, a file made during the upload is replaced, as if it had been there."""
    lab.fake.before(
        "final", lambda: lab.drive.make_file(KEY, b"theirs", lab.folder, owner="ann@example.com")
    )
    store = lab.store()
    lab.put(store, DATA, overwrite=True)
    assert lab.visible() == [KEY]
    with store.open(KEY) as stream:
        assert stream.read() == DATA


def test_overwrite_keeps_the_id(lab: Lab) -> None:
    """A replaced file keeps its id, and so every link to it."""
    store = lab.store()
    lab.put(store, b"old")
    before = store.stat(KEY).version.partition("/")[0]
    lab.put(store, DATA, overwrite=True)
    assert store.stat(KEY).version.partition("/")[0] == before


def test_a_failed_overwrite_keeps_the_old_content(lab: Lab) -> None:
    """A replacement that fails at its last byte leaves the old content."""
    store = lab.store()
    lab.put(store, b"old")
    lab.fake.fail("final", "status", times=99)
    with pytest.raises(StorageError):
        lab.put(store, DATA, overwrite=True)
    with store.open(KEY) as stream:
        assert stream.read() == b"old"


def test_a_size_that_drive_does_not_take_is_refused_at_once(lab: Lab) -> None:
    """An estimate beyond Drive's limit is refused before the first request."""
    with (
        pytest.raises(StorageError, match="at most 5000000000000"),
        lab.store().put_stream(KEY, size_hint=6 * 10**12),
    ):
        pass
    assert lab.fake.log == []


def test_no_address_of_an_upload_is_ever_shown(lab: Lab) -> None:
    """The session's address, which lets anyone write, stands in no message and no cause."""
    lab.fake.fail("chunk", "status", times=99)
    with pytest.raises(StorageError) as caught:
        lab.put(lab.store(), DATA)
    error: BaseException | None = caught.value
    while error is not None:
        assert "session/" not in f"{error!r} {error}"
        error = error.__cause__ or error.__context__
