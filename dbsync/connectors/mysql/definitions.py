"""One table of the portable model in the words of MySQL and MariaDB.

What lives here: CREATE TABLE with its primary key, checks and comments, and the clauses that add
keys and foreign keys to it later. Must not know: connections, other tables' definitions.

A table is made with what its rows need; keys come after the rows, which is faster. InnoDB numbers
a column only where a key begins with it, so that key is made with the table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from dbsync.connectors.mysql.connection import quote_literal, quote_name
from dbsync.connectors.mysql.flavour import Flavour
from dbsync.connectors.mysql.mapping import FUNCTIONS, column_types, key_room, literal_default
from dbsync.connectors.mysql.naming import FreeNames, fitting, folded
from dbsync.connectors.portable import Rules, portable_table
from dbsync.connectors.portable_checks import portable_check
from dbsync.model.schema import (
    Check,
    Column,
    Default,
    Index,
    IndexColumn,
    Key,
    Loss,
    Name,
    Sequence,
    Table,
)

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import Dialect

_LONGEST_TABLE_COMMENT, _LONGEST_COLUMN_COMMENT = 2048, 1024
_MOST_PARTS = 16
_PREFIX_CHARACTERS = 191
"""As much of a long text as fits four times into a key; what MySQL's own tools use too."""

_WHOLE = re.compile(r"(tiny|small|medium|big)?int(eger)?\b")
_MOMENT = re.compile(r"(datetime|timestamp)(?:\((\d)\))?(?!\w)")
_WORDS = re.compile(
    r"(tiny|small|medium|big)?int(\(\d+\))?( unsigned)?( zerofill)?"
    r"|(float|double|decimal)(\(\d+(,\d+)?\))?( unsigned)?( zerofill)?"
    r"|(bit|year|char|varchar|binary|varbinary|time|datetime|timestamp)(\(\d+\))?"
    r"|date|(tiny|medium|long)?(text|blob)|json|uuid|inet4|inet6"
    r"|geometry|point|linestring|polygon|multipoint|multilinestring|multipolygon"
    r"|geometrycollection|geomcollection"
    r"|(enum|set)\('([^'\\]|'')*'(,'([^'\\]|'')*')*\)"
)
"""Types that may be repeated as an archive of the same engine has them, and nothing else."""


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """The statement that makes a table, and clauses for ALTER TABLE ... ADD by name, in order."""

    create: str
    keys: dict[str, str]
    references: dict[str, str]
    losses: tuple[Loss, ...]
    faithful: bool
    """Every column has the very type that it had."""


def define(
    table: Table,
    target: Name,
    flavour: Flavour,
    *,
    refers: Callable[[Name], Name | None],
    native: bool,
    sequences: Mapping[Name, Sequence],
    collations: frozenset[str] = frozenset(),
) -> Definition:
    """Spell `table` under the name `target`.

    `native`: it comes from the same kind of engine, whose types are repeated where they are plain.
    `refers` gives the names of referred tables; foreign keys are named already. `collations` are
    those of the server that may be repeated.
    """
    builder = _Builder(table, target, flavour, refers, native=native, collations=collations)
    return builder.build(sequences)


class _Builder:
    def __init__(
        self,
        table: Table,
        target: Name,
        flavour: Flavour,
        refers: Callable[[Name], Name | None],
        *,
        native: bool,
        collations: frozenset[str],
    ):
        self._table = table
        self._target = target
        self._flavour = flavour
        self._refers = refers
        self._native = native
        self._collations = collations
        self._losses: list[Loss] = []
        self._types = column_types(table, flavour)
        self._room = key_room(table)
        self._originals = {c.name: c for c in table.columns}
        self._free = FreeNames(["PRIMARY"], folded)

    def build(self, sequences: Mapping[Name, Sequence]) -> Definition:
        numbered = self._numbered()
        self._report_numbers(numbered, sequences)
        table = self._with_names(self._with_possible_checks(numbered))
        columns = tuple(self._column(c, number=c.name == numbered) for c in table.columns)
        plain = replace(table, columns=columns, comment=None)
        if plain.primary_key is not None:
            plain = replace(plain, primary_key=replace(plain.primary_key, name=None))
        made = portable_table(plain, self._target, self._rules())
        indexes = {f"index {i.name} of table {table.name}": i for i in table.indexes}
        keys: dict[str, str] = {}
        references: dict[str, str] = {}
        uniques = {
            f"unique constraint {k.name} of table {table.name}": k.name or "" for k in table.uniques
        }
        for statement in made.rest:
            if statement.kind == "index":
                index = indexes[statement.object]
                keys[index.name] = self._index_clause(index)
            elif statement.kind == "unique":
                keys[uniques[statement.object]] = self._clause(statement.sql)
            elif statement.kind == "foreign_key":
                clause = self._clause(statement.sql)
                references[_constraint_name(clause)] = clause
        create, keys = self._create(made.create.sql, numbered, keys, table)
        return Definition(
            create=create,
            keys=keys,
            references=references,
            losses=(*self._losses, *made.losses),
            faithful=self._native
            and all(self._type_text(c)[0] == c.native_type for c in self._table.columns),
        )

    def _lose(self, what: str, reason: str, *, changed: bool = False) -> None:
        severity = "changed" if changed else "lost"
        self._losses.append(Loss(object=what, reason=reason, severity=severity))

    # Columns

    def _type_text(self, column: Column) -> tuple[str, str | None]:
        original = self._originals[column.name]
        if self._native and _WORDS.fullmatch(original.native_type) and self._known(original):
            return original.native_type, None
        return self._types[column.name]

    def _known(self, column: Column) -> bool:
        """Say whether this server has a type that its like may lack."""
        if column.name in self._room and self._types[column.name][0] != column.native_type:
            # Keys over the beginning of a column are not portable: the whole has to fit.
            return not column.native_type.endswith(("text", "blob"))
        match column.native_type:
            case "uuid":
                return self._flavour.uuid_type
            case "inet4":
                return self._flavour.inet4_type
            case "inet6":
                return self._flavour.mariadb
            case _:
                return True

    def _column(self, column: Column, *, number: bool) -> Column:
        """Leave to `portable_table` only what it spells as MySQL does."""
        default = column.default if not number else None
        if default is not None and default.kind == "function":
            default = Default(kind="literal", value=f"\0{default.value}")
        return replace(
            column,
            identity=None,
            comment=None,
            default=default,
            nullable=column.nullable and not number,
            # Written with the type where it is known here, else reported by `portable_table`.
            collation=None if column.collation in self._collations else column.collation,
        )

    def _attributes(self, column: Column, numbered: str | None) -> str:
        original = self._originals[column.name]
        text = " AUTO_INCREMENT" if column.name == numbered else ""
        if original.collation in self._collations and original.type.name in ("string", "enum"):
            text = f" COLLATE {original.collation}"
        comment = original.comment
        label = f"comment on column {self._table.name}.{column.name}"
        comment = self._comment(comment, _LONGEST_COLUMN_COMMENT, label)
        return text if comment is None else f"{text} COMMENT {quote_literal(comment)}"

    def _comment(self, comment: str | None, longest: int, label: str) -> str | None:
        if comment is None:
            return None
        kept = "".join(c if 0 < ord(c) <= 0xFFFF else "\ufffd" for c in comment)
        if kept != comment:
            reason = "has characters that MySQL cannot hold in a comment; they are replaced"
            self._lose(label, reason)
        if len(kept) > longest:
            self._lose(label, f"is cut: it has more than {longest} characters")
        return kept[:longest]

    def _rules(self) -> Rules:
        numbered = self._numbered()

        def type_text(column: Column) -> tuple[str, str | None]:
            text, change = self._type_text(column)
            return text + self._attributes(column, numbered), change

        def literal(column: Column, value: str) -> str | None:
            if value.startswith("\0"):
                return self._function(column, value[1:])
            original = self._originals[column.name]
            text = self._type_text(column)[0]
            return literal_default(original, value, self._flavour, type_name=text)

        return Rules(
            dialect=_dialect(),
            type_text=type_text,
            literal=literal,
            refers=self._refers,
            functions={},
            collations=frozenset(),
            deferrable_keys=False,
            nulls_not_distinct=False,
            match_full=False,
        )

    def _function(self, column: Column, name: str) -> str | None:
        """Spell a function: the current moment with as many digits as its column has."""
        text = self._type_text(column)[0]
        moment = _MOMENT.match(text)
        if name == "current_timestamp" and moment:
            digits = moment[2]
            return f"CURRENT_TIMESTAMP({digits})" if digits else "CURRENT_TIMESTAMP"
        spelled = FUNCTIONS.get(name)
        if spelled is None or spelled.startswith("("):
            return spelled
        return f"({spelled})"

    # The column that numbers itself

    def _numbered(self) -> str | None:
        """Choose the one column that numbers itself."""
        wanted = [c for c in self._table.columns if c.identity is not None]
        usable = [c for c in wanted if _WHOLE.match(self._type_text(c)[0])]
        usable.sort(key=lambda c: 0 if self._leads(c.name) else 1)
        return usable[0].name if usable else None

    def _report_numbers(self, chosen: str | None, sequences: Mapping[Name, Sequence]) -> None:
        for column in self._table.columns:
            identity = column.identity
            if identity is None:
                continue
            label = f"column {self._table.name}.{column.name}"
            if column.name != chosen:
                text = self._type_text(column)[0]
                whole = _WHOLE.match(text)
                reason = "only one column of a table can" if whole else f"its type here is {text}"
                self._lose(label, f"does not number itself: {reason}")
                continue
            sequence = sequences.get(identity.sequence) if identity.sequence else None
            if sequence is not None and sequence.increment != 1:
                step = sequence.increment
                self._lose(label, f"numbers itself in steps of 1 instead of {step}")
            if identity.kind in ("always", "by default", "serial") and not self._native:
                self._lose(label, "numbers itself by AUTO_INCREMENT", changed=True)
            if not self._leads(column.name):
                reason = "gets an index of its own, without which no column can number itself"
                self._lose(label, reason, changed=True)

    def _leads(self, name: str) -> bool:
        keys = [k.columns for k in (self._table.primary_key, *self._table.uniques) if k]
        keys += [
            tuple(p.column or "" for p in i.columns) for i in self._table.indexes if i.portable
        ]
        return any(key[:1] == (name,) for key in keys)

    def _create(
        self, sql: str, numbered: str | None, keys: dict[str, str], table: Table
    ) -> tuple[str, dict[str, str]]:
        """Complete CREATE TABLE: the numbered column's key, and the table's options."""
        primary = self._table.primary_key.columns[:1] if self._table.primary_key else ()
        inner = ""
        if numbered is not None and primary != (numbered,):
            leading = [k.name or "" for k in table.uniques if k.columns[:1] == (numbered,)]
            leading += [i.name for i in table.indexes if i.columns[0].column == numbered]
            own = next((name for name in leading if name in keys), None)
            if own is None:
                inner = f"KEY {quote_name(self._free.take(numbered))} ({quote_name(numbered)})"
            else:
                inner = keys[own]
                keys = {name: clause for name, clause in keys.items() if name != own}
            inner += ","
        head = f"CREATE TABLE {quote_name(self._target.name)} ("
        if not sql.startswith(head):
            raise AssertionError(sql)
        options = (
            f" ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE={self._flavour.exact_collation}"
            " ROW_FORMAT=DYNAMIC"
        )
        label = f"comment on table {self._table.name}"
        comment = self._comment(self._table.comment, _LONGEST_TABLE_COMMENT, label)
        if comment:
            options += f" COMMENT={quote_literal(comment)}"
        return f"{head}{inner}{sql[len(head) :]}{options}", keys

    # Constraints and keys

    def _with_possible_checks(self, numbered: str | None) -> Table:
        """Leave out checks over the column that numbers itself, which MySQL refuses."""
        if numbered is None:
            return self._table
        kept: list[Check] = []
        quoted = quote_name(numbered)
        for check in self._table.checks:
            text = portable_check(check.expression, self._table, quote_name)
            if text is not None and quoted in text:
                label = f"check {check.name or check.expression} of table {self._table.name}"
                self._lose(label, f"column {numbered} numbers itself, which no check may look at")
            else:
                kept.append(check)
        return replace(self._table, checks=tuple(kept))

    def _with_names(self, table: Table) -> Table:
        """Give keys names that are distinct within the table, and leave out what is too wide."""
        uniques: list[Key] = []
        for key in table.uniques:
            label = f"unique constraint {key.name or ', '.join(key.columns)} of table {table.name}"
            if self._too_wide(label, len(key.columns)):
                continue
            name = self._named(key.name or "_".join(key.columns), label, given=bool(key.name))
            uniques.append(replace(key, name=name))
        indexes: list[Index] = []
        for index in table.indexes:
            label = f"index {index.name} of table {table.name}"
            if not index.portable:
                indexes.append(index)
            elif not self._too_wide(label, len(index.columns)):
                indexes.append(replace(index, name=self._named(index.name, label, given=True)))
        checks = tuple(
            replace(check, name=fitting(check.name)) if check.name else check
            for check in table.checks
        )
        return replace(table, uniques=tuple(uniques), indexes=tuple(indexes), checks=checks)

    def _named(self, wanted: str, label: str, *, given: bool) -> str:
        name = self._free.take(wanted)
        if given and name != wanted:
            self._lose(label, f"is named {name} here", changed=True)
        return name

    def _too_wide(self, label: str, parts: int) -> bool:
        if parts > _MOST_PARTS:
            self._lose(label, f"has more than {_MOST_PARTS} columns")
        return parts > _MOST_PARTS

    def _clause(self, sql: str) -> str:
        return sql.removeprefix(f"ALTER TABLE {quote_name(self._target.name)} ADD ")

    def _index_clause(self, index: Index) -> str:
        parts = ", ".join(self._part(part, index) for part in index.columns)
        unique = "UNIQUE " if index.unique else ""
        return f"{unique}INDEX {quote_name(index.name)} ({parts})"

    def _part(self, part: IndexColumn, index: Index) -> str:
        name = part.column or ""
        text = quote_name(name)
        if not index.unique and self._is_long(name, len(index.columns)):
            text += f"({_PREFIX_CHARACTERS})"
            label = f"index {index.name} of table {self._table.name}"
            reason = f"covers only the first {_PREFIX_CHARACTERS} characters of column {name}"
            self._lose(label, reason, changed=True)
        return f"{text} DESC" if part.descending else text

    def _is_long(self, name: str, parts: int) -> bool:
        """Say whether a column may not stand in a key of `parts` parts as a whole."""
        text = self._type_text(self._originals[name])[0]
        if text.endswith(("text", "blob", "json")):
            return True
        length = re.match(r"var(char|binary)\((\d+)\)", text)
        if length is None:
            return False
        width = 4 if length[1] == "char" else 1
        return int(length[2]) * width > 3072 // parts


def _constraint_name(clause: str) -> str:
    """Take the name out of ``CONSTRAINT `name` ...``."""
    found = re.match(r"CONSTRAINT `((?:[^`]|``)+)`", clause)
    return found[1].replace("``", "`") if found else clause


def _dialect() -> Dialect:
    from sqlalchemy.dialects.mysql.base import MySQLDialect

    return MySQLDialect(paramstyle="named")
