"""The API key of each side, time ranges, and which option means which side."""

from __future__ import annotations

from typing import Any

import pytest

from dbsync.config import (
    CloneSettings,
    ExportSettings,
    ImportSettings,
    Origin,
    ScheduleSettings,
    redact,
    secrets_of,
)
from dbsync.config.archives import RehearseSettings
from dbsync.config.given import Given
from dbsync.config.treasure_data import parse_time_range, treasure_data_options, with_key
from dbsync.config.url import build_url, same_database, with_password
from dbsync.connectors.options import TreasureDataOptions
from dbsync.errors import UsageError

F, E, V = Origin.FLAG, Origin.ENVIRONMENT, Origin.ENV_FILE
TD = "td://eu01/shop"


def chosen(**options: tuple[object, Origin]) -> Given:
    values = {name: value for name, (value, _) in options.items()}
    origins = {name: origin for name, (_, origin) in options.items()}
    return Given(values, origins, {})


@pytest.mark.parametrize(
    ("options", "place", "url"),
    [
        ({"td_api_key": ("1/a", E)}, "url", "td://:1%2Fa@eu01/shop"),
        ({"td_api_key": (" 1/a\r", E)}, "url", "td://:1%2Fa@eu01/shop"),
        ({"td_api_key": ("a", E), "from_td_api_key": ("b", E)}, "source", "td://:b@eu01/shop"),
        ({"td_api_key": ("a", E), "from_td_api_key": ("b", E)}, "target", "td://:a@eu01/shop"),
        ({"td_api_key": ("a", E), "to_td_api_key": ("b", E)}, "target", "td://:b@eu01/shop"),
        ({"td_api_key": ("a", F), "to_td_api_key": ("b", E)}, "target", "td://:a@eu01/shop"),
        ({"td_api_key": ("a", V), "to_td_api_key": ("b", E)}, "target", "td://:b@eu01/shop"),
    ],
)
def test_the_key_of_a_side(options: dict[str, Any], place: str, url: str) -> None:
    """The key of a side's own comes before the one for both, and a flag before a variable."""
    assert with_key(chosen(**options), TD, place) == url


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({"url": ("", F), "td_api_key": ("b", E)}, "td://:a@eu01/shop"),
        ({"url": ("", E), "td_api_key": ("b", F)}, "td://:b@eu01/shop"),
        ({"url": ("", F)}, "td://:a@eu01/shop"),
    ],
)
def test_a_key_in_the_url(options: dict[str, Any], url: str) -> None:
    """A key in the URL gives way only to one from a higher place."""
    assert with_key(chosen(**options), "td://:a@eu01/shop") == url


def test_two_keys_of_one_place() -> None:
    """Two keys given at one place contradict, and neither is repeated."""
    given = chosen(url=("", F), td_api_key=("canary2", F))
    with pytest.raises(UsageError, match="gives another") as caught:
        with_key(given, "td://:canary1@eu01/shop")
    assert "canary" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("place", "named"),
    [("url", "set DBSYNC_TD_API_KEY"), ("source", "DBSYNC_FROM_TD_API_KEY"), ("target", "TO_TD")],
)
def test_no_key(place: str, named: str) -> None:
    """Without a key, the variables that could give it are named."""
    with pytest.raises(UsageError, match="no API key") as caught:
        with_key(chosen(), TD, place)
    assert named in (caught.value.hint or "")
    assert "DBSYNC_TD_API_KEY_FILE" in (caught.value.hint or "")


def test_other_engines_get_no_key() -> None:
    """The key never gets into the URL of another engine, and their passwords not into this one."""
    given = chosen(td_api_key=("canary", E), password=("secret", E), url=(TD, F))
    assert with_key(given, "postgresql://h/d") == "postgresql://h/d"
    settings = ExportSettings.of(
        chosen(td_api_key=("k", E), password=("secret", E), url=(TD, F), archive=("a", F))
    )
    assert settings.url == "td://:k@eu01/shop"
    assert settings.treasure_data == TreasureDataOptions()


@pytest.mark.parametrize(
    "url",
    ["td://:canary@eu01/shop", "td://canary@h:8080/shop?scheme=http", "td://:12/canary@us/shop"],
)
def test_keys_are_secrets(url: str) -> None:
    """A key is masked in a URL, also where it was put in the place of a user."""
    assert "canary" not in redact(f"cannot reach {url} at all")
    assert any("canary" in secret for secret in secrets_of(url))
    assert "canary" not in redact(with_password(url, "other"))


def test_parts() -> None:
    """--engine td needs a host, and neither user nor password."""
    assert build_url(engine="td", host="eu01", database="shop") == TD
    assert build_url(engine="td", host="localhost", port=80, database="d") == "td://localhost:80/d"
    for wrong in ({"username": "u"}, {"password": "p"}, {"host": None}):
        with pytest.raises(UsageError):
            build_url(**{"engine": "td", "host": "eu01", "database": "d", **wrong})


def test_the_same_name_in_another_account() -> None:
    """The same database is refused as its own target; that of another account is another one."""
    assert same_database("td://:a@us/d", "td://:a@us/d")
    assert not same_database("td://:a@us/d", "td://:b@us/d")
    both = {"source": (TD, F), "target": (TD, F)}
    with pytest.raises(UsageError, match="same"):
        CloneSettings.of(chosen(**both, td_api_key=("a", E)))
    keys = {"from_td_api_key": ("a", E), "to_td_api_key": ("b", E)}
    settings = CloneSettings.of(chosen(**both, **keys))
    assert (settings.source, settings.target) == ("td://:a@eu01/shop", "td://:b@eu01/shop")


@pytest.mark.parametrize(
    ("text", "time_range"),
    [
        ("1767225600,1767312000", (1767225600, 1767312000)),
        ("2026-01-01,2026-01-02", (1767225600, 1767312000)),
        ("2026-01-01T00:00:00Z,", (1767225600, None)),
        ("2026-01-01T01:00:00+01:00 , ", (1767225600, None)),
        (",1767225600", (None, 1767225600)),
        ("-10,0", (-10, 0)),
    ],
)
def test_time_ranges(text: str, time_range: tuple[int | None, int | None]) -> None:
    """Seconds and ISO times, in UTC unless they name a zone, with either side open."""
    assert parse_time_range(text, "--td-time-range") == time_range


@pytest.mark.parametrize(
    "text", ["", ",", "2026-01-01", "5,5", "6,5", "x,1", "1,2026-01-32", "1.5,"]
)
def test_time_ranges_that_are_none(text: str) -> None:
    """What is no range, or holds no moment, is refused by the option's name."""
    with pytest.raises(UsageError, match="--td-time-range"):
        parse_time_range(text, "--td-time-range")


def test_all_options() -> None:
    """Each option arrives in its field."""
    given = chosen(
        td_time_range=("0,9", E),
        td_time=("drop", E),
        td_time_column=(("orders:placed", '"a:b":"c,d"', "made"), E),
        timeout=("90", E),
        table_parallelism=(3, E),
        download_parallelism=(5, E),
    )
    assert treasure_data_options(given, source=TD, target="sqlite:///x") == TreasureDataOptions(
        time_range=(0, 9),
        keep_time=False,
        time_columns={"orders": "placed", "a:b": "c,d", "*": "made"},
        timeout_s=90,
        table_parallelism=3,
        download_parallelism=5,
    )
    assert treasure_data_options(given, source="sqlite:///x") is None
    timed = treasure_data_options(chosen(timeout=("15m", E)), target=TD)
    assert timed is not None
    assert timed.timeout_s == 900


@pytest.mark.parametrize("text", ["a:b:c", ":b", "a:", "", "a,b", "a:b,c"])
def test_time_columns_that_are_none(text: str) -> None:
    """What is no column is refused."""
    with pytest.raises(UsageError, match="td-time-column"):
        treasure_data_options(chosen(td_time_column=((text,), F)), target=TD)


@pytest.mark.parametrize(
    ("options", "sides"),
    [
        ({"td_time_range": ("0,1", F)}, {"source": "sqlite:///x", "target": TD}),
        ({"td_time": ("keep", F)}, {"target": TD}),
        ({"td_time_column": (("c",), F)}, {"source": TD, "target": "sqlite:///x"}),
    ],
)
def test_flags_of_the_other_side(options: dict[str, Any], sides: dict[str, str]) -> None:
    """A flag that would do nothing is refused; a variable, meant for another command, is not."""
    with pytest.raises(UsageError, match="no Treasure Data is"):
        treasure_data_options(chosen(**options), **sides)
    elsewhere = {name: (value, E) for name, (value, _) in options.items()}
    assert treasure_data_options(chosen(**elsewhere), **sides) is not None


def test_rehearsals() -> None:
    """The database of a rehearsal is completed with the key too, also that of a schedule."""
    key: Any = {"td_api_key": ("k", E)}
    settings = RehearseSettings.of(chosen(archive=("a", F), url=(TD, F), **key))
    assert settings.url == "td://:k@eu01/shop"
    schedule = ScheduleSettings.of(
        chosen(
            archive=("a/", F),
            url=("sqlite:///x", F),
            once=(True, F),
            rehearse_every=(1, F),
            rehearse_url=(TD, F),
            **key,
        )
    )
    assert schedule.rehearse_url == "td://:k@eu01/shop"


def test_the_target_chooses_what_is_not_given() -> None:
    """What to do with existing and missing tables is left to the target unless it was said."""
    least = {"archive": ("a", F), "url": (TD, F), "td_api_key": ("k", E)}
    settings = ImportSettings.of(chosen(**least))
    assert (settings.existing, settings.include_schema) == (None, None)
    told = ImportSettings.of(chosen(**least, skip_existing=(True, F), include_schema=(False, F)))
    assert (told.existing, told.include_schema) == ("skip", False)
