"""What a folder of archives shows, and which archive of it is the newest complete one."""

from __future__ import annotations

import pytest

from dbsync.archive import Identities, Recipients, generate_identity
from dbsync.errors import ArchiveError, StorageError, UsageError
from dbsync.pipeline.events import Event, PassedOver
from dbsync.pipeline.inventory import ListedArchive
from dbsync.pipeline.listing import newest, survey
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


def _listed(store: Store, database: str | None = None) -> list[ListedArchive]:
    return [one.listed for one in survey(folder(store), database).archives]


def test_an_archive_is_described_by_its_ends() -> None:
    """Name, time, database, engine, tables, rows and bytes are those of the archive."""
    store = Store()
    key = add(store, "2026-06-30T02:00:00")
    (one,) = _listed(store)
    assert one == ListedArchive(
        archive=f"backups/{key}",
        name=key,
        routine=True,
        time=when("2026-06-30T02:00:00"),
        database="shop",
        engine="sqlite",
        engine_version="3",
        tables=2,
        rows=5,
        bytes=len(archive()),
        state="complete",
        archive_id=one.archive_id,
    )
    assert one.complete
    assert not one.rehearsed


def test_the_newest_stand_first() -> None:
    """The order is that of the times, whatever the names are."""
    store = Store()
    keys = [
        add(store, "2026-06-30T02:00:00", "b"),
        add(store, "2026-06-29T02:00:00", "c"),
        put(store, "by-hand.dbsync.tar", archive("x", "2026-06-28T02:00:00")),
        add(store, "2026-06-27T02:00:00", "a"),
        put(store, "unknown.dbsync.tar", b"nothing"),
    ]
    assert [one.name for one in _listed(store)] == keys


def test_only_archives_of_the_folder_itself_are_listed() -> None:
    """Other files, notes and folders below are not looked at."""
    store = Store()
    key = add(store, "2026-06-30T02:00:00")
    for other in ("readme.txt", f"old/{key}", f"{key}.part", "shop.tar", "note.rehearsed.json"):
        put(store, other, b"x")
    assert [one.name for one in _listed(store)] == [key]
    assert set(store.read) == {key}


def test_what_is_not_whole_is_shown_with_the_reason() -> None:
    """A file that is cut keeps what its name says and says why it is incomplete."""
    store = Store()
    add(store, "2026-06-30T02:00:00", data=archive()[:3000])
    (one,) = _listed(store)
    assert (one.state, one.complete, one.database) == ("incomplete", False, "shop")
    assert one.time == when("2026-06-30T02:00:00")
    assert "E_TRUNCATED" in (one.problem or "")


def test_an_archive_of_alater_version_is_not_called_incomplete() -> None:
    """What this version cannot read may be whole."""
    store = Store()
    add(store, "2026-06-30T02:00:00", data=later_version(archive()))
    (one,) = _listed(store)
    assert one.state == "unreadable"
    assert "version 2.0" in (one.problem or "")


def test_an_object_that_cannot_be_read_does_not_hide_the_others() -> None:
    """It is listed with what the store said; where nothing can be read, that is the error."""
    store = Store()
    one, two = add(store, "2026-06-30T02:00:00"), add(store, "2026-06-29T02:00:00")
    store.before_open = refuse(one)
    listed = _listed(store)
    assert [a.state for a in listed] == ["unreadable", "complete"]
    assert listed[0].problem == f"{one}: access denied"
    store.before_open = refuse(one, two)
    with pytest.raises(StorageError, match="access denied"):
        _listed(store)


def test_an_encrypted_archive_is_listed_without_a_key() -> None:
    """Its name says the database; what is inside is not known, and that it is whole is."""
    store = Store()
    recipients = Recipients([generate_identity()[1]])
    add(store, "2026-06-30T02:00:00", data=archive(encryption=recipients))
    (one,) = _listed(store)
    assert (one.complete, one.encrypted, one.routine, one.database) == (True, True, True, "shop")
    assert (one.engine, one.tables, one.rows) == (None, None, None)


def test_a_rehearsal_belongs_to_the_archive_that_was_rehearsed() -> None:
    """A note that fits is shown; one of an archive that was replaced since is not."""
    store = Store()
    for moment, database in (("2026-06-30T02:00:00", "a"), ("2026-06-29T02:00:00", "b")):
        data = archive(database, moment)
        rehearse(
            store, add(store, moment, database), passed=database == "a", digest=digest_of(data)
        )
    rehearse(store, add(store, "2026-06-28T02:00:00", "c"), digest="0" * 64)
    passed, failed, other = _listed(store)
    assert passed.rehearsed
    assert failed.rehearsal is not None
    assert not failed.rehearsed
    assert other.rehearsal is None


def test_only_one_database_is_read_where_one_is_asked_for() -> None:
    """Archives of others are not opened; one named by hand is, to see what it holds."""
    store = Store()
    mine = add(store, "2026-06-30T02:00:00")
    add(store, "2026-06-30T02:00:00", "shop-2")
    hand = put(store, "precious.dbsync.tar", archive("shop", "2026-01-01T00:00:00"))
    other = put(store, "other.dbsync.tar", archive("blog", "2026-01-01T00:00:00"))
    assert [one.name for one in _listed(store, "shop")] == [mine, hand]
    assert set(store.read) == {mine, hand, other}


def test_a_name_that_lies_is_not_routine() -> None:
    """An archive that was renamed after another database is not taken for one of that."""
    store = Store()
    add(store, "2026-06-30T02:00:00", "shop", data=archive("blog"))
    (one,) = _listed(store)
    assert not one.routine
    assert one.database == "blog"


def test_names_that_had_to_be_changed_are_routine() -> None:
    """A database whose name no file could have is recognised by what its name becomes."""
    store = Store()
    key = add(store, "2026-06-30T02:00:00", "a/b c")
    cut = add(store, "2026-06-29T02:00:00", "a/b c", data=b"cut")
    one, two = _listed(store, "a/b c")
    assert one.routine
    assert (one.name, two.name) == (key, cut)
    assert one.database == "a/b c"


# The newest complete archive


def test_the_newest_is_chosen_by_the_time_in_the_name() -> None:
    """The time of writing does not matter, and neither do other files; only one is opened."""
    store = Store()
    key = add(store, "2025-01-31T12:00:00")
    add(store, "2025-01-01T12:00:00")
    for name in (
        "shop-20991301T000000Z.dbsync.tar",
        "shop-20990101T000000Z.dbsync.tar.part",
        "shop-latest.dbsync.tar",
        "old/shop-20990101T000000Z.dbsync.tar",
        "-20990101T000000Z.dbsync.tar",
    ):
        put(store, name, archive())
    assert newest(folder(store)) == key
    assert set(store.read) == {key}


def test_one_that_is_not_complete_is_passed_over() -> None:
    """Of archives that are cut, empty or whole, the newest whole one is taken."""
    store = Store()
    bad = [
        add(store, "2026-06-30T02:00:00", data=b""),
        add(store, "2026-06-29T02:00:00", data=archive()[:-1]),
    ]
    key = add(store, "2026-06-28T02:00:00")
    add(store, "2026-06-27T02:00:00", data=b"")
    events: list[Event] = []
    assert newest(folder(store), on_event=events.append) == key
    assert [e.archive for e in events if isinstance(e, PassedOver)] == [f"backups/{k}" for k in bad]


def test_a_newer_one_that_cannot_be_read_is_an_error() -> None:
    """An older archive in its place would be a surprise."""
    store = Store()
    add(store, "2026-06-29T02:00:00")
    key = add(store, "2026-06-30T02:00:00", data=later_version(archive()))
    with pytest.raises(ArchiveError, match=r"version 2\.0"):
        newest(folder(store))
    store.before_open = refuse(key)
    with pytest.raises(StorageError, match="access denied"):
        newest(folder(store))


def test_none_is_complete() -> None:
    """Where all are damaged, the error says how many there are and where to look."""
    store = Store()
    add(store, "2026-06-30T02:00:00", data=b"")
    with pytest.raises(StorageError, match="none of 1 archives of shop in backups/") as caught:
        newest(folder(store))
    assert "dbsync list backups/" in (caught.value.hint or "")


def test_databases_are_told_apart() -> None:
    """The one that is named is taken, or the likely one; a guess is never made."""
    store = Store()
    sales = add(store, "2026-06-28T02:00:00", "sales")
    more = add(store, "2026-06-29T02:00:00", "sales-2024")
    odd = add(store, "2026-06-30T02:00:00", "sa/les")
    place = folder(store)
    assert newest(place, database="sales") == sales
    assert newest(place, database="sa/les") == odd
    assert newest(place, likely="sales-2024") == more
    assert newest(place, database="sales", likely="sales-2024") == sales
    for likely in (None, "another"):
        with pytest.raises(UsageError, match=r"several databases: sa_les\.\w+, sales, sales-2024"):
            newest(place, likely=likely)
    with pytest.raises(StorageError, match=r"database shop .* there are archives of sa_les"):
        newest(place, database="shop")


def test_a_single_database_needs_no_name() -> None:
    """Its archives are restored into a database of any name."""
    store = Store()
    key = add(store, "2026-06-28T02:00:00", "shop")
    assert newest(folder(store), likely="staging") == key
    with pytest.raises(StorageError, match="of the database staging"):
        newest(folder(store), database="staging")


def test_an_empty_folder() -> None:
    """There is no archive, and the error says how archives are named."""
    store = Store()
    put(store, "readme", b"x")
    with pytest.raises(StorageError, match="no archive in backups/") as caught:
        newest(folder(store))
    assert "shop-20250131T020000Z.dbsync.tar" in (caught.value.hint or "")
    assert survey(folder(store)).archives == ()


def test_an_encrypted_archive_is_described_with_its_key() -> None:
    """Database, tables and rows are known with the key, and with another's what was known."""
    (secret, public), (stranger, _) = generate_identity(), generate_identity()
    store = Store()
    add(store, "2026-06-30T02:00:00", data=archive(encryption=Recipients([public])))
    (one,) = survey(folder(store), identities=Identities([secret])).archives
    assert (one.listed.encrypted, one.listed.engine, one.listed.tables) == (True, "sqlite", 2)
    assert one.listed.rows == 5
    (other,) = survey(folder(store), identities=Identities([stranger])).archives
    assert (other.listed.state, other.listed.rows) == ("complete", None)
