"""The td:// URL: regions, endpoints, the key, and what is refused."""

from __future__ import annotations

import pytest

from dbsync.connectors.treasuredata.address import REGIONS, parse_url
from dbsync.errors import UsageError


@pytest.mark.parametrize(
    ("name", "endpoint"),
    [
        ("us", "https://api.treasuredata.com/"),
        ("us01", "https://api.treasuredata.com/"),
        ("jp", "https://api.treasuredata.co.jp/"),
        ("tokyo", "https://api.treasuredata.co.jp/"),
        ("ap01", "https://api.treasuredata.co.jp/"),
        ("eu01", "https://api.eu01.treasuredata.com/"),
        ("EU01", "https://api.eu01.treasuredata.com/"),
        ("ap02", "https://api.ap02.treasuredata.com/"),
        ("ap03", "https://api.ap03.treasuredata.com/"),
        ("td.example.com", "https://td.example.com/"),
        ("td.example.com:8443", "https://td.example.com:8443/"),
        ("localhost:80", "https://localhost:80/"),
        ("us01:8080", "https://us01:8080/"),
        ("[::1]:8080", "https://[::1]:8080/"),
    ],
)
def test_the_host_is_a_region_or_an_endpoint(name: str, endpoint: str) -> None:
    """Each region stands for its endpoint, and any other host for itself, with a slash behind."""
    address = parse_url(f"td://:key@{name}/shop")
    assert address.endpoint == endpoint
    assert address.database == "shop"


def test_a_plain_endpoint_is_asked_for() -> None:
    """HTTP without TLS is used only where the URL says so."""
    assert parse_url("td://:key@h.example/shop?scheme=http").endpoint == "http://h.example/"


def test_the_key_is_the_password_and_stays_out_of_every_text() -> None:
    """The percent-encoded password is the key, and neither text of the address shows it."""
    address = parse_url("td://:12%2Fabc@us/shop")
    assert address.key == "12/abc"
    assert "abc" not in f"{address} {address!r}"
    assert str(address) == "td://us01/shop"
    assert address.secrets == ("12/abc",)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("td://us/shop", "no API key"),
        ("td://:%20@us/shop", "no API key"),
        ("td://secret@us/shop", "only API keys"),
        ("td://:secret/half@us/shop", "malformed"),
        ("td://:sec%0Aret@us/shop", "no key has"),
        ("td://:secret@/shop", "no region"),
        ("td://:secret@us02/shop", "no region of Treasure Data"),
        ("td://:secret@us", "one database"),
        ("td://:secret@us/a/b", "one database"),
        ("td://:secret@us/Shop", "one database"),
        ("td://:secret@us/ab", "one database"),
        ("td://:secret@us/shop?scheme=ftp", "scheme"),
        ("td://:secret@us/shop?sheme=http", "unknown parameter"),
        ("tds://:secret@us/shop", "td://"),
    ],
)
def test_a_wrong_url_is_refused_without_quoting_the_key(url: str, words: str) -> None:
    """Each mistake has its message, and none of them repeats what may be the key."""
    with pytest.raises(UsageError) as caught:
        parse_url(url)
    assert words in caught.value.message
    assert "sec" not in f"{caught.value.message} {caught.value.hint}".lower()


def test_a_missing_key_names_the_variable() -> None:
    """Whoever gave no key reads where to put it."""
    with pytest.raises(UsageError) as caught:
        parse_url("td://us/shop")
    assert "DBSYNC_TD_API_KEY" in (caught.value.hint or "")


def test_every_region_names_itself() -> None:
    """Messages name the region of a known endpoint, and the host of another one."""
    for region in REGIONS:
        assert parse_url(f"td://:key@{region}/shop").region == region
    assert parse_url("td://:key@td.example.com/shop").region is None
