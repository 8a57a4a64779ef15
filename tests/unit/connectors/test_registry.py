"""What a database's URL says without opening anything."""

from __future__ import annotations

import pytest

from dbsync.connectors.registry import database_name


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://me:secret@host:5432/shop?sslmode=require", "shop"),
        ("postgres:///shop?host=/run/postgresql", "shop"),
        ("mysql://me@host/my%20shop", "my shop"),
        ("mariadb+pymysql://host/shop.v2", "shop.v2"),
        ("sqlite:///shop.sqlite", "shop"),
        ("sqlite:////data/my.shop.db?immutable=1", "my.shop"),
        ("postgresql://host", None),
        ("postgresql://host/", None),
    ],
)
def test_the_name_that_a_database_has_in_archives(url: str, name: str | None) -> None:
    """It is the database's name; for a file that without folder and suffix."""
    assert database_name(url) == name
