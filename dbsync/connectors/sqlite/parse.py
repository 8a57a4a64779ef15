"""Reading CREATE TABLE as `sqlite_master` keeps it: what no PRAGMA tells.

What lives here: a tokenizer for SQLite's SQL and the pieces of a table definition: collations,
checks, generated expressions, names of constraints, deferrable foreign keys. A text that is not
understood yields fewer pieces, never wrong ones. Must not know: connections, the model.
Syntax: https://sqlite.org/lang_createtable.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*(?:\n|$)|/\*.*?(?:\*/|$))
  | (?P<string>'(?:[^']|'')*')
  | (?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])
  | (?P<blob>[xX]'[0-9a-fA-F]*')
  | (?P<number>0[xX][0-9a-fA-F]+|(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<word>[^\W\d][\w$]*)
  | (?P<symbol>->>|->|\|\||<<|>>|<=|>=|<>|!=|==|.)
    """,
    re.VERBOSE | re.DOTALL,
)


class Token(msgspec.Struct, frozen=True):
    """One token: its kind, its text, and where it stands in the statement."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """Give the keyword in upper case; an empty text for anything quoted."""
        return self.text.upper() if self.kind == "word" else ""

    @property
    def name(self) -> str:
        """Give the identifier that the token spells, without its quotes."""
        text = self.text
        if self.kind == "quoted" and text[0] == "[":
            return text[1:-1]
        if self.kind in ("quoted", "string"):
            return text[1:-1].replace(text[0] * 2, text[0])
        return text


def tokens(sql: str) -> list[Token]:
    """Split a statement into tokens, without white space and comments."""
    found: list[Token] = []
    for match in _TOKEN.finditer(sql):
        kind = match.lastgroup or "symbol"
        if kind != "space":
            found.append(Token(kind, match.group(), match.start(), match.end()))
    return found


class ColumnText(msgspec.Struct, kw_only=True):
    """What the text of one column definition says beyond the PRAGMAs."""

    name: str
    collation: str | None = None
    generated: str | None = None
    autoincrement: bool = False


class ForeignKeyText(msgspec.Struct, kw_only=True):
    """The parts of a foreign key that ``PRAGMA foreign_key_list`` leaves out."""

    name: str | None = None
    deferrable: bool = False
    initially_deferred: bool = False


class TableText(msgspec.Struct, kw_only=True):
    """What the text of a table says beyond the PRAGMAs."""

    columns: dict[str, ColumnText] = {}
    """By lower-case name."""
    checks: list[tuple[str | None, str]] = []
    """Name and expression."""
    foreign_keys: list[ForeignKeyText] = []
    """In the order of the text, the reverse of that of the PRAGMA."""
    unique_names: dict[tuple[str, ...], str] = {}
    """Lower-case columns of a named UNIQUE or PRIMARY KEY to the name of the constraint."""
    conflict_clause: bool = False
    """Some constraint has an ON CONFLICT clause."""


def parse_table(sql: str) -> TableText:
    """Read a CREATE TABLE statement; whatever is not understood is left out."""
    table = TableText()
    found = tokens(sql)
    opening = next((i for i, token in enumerate(found) if token.text == "("), None)
    if opening is None:
        return table
    for part in _split(found[opening + 1 :]):
        if not part:
            continue
        first = part[0].word
        if first in ("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"):
            _read_constraints(sql, part, table, None)
        else:
            column = ColumnText(name=part[0].name)
            table.columns[column.name.lower()] = column
            _read_constraints(sql, part[1:], table, column)
    return table


def _split(found: list[Token]) -> Iterator[list[Token]]:
    """Yield the comma-separated parts up to the parenthesis that closes the definition."""
    part: list[Token] = []
    depth = 0
    for token in found:
        if token.text == ")" and depth == 0:
            break
        depth += (token.text == "(") - (token.text == ")")
        if token.text == "," and depth == 0:
            yield part
            part = []
        else:
            part.append(token)
    yield part


def _closing(part: list[Token], opening: int) -> int:
    depth = 0
    for index in range(opening, len(part)):
        depth += (part[index].text == "(") - (part[index].text == ")")
        if depth == 0:
            return index
    return len(part) - 1


def _inside(sql: str, part: list[Token], opening: int) -> tuple[str, int]:
    """Give the text within the parentheses that open at `opening`, and the index after them."""
    closing = _closing(part, opening)
    return sql[part[opening].end : part[closing].start].strip(), closing + 1


def _read_constraints(
    sql: str, part: list[Token], table: TableText, column: ColumnText | None
) -> None:
    name: str | None = None
    index = 0
    while index < len(part):
        word = part[index].word
        following = part[index + 1] if index + 1 < len(part) else None
        opens = following is not None and following.text == "("
        if word == "CONSTRAINT" and following is not None:
            name = following.name
            index += 2
            continue
        if word == "CHECK" and opens:
            text, index = _inside(sql, part, index + 1)
            table.checks.append((name, text))
            name = None
            continue
        if word == "AS" and opens and column is not None:
            column.generated, index = _inside(sql, part, index + 1)
            continue
        if word == "COLLATE" and following is not None and column is not None:
            column.collation = following.name
            index += 2
            continue
        if word in ("PRIMARY", "UNIQUE"):
            name = _name_key(part, index, table, column, name)
        elif word == "REFERENCES":
            table.foreign_keys.append(_foreign_key(part[index:], name))
            name = None
        elif word == "AUTOINCREMENT" and column is not None:
            column.autoincrement = True
        elif word == "CONFLICT" and index and part[index - 1].word == "ON":
            table.conflict_clause = True
        index = _closing(part, index) + 1 if part[index].text == "(" else index + 1


def _name_key(
    part: list[Token], index: int, table: TableText, column: ColumnText | None, name: str | None
) -> None:
    if name is None:
        return
    if column is not None:
        table.unique_names[(column.name.lower(),)] = name
        return
    opening = next((i for i in range(index, len(part)) if part[i].text == "("), None)
    if opening is not None:
        listed = part[opening + 1 : _closing(part, opening)]
        firsts = [t for i, t in enumerate(listed) if i == 0 or listed[i - 1].text == ","]
        table.unique_names[tuple(t.name.lower() for t in firsts)] = name


def _foreign_key(part: list[Token], name: str | None) -> ForeignKeyText:
    words = [token.word for token in part]
    # A column may have several REFERENCES; this clause ends where the next one begins.
    if "REFERENCES" in words[1:]:
        words = words[: words.index("REFERENCES", 1)]
    deferrable = "DEFERRABLE" in words
    if deferrable and words[words.index("DEFERRABLE") - 1] == "NOT":
        deferrable = False
    return ForeignKeyText(
        name=name,
        deferrable=deferrable,
        initially_deferred=deferrable and "DEFERRED" in words,
    )


def without_string_fallback(condition: str) -> tuple[str, list[str]]:
    """Spell double-quoted identifiers with backticks, and list the names they quote.

    SQLite takes an unknown name in double quotes for a string; in backticks it is an error.
    https://sqlite.org/quirks.html#double_quoted_string_literals_are_accepted
    """
    names: list[str] = []
    pieces: list[str] = []
    position = 0
    for token in tokens(condition):
        if token.kind == "quoted" and token.text[0] == '"':
            names.append(token.name)
            pieces += [condition[position : token.start], "`", token.name.replace("`", "``"), "`"]
            position = token.end
    pieces.append(condition[position:])
    return "".join(pieces), names
