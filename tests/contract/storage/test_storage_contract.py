"""What every store must do, run on each of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from dbsync.errors import ConflictError, StorageError, UsageError
from dbsync.storage.base import Storage
from tests.contract.storage.faults import FailingStorage

KEY = "shop.dbsync.tar"


def put(store: Storage, key: str, data: bytes, *, overwrite: bool = False) -> None:
    with store.put_stream(key, overwrite=overwrite) as writer:
        writer.write(data)


def get(store: Storage, key: str, **options: object) -> bytes:
    with store.open(key, **options) as stream:  # type: ignore[arg-type]
        return stream.read()


def keys(store: Storage, prefix: str = "", **options: bool) -> list[str]:
    return [info.key for info in store.list(prefix, **options)]


def assert_absent(store: Storage, key: str) -> None:
    assert keys(store) == []
    with pytest.raises(StorageError):
        store.stat(key)
    with pytest.raises(StorageError):
        store.open(key)


def test_an_object_is_visible_only_after_the_context_ends(store: Storage) -> None:
    """Nobody sees an object that is still being written."""
    with store.put_stream(KEY) as writer:
        writer.write(b"half")
        assert_absent(store, KEY)
        writer.write(b" and half")
        assert_absent(store, KEY)
    assert keys(store) == [KEY]
    assert get(store, KEY) == b"half and half"


@pytest.mark.parametrize("error", [ValueError("bug"), KeyboardInterrupt(), GeneratorExit()])
def test_an_exception_leaves_nothing(store: Storage, error: BaseException) -> None:
    """A writer that leaves by any exception, an interruption too, has written nothing."""

    def write() -> None:
        with store.put_stream(KEY) as writer:
            writer.write(b"x" * 3_000_000)
            raise error

    with pytest.raises(type(error)):
        write()
    assert_absent(store, KEY)
    put(store, KEY, b"second try")
    assert get(store, KEY) == b"second try"


@pytest.mark.parametrize("fail_at", [0, 1, 1 << 20, (2 << 20) - 1, None])
def test_a_failing_store_leaves_nothing(store: Storage, fail_at: int | None) -> None:
    """Whatever byte a store fails at, the first and the last too, nothing is visible."""
    failing = FailingStorage(store, fail_at=fail_at)
    with pytest.raises(StorageError, match="the test makes"):
        put(failing, KEY, b"x" * (2 << 20))
    assert_absent(store, KEY)


def test_a_failed_overwrite_leaves_the_old_object(store: Storage) -> None:
    """A failure while an object is replaced leaves the old one whole."""
    put(store, KEY, b"old")
    with pytest.raises(StorageError):
        put(FailingStorage(store, fail_at=2), KEY, b"new", overwrite=True)
    assert keys(store) == [KEY]
    assert get(store, KEY) == b"old"


def test_an_existing_key_is_refused_before_the_first_byte(store: Storage) -> None:
    """Without overwrite the context is not even entered, and exit code and hint are right."""
    put(store, KEY, b"old")
    with pytest.raises(ConflictError) as caught:
        store.put_stream(KEY).__enter__()
    assert caught.value.exit_code == 8
    assert "--overwrite-archive" in (caught.value.hint or "")
    assert get(store, KEY) == b"old"


def test_of_two_writers_the_second_loses(store: Storage) -> None:
    """Two writers that start on a free key: the first to finish is intact, the other refused."""
    first, second = store.put_stream(KEY), store.put_stream(KEY)
    late = second.__enter__()
    early = first.__enter__()
    early.write(b"first")
    late.write(b"second")
    first.__exit__(None, None, None)
    with pytest.raises(ConflictError):
        second.__exit__(None, None, None)
    assert get(store, KEY) == b"first"
    assert keys(store) == [KEY]


def test_overwrite_replaces_and_a_running_reader_keeps_the_old(store: Storage) -> None:
    """Overwrite replaces the whole object, and whoever reads the old one is not disturbed."""
    put(store, KEY, b"old and long")
    with store.open(KEY) as reader:
        assert reader.read(3) == b"old"
        put(store, KEY, b"new", overwrite=True)
        assert get(store, KEY) == b"new"
        assert reader.read() == b" and long"
    assert keys(store) == [KEY]


def test_overwrite_of_a_free_key_creates(store: Storage) -> None:
    """Overwrite does not need anything to be there."""
    put(store, KEY, b"new", overwrite=True)
    assert get(store, KEY) == b"new"


def test_a_writer_is_dead_after_its_context(store: Storage) -> None:
    """A writer that is used too late raises instead of writing anywhere."""
    with store.put_stream(KEY) as writer:
        writer.write(b"whole")
    with pytest.raises(ValueError, match="closed"):
        writer.write(b"more")
    assert get(store, KEY) == b"whole"


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, None, b"0123456789"),
        (3, None, b"3456789"),
        (3, 4, b"3456"),
        (0, 0, b""),
        (9, 1, b"9"),
        (8, 100, b"89"),
        (10, None, b""),
        (10, 5, b""),
        (1000, None, b""),
        (1000, 5, b""),
    ],
)
def test_ranges(store: Storage, offset: int, length: int | None, expected: bytes) -> None:
    """A range gives its bytes, and beyond the end what there is."""
    put(store, KEY, b"0123456789")
    assert get(store, KEY, offset=offset, length=length) == expected


def test_a_range_is_read_in_pieces_and_positions_within_it(store: Storage) -> None:
    """A stream over a range reads on from where it is, and stops at the end of the range."""
    put(store, KEY, b"0123456789")
    with store.open(KEY, offset=2, length=5) as stream:
        assert [stream.read(2), stream.read(2), stream.read(2), stream.read(2)] == [
            b"23",
            b"45",
            b"6",
            b"",
        ]
        buffer = bytearray(3)
        if stream.seekable():
            stream.seek(-3, 2)
            assert stream.tell() == 2
            assert stream.readinto(buffer) == 3  # type: ignore[attr-defined]
            assert buffer == b"456"
    with store.open(KEY, offset=8, length=100) as stream:
        if stream.seekable():
            assert stream.seek(0, 2) == 2


def test_a_pinned_version_reads_until_the_object_changes(store: Storage) -> None:
    """With a version, the same object is read or none: never a mixture of old and new."""
    put(store, KEY, b"aaaa")
    version = store.stat(KEY).version
    assert get(store, KEY, offset=1, length=2, version=version) == b"aa"
    put(store, KEY, b"bbbb", overwrite=True)
    assert store.stat(KEY).version != version
    with pytest.raises(StorageError, match="changed"):
        store.open(KEY, version=version)
    assert get(store, KEY, version=store.stat(KEY).version) == b"bbbb"


def test_stat_tells_size_and_time(store: Storage) -> None:
    """Size, key and an aware time of the last change are described without reading."""
    put(store, "a/b", b"12345")
    info = store.stat("a/b")
    assert (info.key, info.size) == ("a/b", 5)
    assert abs(datetime.now(UTC) - info.modified) < timedelta(minutes=5)
    assert list(store.list()) == [info]


def test_list_is_ordered_by_key_and_filtered_by_prefix(store: Storage) -> None:
    """Keys come in the order of their characters, across folders, and only under the prefix."""
    names = ["b", "a/b", "a-b", "a/c/d", "ab", "a.b", "a0", "a/c.e", "B", "ä", "z"]
    for name in names:
        put(store, name, b"")
    assert keys(store) == sorted(names)
    assert keys(store, "a") == sorted(name for name in names if name.startswith("a"))
    assert keys(store, "a/") == ["a/b", "a/c.e", "a/c/d"]
    assert keys(store, "a/c") == ["a/c.e", "a/c/d"]
    assert keys(store, "a/c/") == ["a/c/d"]
    assert keys(store, "a/c/d") == ["a/c/d"]
    assert keys(store, "nothing/here/") == []
    assert keys(store, "q") == []


def test_list_without_recursion_stays_at_one_level(store: Storage) -> None:
    """Without recursion, keys with a slash after the prefix are left out."""
    for name in ["a/b", "a/c/d", "ab", "b/e", "c"]:
        put(store, name, b"")
    assert keys(store, recursive=False) == ["ab", "c"]
    assert keys(store, "a", recursive=False) == ["ab"]
    assert keys(store, "a/", recursive=False) == ["a/b"]
    assert keys(store, "a/c/", recursive=False) == ["a/c/d"]


def test_delete_twice_is_no_error(store: Storage) -> None:
    """Deleting removes the object; doing it again, or where nothing was, is fine."""
    put(store, KEY, b"x")
    put(store, "other", b"y")
    store.delete(KEY)
    store.delete(KEY)
    store.delete("never/was")
    assert keys(store) == ["other"]
    put(store, KEY, b"again")
    assert get(store, KEY) == b"again"


def test_a_missing_object_is_a_storage_error(store: Storage) -> None:
    """Reading or describing what is not there names the key and has exit code 5."""
    for call in (store.open, store.stat):
        with pytest.raises(StorageError, match="missing") as caught:
            call("folder/missing")
        assert caught.value.exit_code == 5


def test_concurrent_ranged_reads(store: Storage) -> None:
    """Ranges read by several threads at once are all right."""
    data = bytes(range(256)) * 4096
    put(store, KEY, data)
    version = store.stat(KEY).version
    ranges = [(start, 40_000) for start in range(0, len(data), 33_333)]

    def read(bounds: tuple[int, int]) -> bool:
        start, length = bounds
        found = get(store, KEY, offset=start, length=length, version=version)
        return found == data[start : start + length]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, ranges * 4))


def test_an_empty_object(store: Storage) -> None:
    """An object may be empty, and is then there all the same."""
    with store.put_stream(KEY):
        pass
    assert store.stat(KEY).size == 0
    assert get(store, KEY) == b""
    assert keys(store) == [KEY]


def test_a_large_object_in_small_and_odd_writes(store: Storage) -> None:
    """Many writes around the size of any buffer arrive complete and in order."""
    pieces = [bytes([number % 256]) * (number * 37 % 5000) for number in range(2500)]
    pieces += [b"y" * (1 << 20), b"z" * ((1 << 20) + 1), b"!" * (3 << 20), b""]
    with store.put_stream(KEY, size_hint=1) as writer:
        assert [writer.write(piece) for piece in pieces] == [len(piece) for piece in pieces]
    assert get(store, KEY) == b"".join(pieces)
    assert store.stat(KEY).size == sum(map(len, pieces))


@pytest.mark.parametrize(
    "key",
    [
        "with space and 'quotes'\"",
        "größe/日本語/🦆.dbsync.tar",
        "%41+&?#=;:@$",
        "back\\slash\ttab\nline",
        ".hidden",
        "-",
        "~",
        "a" * 255,
        "x" * 200 + "/" + "ü" * 127,
    ],
)
def test_unusual_keys(store: Storage, key: str) -> None:
    """Any Unicode text between slashes is a key, up to the longest name a file may have."""
    put(store, key, b"x")
    assert keys(store) == [key]
    assert get(store, key) == b"x"
    store.delete(key)
    assert keys(store) == []


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a/.", "a\0b"])
def test_keys_that_could_leave_the_store_are_refused(store: Storage, key: str) -> None:
    """A key that is empty, absolute, relative or ambiguous is refused by every call."""
    with pytest.raises(UsageError):
        put(store, key, b"x")
    for call in (store.open, store.stat, store.delete):
        with pytest.raises(UsageError):
            call(key)
    assert keys(store) == []


def test_any_buffer_can_be_written(store: Storage) -> None:
    """Bytes, bytearrays, memoryviews of wider items and Arrow buffers are taken as they are."""
    array = pa.array([1, 2, 3], pa.int64())
    values = array.buffers()[1]
    assert values is not None
    wide = memoryview(bytearray(b"abcdefgh")).cast("I")
    with store.put_stream(KEY) as writer:
        for data in (b"12", bytearray(b"34"), memoryview(b"x56x")[1:3], wide, values):
            assert writer.write(data) == memoryview(data).nbytes  # type: ignore[arg-type]
    assert get(store, KEY) == b"123456abcdefgh" + values.to_pybytes()


def test_many_keys_at_once(store: Storage) -> None:
    """Writers of different keys do not disturb one another."""

    def write(number: int) -> None:
        put(store, f"chunk/{number:03d}", b"%d" % number * 1000)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(64)))
    assert keys(store, "chunk/") == [f"chunk/{number:03d}" for number in range(64)]
    assert all(get(store, f"chunk/{number:03d}") == b"%d" % number * 1000 for number in (0, 7, 63))


def test_of_many_writers_at_once_exactly_one_wins(store: Storage) -> None:
    """Sixteen writers race for one key: one object is whole, the other fifteen are refused."""

    def write(number: int) -> bool:
        try:
            put(store, KEY, b"%02d" % number * 50_000)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(write, range(16)))
    assert won.count(True) == 1
    assert get(store, KEY) == b"%02d" % won.index(True) * 50_000
    assert keys(store) == [KEY]
