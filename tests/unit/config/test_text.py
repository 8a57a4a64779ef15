"""Lists of names, columns by table, conditions, sizes, time spans."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbsync.config.text import (
    parse_columns,
    parse_duration,
    parse_names,
    parse_size,
    parse_where,
)
from dbsync.errors import UsageError

_names = st.text(min_size=1, max_size=12).filter(lambda s: s.strip() == s and "\0" not in s)
_plain = st.from_regex(r"[A-Za-z_][A-Za-z0-9_$.*?\-]{0,8}", fullmatch=True)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def test_names() -> None:
    """Commas separate, blanks around names do not matter, several texts are joined."""
    assert parse_names(["a, b.*", "c"], "--tables") == ("a", "b.*", "c")
    assert parse_names([], "--tables") == ()
    assert parse_names(['public."a,b",x'], "--tables") == ("public.a,b", "x")


@given(st.lists(_names, min_size=1, max_size=4))
def test_quoted_names_are_literal(names: list[str]) -> None:
    """Whatever a name holds, in double quotes it is one pattern that matches it."""
    patterns = parse_names([",".join(map(quoted, names))], "--tables")
    assert len(patterns) == len(names)
    assert all(fnmatchcase(name, p) for name, p in zip(names, patterns, strict=True))


def test_a_quoted_glob_is_no_glob() -> None:
    """A star in quotes matches only a star."""
    (pattern,) = parse_names(['"a*"'], "--tables")
    assert fnmatchcase("a*", pattern)
    assert not fnmatchcase("ab", pattern)


@pytest.mark.parametrize("text", ["", "a,,b", "a,", ",", '"a', 'a"b', '"a"",b'])
def test_bad_names(text: str) -> None:
    """Empty names and open quotes are mistakes, not names."""
    with pytest.raises(UsageError, match="--tables"):
        parse_names([text], "--tables")


def test_columns() -> None:
    """Columns belong to the table before the colon; quoted names may hold anything."""
    assert parse_columns(["a:x,y", "public.b*: z", '"c:d":"e,f",g'], "--columns") == {
        "a": ("x", "y"),
        "public.b*": ("z",),
        "c:d": ("e,f", "g"),
    }


@given(_names, st.lists(_names, min_size=1, max_size=4, unique=True))
def test_quoted_columns(table: str, columns: list[str]) -> None:
    """Any table and any columns can be named in quotes."""
    text = f"{quoted(table)}:{','.join(map(quoted, columns))}"
    ((pattern, chosen),) = parse_columns([text], "--columns").items()
    assert fnmatchcase(table, pattern)
    assert chosen == tuple(columns)


@pytest.mark.parametrize("texts", [["a"], [":x"], ["a:"], ["a:x,x"], ["a:x", "a:y"], ["a,b:x"]])
def test_bad_columns(texts: list[str]) -> None:
    """No table, no columns, and anything twice are mistakes."""
    with pytest.raises(UsageError, match="--columns"):
        parse_columns(texts, "--columns")


@pytest.mark.parametrize(
    "condition",
    [
        "ts::date > '2026-01-01'",
        "ts:: date > '2026-01-01'",
        "a = 'x:y'",
        "a = 'x: y'",
        "note LIKE 'to do: %'",
        "arr[1:2] = '{1}'",
        "arr[1: 2] = '{1}'",
        '"a"::int = 1',
        "(a): b",
        "a\n> 1",
        "@x := 1",
        "x:=1",
    ],
)
def test_conditions_for_every_table(condition: str) -> None:
    """A colon inside a condition never makes a table out of it."""
    assert parse_where([condition], "--where") == {"*": condition}


@pytest.mark.parametrize(
    ("text", "table", "condition"),
    [
        ("orders: total > 5", "orders", "total > 5"),
        ("public.orders:  ts::date > '2026-01-01'", "public.orders", "ts::date > '2026-01-01'"),
        ("log_[ab]*: a = 'x: y'", "log_[ab]*", "a = 'x: y'"),
        ('"odd: name": a\n= 1', "odd: name", "a\n= 1"),
        ("*: a = 1", "*", "a = 1"),
        ("a:\tb = 1 ", "a", "b = 1"),
    ],
)
def test_conditions_for_one_table(text: str, table: str, condition: str) -> None:
    """A name or glob with a colon and white space is a table."""
    assert parse_where([text], "--where") == {table: condition}


@given(_plain, st.text(min_size=1).map(str.strip).filter(bool))
def test_any_condition_of_a_table(table: str, condition: str) -> None:
    """Whatever stands behind ``table: `` is the condition, to the letter."""
    assert parse_where([f"{table}: {condition}"], "--where") == {table: condition}


@pytest.mark.parametrize("texts", [["orders:total > 5"], ["a: x", "a: y"], ["x", "y"], [" "]])
def test_bad_conditions(texts: list[str]) -> None:
    """A forgotten blank, two conditions for one table, and an empty one are mistakes."""
    with pytest.raises(UsageError, match="--where"):
        parse_where(texts, "--where")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1048576", 1 << 20),
        ("64MiB", 64 << 20),
        ("64MB", 64_000_000),
        ("64M", 64 << 20),
        ("1.5 GiB", 3 << 29),
        ("4kib", 4096),
        ("5000B", 5000),
    ],
)
def test_sizes(text: str, size: int) -> None:
    """Powers of 1024 and of 1000 are told apart."""
    assert parse_size(text, "--chunk-bytes", minimum=1, maximum=1 << 40) == size


@pytest.mark.parametrize("text", ["", "x", "-1", "64iB", "64QiB", "1e9", "10", "2TiB"])
def test_bad_sizes(text: str) -> None:
    """What is no size, or outside the limits, is refused by name."""
    with pytest.raises(UsageError, match="--chunk-bytes"):
        parse_size(text, "--chunk-bytes", minimum=100, maximum=1 << 40)


@given(st.integers(1, 1 << 50))
def test_plain_numbers(number: int) -> None:
    """A bare number is a number of bytes."""
    assert parse_size(str(number), "l", minimum=1, maximum=1 << 50) == number


@given(st.text(alphabet='":,a. *\n', max_size=40))
def test_never_another_exception(text: str) -> None:
    """Any text is parsed or refused with a usage error."""
    for parse in (parse_names, parse_columns, parse_where):
        with contextlib.suppress(UsageError):
            parse([text], "--x")


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("26h", timedelta(hours=26)),
        ("30D", timedelta(days=30)),
        ("2w", timedelta(weeks=2)),
        (" 1h 30m ", timedelta(hours=1, minutes=30)),
        ("0s", timedelta(0)),
    ],
)
def test_time_spans(text: str, span: timedelta) -> None:
    """A time span is a number with a unit, or several of them."""
    assert parse_duration(text, "--max-age") == span


@pytest.mark.parametrize(
    "text", ["", "90", "1y", "h", "1.5h", "-1h", "99999999999999999999w", "1h,2m"]
)
def test_bad_time_spans(text: str) -> None:
    """A number without a unit could mean anything, and is refused with the option's name."""
    with pytest.raises(UsageError, match="--max-age"):
        parse_duration(text, "--max-age")
