"""Tokens: names, strings and clauses are found where they are, and nowhere else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dbsync.connectors.mysql.tokens import (
    element_column,
    element_foreign_key,
    element_key,
    split_table,
    tokenize,
    unquoted,
)

HOSTILE = (
    "CREATE TABLE `a``(,b` (\n"
    "  `x,(` enum('a,)','it''s','\\\\','`') DEFAULT ',' COMMENT 'PRIMARY KEY (\"',\n"
    "  `KEY` int(11) GENERATED ALWAYS AS (`x` + (1)) VIRTUAL,\n"
    "  PRIMARY KEY (`x,(`),\n"
    "  UNIQUE KEY `u``k` (`KEY`,`x,(`(3)),\n"
    "  FULLTEXT KEY `f` (`x,(`),\n"
    "  CONSTRAINT `fk,` FOREIGN KEY (`KEY`) REFERENCES `t` (`id`),\n"
    "  CONSTRAINT `FOREIGN` CHECK (`KEY` > 0)\n"
    ") ENGINE=InnoDB COMMENT=') ('"
)


@given(st.text())
def test_tokens_are_the_whole_text(text: str) -> None:
    """Nothing is dropped or doubled, whatever the text is, in either meaning of quotes."""
    for mode in ("", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES,NO_BACKSLASH_ESCAPES"):
        assert "".join(token.text for token in tokenize(text, mode)) == text


def test_a_table_is_taken_apart_at_its_commas() -> None:
    """Commas and parentheses in names, labels, comments and expressions do not split a table."""
    text = split_table(HOSTILE)
    assert text is not None
    assert str(text) == HOSTILE
    assert [element_column(e) for e in text.elements] == ["x,(", "KEY"] + [None] * 5
    assert [element_key(e) for e in text.elements] == [
        None, None, "PRIMARY", "u`k", "f", None, None,
    ]  # fmt: skip
    assert [element_foreign_key(e) for e in text.elements] == [None] * 5 + ["fk,", None]


def test_quotes_follow_the_mode() -> None:
    """Double quotes are strings or names, and backslashes escape or do not, as sql_mode says."""
    assert [t.kind for t in tokenize('"a\\"b"')] == ["string"]
    assert [t.kind for t in tokenize('"a""b"', "ANSI_QUOTES")] == ["name"]
    assert tokenize('"a""b"', "ANSI_QUOTES")[0].identifier == 'a"b'
    assert next(t.text for t in tokenize("'a\\' || 'b'", "NO_BACKSLASH_ESCAPES")) == "'a\\'"
    assert next(t.text for t in tokenize("'a\\' || 'b'")) == "'a\\' || '"


def test_comments_hide_what_they_hold() -> None:
    """All three kinds of comments are tokens of their own; a minus is not one."""
    kinds = [t.kind for t in tokenize("/* ' */ -- `\n# \"\n1--1")]
    assert kinds.count("comment") == 3
    assert "string" not in kinds
    assert "name" not in kinds


def test_strings_are_read_as_the_server_prints_them() -> None:
    """Escapes of the server come back as the characters that they stand for."""
    assert unquoted("'it''s \\\\ \\n\\r\\t\\0\\Z\\'\\%'") == "it's \\ \n\r\t\0\x1a'%"
