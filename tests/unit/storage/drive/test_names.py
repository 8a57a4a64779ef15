"""Names that repeat, ids in place of names, folders, shared drives, and what is no object."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dbsync.errors import ConflictError, StorageError, UsageError
from dbsync.storage.drive import DriveStorage
from dbsync.storage.drive.folders import FOLDER
from tests.fakes.drive import MANAGE, READ, WRITE
from tests.unit.storage.drive.conftest import ANN, KEY, Lab

ROBOT = "backup@project.example.com"


def get(store: DriveStorage, key: str = KEY) -> bytes:
    with store.open(key) as stream:
        return stream.read()


def keys(store: DriveStorage, prefix: str = "") -> list[str]:
    return [info.key for info in store.list(prefix)]


def test_names_that_repeat_are_refused_with_their_ids(lab: Lab) -> None:
    """Reading, describing, deleting and replacing such a name lists how to name each file."""
    one = lab.drive.make_file(KEY, b"one", lab.folder, owner=ANN)
    two = lab.drive.make_file(KEY, b"two", lab.folder, owner=ANN)
    store = lab.store()
    calls: list[Callable[[], object]] = [
        lambda: get(store),
        lambda: store.stat(KEY),
        lambda: store.delete(KEY),
        lambda: lab.put(store, b"new", overwrite=True),
    ]
    for call in calls:
        with pytest.raises(StorageError, match="2 files have this name") as caught:
            call()
        for file in (one, two):
            assert f"gdrive://{lab.folder}/id:{file} " in (caught.value.hint or "")
    assert keys(store) == [KEY, KEY]
    with pytest.raises(ConflictError, match="already exists"):
        lab.put(store, b"new")
    assert lab.visible() == [KEY, KEY]


def test_an_id_names_one_of_them(lab: Lab) -> None:
    """id:FILEID reads, describes, replaces and deletes exactly that file."""
    one = lab.drive.make_file(KEY, b"one", lab.folder, owner=ANN)
    two = lab.drive.make_file(KEY, b"two", lab.folder, owner=ANN)
    store = lab.store()
    assert get(store, f"id:{one}") == b"one"
    assert get(store, f"id:{two}") == b"two"
    assert store.stat(f"id:{two}").size == 3
    with pytest.raises(ConflictError):
        lab.put(store, b"new", f"id:{two}")
    lab.put(store, b"replaced", f"id:{two}", overwrite=True)
    store.delete(f"id:{one}")
    assert get(store) == b"replaced"
    assert store.stat(KEY).version.startswith(f"{two}/")


def test_an_id_of_another_place_is_not_found(lab: Lab) -> None:
    """The id of a file outside the folder is refused, and a new file cannot be given an id."""
    other = lab.drive.make_folder("other", owner=ANN)
    outside = lab.drive.make_file(KEY, b"x", other, owner=ANN)
    store = lab.store()
    for name in (f"id:{outside}", "id:nothing"):
        with pytest.raises(StorageError, match="there is no such file"):
            get(store, name)
        with pytest.raises(UsageError, match="no file of this id"):
            lab.put(store, b"x", name)
        store.delete(name)
    assert lab.visible() == [KEY]


def test_names_differ_by_case(lab: Lab) -> None:
    """Drive finds names whatever their case; a key is exact."""
    lab.drive.make_file(KEY.upper(), b"upper", lab.folder, owner=ANN)
    store = lab.store()
    lab.put(store, b"lower")
    assert get(store) == b"lower"
    assert get(store, KEY.upper()) == b"upper"


def test_what_is_no_file_is_no_object(lab: Lab) -> None:
    """Documents of Google's own, shortcuts, the bin and names that no key can hold are left out."""
    for mime in ("document", "shortcut"):
        kind = f"application/vnd.google-apps.{mime}"
        lab.drive.make_file(KEY, None, lab.folder, owner=ANN, mime=kind)
    binned = lab.drive.make_file(KEY, b"x", lab.folder, owner=ANN)
    lab.drive.items[binned].trashed = True
    for name in ("a/b", ".."):
        lab.drive.make_file(name, b"x", lab.folder, owner=ANN)
    store = lab.store()
    assert keys(store) == []
    lab.put(store, b"new")
    assert get(store) == b"new"


def test_a_listing_of_many_pages_is_whole(lab: Lab) -> None:
    """However few files Drive gives at a time, all are listed and found."""
    lab.drive.page_limit = 2
    for number in range(7):
        lab.drive.make_file(f"{number}.dbsync.tar", b"x", lab.folder, owner=ANN)
    store = lab.store()
    assert keys(store) == [f"{number}.dbsync.tar" for number in range(7)]
    assert get(store, "6.dbsync.tar") == b"x"


def test_folders_of_one_name_are_one_folder(lab: Lab) -> None:
    """A path leads into every folder of that name, and new files go into the first one made."""
    first = lab.drive.make_folder("daily", owner=ANN, parent=lab.folder)
    second = lab.drive.make_folder("daily", owner=ANN, parent=lab.folder)
    lab.drive.make_file("a", b"a", second, owner=ANN)
    store = lab.store()
    lab.put(store, b"b", "daily/b")
    assert keys(store, "daily/") == ["daily/a", "daily/b"]
    assert get(store, "daily/a") == b"a"
    assert [i.parents for i in lab.drive.items.values() if i.name == "b"] == [[first]]


def test_root_is_my_drive(lab: Lab) -> None:
    """gdrive://root/ is a user's My Drive."""
    store = lab.store(folder="root")
    lab.put(store, b"x")
    assert keys(store) == [KEY]
    assert get(store) == b"x"


def robot(lab: Lab, folder: str | None = None) -> DriveStorage:
    lab.drive.limits[ROBOT] = 0
    path = lab.fake.accounts.service_account(lab.path / "key.json", ROBOT)
    return lab.store(folder=folder, credentials=path)


@pytest.mark.parametrize("below", [False, True])
def test_a_service_account_in_a_shared_drive(lab: Lab, below: bool) -> None:
    """A service account, which owns no storage, writes, reads and lists in a shared drive."""
    shared = lab.drive.make_shared_drive("Backups", {ROBOT: MANAGE})
    folder = lab.drive.make_folder("nightly", parent=shared) if below else shared
    store = robot(lab, folder)
    lab.put(store, b"x", "a/b")
    lab.put(store, b"old")
    lab.put(store, b"new", overwrite=True)
    assert keys(store) == ["a/b", KEY]
    assert get(store) == b"new"
    assert get(store, "a/b") == b"x"
    store.delete(KEY)
    store.delete(KEY)
    assert keys(store) == ["a/b"]


def test_who_may_not_delete_uses_the_bin(lab: Lab) -> None:
    """An editor of a shared drive may not delete for good: the file goes into the bin."""
    shared = lab.drive.make_shared_drive("Backups", {ROBOT: WRITE})
    store = robot(lab, shared)
    lab.put(store, b"x")
    store.delete(KEY)
    assert keys(store) == []
    assert [item.trashed for item in lab.drive.items.values() if item.revisions] == [True]


def test_a_service_account_in_a_folder_of_my_drive_is_told_why(lab: Lab) -> None:
    """The usual mistake, a service account without storage, is explained with both ways out."""
    lab.drive.items[lab.folder].rights[ROBOT] = WRITE
    with pytest.raises(StorageError, match="no storage left") as caught:
        lab.put(robot(lab), b"x")
    assert caught.value.exit_code == 5
    assert ROBOT in caught.value.message
    assert "service accounts own no storage" in (caught.value.hint or "")
    assert "shared drive" in (caught.value.hint or "")
    assert "dbsync auth drive" in (caught.value.hint or "")


def test_a_full_account_is_told_to_make_room(lab: Lab) -> None:
    """A person whose storage is used up is told so, and nothing is left."""
    lab.drive.limits[ANN] = 1000
    with pytest.raises(StorageError, match=r"no storage left for ann@example\.com") as caught:
        lab.put(lab.store(), b"x" * 2000)
    assert "prune" in (caught.value.hint or "")
    assert lab.visible() == []


def test_a_folder_that_is_not_shared_names_the_account(lab: Lab) -> None:
    """An unknown folder and one that is not shared look alike; the message says with whom."""
    for folder in (lab.folder, "no-such-folder"):
        store = robot(lab, folder)
        calls: list[Callable[[], object]] = [
            lambda store=store: keys(store),
            lambda store=store: get(store),
            lambda store=store: lab.put(store, b"x"),
        ]
        for call in calls:
            with pytest.raises(StorageError, match="was not found") as caught:
                call()
            assert folder in caught.value.message
            assert ROBOT in caught.value.message
            assert "share the folder" in (caught.value.hint or "")


def test_a_reader_may_not_write_or_delete(lab: Lab) -> None:
    """Without the right to write, the message names the role to give."""
    lab.drive.items[lab.folder].rights[ROBOT] = READ
    lab.drive.make_file(KEY, b"x", lab.folder, owner=ANN)
    store = robot(lab)
    assert get(store) == b"x"
    for call in (lambda: lab.put(store, b"y", "new"), lambda: store.delete(KEY)):
        with pytest.raises(StorageError, match="no right to do so") as caught:
            call()
        assert ROBOT in caught.value.message
        assert "role of an editor" in (caught.value.hint or "")
    assert keys(store) == [KEY]


def test_a_file_is_no_folder(lab: Lab) -> None:
    """The id of a file in place of a folder's is refused, and so is a folder in the bin."""
    file = lab.drive.make_file(KEY, b"x", lab.folder, owner=ANN)
    with pytest.raises(StorageError, match="is no folder"):
        keys(lab.store(folder=file))
    lab.drive.items[lab.folder].trashed = True
    assert lab.drive.items[lab.folder].mime == FOLDER
    with pytest.raises(StorageError, match="in the bin"):
        keys(lab.store())


@pytest.mark.parametrize(
    ("status", "reason", "message", "hint"),
    [
        (401, "authError", "refuses the credentials of ann@example.com", "dbsync auth drive"),
        (403, "accessNotConfigured", "does not use the Drive API", "enable the Google Drive API"),
        (403, "insufficientPermissions", "do not extend to Drive", "dbsync auth drive"),
        (403, "dailyLimitExceeded", "dailyLimitExceeded", ""),
        (418, "teapot", "HTTP 418 \\(teapot\\)", ""),
    ],
)
def test_other_refusals_are_explained(
    lab: Lab, status: int, reason: str, message: str, hint: str
) -> None:
    """Each refusal says what it is about, by its code, and what to do."""
    lab.fake.fail("list", "status", status=status, reason=reason, times=9)
    with pytest.raises(StorageError, match=message) as caught:
        keys(lab.store())
    assert caught.value.exit_code == 5
    assert hint in (caught.value.hint or "")
