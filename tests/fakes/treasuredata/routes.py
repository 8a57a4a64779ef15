"""A request, an answer, and the register of what answers which request.

A request is a method and a path; `find` gives the operation's name (by which faults and the log
know it) and the function that answers. The functions are in table_routes, job_routes and
import_routes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.fakes.treasuredata.accounts import Key
from tests.fakes.treasuredata.catalog import Catalog
from tests.fakes.treasuredata.results import Stored

if TYPE_CHECKING:
    from tests.fakes.treasuredata.server import FakeTreasureData


@dataclass
class Request:
    """A request with its parts; `args` are the variable parts of the path, unquoted."""

    fake: FakeTreasureData
    key: Key
    args: tuple[str, ...]
    query: dict[str, str]
    fields: dict[str, str]
    body: bytes
    accepts_gzip: bool = False

    @property
    def catalog(self) -> Catalog:
        """The databases of the key's account."""
        return self.fake.account(self.key.account)


@dataclass
class Answer:
    """An answer: a body, or a stored result of which a range may be asked for."""

    body: bytes = b""
    stored: Stored | None = None
    headers: dict[str, str] = field(default_factory=dict)


Function = Callable[[Request], Answer]
_ROUTES: list[tuple[str, str, re.Pattern[str], Function]] = []


def find(method: str, path: str) -> tuple[str, Function | None, tuple[str, ...]]:
    """Return an operation's name, what answers it, and the quoted arguments of the path."""
    for name, wanted, pattern, function in _ROUTES:
        match = pattern.fullmatch(path)
        if match and wanted == method:
            return name, function, match.groups()
    return "unknown", None, ()


def route(name: str, method: str, path: str) -> Callable[[Function], Function]:
    """Register what answers a method and a path with {arguments}, under an operation's name."""
    pattern = re.compile(re.sub(r"\{\w+\}", "([^/]+)", path))

    def add(function: Function) -> Function:
        _ROUTES.append((name, method, pattern, function))
        return function

    return add


def in_json(found: Any) -> Answer:
    """Return an answer of JSON."""
    return Answer(json.dumps(found).encode(), headers={"Content-Type": "application/json"})
