"""Which uploads are taken for abandoned: by whose mark, and by what can be seen of the writer."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dbsync.storage.s3 import dangling
from dbsync.storage.s3.calls import CallFailed

KEY = "backups/shop.tar"
NOW = datetime.now(UTC)
HERE, PID, START = dangling._this_process()


def digest(text: str) -> str:
    return dangling._digest(text)


def dead_process() -> str:
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], check=True,
                          capture_output=True, text=True)  # fmt: skip
    return done.stdout.strip()


class Store:
    """The listing of a bucket, with what is aborted; ids are made from keys."""

    def __init__(self) -> None:
        self.uploads: dict[tuple[str, str], tuple[datetime, list[datetime]]] = {}
        self.fail: CallFailed | None = None

    def add(
        self, key: str, upload_id: str, age_h: float = 0, parts_h: tuple[float, ...] = ()
    ) -> None:
        ago = [NOW - timedelta(hours=hours) for hours in (age_h, *parts_h)]
        self.uploads[key, upload_id] = (ago[0], ago[1:])

    def mark(self, upload: str, writer: str, age_h: float = 0, key: str = KEY) -> str:
        name = f".dbsync-upload-{digest(key)}-{upload}-{writer}"
        self.add(f"backups/{name}", f"mark {len(self.uploads)}", age_h)
        return name

    def make(self, operation: str, **arguments: Any) -> dict[str, Any]:
        if self.fail is not None:
            raise self.fail
        if operation == "list_multipart_uploads":
            names = sorted(self.uploads)
            start = names.index((arguments["KeyMarker"], arguments["UploadIdMarker"])) + 1 if (
                "KeyMarker" in arguments
            ) else 0  # fmt: skip
            page = names[start : start + 2]
            return {
                "Uploads": [
                    {"Key": k, "UploadId": i, "Initiated": self.uploads[k, i][0]} for k, i in page
                ],
                "IsTruncated": start + 2 < len(names),
                "NextKeyMarker": page[-1][0] if page else "",
                "NextUploadIdMarker": page[-1][1] if page else "",
            }
        place = arguments["Key"], arguments["UploadId"]
        if operation == "list_parts":
            times = self.uploads[place][1]
            at = arguments["PartNumberMarker"]
            return {
                "Parts": [{"LastModified": time} for time in times[at : at + 1]],
                "IsTruncated": at + 1 < len(times),
                "NextPartNumberMarker": at + 1,
            }
        del self.uploads[place]
        return {}

    def left(self) -> list[str]:
        return [key.removeprefix("backups/") for key, _ in sorted(self.uploads)]


@pytest.fixture
def store() -> Store:
    return Store()


def clean(store: Store) -> int:
    return dangling.remove_abandoned(store, "bucket", "backups/")  # type: ignore[arg-type]


def test_an_upload_of_a_dead_process_goes(store: Store) -> None:
    """Upload and mark of a process of this machine that is gone are removed at once."""
    store.add(KEY, "1", parts_h=(0, 0))
    store.mark(digest("1"), f"{HERE}-{dead_process()}-1")
    assert clean(store) == 1
    assert store.left() == []


def test_a_process_id_that_was_given_again_is_no_writer(store: Store) -> None:
    """This very process id with another start time belongs to a dead process."""
    store.add(KEY, "1")
    store.mark(digest("1"), f"{HERE}-{PID}-1")
    assert clean(store) == 1


def test_a_living_writer_is_left_alone(store: Store) -> None:
    """However long its upload has been silent, a process that runs keeps it."""
    store.add(KEY, "1", age_h=1000)
    store.mark(digest("1"), f"{HERE}-{PID}-{START}", age_h=1000)
    store.mark("new", f"{HERE}-{PID}-{START}", age_h=1000)
    assert clean(store) == 0
    assert len(store.left()) == 3


@pytest.mark.parametrize(
    ("age_h", "parts_h", "goes"),
    [(7, (), True), (5, (), False), (100, (50, 7), True), (100, (50, 5), False)],
)
def test_a_writer_elsewhere_is_judged_by_silence(
    store: Store, age_h: float, parts_h: tuple[float, ...], goes: bool
) -> None:
    """A writer of another machine is dead when its last part is six hours old."""
    store.add(KEY, "1", age_h, parts_h)
    store.mark(digest("1"), "abcdef-1-1", age_h)
    assert clean(store) == (1 if goes else 0)
    assert (store.left() == []) == goes


def test_uploads_of_others_are_never_touched(store: Store) -> None:
    """Without a mark, with another's mark, or in another folder: not ours, not removed."""
    dead = f"{HERE}-{dead_process()}-1"
    store.add(KEY, "foreign", age_h=1000)
    store.add("backups/other.tar", "2", age_h=1000)
    store.add("elsewhere/shop.tar", "3", age_h=1000)
    store.mark(digest("1"), dead)
    store.mark(digest("3"), dead, key="elsewhere/shop.tar")
    assert clean(store) == 0
    assert [key for key, _ in sorted(store.uploads)] == [
        "backups/other.tar",
        KEY,
        "elsewhere/shop.tar",
    ]


def test_an_upload_whose_id_was_never_noted_goes(store: Store) -> None:
    """Killed between making the upload and its mark: one without parts, made then, is ours."""
    dead = f"{HERE}-{dead_process()}-1"
    store.add(KEY, "1", age_h=1)
    store.mark("new", dead, age_h=1)
    store.add(KEY, "with a part", age_h=1, parts_h=(1,))
    store.add(KEY, "later", age_h=0.5)
    store.add(KEY, "of another", age_h=1)
    store.mark(digest("of another"), f"{HERE}-{PID}-{START}", key="backups/third.tar")
    assert clean(store) == 1
    assert ("backups/shop.tar", "1") not in store.uploads
    assert len(store.left()) == 4


def test_a_start_that_a_rival_shares_is_not_judged(store: Store) -> None:
    """While another writer begins on the same key, nobody's unmarked upload is removed."""
    store.add(KEY, "1")
    store.mark("new", f"{HERE}-{dead_process()}-1")
    store.mark("new", f"{HERE}-{PID}-{START}")
    assert clean(store) == 0
    assert (KEY, "1") in store.uploads


@pytest.mark.parametrize(
    ("code", "status", "raised"),
    [
        ("AccessDenied", 403, False),
        ("NotImplemented", 501, False),
        ("MethodNotAllowed", 405, False),
        ("NoSuchUpload", 404, False),
        ("InvalidAccessKeyId", 403, True),
        ("ExpiredToken", 400, True),
        ("NoSuchBucket", 404, True),
    ],
)
def test_only_a_missing_right_is_forgiven(
    store: Store, code: str, status: int, raised: bool
) -> None:
    """A role that may not list uploads can write; wrong credentials are found before a byte."""
    store.fail = CallFailed(code, status, passing=False)
    if raised:
        with pytest.raises(CallFailed):
            clean(store)
    else:
        assert clean(store) == 0
