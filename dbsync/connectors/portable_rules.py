"""What one engine makes of the portable model, and the losses that are noted on the way.

What lives here: `Rules`, which a connector fills in, and `Losses`. Must not know: how statements
are put together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from sqlalchemy.sql.elements import quoted_name

from dbsync.model.schema import Column, Loss, Name, Sequence

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import Dialect


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What one engine makes of the portable model.

    `dialect` must not double percent signs (``paramstyle="named"``): statements run as they are.
    `type_text` gives the native type of a column, and the reason where that is another type than
    the source had (a loss of severity ``changed``). `literal` gives the SQL of a literal default,
    or None where it cannot be expressed. `functions` maps the portable functions of defaults to
    expressions. `refers` maps the source name of a referred table to its name on the target, None
    where it will not be there. `inline` puts uniques and foreign keys into CREATE TABLE, for
    engines that cannot add them. Everything else says what the engine supports.
    """

    dialect: Dialect
    type_text: Callable[[Column], tuple[str, str | None]]
    literal: Callable[[Column, str], str | None]
    refers: Callable[[Name], Name | None]
    functions: Mapping[str, str]
    sequences: Mapping[Name, Sequence] = field(default_factory=dict[Name, Sequence])
    collations: frozenset[str] = frozenset()
    inline: bool = False
    deferrable_keys: bool = True
    nulls_not_distinct: bool = True
    match_full: bool = True

    def quote(self, name: str) -> str:
        """Quote an identifier."""
        return self.dialect.identifier_preparer.quote_identifier(name)


class Losses:
    """Collects losses."""

    def __init__(self) -> None:
        self.found: list[Loss] = []

    def add(self, what: str, reason: str, severity: Literal["lost", "changed"] = "lost") -> None:
        """Note that something is not carried, or only in another form."""
        self.found.append(Loss(object=what, reason=reason, severity=severity))


def quoted(name: str) -> quoted_name:
    """Force quotes: lists of reserved words age, quoting does not."""
    return quoted_name(name, quote=True)
