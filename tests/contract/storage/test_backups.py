"""A folder of archives is listed and pruned alike, whatever store it is in."""

from __future__ import annotations

from dbsync.pipeline.listing import newest, survey
from dbsync.pipeline.pruner import prune
from dbsync.pipeline.retention import RetentionPolicy
from dbsync.storage.base import Storage
from tests.unit.pipeline.backups import add, archive, digest_of, folder, put, rehearse, when

DAYS = ("2026-06-30T02:00:00", "2026-06-29T02:00:00", "2026-06-28T02:00:00")


def test_a_folder_is_listed_and_pruned(store: Storage) -> None:
    """States, sizes and rehearsals are found; what goes is gone with its note, nothing else is."""
    cut = add(store, "2026-07-01T02:00:00", data=archive()[:-700])
    keys = [add(store, day) for day in DAYS]
    old = add(store, "2020-01-01T00:00:00", "blog")
    hand = put(store, "by-hand.dbsync.tar", archive("shop", "2010-01-01T00:00:00"))
    other = put(store, "notes.txt", b"x")
    below = put(store, f"below/{keys[2]}", archive())
    for number in (1, 2):
        digest = digest_of(archive("shop", DAYS[number]))
        rehearse(store, keys[number], passed=number == 1, digest=digest)

    place = folder(store)
    listed = {one.info.key: one.listed for one in survey(place).archives}
    assert list(listed) == [cut, *keys, old, hand]
    assert [key for key, one in listed.items() if not one.complete] == [cut]
    assert [key for key, one in listed.items() if one.rehearsed] == [keys[1]]
    assert listed[keys[0]].bytes == len(archive())
    assert newest(place, database="shop") == keys[0]

    settings = {"database": None, "timezone": "Europe/Berlin", "now": when("2026-07-02T00:00:00")}
    policy = RetentionPolicy(keep_last=1)
    preview = prune(place, policy, incomplete=False, dry_run=True, **settings)
    assert [one.archive.name for one in preview.archives if not one.keep] == [keys[2]]
    done = prune(place, policy, incomplete=False, dry_run=False, **settings)
    assert (done.ok, done.deleted) == (True, 1)
    left = {cut, keys[0], keys[1], f"{keys[1]}.rehearsed.json", old, hand, other, below}
    assert {info.key for info in store.list()} == left
