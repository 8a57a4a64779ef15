"""Which texts are JSON, against PostgreSQL's and MariaDB's own word."""

from __future__ import annotations

from typing import Any

import psycopg2
import pyarrow as pa
import pytest

from dbsync.model.values import MisfitError, refuse_not_json
from tests.integration.maria_rows import maria_query

TEXTS = [
    "1", "1.", "01", "-0", "-", "1e5", "1E400", "1e", ".5", "+1", "NaN", "-Infinity", "true", "tru",
    "null", '"a"', '"a', "'a'", r'"\u0000"', r'"\ud83d"', r'"\ude00"', r'"\ud83d\ude00"',
    r'"\ud83d\u0041"', r'"\x"', r'"\u12"', r'"\u12g4"', '"\t"', '"\x01"', '"\x7f"', '"\u2028"',
    "[]", "[1,]", "[,1]", "{}", '{"a":1,}', "{a:1}", '{"a" 1}', "{1:2}", " 1 ", "\t1\n", "\x0b1",
    "\u00a01", "\ufeff1", "1 2", "", "  ", "[[]", "[]]", '{"a":1,"a":2}', r'"\/"', '"😀"',
    "/*x*/1", "0x10", "-01", "1.5e-3", r'"\"', "\\", "1" * 1000, "True", r'"\a"', "{}{}", '{"":1}',
    "[1;2]", "[1e]", "[-]",
    "[" * 31 + "]" * 31, "[" * 33 + "]" * 33, '{"[[":' * 20 + "1" + "}" * 20,
    "[" * 1200 + "]" * 1200,
]  # fmt: skip


def _passes(text: str, **options: Any) -> bool:
    try:
        refuse_not_json(pa.array([text, None]), "c", "t", **options)
    except MisfitError:
        return False
    return True


@pytest.mark.parametrize(("kind", "strict"), [("json", False), ("jsonb", True)])
def test_postgresql_agrees(pg_url: str, kind: str, strict: bool) -> None:
    """What passes is what PostgreSQL reads, as json and as jsonb."""
    connection = psycopg2.connect(pg_url)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_input_is_valid(v, %s) FROM unnest(%s) v", (kind, TEXTS))
        valid = [row[0] for row in cursor.fetchall()]
    connection.close()
    assert [_passes(t, halves=not strict, nul=not strict) for t in TEXTS] == valid


def test_mariadb_takes_what_passes(maria_url: str) -> None:
    """No text that passes as JSON for MariaDB is refused by the server."""
    passing = [text for text in TEXTS if _passes(text, halves=False, depth=31)]
    assert len(passing) > 20
    for text in passing:
        assert maria_query(maria_url, "SELECT JSON_VALID(%s)", (text,)) == [(1,)], text


def test_each_reason_is_named() -> None:
    """Broken text, half characters, NUL and depth are told apart."""
    texts = pa.array(["{", r'"\ud800"', r'"\u0000"', r'"\\u0000"', "[[[]]]", "[1]"])
    cases: list[tuple[dict[str, Any], str, int]] = [
        ({}, "not valid as JSON", 0),
        ({"halves": False}, "half a character", 1),
        ({"nul": False}, "NUL", 2),
        ({"depth": 2}, "deeper than 2", 4),
    ]
    for options, reason, row in cases:
        rest = texts if row == 0 else texts.slice(1)
        rest = texts.slice(2) if row > 1 else rest
        with pytest.raises(MisfitError, match=reason) as failure:
            refuse_not_json(rest, "c", "t", **options)
        assert failure.value.first == row - (len(texts) - len(rest))
