"""What prune deletes and leaves alone, and what it says where the store refuses."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dbsync.archive import Recipients, generate_identity
from dbsync.errors import StorageError, UsageError
from dbsync.pipeline.inventory import PruneResult
from dbsync.pipeline.pruner import prune
from dbsync.pipeline.retention import RetentionPolicy
from dbsync.storage.local import LocalStorage
from dbsync.storage.location import open_folder
from tests.unit.pipeline.backups import (
    Store,
    add,
    archive,
    digest_of,
    folder,
    later_version,
    put,
    refuse,
    rehearse,
    when,
)

NOW = when("2030-01-01T12:00:00")
LAST = RetentionPolicy(keep_last=1)
DAYS = ("2026-06-30T02:00:00", "2026-06-29T02:00:00", "2026-06-28T02:00:00")


def _prune(store: Store, policy: RetentionPolicy = LAST, **options: Any) -> PruneResult:
    settings: dict[str, Any] = {
        "database": None,
        "timezone": "UTC",
        "now": NOW,
        "incomplete": False,
        "dry_run": False,
    }
    return prune(folder(store), policy, **{**settings, **options})


def _why(result: PruneResult) -> dict[str, str]:
    return {
        one.archive.name: ("keep: " if one.keep else "go: ") + "; ".join(one.reasons)
        for one in result.archives
    }


def test_what_no_rule_keeps_is_deleted() -> None:
    """The newest archive stays, the others go, and the result counts them."""
    store = Store()
    keys = [add(store, day) for day in DAYS]
    result = _prune(store)
    assert store.keys == [keys[0]]
    assert _why(result) == {
        keys[0]: "keep: last 1 of 1; newest complete",
        keys[1]: "go: no rule keeps it",
        keys[2]: "go: no rule keeps it",
    }
    assert (result.deleted, result.freed_bytes, result.ok) == (2, 2 * len(archive()), True)
    assert [one.deleted for one in result.archives] == [False, True, True]


def test_a_preview_deletes_nothing() -> None:
    """The decisions are the same, and the store is not asked to delete."""
    store = Store()
    keys = sorted(add(store, day) for day in DAYS)
    store.before_delete = lambda _key: pytest.fail("something was deleted")
    preview = _prune(store, dry_run=True)
    assert store.keys == keys
    assert (preview.deleted, preview.freed_bytes, preview.dry_run) == (0, 0, True)
    store.before_delete = lambda _key: None
    assert _why(preview) == _why(_prune(store))


def test_every_database_has_rules_of_its_own() -> None:
    """The newest of each stays, however old it is."""
    store = Store()
    add(store, DAYS[1], "shop")
    kept = [add(store, DAYS[0], "shop"), add(store, "2020-01-01T00:00:00", "blog")]
    _prune(store)
    assert store.keys == sorted(kept)


def test_only_the_database_that_is_named() -> None:
    """Archives of others are not touched, also where their names begin alike."""
    store = Store()
    others = [add(store, day, "shop-2") for day in DAYS]
    mine = [add(store, day, "shop") for day in DAYS]
    result = _prune(store, database="shop")
    assert store.keys == sorted([*others, mine[0]])
    assert len(result.archives) == 3


def test_a_database_that_is_not_there_is_an_error() -> None:
    """A misspelt name must not look like a folder that needs no pruning."""
    store = Store()
    add(store, DAYS[0])
    with pytest.raises(StorageError, match=r"database shopp in .* archives of shop"):
        _prune(store, database="shopp")


@pytest.mark.parametrize("policy", [RetentionPolicy(), RetentionPolicy(keep_daily=0)])
def test_no_policy_is_refused_before_anything_is_read(policy: RetentionPolicy) -> None:
    """Without a rule nothing would say what to keep."""
    store = Store()
    store.before_list = lambda: pytest.fail("the folder was read")
    with pytest.raises(UsageError, match="no policy"):
        _prune(store, policy)


def test_an_unknown_time_zone_is_refused() -> None:
    """Days of a zone that is not there cannot be told."""
    with pytest.raises(UsageError, match="'Europe/Atlantis' is not a time zone"):
        _prune(Store(), timezone="Europe/Atlantis")


def test_encrypted_archives_need_no_key() -> None:
    """They are pruned by their names and ends like any other, and their rehearsals count."""
    store = Store()
    recipients = Recipients([generate_identity()[1]])
    sealed = [archive("shop", day, encryption=recipients) for day in DAYS]
    keys = [add(store, day, data=data) for day, data in zip(DAYS, sealed, strict=True)]
    plain = add(store, "2026-06-27T02:00:00")
    rehearse(store, keys[1], digest=digest_of(sealed[1]))
    assert _why(_prune(store)) == {
        keys[0]: "keep: last 1 of 1; newest complete",
        keys[1]: "keep: newest that passed its rehearsal",
        keys[2]: "go: no rule keeps it",
        plain: "go: no rule keeps it",
    }
    assert store.keys == sorted([*keys[:2], f"{keys[1]}.rehearsed.json"])


def test_what_is_not_ours_stays() -> None:
    """Files with other names, archives named by hand or renamed, and folders below are kept."""
    store = Store()
    newest = add(store, DAYS[0])
    others = [
        put(store, "shop.dbsync.tar", archive("shop", "2001-01-01T00:00:00")),
        put(store, "notes.txt", b"x"),
        put(store, "shop-20010101T000000Z.dbsync.tar.gz", b"x"),
        put(store, "old/shop-20010101T000000Z.dbsync.tar", archive()),
        add(store, "2001-01-01T00:00:00", "blog", data=archive("shop")),
    ]
    result = _prune(store)
    assert store.keys == sorted([newest, *others])
    assert _why(result)["shop.dbsync.tar"] == "keep: named by hand"
    assert _why(result)[others[-1]] == "keep: its name says blog, but it holds shop"


def test_what_cannot_be_read_stays_and_takes_no_place() -> None:
    """An archive of a later version, or without rights, is neither deleted nor counted."""
    store = Store()
    later = add(store, DAYS[0], data=later_version(archive()))
    closed = add(store, DAYS[1])
    whole = add(store, DAYS[2])
    add(store, "2026-01-01T00:00:00")
    store.before_open = refuse(closed)
    result = _prune(store)
    assert store.keys == sorted([later, closed, whole])
    assert [_why(result)[key] for key in (later, closed)] == ["keep: cannot be read"] * 2


def test_what_is_not_whole_stays_unless_asked_and_takes_no_place() -> None:
    """A damaged archive must not push out the newest whole one."""
    store = Store()
    broken = add(store, DAYS[0], data=archive()[:-100])
    whole = add(store, DAYS[1])
    result = _prune(store)
    assert store.keys == sorted([broken, whole])
    assert _why(result)[broken].startswith("keep: incomplete, and nobody asked")


def test_what_is_not_whole_goes_when_asked_and_a_day_old() -> None:
    """Both the name and the store must say that nobody is still writing it."""
    store = Store()
    whole = add(store, DAYS[1])
    written = store.stat(whole).modified.replace(microsecond=0) + timedelta(seconds=1)
    early = add(store, DAYS[0], data=b"half")
    late = add(store, (written + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S"), data=b"half")
    for age, left in (
        (timedelta(hours=23), [whole, early, late]),
        (timedelta(hours=24, minutes=30), [whole, late]),
        (timedelta(hours=25), [whole, late]),
        (timedelta(hours=25, seconds=1), [whole]),
    ):
        _prune(store, incomplete=True, now=written + age)
        assert store.keys == sorted(left)


def test_the_newest_archives_that_protect_others() -> None:
    """The newest complete one, and the newest that passed its rehearsal, outlive the policy."""
    store = Store()
    keys = [add(store, day) for day in (*DAYS, "2026-06-27T02:00:00")]
    for key, day, passed in zip(
        keys[1:], (*DAYS[1:], "2026-06-27T02:00:00"), (0, 1, 1), strict=True
    ):
        rehearse(store, key, passed=bool(passed), digest=digest_of(archive("shop", day)))
    result = _prune(store, RetentionPolicy(older_than=timedelta(days=1)))
    assert _why(result) == {
        keys[0]: "keep: newest complete",
        keys[1]: "go: older than 1 day",
        keys[2]: "keep: newest that passed its rehearsal",
        keys[3]: "go: older than 1 day",
    }
    assert store.keys == sorted([keys[0], keys[2], f"{keys[2]}.rehearsed.json"])


def test_a_note_of_another_archive_protects_nothing() -> None:
    """A rehearsal counts for the archive that was rehearsed, not for its name."""
    store = Store()
    keys = [add(store, day) for day in DAYS[:2]]
    rehearse(store, keys[1], digest="0" * 64)
    _prune(store)
    assert store.keys == [keys[0]]


def test_a_delete_that_fails_leaves_the_others_going() -> None:
    """What is refused is named with the reason; everything else is gone."""
    store = Store()
    keys = [add(store, day) for day in DAYS]
    store.before_delete = refuse(keys[1])
    result = _prune(store)
    assert store.keys == sorted(keys[:2])
    assert not result.ok
    assert result.failed == (f"backups/{keys[1]}",)
    assert result.archives[1].error == f"{keys[1]}: access denied"
    assert (result.deleted, result.freed_bytes) == (1, len(archive()))


def test_a_note_goes_after_its_archive_and_never_without_it() -> None:
    """An archive that cannot be deleted keeps its note; a note that cannot is named, and goes
    when the command is run again."""
    store = Store()
    keys = [add(store, day) for day in DAYS]
    for key in keys:
        rehearse(store, key, passed=False, digest="0" * 64)
    notes = [f"{key}.rehearsed.json" for key in keys]
    store.before_delete = refuse(keys[1], notes[2])
    result = _prune(store)
    assert store.keys == sorted([keys[0], notes[0], keys[1], notes[1], notes[2]])
    assert result.failed == (f"backups/{keys[1]}", f"backups/{keys[2]}")
    store.before_delete = lambda _key: None
    assert _prune(store).ok
    assert store.keys == sorted([keys[0], notes[0]])


def test_notes_without_archives_go_only_with_their_database() -> None:
    """A note that was left behind is cleaned up where its database is pruned, and not elsewhere."""
    store = Store()
    key = add(store, DAYS[0])
    mine = put(store, "shop-20200101T000000Z.dbsync.tar.rehearsed.json", b"{}")
    others = [
        put(store, "blog-20200101T000000Z.dbsync.tar.rehearsed.json", b"{}"),
        put(store, "by-hand.dbsync.tar.rehearsed.json", b"{}"),
    ]
    assert _prune(store, database="shop", dry_run=True).orphans == (f"backups/{mine}",)
    assert mine in store.keys
    _prune(store, database="shop")
    assert store.keys == sorted([key, *others])


def test_what_was_replaced_since_it_was_looked_at_stays() -> None:
    """An archive that somebody uploads under the same name meanwhile is not deleted."""
    store = Store()
    add(store, DAYS[0])
    broken = add(store, DAYS[1], data=b"half")
    lists = 0

    def replace_before_second_list() -> None:
        nonlocal lists
        lists += 1
        if lists == 2:
            add(store, DAYS[1])

    store.before_list = replace_before_second_list
    result = _prune(store, incomplete=True)
    assert store.stat(broken).size == len(archive())
    assert result.archives[1].error == "it was replaced meanwhile"


def test_what_somebody_else_deleted_is_no_failure() -> None:
    """Two prunings at once end well."""
    store = Store()
    keys = [add(store, day) for day in DAYS]
    lists = 0

    def delete_before_second_list() -> None:
        nonlocal lists
        lists += 1
        if lists == 2:
            store.delete(keys[2])

    store.before_list = delete_before_second_list
    assert _prune(store).ok
    assert store.keys == [keys[0]]


def test_files_in_a_folder(tmp_path: Path) -> None:
    """The same on a disk, where a file without a right to delete it is named."""
    location = open_folder(str(tmp_path))
    assert isinstance(location.storage, LocalStorage)
    store = Store()
    names = [add(store, day) for day in DAYS]
    for name, day in zip(names, DAYS, strict=True):
        (tmp_path / name).write_bytes(archive("shop", day))
    result = prune(
        location, LAST, database=None, timezone="UTC", now=NOW, incomplete=False, dry_run=False
    )
    assert result.deleted == 2
    assert [path.name for path in tmp_path.iterdir()] == [names[0]]
