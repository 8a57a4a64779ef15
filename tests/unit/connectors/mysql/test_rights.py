"""Rights, as SHOW GRANTS spells them."""

from __future__ import annotations

import pytest

from dbsync.connectors.mysql.flavour import flavour_of
from dbsync.connectors.mysql.rights import read_rights
from tests.servers.mariadb import MariaServer
from tests.unit.connectors.mysql.catalogs import session


class Answers:
    """A session that answers SHOW GRANTS, and remembers what it was asked."""

    def __init__(self, *grants: str, version: str = "10.11.6-MariaDB", roles: str = "NONE"):
        self.flavour = flavour_of(version)
        self.grants, self.roles, self.asked = grants, roles, list[str]()

    def rows(self, sql: str, *_: object) -> list[dict[str, str]]:
        """Give the grants."""
        self.asked.append(sql)
        return [{"Grants": grant} for grant in self.grants]

    def value(self, *_: object) -> str:
        """Give the active roles."""
        return self.roles


@pytest.mark.parametrize(
    ("grant", "database", "table"),
    [
        ("GRANT ALL PRIVILEGES ON *.* TO `a`@`%` WITH GRANT OPTION", True, True),
        ("GRANT SELECT, TRIGGER ON *.* TO `a`@`%`", True, True),
        ("GRANT TRIGGER ON `my\\_db`.* TO `a`@`%`", True, True),
        ("GRANT TRIGGER ON `m_%b`.* TO `a`@`%`", True, True),
        ("GRANT TRIGGER ON `my_db`.`t``1` TO `a`@`%`", False, True),
        ("GRANT TRIGGER ON `my_db`.`other` TO `a`@`%`", False, False),
        ("GRANT TRIGGER ON `my\\_d`.* TO `a`@`%`", False, False),
        ("GRANT SELECT, INSERT ON *.* TO `TRIGGER`@`%`", False, False),
        ("GRANT SELECT (`TRIGGER`, `b`) ON `my_db`.`t``1` TO `a`@`%`", False, False),
        ("GRANT EXECUTE ON PROCEDURE `my_db`.`t``1` TO `a`@`%`", False, False),
        ("GRANT `role` TO `a`@`%`", False, False),
        ("SET DEFAULT ROLE `x` FOR `a`@`%`", False, False),
    ],
)
def test_scopes(grant: str, database: bool, table: bool) -> None:
    """A right counts on everything, on a pattern of databases, or on one table."""
    rights = read_rights(Answers(grant))  # type: ignore[arg-type]
    assert rights.on_database("my_db", "TRIGGER") == database
    assert rights.on_table("my_db", "t`1", "TRIGGER") == table


def test_rights_of_several_words() -> None:
    """Any one of the rights that are asked for is enough, wherever it stands in the list."""
    answers = Answers("GRANT LOCK TABLES, SHOW VIEW, CREATE TEMPORARY TABLES ON `d`.* TO `a`@`%`")
    rights = read_rights(answers)  # type: ignore[arg-type]
    assert rights.on_database("d", "EVENT", "SHOW VIEW")
    assert not rights.on_database("d", "EVENT", "VIEW")
    assert not rights.on_server("SHOW VIEW")


def test_active_roles_of_mysql_are_named() -> None:
    """MySQL shows what a role may do only where the role is named."""
    answers = Answers(version="8.0.36", roles="`r`@`%`")
    read_rights(answers)  # type: ignore[arg-type]
    assert answers.asked == ["SHOW GRANTS FOR CURRENT_USER() USING `r`@`%`"]


def test_rights_of_a_real_user(maria: MariaServer, maria_url: str) -> None:
    """The tests' own user has every right; one with a grant on a database has that."""
    name = maria_url.rpartition("/")[2]
    with session(maria_url) as opened:
        assert read_rights(opened).on_server("TRIGGER")
    with (
        maria.account("c_rights", f"EVENT, SELECT ON `{name}`.*"),
        session(maria.url(name, user="c_rights")) as opened,
    ):
        rights = read_rights(opened)
        assert rights.on_database(name, "EVENT")
        assert not rights.on_table(name, "any", "TRIGGER")
