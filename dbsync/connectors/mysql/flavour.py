"""What differs between MySQL and MariaDB, in one place.

What lives here: `Flavour`, a server's kind and version, with everything that dbsync does
differently because of it. Must not know: connections. MariaDB is tested; what is said about MySQL
follows its reference manual and is untested on a MySQL server.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec


class Flavour(msgspec.Struct, frozen=True):
    """The kind of a server and its version; `text` is the version in the server's words."""

    name: Literal["mysql", "mariadb"]
    version: tuple[int, int, int]
    text: str

    @property
    def mariadb(self) -> bool:
        """Whether the server is MariaDB."""
        return self.name == "mariadb"

    @property
    def label(self) -> str:
        """Name the product in messages."""
        return "MariaDB" if self.mariadb else "MySQL"

    @property
    def supported(self) -> bool:
        """Whether the version is one that dbsync is made for."""
        return self.version >= ((10, 6, 0) if self.mariadb else (8, 0, 0))

    @property
    def exact_collation(self) -> str:
        """The utf8mb4 collation that tells all texts apart, as other engines do.

        Characters are compared by code point and trailing spaces count.
        """
        return "utf8mb4_nopad_bin" if self.mariadb else "utf8mb4_0900_bin"

    @property
    def json_is_text(self) -> bool:
        """Whether JSON is an alias of LONGTEXT with a json_valid check, its text kept as it is."""
        return self.mariadb

    @property
    def deepest_json(self) -> int:
        """How many levels of arrays and objects the server takes for JSON.

        MariaDB's limit is 32 with the value itself (JSON_DEPTH_LIMIT), MySQL's 100.
        """
        return 31 if self.mariadb else 100

    @property
    def uuid_type(self) -> bool:
        """Whether the server has the type UUID."""
        return self.mariadb and self.version >= (10, 7, 0)

    @property
    def largest_scale(self) -> int:
        """How many digits of a DECIMAL may stand behind the point."""
        return 38 if self.mariadb else 30

    @property
    def last_timestamp(self) -> int:
        """The last second that TIMESTAMP holds: in 2038, or in 2106 from MariaDB 11.5 on."""
        return 2**32 - 1 if self.mariadb and self.version >= (11, 5, 0) else 2**31 - 1

    @property
    def literal_defaults_of_texts(self) -> bool:
        """Whether TEXT, BLOB and JSON take a literal as default; MySQL takes expressions only."""
        return self.mariadb

    @property
    def inet4_type(self) -> bool:
        """Whether the server has the type INET4; INET6 is in every supported MariaDB."""
        return self.mariadb and self.version >= (10, 10, 0)

    @property
    def sequences(self) -> bool:
        """Whether the server has SEQUENCE objects."""
        return self.mariadb

    @property
    def system_versioning(self) -> bool:
        """Whether the server has tables that keep their history."""
        return self.mariadb

    @property
    def defaults_are_sql(self) -> bool:
        """Whether information_schema gives a column's default as SQL.

        MariaDB quotes literals and writes NULL; MySQL gives the bare value and marks expressions
        with DEFAULT_GENERATED in EXTRA.
        """
        return self.mariadb

    @property
    def index_expression(self) -> str:
        """The column of information_schema.STATISTICS that holds the expression of a key part.

        Only MySQL has indexes over expressions.
        """
        return "NULL" if self.mariadb else "EXPRESSION"

    @property
    def escapes_expressions(self) -> bool:
        r"""Whether expressions in information_schema have backslashes before their quotes.

        In MySQL a check reads ``(`a` <> _utf8mb4\'x\')``.
        """
        return not self.mariadb

    @property
    def shows_bmp_only(self) -> bool:
        """Whether SHOW CREATE TABLE has question marks for emoji in labels and defaults.

        `TYPE OF` variables in an anonymous block, which tell the truth, are MariaDB's alone.
        """
        return self.mariadb

    @property
    def hides_reference_systems(self) -> bool:
        """Whether SHOW CREATE TABLE is silent about the SRID that a spatial column declares.

        GEOMETRY_COLUMNS, which tells it, is MariaDB's alone; MySQL shows it.
        """
        return self.mariadb

    @property
    def checks_share_names(self) -> bool:
        """Whether names of checks are unique in a database, and not only in a table."""
        return not self.mariadb

    @property
    def public_role(self) -> bool:
        """Whether rights can be granted to everyone, as PUBLIC."""
        return self.mariadb and self.version >= (10, 11, 0)

    @property
    def references_right(self) -> bool:
        """Whether a foreign key needs the right REFERENCES; MariaDB does not look at it."""
        return not self.mariadb

    @property
    def foreign_keys_view(self) -> str:
        """The view in which InnoDB lists its foreign keys, of all databases."""
        return "INNODB_SYS_FOREIGN" if self.mariadb else "INNODB_FOREIGN"

    @property
    def binlog_status(self) -> str:
        """The statement that shows the position in the binary log."""
        if not self.mariadb and self.version >= (8, 2, 0):
            return "SHOW BINARY LOG STATUS"
        return "SHOW MASTER STATUS"

    @property
    def global_lock(self) -> tuple[tuple[str, ...], str]:
        """The statements that hold every commit on the server back, and the one that ends it.

        MariaDB's backup lock waits for no running query and stops no one while it waits; MySQL
        has only the global read lock that does both. Either needs RELOAD.
        """
        if self.mariadb:
            return ("BACKUP STAGE START", "BACKUP STAGE BLOCK_COMMIT"), "BACKUP STAGE END"
        return ("FLUSH TABLES WITH READ LOCK",), "UNLOCK TABLES"

    @property
    def settings(self) -> dict[str, str]:
        """Session variables that only this kind of server has, and what they are pinned to."""
        if self.mariadb:
            return {
                "max_statement_time": "0",
                "idle_transaction_timeout": "0",
                "idle_readonly_transaction_timeout": "0",
                "idle_write_transaction_timeout": "0",
                "check_constraint_checks": "1",
                "system_versioning_asof": "DEFAULT",
                "sql_if_exists": "0",
            }
        return {
            "max_execution_time": "0",
            # Otherwise sizes and AUTO_INCREMENT positions may be a day old.
            "information_schema_stats_expiry": "0",
            "show_create_table_skip_secondary_engine": "0",
        }


def flavour_of(version: str) -> Flavour:
    """Tell the flavour from what ``SELECT VERSION()`` gives, such as ``10.11.6-MariaDB-log``."""
    # MariaDB before 11 puts this in front for replicas that take the major version for a digit.
    number = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version.removeprefix("5.5.5-"))
    parts = (int(number[1]), int(number[2]), int(number[3] or 0)) if number else (0, 0, 0)
    return Flavour("mariadb" if "mariadb" in version.lower() else "mysql", parts, version)
