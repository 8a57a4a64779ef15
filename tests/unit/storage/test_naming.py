"""How archives in a folder are named, and which names are read again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbsync.storage.naming import archive_name, parse_archive_name, stem_of

NOON = datetime(2025, 1, 31, 12, 0, 0, tzinfo=UTC)


def test_archive_names() -> None:
    """The name is the database, the time in UTC and the suffix."""
    assert archive_name("shop", NOON) == "shop-20250131T120000Z.dbsync.tar"
    east = NOON.astimezone(timezone(timedelta(hours=9)))
    assert archive_name("shop-2.x_y", east) == "shop-2.x_y-20250131T120000Z.dbsync.tar"


def test_archive_names_are_safe_and_distinct() -> None:
    """No name of a database can make a path, an option or the archive of another database."""
    databases = ["a/b", "a b", "a_b", "../x", "-rf", ".hidden", "", "日本", "é", "x" * 300, "a\n"]
    names = [archive_name(database, NOON) for database in databases]
    assert len(set(names)) == len(names)
    for name in names:
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        assert name[0] not in ".-"
        assert len(name) < 200


@given(
    st.text(max_size=120),
    st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31, 23)),
)
def test_every_name_that_is_given_is_read_again(database: str, moment: datetime) -> None:
    """What a name says is the database that it was made for and the second."""
    parsed = parse_archive_name(archive_name(database, moment.replace(tzinfo=UTC)))
    assert parsed is not None
    assert parsed.stem == stem_of(database)
    assert parsed.moment == moment.replace(tzinfo=UTC, microsecond=0)


@pytest.mark.parametrize(
    "name",
    [
        "shop.dbsync.tar",
        "shop-latest.dbsync.tar",
        "shop-2099.dbsync.tar",
        "shop-20991301T000000Z.dbsync.tar",
        "shop-19691231T235959Z.dbsync.tar",
        "shop-20990101T000000Z.dbsync.tar.part",
        "shop-20990101T000000Z.dbsync.tar.rehearsed.json",
        "-20990101T000000Z.dbsync.tar",
        ".shop-20990101T000000Z.dbsync.tar",
        "old/shop-20990101T000000Z.dbsync.tar",
        "shop-20990101T000000Z.dbsync.tar\n",
        "shöp-20990101T000000Z.dbsync.tar",
        "shop-2099010١T000000Z.dbsync.tar",
    ],
)
def test_other_names_are_not_ours(name: str) -> None:
    """What dbsync would not have named so is not taken for a routine archive."""
    assert parse_archive_name(name) is None
