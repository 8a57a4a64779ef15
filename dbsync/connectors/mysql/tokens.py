"""MySQL's SQL as tokens: enough to find names, strings and clauses without being fooled by them.

What lives here: the tokenizer, quoting rules of names and strings, and CREATE TABLE taken apart
into its elements. Must not know: catalogs, connections.
Outside facts: https://dev.mysql.com/doc/refman/8.0/en/string-literals.html and comments.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

Kind = Literal["space", "comment", "name", "string", "word", "sign"]

_PATTERN = r"""
    (?P<space>\s+)
  | (?P<comment>--(?=[\s\x00-\x1f]|\Z)[^\n]* | \#[^\n]* | /\*.*?\*/)
  | (?P<name>`(?:[^`]|``)*`{names})
  | (?P<string>'(?:[^'{no}]|{escape}'')*'{strings})
  | (?P<word>[\w$@]+)
  | (?P<sign>.)
"""


def _compiled(*, ansi_quotes: bool, backslash: bool) -> re.Pattern[str]:
    no, escape = (r"\\", r"\\.|") if backslash else ("", "")
    double = rf'|"(?:[^"{no}]|{escape}"")*"'
    return re.compile(
        _PATTERN.format(
            no=no,
            escape=escape,
            names='|"(?:[^"]|"")*"' if ansi_quotes else "",
            strings="" if ansi_quotes else double,
        ),
        re.VERBOSE | re.DOTALL,
    )


_PATTERNS = {
    (ansi, backslash): _compiled(ansi_quotes=ansi, backslash=backslash)
    for ansi in (False, True)
    for backslash in (False, True)
}
_ESCAPED = re.compile(r"''|\\(.)", re.DOTALL)
_ESCAPES = {"0": "\0", "n": "\n", "r": "\r", "t": "\t", "b": "\b", "Z": "\x1a"}


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """One token and where it stands in its text."""

    kind: Kind
    text: str
    start: int

    @property
    def end(self) -> int:
        """The place after the token."""
        return self.start + len(self.text)

    @property
    def upper(self) -> str:
        """The text of a word in upper case, empty for everything else but signs."""
        return self.text.upper() if self.kind in ("word", "sign") else ""

    @property
    def identifier(self) -> str | None:
        """The name that a quoted name or a bare word stands for, None for everything else."""
        if self.kind == "word":
            return self.text
        if self.kind != "name":
            return None
        quote = self.text[0]
        return self.text[1:-1].replace(quote * 2, quote)


def tokenize(sql: str, sql_mode: str = "") -> list[Token]:
    """Cut `sql` into tokens that together are the whole text; what is not closed ends up as signs.

    `sql_mode` is the one that the text was written under: it decides what double quotes and
    backslashes mean.
    """
    modes = set(sql_mode.upper().split(","))
    pattern = _PATTERNS["ANSI_QUOTES" in modes, "NO_BACKSLASH_ESCAPES" not in modes]
    return [
        Token(kind=_kind(match.lastgroup), text=match.group(), start=match.start())
        for match in pattern.finditer(sql)
    ]


def _kind(group: str | None) -> Kind:
    match group:
        case "space" | "comment" | "name" | "string" | "word":
            return group
        case _:
            return "sign"


def significant(tokens: Sequence[Token]) -> list[Token]:
    """Leave out blanks and comments."""
    return [token for token in tokens if token.kind not in ("space", "comment")]


def unquoted(literal: str) -> str:
    """Give the text of a string literal as the server prints it: backslashes and doubled quotes."""
    return _ESCAPED.sub(_unescape, literal[1:-1])


def _unescape(found: re.Match[str]) -> str:
    escaped: str | None = found[1]
    return "'" if escaped is None else _ESCAPES.get(escaped, escaped)


def without(sql: str, gone: Sequence[tuple[int, int]]) -> str:
    """Cut pieces (start, end) out of a text."""
    return replaced(sql, [(start, end, "") for start, end in gone])


def replaced(sql: str, pieces: Sequence[tuple[int, int, str]]) -> str:
    """Put other text in the place of pieces (start, end, text), which do not overlap."""
    parts: list[str] = []
    at = 0
    for start, end, text in sorted(pieces):
        parts += (sql[at:start], text)
        at = end
    return "".join([*parts, sql[at:]])


class TableText(msgspec.Struct, frozen=True, kw_only=True):
    """SHOW CREATE TABLE taken apart: `head`, its elements (columns, keys, ...), and `tail`."""

    head: str
    """Up to and with the opening parenthesis and the blanks after it."""
    elements: tuple[str, ...]
    tail: str
    """From the blanks before the closing parenthesis on."""

    def __str__(self) -> str:
        """Put the statement together again, as the server writes it."""
        return self.head + ",\n  ".join(self.elements) + self.tail


def split_table(sql: str) -> TableText | None:
    """Take a CREATE TABLE statement of the server apart; None where it has no list of elements."""
    depth = 0
    begin = 0
    pieces: list[tuple[int, int]] = []
    for token in tokenize(sql):
        if token.kind != "sign":
            continue
        if token.text == "(":
            depth += 1
            if depth == 1:
                begin = token.end
        elif token.text == ")":
            depth -= 1
            if depth == 0:
                pieces.append((begin, token.start))
                return _table_text(sql, pieces)
        elif token.text == "," and depth == 1:
            pieces.append((begin, token.start))
            begin = token.end
    return None


def _table_text(sql: str, pieces: list[tuple[int, int]]) -> TableText:
    first, last = sql[slice(*pieces[0])], sql[slice(*pieces[-1])]
    start = pieces[0][0] + len(first) - len(first.lstrip())
    end = pieces[-1][1] - (len(last) - len(last.rstrip()))
    elements = tuple(sql[a:b].strip() for a, b in pieces)
    return TableText(head=sql[:start], elements=elements, tail=sql[end:])


def element_column(element: str) -> str | None:
    """Name the column that an element of CREATE TABLE defines, None for keys and constraints."""
    # The server quotes every name and starts every other element with a keyword.
    if not element.startswith("`"):
        return None
    return tokenize(element)[0].identifier


def element_foreign_key(element: str) -> str | None:
    """Name the foreign key that an element of CREATE TABLE defines, None for everything else."""
    if "FOREIGN KEY" not in element:
        return None
    tokens = significant(tokenize(element))
    words = [token.upper for token in tokens[:4]]
    if len(words) == 4 and words[0] == "CONSTRAINT" and words[2:] == ["FOREIGN", "KEY"]:
        return tokens[1].identifier
    return None


def element_key(element: str) -> str | None:
    """Name the index that an element of CREATE TABLE defines; ``PRIMARY`` for the primary key."""
    if element.startswith("`"):
        return None
    tokens = significant(tokenize(element))
    for place, token in enumerate(tokens[:3]):
        if token.upper == "KEY":
            if place > 0 and tokens[place - 1].upper == "PRIMARY":
                return "PRIMARY"
            follows = tokens[place + 1] if place + 1 < len(tokens) else None
            return follows.identifier if follows is not None and follows.kind == "name" else None
    return None


def qualified_names(tokens: Sequence[Token]) -> Iterator[tuple[int, str, str]]:
    """Find ``a`.`b`` in significant tokens: the place of the first token, and both names.

    Of three parts in a row, the first two.
    """
    place = 0
    while place + 2 < len(tokens):
        first, dot, second = tokens[place : place + 3]
        if dot.text == "." and first.identifier is not None and second.identifier is not None:
            yield place, first.identifier, second.identifier
            place += 3
            while place + 1 < len(tokens) and tokens[place].text == ".":
                place += 2
        else:
            place += 1
