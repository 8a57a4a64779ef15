"""URLs from parts, and URLs without their secrets."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from dbsync.config.url import build_url, redact, same_database, secrets_of, with_password
from dbsync.errors import UsageError

_text = st.text(
    alphabet=st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20
)


@given(_text, _text, _text)
def test_parts_survive(username: str, password: str, database: str) -> None:
    """Whatever stands in user, password and name, an independent parser reads it back."""
    url = make_url(
        build_url(
            engine="postgres",
            host="db.example",
            port=5433,
            username=username,
            password=password,
            database=database,
        )
    )
    assert (url.drivername, url.host, url.port) == ("postgresql", "db.example", 5433)
    assert (url.username, url.password, url.database) == (username, password, database)


def test_places() -> None:
    """Hosts, IPv6 addresses, sockets, and files each have their form."""
    assert build_url(engine="postgresql", database="d") == "postgresql:///d"
    assert build_url(engine="postgresql", host="::1", database="d") == "postgresql://[::1]/d"
    assert (
        build_url(engine="postgresql", host="/run/pg", port=5433, username="u", database="d")
        == "postgresql://u@/d?host=%2Frun%2Fpg&port=5433"
    )
    assert build_url(engine="postgresql", port=1, database="d") == "postgresql:///d?port=1"
    assert build_url(engine="sqlite", database="/a b?.db") == "sqlite:////a%20b%3F.db"
    assert build_url(engine="sqlite", database="rel.db") == "sqlite:///rel.db"


@pytest.mark.parametrize(
    "parts",
    [
        {"engine": None, "database": "d"},
        {"engine": "oracle", "database": "d"},
        {"engine": "postgresql", "host": "h"},
        {"engine": "sqlite", "database": "d", "host": "h"},
        {"engine": "sqlite", "database": "d", "password": "p"},
    ],
)
def test_parts_that_do_not_fit(parts: dict[str, str]) -> None:
    """What is missing or does not belong together is a usage error."""
    with pytest.raises(UsageError):
        build_url(**{"engine": None, **parts})


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:pw@h:5432/d", "postgresql://u:***@h:5432/d"),
        ("postgresql://u:p@w@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:p/w?x@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:p'w@h/d", "postgresql://u:***@h/d"),
        ("postgresql://:pw@h/d", "postgresql://:***@h/d"),
        ("postgresql//u:pw@h/d", "postgresql//u:***@h/d"),
        ("postgresql://h:5432/d?x=a@b", "postgresql://h:5432/d?x=a@b"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql://h/d?password=pw&x=1", "postgresql://h/d?password=***&x=1"),
        ("postgresql://h/d?sslpassword=pw", "postgresql://h/d?sslpassword=***"),
        ("sqlite:///a:b@c", "sqlite:///a:b@c"),
        ("cannot reach postgresql://u:pw@h/d, sorry", "cannot reach postgresql://u:***@h/d, sorry"),
        ("host=h password=pw user=u", "host=h password=*** user=u"),
        ("password = 'p w' x", "password = *** x"),
        ("nothing secret: 1 = 1", "nothing secret: 1 = 1"),
    ],
)
def test_redact(url: str, shown: str) -> None:
    """Passwords are masked, in good URLs, bad URLs and texts around them; all else stays."""
    assert redact(url) == shown


@given(_text)
def test_no_encoded_password_is_shown(password: str) -> None:
    """No password that was encoded as it must be survives, and `secrets_of` finds it."""
    secret = quote("x" + password, safe="")
    assume(secret not in "postgresql://user:***@host/name")
    url = f"postgresql://user:{secret}@host/name"
    assert secret not in redact(url)
    assert {secret, "x" + password} <= secrets_of(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u@h/d", "postgresql://u:p%40@h/d"),
        ("postgresql://h/d?x=1", "postgresql://:p%40@h/d?x=1"),
        ("postgresql://u:old@h:1/d", "postgresql://u:p%40@h:1/d"),
    ],
)
def test_with_password(url: str, expected: str) -> None:
    """A password is put where it belongs, in place of an old one."""
    assert with_password(url, "p@") == expected


def test_same_database() -> None:
    """Spellings that plainly mean one database are recognised; users do not matter."""
    one = "postgres://a:x@H/d"
    assert same_database(one, "postgresql+psycopg2://b@h:5432/d")
    assert not same_database(one, "postgresql://h:5433/d")
    assert not same_database(one, "postgresql://h/e")
    assert same_database("sqlite:///a.db", "sqlite:///a.db")
    assert not same_database("sqlite:///a.db", "sqlite:////a.db")
