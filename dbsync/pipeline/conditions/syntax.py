"""The grammar of conditions: text to a tree, or an error that says where it ends to make sense.

Must not know: which columns there are, what a value means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

from dbsync.errors import UsageError

Operator = Literal["=", "<>", "<", "<=", ">", ">="]
_MAX_DEPTH = 50
_MAX_LENGTH = 100_000


class Value(NamedTuple):
    """A value as it was written; `kind` says how."""

    kind: Literal["text", "number", "boolean"]
    text: str


@dataclass(frozen=True, slots=True)
class Compare:
    """``column = value`` and the like."""

    column: str
    operator: Operator
    value: Value


@dataclass(frozen=True, slots=True)
class In:
    """``column IN (value, ...)``."""

    column: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """``column LIKE 'pattern'``."""

    column: str
    pattern: str


@dataclass(frozen=True, slots=True)
class IsNull:
    """``column IS NULL``."""

    column: str


@dataclass(frozen=True, slots=True)
class Not:
    """``NOT condition``."""

    part: Node


@dataclass(frozen=True, slots=True)
class Both:
    """``one AND other`` of any number of parts; with `either`, ``one OR other``."""

    parts: tuple[Node, ...]
    either: bool


Node = Compare | In | Like | IsNull | Not | Both

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>'(?:[^']|'')*+')
      | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<quoted>"(?:[^"]|"")++")
      | (?P<word>[^\W\d][\w$]*)
      | (?P<sign><=|>=|<>|!=|==|=|<|>|\(|\)|,)
      | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_KEYWORDS = frozenset(["AND", "OR", "NOT", "IN", "IS", "NULL", "BETWEEN", "LIKE", "TRUE", "FALSE"])
_MIRRORED: dict[str, Operator] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}
_OPERATORS: dict[str, Operator] = {
    "=": "=", "==": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">=",
}  # fmt: skip


class _Token(NamedTuple):
    kind: str
    text: str
    position: int


def parse(text: str) -> Node:
    """Read a condition; raises `UsageError` that shows where it stops to be one."""
    if len(text) > _MAX_LENGTH:
        raise UsageError(f"a condition of {len(text)} characters is too long")
    parser = _Parser(text)
    node = parser.any_of(0)
    if parser.now.kind != "end":
        raise parser.unexpected("AND, OR or the end")
    return node


class _Parser:
    """Recursive descent over the tokens; `depth` bounds the recursion."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self.now = self._next()

    def any_of(self, depth: int) -> Node:
        return self._chain("OR", depth)

    def unexpected(self, wanted: str) -> UsageError:
        """Say what was found in place of what."""
        found = "it ends" if self.now.kind == "end" else f"{self.now.text!r} stands"
        before = self._text[: self.now.position].rstrip()
        where = f"after {before[-30:]!r}" if before else "at the beginning"
        return UsageError(
            f"the condition {self._text[:200]!r} cannot be read: {found} {where}, "
            f"where {wanted} belongs",
            hint="conditions are comparisons of a column with a value, IN, BETWEEN, LIKE and "
            "IS NULL, joined by AND, OR and NOT; text stands in single quotes",
        )

    def _chain(self, word: str, depth: int) -> Node:
        if depth > _MAX_DEPTH:
            raise UsageError(f"the condition {self._text[:60]!r} is nested too deeply")
        parts = [self._chain("AND", depth) if word == "OR" else self._one(depth)]
        while self._take(word):
            parts.append(self._chain("AND", depth) if word == "OR" else self._one(depth))
        return parts[0] if len(parts) == 1 else Both(tuple(parts), either=word == "OR")

    def _one(self, depth: int) -> Node:
        negated = False
        while self._take("NOT"):
            negated = not negated
        if self._take("("):
            node = self.any_of(depth + 1)
            self._demand(")")
        else:
            node = self._predicate()
        return Not(node) if negated else node

    def _predicate(self) -> Node:
        if (value := self._value()) is not None:
            operator = _MIRRORED[self._operator()]
            return Compare(self._column(), operator, value)
        column = self._column()
        if self._take("IS"):
            negated = self._take("NOT")
            self._demand("NULL")
            return Not(IsNull(column)) if negated else IsNull(column)
        negated = self._take("NOT")
        node: Node
        if self._take("IN"):
            node = In(column, self._list())
        elif self._take("BETWEEN"):
            low = Compare(column, ">=", self._some_value())
            self._demand("AND")
            node = Both((low, Compare(column, "<=", self._some_value())), either=False)
        elif self._take("LIKE"):
            pattern = self._some_value()
            if pattern.kind != "text":
                raise self.unexpected("a pattern in single quotes")
            node = Like(column, pattern.text)
        elif negated:
            raise self.unexpected("IN, BETWEEN or LIKE")
        else:
            return Compare(column, self._operator(), self._some_value())
        return Not(node) if negated else node

    def _list(self) -> tuple[Value, ...]:
        self._demand("(")
        values = [self._some_value()]
        while self._take(","):
            values.append(self._some_value())
        self._demand(")")
        return tuple(values)

    def _column(self) -> str:
        token = self.now
        if token.kind == "quoted":
            self.now = self._next()
            return token.text[1:-1].replace('""', '"')
        if token.kind != "word" or token.text.upper() in _KEYWORDS:
            raise self.unexpected("a column")
        self.now = self._next()
        return token.text

    def _operator(self) -> Operator:
        operator = _OPERATORS.get(self.now.text) if self.now.kind == "sign" else None
        if operator is None:
            raise self.unexpected("a comparison")
        self.now = self._next()
        return operator

    def _some_value(self) -> Value:
        value = self._value()
        if value is None:
            if self._at("NULL"):
                raise UsageError(
                    f"the condition {self._text[:200]!r} compares with NULL, which is never true",
                    hint="write IS NULL or IS NOT NULL",
                )
            raise self.unexpected("a value")
        return value

    def _value(self) -> Value | None:
        token = self.now
        value: Value | None = None
        if token.kind == "text":
            value = Value("text", token.text[1:-1].replace("''", "'"))
        elif token.kind == "number":
            value = Value("number", token.text)
        elif self._at("TRUE") or self._at("FALSE"):
            value = Value("boolean", token.text.lower())
        if value is not None:
            self.now = self._next()
        return value

    def _at(self, word: str) -> bool:
        return self.now.kind in ("word", "sign") and self.now.text.upper() == word

    def _take(self, word: str) -> bool:
        if not self._at(word):
            return False
        self.now = self._next()
        return True

    def _demand(self, word: str) -> None:
        if not self._take(word):
            raise self.unexpected(word)

    def _next(self) -> _Token:
        match = _TOKEN.match(self._text, self._position)
        if match is None:
            rest = self._text[self._position :].lstrip()
            self.now = _Token("sign", rest[:10], len(self._text) - len(rest))
            raise self.unexpected("a column, a value or a comparison")
        self._position = match.end()
        kind = match.lastgroup or "end"
        return _Token(kind, match[kind], match.start(kind))
