"""Which check constraints mean the same on every engine, and their text for a dialect.

What lives here: a small grammar of comparisons. An expression outside of it is not portable,
even if it would happen to work. Must not know: any engine but for the casts that PostgreSQL
writes into its own expressions, which are dropped where they change nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from dbsync.model.schema import Table

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>-?\d+(?:\.\d+)?(?![\w.]))
    | (?P<string>'(?:[^'\\]|'')*')
    | (?P<quoted>"(?:[^"]|"")+"|`[^`]+`|\[[^\]]+\])
    | (?P<word>[^\W\d]\w*)
    | (?P<cast>::\s*(?:numeric|integer|bigint|smallint|double\ precision|real
        |text|character\ varying|bpchar)(?![\w\[(]))
    | (?P<sign><=|>=|<>|!=|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_KEYWORDS = frozenset({"and", "or", "not", "is", "null", "in", "between"})
_NUMBERS = frozenset({"integer", "float", "decimal", "numeric"})
_ORDERED = frozenset({"<", ">", "<=", ">=", "between"})


class _NotPortableError(Exception):
    """The expression leaves the grammar."""


def portable_check(expression: str, table: Table, quote: Callable[[str], str]) -> str | None:
    """Rewrite a check's expression with identifiers quoted by `quote`, or return None.

    Portable are AND, OR and NOT over: comparisons of number columns with numbers or one another,
    equality and IN of text columns with text, BETWEEN of numbers, IS NULL of anything. Text is
    not ordered, because collations differ between engines.
    """
    try:
        return _Parser(_tokens(expression), table, quote).whole()
    except (_NotPortableError, RecursionError):
        return None


def _tokens(expression: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position, end = 0, len(expression.rstrip())
    while position < end:
        match = _TOKEN.match(expression, position)
        if match is None or match.lastgroup is None:
            raise _NotPortableError
        position = match.end()
        tokens.append((match.lastgroup, match.group(match.lastgroup)))
    return tokens


class _Parser:
    """Recursive descent over the tokens; operands carry their kind: number, text or other."""

    def __init__(self, tokens: list[tuple[str, str]], table: Table, quote: Callable[[str], str]):
        self._tokens = [*tokens, ("end", "")]
        self._at = 0
        self._quote = quote
        self._exact = {c.name: _kind(c.type.name) for c in table.columns}
        self._folded: dict[str, list[str]] = {}
        for name in self._exact:
            self._folded.setdefault(name.lower(), []).append(name)

    def whole(self) -> str:
        text = self._either()
        if self._tokens[self._at][0] != "end":
            raise _NotPortableError
        return text

    def _accept(self, *values: str) -> str | None:
        group, text = self._tokens[self._at]
        if group in ("word", "sign") and text.lower() in values:
            self._at += 1
            return text.lower()
        return None

    def _expect(self, value: str) -> None:
        if self._accept(value) is None:
            raise _NotPortableError

    def _either(self) -> str:
        parts = [self._both()]
        while self._accept("or"):
            parts.append(self._both())
        return " OR ".join(parts) if len(parts) == 1 else f"({' OR '.join(parts)})"

    def _both(self) -> str:
        parts = [self._negated()]
        while self._accept("and"):
            parts.append(self._negated())
        return " AND ".join(parts) if len(parts) == 1 else f"({' AND '.join(parts)})"

    def _negated(self) -> str:
        if self._accept("not"):
            return f"(NOT {self._negated()})"
        start = self._at
        try:
            return self._predicate()
        except _NotPortableError:
            # An opening parenthesis may belong to an operand or to a condition.
            self._at = start
            self._expect("(")
            text = self._either()
            self._expect(")")
            return f"({text})"

    def _predicate(self) -> str:
        left, kind = self._operand()
        if self._accept("is"):
            negated = " NOT" if self._accept("not") else ""
            self._expect("null")
            return f"{left} IS{negated} NULL"
        negated = "NOT " if self._accept("not") else ""
        if self._accept("in"):
            return f"{left} {negated}IN ({', '.join(self._list(kind))})"
        if self._accept("between"):
            low = self._comparable(kind, "between")
            self._expect("and")
            high = self._comparable(kind, "between")
            return f"{left} {negated}BETWEEN {low} AND {high}"
        sign = None if negated else self._accept("=", "<>", "!=", "<", ">", "<=", ">=")
        if sign is None:
            raise _NotPortableError
        return f"{left} {'<>' if sign == '!=' else sign} {self._comparable(kind, sign)}"

    def _list(self, kind: str) -> list[str]:
        self._expect("(")
        items = [self._comparable(kind, "=")]
        while self._accept(","):
            items.append(self._comparable(kind, "="))
        self._expect(")")
        return items

    def _comparable(self, kind: str, sign: str) -> str:
        text, other = self._operand()
        if kind == "other" or kind != other or (kind == "text" and sign in _ORDERED):
            raise _NotPortableError
        return text

    def _operand(self) -> tuple[str, str]:
        if self._accept("("):
            text, kind = self._operand()
            self._expect(")")
        else:
            text, kind = self._simple()
        while self._tokens[self._at][0] == "cast":
            number_cast = re.search(r"text|char", self._tokens[self._at][1], re.IGNORECASE) is None
            # A cast to another kind, or of a column to a narrower type, changes the value.
            if kind != ("number" if number_cast else "text"):
                raise _NotPortableError
            self._at += 1
        return text, kind

    def _simple(self) -> tuple[str, str]:
        group, text = self._tokens[self._at]
        self._at += 1
        if group == "number":
            return text, "number"
        if group == "string":
            return text, "text"
        if group == "quoted":
            close = text[-1]
            name = text[1:-1].replace(close * 2, close)
            if name in self._exact:
                return self._quote(name), self._exact[name]
        if group == "word" and text.lower() not in _KEYWORDS:
            found = [text] if text in self._exact else self._folded.get(text.lower(), [])
            if len(found) == 1:
                return self._quote(found[0]), self._exact[found[0]]
        raise _NotPortableError


def _kind(name: str) -> str:
    if name in _NUMBERS:
        return "number"
    return "text" if name == "string" else "other"
