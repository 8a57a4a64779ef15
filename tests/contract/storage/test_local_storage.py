"""What only files can go wrong with: killed writers, full disks, odd targets, durability."""

from __future__ import annotations

import errno
import os
import re
import resource
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbsync.errors import ConflictError, StorageError
from dbsync.storage import publish
from dbsync.storage.local import LocalStorage

KEY = "shop.dbsync.tar"

WRITER = """
import sys
from pathlib import Path
from dbsync.storage.local import LocalStorage
with LocalStorage(Path(sys.argv[1])).put_stream(sys.argv[2]) as writer:
    writer.write(b"x" * 3_000_000)
    print("written", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path)


@pytest.fixture
def killed_writer(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process in the middle of writing `KEY`."""
    command = [sys.executable, "-c", WRITER, str(tmp_path), KEY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        yield process
        process.kill()


def put(store: LocalStorage, key: str, data: bytes, *, overwrite: bool = False) -> None:
    with store.put_stream(key, overwrite=overwrite) as writer:
        writer.write(data)


def failing_put(store: LocalStorage, key: str, data: bytes = b"x") -> StorageError:
    with pytest.raises(StorageError) as caught:
        put(store, key, data)
    return caught.value


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_killed_writer_leaves_nothing_visible(
    store: LocalStorage, tmp_path: Path, killed_writer: subprocess.Popen[bytes]
) -> None:
    """After kill -9 there is no object, no name like an archive, and the next write cleans up."""
    killed_writer.kill()
    killed_writer.wait()
    assert list(store.list()) == []
    assert not (tmp_path / KEY).exists()
    (left,) = files(tmp_path)
    assert left.startswith(".")
    assert not left.endswith(".dbsync.tar")
    put(store, "another", b"x")
    assert left in files(tmp_path)
    put(store, KEY, b"whole")
    assert files(tmp_path) == ["another", KEY]


def test_the_file_of_a_living_writer_is_left_alone(
    store: LocalStorage, tmp_path: Path, killed_writer: subprocess.Popen[bytes]
) -> None:
    """Cleaning up after one write never touches another writer that is still at work."""
    put(store, KEY, b"mine")
    assert len(files(tmp_path)) == 2
    assert killed_writer.stdin is not None
    killed_writer.stdin.close()
    assert killed_writer.wait(60) == 1
    assert files(tmp_path) == [KEY]
    assert (tmp_path / KEY).read_bytes() == b"mine"


def test_files_of_other_machines_are_left_alone(store: LocalStorage, tmp_path: Path) -> None:
    """A hidden file that was made elsewhere is kept, whether it looks locked or not."""
    with store.put_stream(KEY):
        (name,) = files(tmp_path)
    stem, _, rest = name.removeprefix(".dbsync-").partition("-")
    foreign = tmp_path / f".dbsync-{stem}-00000000-11111111-{rest.split('-', 2)[2]}"
    foreign.write_bytes(b"theirs")
    put(store, KEY, b"x", overwrite=True)
    assert foreign.read_bytes() == b"theirs"


def test_a_writer_whose_hidden_file_was_taken_starts_another(
    store: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clean-up that comes between creating and locking the file costs the writer nothing."""
    lock, removed = publish.fcntl.flock, []

    def lock_too_late(file: int, operation: int) -> None:
        if not removed:
            removed.append(files(tmp_path)[0])
            (tmp_path / removed[0]).unlink()
        lock(file, operation)

    monkeypatch.setattr(publish.fcntl, "flock", lock_too_late)
    put(store, KEY, b"whole")
    assert removed
    assert files(tmp_path) == [KEY]
    assert (tmp_path / KEY).read_bytes() == b"whole"


def test_file_and_folder_reach_the_disk_in_order(
    store: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is forced to the disk before it gets its name, and the folder after that."""
    calls: list[tuple[str, bool, int]] = []
    fsync = os.fsync

    def counting(file: int) -> None:
        status = os.fstat(file)
        kind = "folder" if stat.S_ISDIR(status.st_mode) else "file"
        calls.append((kind, (tmp_path / KEY).exists(), status.st_size))
        fsync(file)

    monkeypatch.setattr(os, "fsync", counting)
    put(store, KEY, b"x" * 100)
    assert [call[:2] for call in calls] == [("file", False), ("folder", True)]
    assert calls[0][2] == 100


def test_an_error_of_fsync_is_not_swallowed(
    store: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk reports an error at the last moment, the file does not appear."""

    def failing(_file: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    assert "input/output error" in str(failing_put(store, KEY))
    assert files(tmp_path) == []


def test_files_are_for_their_owner_only(store: LocalStorage, tmp_path: Path) -> None:
    """What is stored may be a whole database: no one else may read it, and the umask counts."""
    put(store, KEY, b"x")
    assert stat.S_IMODE((tmp_path / KEY).stat().st_mode) == 0o600
    (tmp_path / KEY).chmod(0o644)
    old = os.umask(0o277)
    try:
        put(store, KEY, b"x", overwrite=True)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / KEY).stat().st_mode) == 0o400


@pytest.mark.parametrize("reason", [errno.EPERM, errno.EOPNOTSUPP, errno.EXDEV])
def test_without_hard_links_publishing_still_refuses_to_overwrite(
    store: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    """Where the file system has no hard links, the name is reserved first: same promises."""

    def no_links(*_arguments: object, **_options: object) -> None:
        raise OSError(reason, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    put(store, KEY, b"one")
    assert (tmp_path / KEY).read_bytes() == b"one"
    late = store.put_stream("late")  # kept: a context that is dropped counts as aborted
    late.__enter__().write(b"second")
    (tmp_path / "late").write_bytes(b"first")
    with pytest.raises(ConflictError):
        late.__exit__(None, None, None)
    assert (tmp_path / "late").read_bytes() == b"first"
    assert files(tmp_path) == ["late", KEY]


def test_a_repeated_link_call_counts_as_done(
    store: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over NFS a link may succeed and answer that it exists: it is ours if it is the same file."""
    link = os.link

    def answer_lost(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", answer_lost)
    put(store, KEY, b"x")
    assert files(tmp_path) == [KEY]


def test_dev_full(tmp_path: Path) -> None:
    """A full disk is a storage error with cause and next step; /dev/full itself stays."""
    error = failing_put(LocalStorage(Path("/dev")), "full", b"x" * 3_000_000)
    assert "/dev/full: the disk is full" in str(error)
    assert error.exit_code == 5
    assert error.hint
    assert "disk is full" in str(failing_put(LocalStorage(Path("/dev")), "full", b"small"))
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)
    link = tmp_path / "link"
    link.symlink_to("/dev/full")
    failing_put(LocalStorage(tmp_path), "link")
    assert link.is_symlink()


def test_a_device_is_written_in_place() -> None:
    """A device is no existing archive: it takes the bytes, unless it is a whole disk."""
    put(LocalStorage(Path("/dev")), "null", b"x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_file_size_limit(store: LocalStorage, tmp_path: Path) -> None:
    """A limit on the size of files is reported as such, and nothing is left."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        error = failing_put(store, KEY, b"x" * 1_000_001)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "size limit" in str(error)
    assert error.hint
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "read-only"),
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.ENAMETOOLONG, "too long"),
    ],
)
def test_a_folder_that_takes_no_files(
    store: LocalStorage, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    """What keeps a file from being created is named, with the folder and a next step."""

    def refuse(*_arguments: object, **_options: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(publish, "_create", refuse)
    error = failing_put(store, KEY)
    assert words in str(error)
    assert str(store.root) in str(error)
    assert error.hint
    assert isinstance(error.__cause__, OSError)


def test_a_missing_folder_is_named_and_not_made(tmp_path: Path) -> None:
    """A mistyped folder is an error, in writing and in listing, and does not come into being."""
    store = LocalStorage(tmp_path / "typo")
    error = failing_put(store, KEY)
    assert str(tmp_path / "typo") in str(error)
    assert error.hint
    with pytest.raises(StorageError, match="typo"):
        list(store.list())
    assert files(tmp_path) == []


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    """A file where a folder is meant is said to be one."""
    (tmp_path / "file").write_bytes(b"x")
    for store, key in [(LocalStorage(tmp_path / "file"), KEY), (LocalStorage(tmp_path), "file/a")]:
        assert "is a file, not a folder" in str(failing_put(store, key))
        with pytest.raises(StorageError, match="not a folder"):
            store.open(key)
    with pytest.raises(StorageError, match="not a folder"):
        list(LocalStorage(tmp_path / "file").list())


def test_a_folder_in_the_place_of_a_file(store: LocalStorage, tmp_path: Path) -> None:
    """A folder is neither written, read, described nor deleted as a file, even with overwrite."""
    (tmp_path / KEY).mkdir()
    with pytest.raises(StorageError, match="is a folder") as caught:
        put(store, KEY, b"x", overwrite=True)
    assert "end the location with /" in (caught.value.hint or "")
    for call in (store.open, store.stat):
        with pytest.raises(StorageError, match="is a folder"):
            call(KEY)
    with pytest.raises(StorageError, match="regular file"):
        store.delete(KEY)
    assert (tmp_path / KEY).is_dir()


def test_a_circle_of_links(store: LocalStorage, tmp_path: Path) -> None:
    """Links that lead nowhere are errors that name the file, not tracebacks."""
    (tmp_path / KEY).symlink_to(KEY)
    assert "circle" in str(failing_put(store, KEY))
    with pytest.raises(StorageError, match=re.escape(str(tmp_path / KEY))):
        store.open(KEY)


def test_a_dangling_link_counts_as_existing(store: LocalStorage, tmp_path: Path) -> None:
    """A link to nothing is not written through, and overwrite replaces the link itself."""
    (tmp_path / KEY).symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConflictError):
        put(store, KEY, b"x")
    put(store, KEY, b"x", overwrite=True)
    assert files(tmp_path) == [KEY]
    assert not (tmp_path / KEY).is_symlink()


def test_a_named_pipe_is_a_stream(store: LocalStorage, tmp_path: Path) -> None:
    """A named pipe is written and read in place, once, and refuses ranges."""
    os.mkfifo(tmp_path / "pipe")
    data = os.urandom(3_000_000)
    writing = threading.Thread(target=put, args=(store, "pipe", data), daemon=True)
    writing.start()
    with store.open("pipe") as reader:
        assert reader.read() == data
    writing.join(60)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert list(store.list()) == []
    with pytest.raises(StorageError, match="stream"):
        store.stat("pipe")
    # A reader that never blocks keeps the open below from waiting for a writer.
    keep = os.open(tmp_path / "pipe", os.O_RDWR)
    try:
        with pytest.raises(StorageError, match="stream"):
            store.open("pipe", offset=1, length=1)
    finally:
        os.close(keep)


def test_a_reader_of_a_named_pipe_that_goes(store: LocalStorage, tmp_path: Path) -> None:
    """When the reader of a pipe goes away, the writer is told so."""
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    context = store.put_stream("pipe")
    writer = context.__enter__()
    os.close(reader)
    with pytest.raises(StorageError, match="reader") as caught:
        writer.write(b"x" * 3_000_000)
    assert context.__exit__(StorageError, caught.value, None) is not True
    assert not caught.value.retryable


def test_a_descriptor_path_is_never_replaced(tmp_path: Path) -> None:
    """/dev/fd/N that leads to a regular file is appended to, as the shell opened it."""
    target = tmp_path / "target"
    target.write_bytes(b"before ")
    with target.open("ab") as file:
        put(LocalStorage(Path("/dev/fd")), str(file.fileno()), b"after", overwrite=True)
    assert target.read_bytes() == b"before after"
    assert files(tmp_path) == ["target"]


def test_a_version_changes_with_content_of_the_same_size(
    store: LocalStorage, tmp_path: Path
) -> None:
    """A file that is changed in place, keeping its size, is another version."""
    put(store, KEY, b"aaaa")
    version = store.stat(KEY).version
    os.utime(tmp_path / KEY, ns=(0, 12345))
    with pytest.raises(StorageError, match="changed"):
        store.open(KEY, version=version)


def test_no_descriptor_stays_open(store: LocalStorage, tmp_path: Path) -> None:
    """Whatever went wrong, every file is closed again."""
    put(store, KEY, b"x")
    (tmp_path / "folder").mkdir()

    def refused() -> None:
        for key in (KEY, "folder"):
            with pytest.raises((StorageError, ConflictError)):
                put(store, key, b"x")
        for options in ({"version": "other"}, {"key": "folder"}, {"key": "missing"}):
            with pytest.raises(StorageError):
                store.open(**{"key": KEY, **options})
        with pytest.raises(ZeroDivisionError), store.put_stream("new") as writer:
            writer.write(b"%d" % (1 // 0))
        store.open(KEY).close()

    refused()
    before = open_descriptors()
    for _ in range(5):
        refused()
    assert open_descriptors() == before


def test_an_interrupted_writer_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a write removes the hidden file too."""
    command = [sys.executable, "-c", WRITER, str(tmp_path), KEY]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) != 0
    assert files(tmp_path) == []


@pytest.mark.parametrize("refused", [False, True])
def test_a_large_file_goes_to_the_disk_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    """The system is told of every byte but the last few, and again while it may still have to
    write them, but never to look through the whole file; its refusal changes nothing."""
    told: list[tuple[int, int]] = []

    def advise(_file: int, start: int, count: int, _advice: int) -> None:
        told.append((start >> 20, start + count >> 20))
        if refused:
            raise OSError(errno.ESPIPE, "told to")

    monkeypatch.setattr(os, "posix_fadvise", advise)
    monkeypatch.setattr(publish, "_WRITEBACK_REACH", 12 << 20)
    with publish.publish_file(tmp_path / "a", overwrite=False) as writer:
        for _ in range(11):
            writer.write(b"x" * (3 << 20))
    assert told == [(0, 9), (6, 18), (15, 27)]
    assert (tmp_path / "a").stat().st_size == 33 << 20
