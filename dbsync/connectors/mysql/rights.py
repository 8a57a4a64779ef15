"""What this user may see, as SHOW GRANTS says it.

What lives here: privileges with their scope. Must not know: what they are needed for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from dbsync.connectors.mysql.connection import Session
from dbsync.connectors.mysql.tokens import Token, significant, tokenize

_EVERYTHING = "ALL PRIVILEGES"


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """One line of SHOW GRANTS; `database` and `table` are None for all of them.

    `database` may be a pattern of LIKE. Rights on single columns are left out.
    """

    privileges: frozenset[str]
    database: str | None
    table: str | None


class Rights(msgspec.Struct, frozen=True):
    """All grants of a user, with those of the roles that are active."""

    grants: tuple[Grant, ...]

    def on_database(self, database: str, *privileges: str) -> bool:
        """Say whether any of `privileges` is held on the whole database."""
        return any(
            grant.table is None
            and (grant.database is None or _like(grant.database, database))
            and _gives(grant, privileges)
            for grant in self.grants
        )

    def on_server(self, *privileges: str) -> bool:
        """Say whether any of `privileges` is held on everything."""
        return any(
            grant.table is None and grant.database is None and _gives(grant, privileges)
            for grant in self.grants
        )

    def on_table(self, database: str, table: str, *privileges: str) -> bool:
        """Say whether any of `privileges` is held on one table, or on all of its database."""
        return self.on_database(database, *privileges) or any(
            grant.table == table and grant.database == database and _gives(grant, privileges)
            for grant in self.grants
        )


def read_rights(session: Session) -> Rights:
    """Read the rights of the session's user."""
    statement = "SHOW GRANTS"
    if not session.flavour.mariadb:
        # Without naming them MySQL leaves out what the active roles may do.
        roles = session.value("SELECT CURRENT_ROLE() AS roles", "reading rights")
        if roles and roles != "NONE":
            statement = f"SHOW GRANTS FOR CURRENT_USER() USING {roles}"
    rows = session.rows(statement, "reading rights")
    if session.flavour.public_role:
        rows += session.rows("SHOW GRANTS FOR PUBLIC", "reading rights")
    grants = (_grant(str(next(iter(row.values())))) for row in rows)
    return Rights(tuple(grant for grant in grants if grant is not None))


def _grant(line: str) -> Grant | None:
    tokens = significant(tokenize(line))
    words = [token.upper for token in tokens]
    if words[:1] != ["GRANT"] or "ON" not in words:
        return None
    place = words.index("ON")
    scope = tokens[place + 1 :]
    if scope[0].upper in ("PROCEDURE", "FUNCTION", "PACKAGE") or len(scope) < 3:
        return None
    return Grant(
        privileges=frozenset(_privileges(tokens[1:place])),
        database=_scope(scope[0]),
        table=_scope(scope[2]),
    )


def _privileges(tokens: Iterable[Token]) -> list[str]:
    """Join words to privileges; one with a list of columns does not count."""
    found: list[str] = [""]
    depth = 0
    for token in tokens:
        if token.text == "(":
            depth += 1
            found[-1] = ""
        elif token.text == ")":
            depth -= 1
            found[-1] = ""
        elif depth == 0 and token.text == ",":
            found.append("")
        elif depth == 0:
            found[-1] = f"{found[-1]} {token.upper}".strip()
    return [privilege for privilege in found if privilege]


def _scope(token: Token) -> str | None:
    return None if token.text == "*" else token.identifier


def _gives(grant: Grant, privileges: Iterable[str]) -> bool:
    return _EVERYTHING in grant.privileges or not grant.privileges.isdisjoint(privileges)


def _like(pattern: str, name: str) -> bool:
    """Compare as LIKE does: ``%`` and ``_`` stand for others unless a backslash is before them."""
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    translated = "".join(
        ".*" if p == "%" else "." if p == "_" else re.escape(p.removeprefix("\\")) for p in parts
    )
    return re.fullmatch(translated, name, re.DOTALL) is not None
