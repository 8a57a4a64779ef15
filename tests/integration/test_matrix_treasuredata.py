"""Every logical type into Treasure Data and out of it: equal, or refused as types-v1.md says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import dbsync
from dbsync.errors import LossError
from tests.fakes.treasuredata import FakeTreasureData, make
from tests.integration.engines import ENGINES, query
from tests.integration.matrix import plain, read
from tests.integration.test_matrix import (
    _LINE,
    FIRST,
    LOGICAL,
    Source,
    _column,
    sources,  # noqa: F401  # a fixture
)

KEY = "1/matrix"


@pytest.fixture(scope="module")
def service() -> Iterator[FakeTreasureData]:
    """A service; each test has databases of its own."""
    with FakeTreasureData() as fake:
        fake.add_key(KEY)
        yield fake


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def arrived(
    service: FakeTreasureData, place: str, name: str, columns: Sequence[tuple[str, str]]
) -> dict[str, dict[int, str | None]]:
    """Read columns from the service's own storage in plain forms: by column, then by key."""
    names = ["time_2" if column == "time" else column.lower() for column, _ in columns]
    shown = ", ".join(["id", *(f'"{column}"' for column in names)])
    rows = service.account().query(f'SELECT {shown} FROM "{place}"."{name}"')
    return {
        column: {row[0]: _plain(logical, row[number]) for row in rows}
        for number, (column, logical) in enumerate(columns, 1)
    }


def _plain(logical: str, value: Any) -> str | None:
    return (
        None if value is None else plain(logical, value if isinstance(value, str) else repr(value))
    )


@pytest.mark.parametrize("source", ENGINES)
def test_values_arrive_equal(
    sources: dict[str, Source],  # noqa: F811
    service: FakeTreasureData,
    tmp_path: Path,
    source: str,
) -> None:
    """What the document does not refuse is there as the source's own text, by type and by value."""
    given, place = sources[source], f"equal_{source}"
    refused = given.refused("treasuredata")
    accepted = [values for values in given.special if values not in refused]
    names = [_column(values) for values in accepted]
    archive = str(tmp_path / "a.dbsync.tar")
    dbsync.export_database(given.url, archive, columns={"special": ["id", *names]})
    # A value without a type is compared by its class, and bytes have another one here.
    compared = source != "sqlite"
    result = dbsync.import_archive(archive, service.url(KEY, place), verify=compared)
    assert result.failed == ()
    assert result.verified is None or result.verified.differences == ()
    plain_columns = [(re.sub(r"\W+", "_", logical), logical) for logical in LOGICAL]
    special_columns = [(_column(values), values.type) for values in accepted]
    for name, columns in (("plain", plain_columns), ("special", special_columns)):
        there, here = arrived(service, place, name, columns), read(given.url, name, columns)
        for column, logical in columns:
            assert (logical, column, there[column]) == (logical, column, here[column])
    for values in accepted:
        for number, text in enumerate(values.examples, FIRST):
            assert here[_column(values)][number] == plain(values.type, text)


@pytest.mark.parametrize("source", ENGINES)
def test_values_are_refused_before_the_first_write(
    sources: dict[str, Source],  # noqa: F811
    service: FakeTreasureData,
    tmp_path: Path,
    source: str,
) -> None:
    """What the document refuses is refused by column, count and key, and nothing is there."""
    given, place = sources[source], f"refused_{source}"
    refused = given.refused("treasuredata")
    if source == "postgresql":
        assert refused == []  # it holds no value that Treasure Data does not
        return
    for start in range(0, len(refused), 10):  # a message has at most twenty lines
        group = refused[start : start + 10]
        archive = str(tmp_path / f"{start}.dbsync.tar")
        chosen = {"special": ["id", *map(_column, group)]}
        dbsync.export_database(given.url, archive, tables=["special"], columns=chosen)
        (failure,) = dbsync.import_archive(archive, service.url(KEY, place)).failed
        assert failure.exit_code == LossError.exit_code
        counts = dict.fromkeys(map(_column, group), 0)
        for line in failure.message.splitlines():
            found = _LINE.fullmatch(line)
            assert found, line
            counts[found[1]] += int(found[2])
            assert int(found[3]) >= FIRST
        assert counts == {_column(values): len(values.examples) for values in group}
        assert "nothing was written" in (failure.hint or "")
        assert place not in service.account().databases


COLUMNS = [
    ("i", "int"), ("l", "long"), ("f", "float"), ("d", "double"), ("s", "string"),
    ("a", "array<double>"), ("m", "map<string,array<long>>"),
]  # fmt: skip
ROWS: list[dict[str, Any]] = [
    {"i": -(2**31), "l": -(2**63), "f": 1.401298464324817e-45, "d": 5e-324, "s": "",
     "a": [0.1, None, float("inf")], "m": {"": [2**63 - 1, None], "é": []}, "time": 0},
    {"i": 2**31 - 1, "l": 2**63 - 1, "f": 3.4028234663852886e38, "d": 1.7976931348623157e308,
     "s": "ÿ😀\u0301 '\"\\\t\n", "a": [], "m": {}, "time": 2**31},
    {"time": 253_402_300_799},
]  # fmt: skip


def test_every_type_of_the_service_comes_back(service: FakeTreasureData) -> None:
    """A clone into a second account has the same types, values and expiry."""
    make(service.account(), "types", "every", COLUMNS, [*ROWS, {"f": float("nan"), "time": 1}],
         expire_days=7)  # fmt: skip
    other = service.add_key("1/other", "other")
    result = dbsync.clone(service.url(KEY, "types"), service.url(other, "copy"), verify=True)
    assert result.imported.failed == ()
    there = service.account("other").database("copy").tables["every"]
    assert there.columns == [list(column) for column in COLUMNS]
    assert there.expire_days == 7
    here = service.account().query('SELECT * FROM "types"."every" ORDER BY "time"')
    copied = service.account("other").query('SELECT * FROM "copy"."every" ORDER BY "time"')
    assert repr(copied) == repr(here)


@pytest.mark.parametrize("target", ENGINES)
def test_every_type_of_the_service_goes_elsewhere_and_back(
    service: FakeTreasureData,
    new_pg_url: Callable[[], str],
    new_maria_url: Callable[[], str],
    tmp_path: Path,
    target: str,
) -> None:
    """Every engine takes every value but infinite floats, arrays and maps as JSON."""
    place, lowest = f"from_{target}", 2.2250738585072014e-308  # MariaDB has no smaller double
    rows = [row | {"d": max(row["d"], lowest)} if "d" in row else row for row in ROWS]
    make(service.account(), place, "every", COLUMNS, rows)
    match target:
        case "sqlite":
            url = f"sqlite:///{tmp_path / 'new.sqlite'}"
        case "postgresql":
            url = new_pg_url()
        case _:
            url = new_maria_url()
    result = dbsync.clone(service.url(KEY, place), url, include_schema=True, verify=True)
    assert result.verified is not None
    assert result.verified.differences == ()
    text = "char" if target == "mysql" else "text"
    sql = f"SELECT CAST(a AS {text}), CAST(m AS {text}) FROM every WHERE a IS NOT NULL"
    texts = set(query(url, sql))
    assert texts == {
        ('[0.1,null,"Infinity"]', '{"":[9223372036854775807,null],"é":[]}'),
        ("[]", "{}"),
    }
