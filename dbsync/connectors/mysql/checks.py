"""What an export from a database or an import into it may do, for ``dbsync check``.

What lives here: one line for each right and each setting that matters. Changes nothing. Must not
know: how anything is exported or imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from dbsync.connectors.base import CheckItem
from dbsync.connectors.mysql.connection import Session, quote_literal, quote_name
from dbsync.connectors.mysql.information import within_database
from dbsync.connectors.mysql.lock import is_locked
from dbsync.connectors.mysql.rights import Rights, read_rights

_DOING = "checking the database"
_DEFINITIONS = ("SHOW VIEW", "TRIGGER", "EVENT")
_ROWS = ("SELECT", "INSERT", "UPDATE", "DELETE")
_TABLES = ("CREATE", "ALTER", "DROP")
_STAGING = ("CREATE TEMPORARY TABLES",)
_OBJECTS = ("CREATE VIEW", "SHOW VIEW", "TRIGGER", "EVENT", "CREATE ROUTINE", "ALTER ROUTINE")
_SMALL_PACKET = 16 << 20


class _Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the checks of both sides look at."""

    session: Session
    rights: Rights
    variables: dict[str, str]
    tables: dict[str, str]
    """Engines by name of table."""

    @property
    def database(self) -> str:
        return self.session.database

    @property
    def user(self) -> str:
        """The account, quoted for GRANT; its host part may differ from where the user is."""
        name, _, host = str(self.session.value("SELECT CURRENT_USER()", _DOING)).rpartition("@")
        return f"{quote_literal(name)}@{quote_literal(host)}"

    def on(self, variable: str) -> bool:
        """Say whether a switch is on; one that the server lacks is off."""
        return self.variables.get(variable, "OFF").upper() in ("ON", "1")

    def missing(self, privileges: Iterable[str]) -> list[str]:
        """List what this user may not do in the whole database."""
        return [p for p in privileges if not self.rights.on_database(self.database, p)]

    def grant(self, privileges: Iterable[str]) -> str:
        """Write the statement that gives rights in the database."""
        return f"GRANT {', '.join(privileges)} ON {quote_name(self.database)}.* TO {self.user}"


def check_source(session: Session, jobs: int) -> list[CheckItem]:
    """Say for an export by `jobs` workers what this user may do; raises `SourceError`."""
    facts = _read_facts(session)
    return [
        _version(facts),
        _readable(facts),
        _consistency(facts, jobs),
        _transactional(
            facts, "keeps no snapshot: rows written during an export may be in it or not"
        ),
        _right(
            facts, "definitions", _DEFINITIONS, "views, triggers and events can be read in full"
        ),
        _routines(facts),
        _log_position(facts),
        _connections(facts, jobs + 3),
        _mode(facts),
        CheckItem(
            item="least grants",
            ok=True,
            found=facts.grant(("SELECT", "LOCK TABLES", *_DEFINITIONS)),
        ),
    ]


def check_target(session: Session, jobs: int = 2) -> list[CheckItem]:
    """Say for an import by `jobs` writers what this user may do; raises `TargetError`."""
    facts = _read_facts(session)
    tables = (*_TABLES, *(("REFERENCES",) if session.flavour.references_right else ()))
    return [
        _version(facts),
        _writable(facts),
        _right(facts, "write rows", _ROWS, "may read, insert, update and delete"),
        _right(facts, "create tables", tables, "may make tables, keys and the ledger"),
        _right(facts, "staging", _STAGING, "upserts go through temporary tables"),
        _right(facts, "native DDL", _OBJECTS, "may make views, triggers, events and routines"),
        _functions(facts),
        _transactional(facts, "has no transactions: an import that is killed may repeat its rows"),
        _local_infile(facts),
        _packet(facts),
        _connections(facts, jobs + 2),
        _mode(facts),
        _alone(facts),
        CheckItem(
            item="least grants",
            ok=True,
            found=facts.grant((*_ROWS, *tables, *_STAGING, *_OBJECTS)),
        ),
    ]


def _read_facts(session: Session) -> _Facts:
    names = (
        "log_bin", "binlog_format", "local_infile", "max_allowed_packet", "max_connections",
        "read_only", "super_read_only", "log_bin_trust_function_creators", "version_comment",
    )  # fmt: skip
    listed = ", ".join(quote_literal(name) for name in names)
    shown = session.rows(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({listed})", _DOING)
    tables = session.rows(
        "SELECT TABLE_NAME AS name, ENGINE AS engine FROM information_schema.TABLES"
        f" WHERE {within_database(session)('TABLE_SCHEMA')} AND TABLE_TYPE <> 'VIEW'"
        " AND TABLE_TYPE <> 'SEQUENCE' ORDER BY BINARY TABLE_NAME",
        _DOING,
    )
    return _Facts(
        session=session,
        rights=read_rights(session),
        variables={row["Variable_name"].lower(): str(row["Value"]) for row in shown},
        tables={row["name"]: row["engine"] or "no engine" for row in tables},
    )


def _item(item: str, ok: bool, found: str, hint: str | None = None) -> CheckItem:
    return CheckItem(item=item, ok=ok, found=found, hint=hint)


def _version(facts: _Facts) -> CheckItem:
    flavour = facts.session.flavour
    found = f"{flavour.label} {flavour.text}"
    if not flavour.mariadb:
        found += " (dbsync is tested on MariaDB only)"
    return _item(
        "server version",
        flavour.supported,
        found,
        None if flavour.supported else "MySQL 8.0 or MariaDB 10.6 and later are supported",
    )


def _readable(facts: _Facts) -> CheckItem:
    whole = facts.rights.on_database(facts.database, "SELECT")
    if whole:
        return _item("read tables", True, f"all {len(facts.tables)} tables")
    closed = [t for t in facts.tables if not facts.rights.on_table(facts.database, t, "SELECT")]
    hint = facts.grant(["SELECT"])
    if closed:
        found = f"{len(closed)} of {len(facts.tables)} tables may not be read: {_some(closed)}"
        return _item("read tables", False, found, hint)
    found = f"{len(facts.tables)} tables; others, if there are any, are invisible to this user"
    return _item("read tables", True, found, hint)


def _consistency(facts: _Facts, jobs: int) -> CheckItem:
    item = "consistent snapshot"
    lock = "backup lock" if facts.session.flavour.mariadb else "global read lock"
    if jobs == 1:
        return _item(item, True, "one worker on its own snapshot, without any lock")
    if facts.rights.on_server("RELOAD", "FLUSH_TABLES"):
        return _item(item, True, f"{jobs} workers on one snapshot, begun under a short {lock}")
    grant = f"GRANT RELOAD ON *.* TO {facts.user}"
    if facts.rights.on_database(facts.database, "LOCK TABLES"):
        found = f"{jobs} workers on one snapshot, begun under LOCK TABLES"
        return _item(item, True, found, f"{grant} for a lock that does not wait for open writers")
    return _item(
        item,
        False,
        f"one worker alone, instead of {jobs}: neither RELOAD nor LOCK TABLES",
        f"{grant}, or {facts.grant(['LOCK TABLES'])}",
    )


def _transactional(facts: _Facts, why: str) -> CheckItem:
    loose = [f"{name} ({e})" for name, e in facts.tables.items() if e.upper() != "INNODB"]
    if not loose:
        return _item("transactional tables", True, f"all {len(facts.tables)} tables are InnoDB")
    return _item(
        "transactional tables",
        False,
        f"{_some(loose)} {why}",
        "ALTER TABLE ... ENGINE = InnoDB",
    )


def _right(facts: _Facts, item: str, privileges: Sequence[str], meaning: str) -> CheckItem:
    missing = facts.missing(privileges)
    if not missing:
        return _item(item, True, meaning)
    found = f"this user lacks {', '.join(missing)} on the whole database"
    return _item(item, False, found, facts.grant(missing))


def _routines(facts: _Facts) -> CheckItem:
    rights = facts.rights
    if (
        rights.on_server("SELECT", "SHOW_ROUTINE", "SHOW CREATE ROUTINE")
        or rights.on_table("mysql", "proc", "SELECT")
        or rights.on_database(facts.database, "SHOW CREATE ROUTINE")
    ):
        return _item("routines", True, "functions and procedures can be read in full")
    mariadb = facts.session.flavour.mariadb
    right = "SELECT ON mysql.proc" if mariadb else "SHOW_ROUTINE ON *.*"
    return _item(
        "routines",
        False,
        "functions and procedures of other users are hidden",
        f"GRANT {right} TO {facts.user}",
    )


def _log_position(facts: _Facts) -> CheckItem:
    item = "log position"
    if not facts.on("log_bin"):
        return _item(item, True, "no binary log: the archive names no position")
    found = f"binary log in format {facts.variables.get('binlog_format', 'ROW')}"
    if facts.session.flavour.mariadb or facts.rights.on_server("REPLICATION CLIENT"):
        return _item(item, True, f"{found}; the archive names the position")
    hint = f"GRANT REPLICATION CLIENT ON *.* TO {facts.user}"
    return _item(item, True, f"{found}; this user may not see its position", hint)


def _connections(facts: _Facts, needed: int) -> CheckItem:
    shown = facts.session.rows("SHOW GLOBAL STATUS LIKE 'Threads_connected'", _DOING)
    used = int(shown[0]["Value"]) if shown else 0
    free = int(facts.variables.get("max_connections", "0")) - used
    ok = free >= needed
    hint = None if ok else "lower --jobs or raise max_connections"
    return _item("connections", ok, f"{free} free, {needed} needed", hint)


def _mode(facts: _Facts) -> CheckItem:
    mode = str(facts.session.value("SELECT @@GLOBAL.sql_mode", _DOING)) or "empty"
    return _item("sql_mode", True, f"the server's is {mode}; dbsync sets its own, strict one")


def _writable(facts: _Facts) -> CheckItem:
    closed = [name for name in ("read_only", "super_read_only") if facts.on(name)]
    if not closed:
        return _item("writes", True, f"as {facts.user}")
    hint = "connect to the primary, or switch it off there"
    return _item("writes", False, f"the server is {closed[-1]}", hint)


def _functions(facts: _Facts) -> CheckItem:
    item = "functions and triggers"
    if not facts.on("log_bin") or facts.on("log_bin_trust_function_creators"):
        return _item(item, True, "may be made by users without SUPER")
    powerful = ("SUPER", "BINLOG ADMIN") if facts.session.flavour.mariadb else ("SUPER",)
    if facts.rights.on_server(*powerful):
        return _item(item, True, "this user may make them under a binary log")
    return _item(
        item,
        False,
        "the server writes a binary log and lets only SUPER make them",
        "SET GLOBAL log_bin_trust_function_creators = 1 (only for native DDL with such objects)",
    )


def _local_infile(facts: _Facts) -> CheckItem:
    if facts.on("local_infile"):
        return _item("bulk load", True, "LOAD DATA LOCAL")
    hint = "SET GLOBAL local_infile = 1 on the server makes it faster"
    return _item("bulk load", True, "local_infile is off: rows are written by INSERT", hint)


def _packet(facts: _Facts) -> CheckItem:
    size = int(facts.variables.get("max_allowed_packet", "0"))
    small = size < _SMALL_PACKET
    return _item(
        "max_allowed_packet",
        True,
        f"{size >> 20} MiB: one row and one value must be smaller",
        "SET GLOBAL max_allowed_packet = 1073741824 where rows are larger" if small else None,
    )


def _alone(facts: _Facts) -> CheckItem:
    if not is_locked(facts.session):
        return _item("other imports", True, "none is running")
    return _item("other imports", False, "one is running", "wait until it ends")


def _some(names: Sequence[str], limit: int = 10) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
