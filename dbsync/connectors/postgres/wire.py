"""How the values of one column travel to the server, and how it is made sure that none changes.

What lives here: the Arrow type that binary COPY takes for a type of the target, where that is
proven exact; text and a cast on the server for everything else; the checks that Arrow can make
before a byte is sent. Must not know: tables, transactions.

The proof of exactness is a test that compares the server's own text of extreme values. Types under
domains count as themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from msgspec.structs import replace

from dbsync.connectors.postgres.existing import TargetColumn
from dbsync.model.schema import Column, effective_type
from dbsync.model.types import LogicalType, parse_storage, standard_storage
from dbsync.model.values import refuse, refuse_not_json, standardize, to_text
from dbsync.model.values.kernels import pc
from dbsync.model.values.moments import INFINITIES

_DAY_US = 86_400_000_000
# datatype/timestamp.h: from 4714-11-24 BC to the end of 5874897 (dates) or 294276 (timestamps).
_FIRST_DAY, _LAST_DAY = -2_440_588, 2_145_042_905
_FIRST_US = _FIRST_DAY * _DAY_US

_COPIED = {
    "bool": "bool",
    "int2": "int2",
    "int4": "int4",
    "int8": "int8",
    "float4": "float4",
    "float8": "float8",
    "text": "text",
    "varchar": "text",
    "bpchar": "text",
    "bytea": "bytea",
    "uuid": "uuid",
    "date": "date",
    "time": "time",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
    "json": "json",
}
"""Types of the target that binary COPY takes from Arrow, and the type they are staged as."""

_EXACT = frozenset({"integer", "decimal", "numeric"})


@dataclass(frozen=True)
class Wire:
    """One column on its way.

    `text`: the column is sent as text and cast; otherwise as `arrow` by binary COPY. `staged` is
    the type of the staging column. `changed` is an SQL condition over ``{value}`` (text) and
    ``{cast}`` that is true where the target would hold another value, None where that cannot be.
    """

    source: Column
    target: TargetColumn
    text: bool
    arrow: pa.DataType
    staged: str
    changed: str | None = None
    json: bool = False
    """The server would refuse what is no JSON, and another engine or type may have let it pass."""

    def values(
        self, values: pa.Array, exceptions: pa.StructArray | None, table: str
    ) -> tuple[pa.Array, pa.StringArray | None]:
        """Turn stored values into those that are sent, and text for those the type cannot hold.

        Raises `LossError` for values that the target's type cannot hold exactly.
        """
        own = effective_type(self.source)
        spelled = self.text or (_is_text(self.target) and not _travels_as_text(own))
        logical = own if spelled or _keeps_decimal(own, self.target) else self.target.logical
        column = replace(self.source, type=logical)
        ordinary, literals = standardize(values, exceptions, column, table)
        if spelled:
            ordinary = to_text(ordinary, own)
            if literals is not None:
                ordinary, literals = pc.coalesce(literals, ordinary), None
        self._check(ordinary, table)
        if literals is not None:
            _refuse_nul(literals, self.source, table)
            _refuse_far(literals, own, self.source, table)
        if self.target.kind == "jsonb" and not self.text:
            return pa.ExtensionArray.from_storage(pa.json_(pa.string()), ordinary), literals
        return ordinary, literals

    def _check(self, values: pa.Array, table: str) -> None:
        """Refuse what the driver or the server would change without an error."""
        kind = values.type
        if pa.types.is_string(kind):
            _refuse_nul(values, self.source, table)
            labels = self.target.logical.labels
            if self.json:
                strict = self.target.kind == "jsonb"
                refuse_not_json(values, self.source.name, table, halves=not strict, nul=not strict)
            if labels and self.target.logical.name == "enum":
                known = pc.is_in(values, pa.array(labels, pa.string()))
                unknown = pc.and_not(values.is_valid(), known)
                refuse(unknown, self.source.name, table, "that are no labels of the enum")
            if self._is_number and self.target.modified:
                self._refuse_digits(values, table)
            length = self.target.logical.length
            if length is not None and self.target.kind in ("varchar", "bpchar", "name"):
                # The server cuts blanks at the end of the first two, and anything of a name.
                measure = pc.binary_length if self.target.kind == "name" else pc.utf8_length
                longer = pc.greater(measure(values), length)
                unit = "bytes" if self.target.kind == "name" else "characters"
                refuse(longer, self.source.name, table, f"longer than {length} {unit}")
        elif pa.types.is_date32(kind):
            _refuse_outside(values.view(pa.int32()), _FIRST_DAY, _LAST_DAY, self.source, table)
        elif pa.types.is_timestamp(kind):
            # The last moment lies beyond what 64 bits of microseconds since 1970 hold.
            _refuse_outside(values.view(pa.int64()), _FIRST_US, None, self.source, table)
        digits = self.target.logical.precision
        if digits is not None and digits < 6 and pa.types.is_temporal(kind):
            unit = 10 ** (6 - digits)
            micros = values.view(pa.int64())
            rest = pc.subtract(micros, pc.multiply(pc.divide(micros, unit), unit))
            reason = f"finer than {digits} digits of a second"
            refuse(pc.not_equal(rest, 0), self.source.name, table, reason)

    @property
    def _is_number(self) -> bool:
        return self.target.kind == "numeric" and effective_type(self.source).name in _EXACT

    def _refuse_digits(self, values: pa.Array, table: str) -> None:
        """Refuse numbers, spelled without exponents, that the target's digits cannot hold."""
        precision, scale = self.target.logical.precision or 0, self.target.logical.scale or 0
        if not 0 <= scale <= precision:
            return  # the server rounds to tens or tells, and is asked whether it did
        pattern = rf"^-?0*[0-9]{{0,{precision - scale}}}(?:\.[0-9]{{0,{scale}}}0*)?$"
        fitting = pc.or_(pc.match_substring_regex(values, pattern), pc.equal(values, "NaN"))
        reason = f"beyond numeric({precision},{scale})"
        refuse(pc.invert(fitting), self.source.name, table, reason)


def wire_column(source: Column, target: TargetColumn, engine: str) -> Wire:
    """Decide how a column's values reach the target's column. `engine` is the archive's."""
    same = engine == "postgresql" and source.native_type == target.native
    own = effective_type(source)
    if target.kind == "numeric":
        logical = own if _keeps_decimal(own, target) else target.logical
        storage = standard_storage(logical)
        if storage.startswith("decimal128"):
            return Wire(source, target, False, parse_storage(storage), "numeric")
        number = own.name in ("integer", "float", "decimal", "numeric")
        return _texts(source, target, same, other=not number)
    json = engine != "postgresql" or own.name != "json"
    if target.kind in _COPIED:
        storage = parse_storage(standard_storage(target.logical))
        json = json and target.kind == "json"
        return Wire(source, target, False, storage, _COPIED[target.kind], json=json)
    if target.kind == "jsonb":
        if same:
            return Wire(source, target, False, pa.string(), "jsonb")
        return Wire(source, target, True, pa.string(), "text", _repeats_keys(target), json=True)
    if target.logical.name == "enum" and own.name in ("enum", "string"):
        return Wire(source, target, False, pa.string(), "text")
    return _texts(source, target, same, other=_kind(own) != _kind(target.logical))


def fits_by_type(source: Column, target: TargetColumn, engine: str) -> bool:
    """Say whether the types alone rule out that a value is refused before it is sent."""
    own, there = effective_type(source), target.logical
    if engine == "postgresql" and source.native_type == target.native:
        return True
    if source.storage != standard_storage(own):
        return False
    digits = own.precision is not None and there.precision in (None, own.precision)
    match own.name, there.name:
        case "integer", "integer":
            return _range(own) <= _range(there) and own.unsigned <= there.unsigned
        case "integer", "decimal":
            return len(str(1 << (own.bits or 64))) <= (there.precision or 0) - (there.scale or 0)
        case "integer", "numeric":
            return True
        case "float", "float":
            return (own.bits or 64) <= (there.bits or 64)
        case ("boolean", "boolean") | ("uuid", "uuid") | ("binary", "binary"):
            return True
        case ("string" | "json" | "native" | "interval" | "array", "string"):
            # No text of PostgreSQL has a NUL.
            return engine == "postgresql" and there.length is None and not target.modified
        case ("date" | "time" | "timestamp" | "timestamp_tz", name) if name == own.name:
            return engine == "postgresql" and (there.precision is None or digits)
        case _:
            return False


def _range(logical: LogicalType) -> int:
    """Count the bits that a signed integer of this range needs."""
    return (logical.bits or 64) + logical.unsigned


def _texts(source: Column, target: TargetColumn, same: bool, *, other: bool) -> Wire:
    changed: list[str] = []
    if not same and target.modified:
        changed.append(f"({{cast}}) IS DISTINCT FROM ({{cast}})::{target.full}")
    # The cast to the one-byte type cuts its text, so it is checked always.
    if target.kind == "char" or (not same and (other or target.logical.name == "native")):
        # format() turns NULL into an empty text, so NULL is left out: no cast changes it.
        changed.append("({value} IS NOT NULL AND pg_catalog.format('%s', {cast}) <> {value})")
    return Wire(
        source, target, True, pa.string(), "text", " OR ".join(changed) if changed else None
    )


def _repeats_keys(target: TargetColumn) -> str:
    """Ask whether a json text repeats a key, of which jsonb would keep only the last."""
    if target.version >= 160_000:
        return "{value} IS NOT JSON WITH UNIQUE KEYS"
    # Older servers can only be asked about the outermost object.
    return (
        "EXISTS (SELECT FROM pg_catalog.json_each(CASE pg_catalog.json_typeof({value}::json) "
        "WHEN 'object' THEN {value}::json END) GROUP BY key HAVING count(*) > 1)"
    )


def _keeps_decimal(own: LogicalType, target: TargetColumn) -> bool:
    """Say whether a fixed decimal goes into a numeric that holds any number of digits."""
    return target.kind == "numeric" and not target.modified and own.name == "decimal"


def _kind(logical: LogicalType) -> tuple[str, ...]:
    return (logical.name, *(_kind(logical.element) if logical.element else ()))


def _is_text(target: TargetColumn) -> bool:
    return target.logical.name in ("string", "enum")


def _travels_as_text(logical: LogicalType) -> bool:
    return standard_storage(logical) == "string"


def _refuse_nul(values: pa.Array, column: Column, table: str) -> None:
    data = values.buffers()[2]
    if data is None or b"\0" not in memoryview(data).tobytes():
        return
    found = pc.match_substring(values, "\0")
    refuse(found, column.name, table, "with a NUL character, which PostgreSQL cannot hold")


def _refuse_outside(
    numbers: pa.Array, low: int, high: int | None, column: Column, table: str
) -> None:
    odd = pc.less(numbers, low)
    if high is not None:
        odd = pc.or_(odd, pc.greater(numbers, high))
    refuse(odd, column.name, table, "outside the years that PostgreSQL knows")


def _refuse_far(values: pa.Array, own: LogicalType, column: Column, table: str) -> None:
    """Refuse literals beyond the server's years: of Arrow's dates and moments few lie within."""
    if own.name in ("date", "timestamp", "timestamp_tz"):
        near = pc.is_in(values, pa.array(sorted(INFINITIES)))
        if own.name != "date":
            # 64 bits of microseconds end in 294247, the server's own in 294276.
            last = r"^(?:2942[4-6][0-9]|29427[0-6])-[^B]*$"
            near = pc.or_(near, pc.match_substring_regex(values, last))
        far = pc.and_not(values.is_valid(), near)
        refuse(far, column.name, table, "outside the years that PostgreSQL knows")
