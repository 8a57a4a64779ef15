"""How the values of one column travel to the server, and how it is made sure that none changes.

What lives here: from what a source stored to the values that are spelled for the server, in one of
the forms of `encode.Form`, and whether types alone prove that every value fits. What a column
holds stands in `capacity`. Must not know: statements, transactions.

Values of the same engine and kind of type are taken as they are, with the dates and times that
only MySQL has. Members of ENUM and SET travel as their number, because their text is compared by
the column's collation, and may be a number itself. Floats travel as the text of the double that
they are equal to: the text of a float in its shortest form is rounded twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa
from msgspec.structs import replace

from dbsync.connectors.mysql.capacity import Capacity, capacity, example, refuse_misfits
from dbsync.connectors.mysql.encode import Form
from dbsync.connectors.mysql.existing import TargetColumn
from dbsync.connectors.mysql.flavour import Flavour
from dbsync.model.schema import Column, effective_type
from dbsync.model.types import LogicalType, decimal, integer, standard_storage
from dbsync.model.values import refuse, refuse_not_json, standardize, to_text
from dbsync.model.values.kernels import pc

ENGINE = "mysql"
"""The engine's name in archives, of MySQL and of MariaDB."""

_ODD_DATE = r"^[0-9]{4}-[01][0-9]-[0-3][0-9]$"
_ODD_MOMENT = r"^[0-9]{4}-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?$"
_ODD_TIME = (
    r"^-?(?:[0-9]{2}|[0-7][0-9]{2}|8[0-2][0-9]|83[0-8]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?$"
)
_NUMBERS = frozenset({"integer", "boolean"})


@dataclass(frozen=True)
class Wire:
    """One column on its way. `reading` is the logical type under which its values are read."""

    source: Column
    target: TargetColumn
    held: Capacity
    form: Form
    reading: LogicalType
    same: bool
    """Engine and kind of type are the target's own."""
    deepest_json: int | None = None
    """For a column of JSON whose values the target has not had before: its most levels."""

    def values(self, values: pa.Array, exceptions: pa.StructArray | None, table: str) -> pa.Array:
        """Turn stored values into those that are spelled in this column's form.

        Raises `MisfitError` for values that the target's column cannot hold exactly.
        """
        column = replace(self.source, type=self.reading)
        if self.same and self.source.type.name == "boolean":
            column = replace(column, storage=standard_storage(self.reading))
        ordinary, literals = standardize(values, exceptions, column, table, own_literals=self.same)
        if self.held.is_text or self.held.kind in _AS_TEXT:
            return self._text(ordinary, literals, table)
        if pa.types.is_boolean(ordinary.type):
            ordinary = ordinary.cast(pa.uint8())
        if pa.types.is_timestamp(ordinary.type):
            # The wall clock of UTC, which every session has.
            ordinary = ordinary.view(pa.int64()).view(pa.timestamp("us"))
        refuse_misfits(ordinary, self.held, self.source.name, table)
        if self.form is Form.BYTES:
            return ordinary
        text = _spelled(ordinary, self.held)
        return text if literals is None else self._with_literals(text, literals, table)

    def _text(self, ordinary: pa.Array, literals: pa.Array | None, table: str) -> pa.Array:
        text = to_text(ordinary, self.reading)
        if literals is not None:
            text = pc.coalesce(literals, text)
        if self.deepest_json is not None:
            name = self.source.name
            refuse_not_json(text, name, table, halves=False, depth=self.deepest_json)
        match self.held.kind:
            case "enum":
                return self._members(text, table)
            case "set":
                return self._masks(text, table)
            case "json":
                if not self.same:
                    odd = _where(text, _is_rewritten)
                    reason = "that MySQL's JSON would change, by a repeated key or a number"
                    refuse(odd, self.source.name, table, reason, example=example(text, odd))
            case _:
                refuse_misfits(text, self.held, self.source.name, table)
        return text

    def _with_literals(self, text: pa.Array, literals: pa.Array, table: str) -> pa.Array:
        """Add the values that only MySQL has, as text; `24:00:00` is one for every engine."""
        literals = pc.replace_substring_regex(literals, r"\+00$", "")
        pattern = {
            "date": _ODD_DATE, "datetime": _ODD_MOMENT, "timestamp": _ODD_MOMENT, "time": _ODD_TIME,
        }.get(self.held.kind)  # fmt: skip
        known = pc.equal(literals, "24:00:00") if self.held.kind == "time" else None
        if pattern is not None and self.same:
            known = pc.match_substring_regex(literals, pattern)
        odd = literals.is_valid() if known is None else pc.invert(known)
        shown = self.target.native.upper()
        refuse(
            odd,
            self.source.name,
            table,
            f"that {shown} cannot hold",
            example=example(literals, odd),
        )
        digits = rf"\.[0-9]{{{self.held.digits}}}[0-9]*[1-9]"
        finer = pc.match_substring_regex(literals, digits)
        reason = f"finer than the {self.held.digits} digits of a second of the column"
        refuse(finer, self.source.name, table, reason, example=example(literals, finer))
        return pc.coalesce(literals, text)

    def _members(self, text: pa.Array, table: str) -> pa.Array:
        """Number the labels from 1; 0 is the empty text that MySQL once stored for a bad value."""
        labels = pa.array(self.held.labels, pa.string())
        numbers = pc.add(pc.index_in(text, labels).cast(pa.int64()), 1)
        if self.same:
            numbers = pc.if_else(pc.and_(numbers.is_null(), pc.equal(text, "")), 0, numbers)
        unknown = pc.and_(numbers.is_null(), text.is_valid())
        reason = f"that {'are' if pc.sum(unknown).as_py() != 1 else 'is'} no label of the column"
        refuse(unknown, self.source.name, table, reason, example=example(text, unknown))
        return numbers.cast(pa.string())

    def _masks(self, text: pa.Array, table: str) -> pa.Array:
        """Write sets as the sum of their members' bits."""
        bits = {label: 1 << number for number, label in enumerate(self.held.labels)}
        encoded = text.dictionary_encode()
        masks = [_mask(value, bits) for value in encoded.dictionary.to_pylist()]
        numbers = pa.array(masks, pa.string()).take(encoded.indices)
        unknown = pc.and_(numbers.is_null(), text.is_valid())
        reason = "with members that the column lacks, or in another order than the column's"
        refuse(unknown, self.source.name, table, reason, example=example(text, unknown))
        return numbers


_AS_TEXT = frozenset({"enum", "set", "json"})


def wire_column(source: Column, target: TargetColumn, engine: str, flavour: Flavour) -> Wire:
    """Decide how a column's values reach the target's column. `engine` is the archive's."""
    held = capacity(
        target.native,
        charset=target.charset,
        last_second=flavour.last_timestamp,
        is_json=target.facts.is_json,
    )
    if held.labels != target.facts.labels:
        from dataclasses import replace as changed

        held = changed(held, labels=target.facts.labels)
    own = effective_type(source)
    same = engine == ENGINE and capacity(source.native_type).kind == held.kind
    form = Form.COUNTER if target.auto_increment else _form(held)
    is_json = held.is_json or held.kind == "json"
    known = engine == ENGINE and own.name == "json"
    depth = flavour.deepest_json if is_json and not known else None
    return Wire(source, target, held, form, _reading(own, source, held, same), same, depth)


def _form(held: Capacity) -> Form:
    if held.kind in ("bit", "enum", "set"):
        return Form.NUMBER
    if held.is_binary or held.kind == "uuid":
        return Form.BYTES
    return Form.TEXT if held.is_text or held.kind == "json" or not _is_known(held) else Form.PLAIN


def _is_known(held: Capacity) -> bool:
    known = ("float", "double", "decimal", "date", "time", "datetime", "timestamp")
    return held.integers is not None or held.kind in known


def _reading(own: LogicalType, source: Column, held: Capacity, same: bool) -> LogicalType:
    """Choose the logical type that values are standardised to."""
    if held.integers is not None:
        numbers = source.storage not in ("bool", "string")
        if own.name == "boolean" and not (same and numbers):
            return own
        low, high = held.integers
        bits = next(
            b for b in (8, 16, 32, 64) if -(2 ** (b - 1)) <= low and high < 2 ** (b - (low < 0))
        )
        return integer(bits, unsigned=low == 0)
    match held.kind:
        case "float":
            return LogicalType(name="float", bits=32)
        case "double":
            return LogicalType(name="float", bits=64)
        case "decimal":
            return decimal(held.precision or 0, held.scale or 0)
        case "date" | "time" | "uuid":
            return LogicalType(name=held.kind)
        case "datetime":
            # A moment is the wall clock of UTC here, as `mapping` says.
            zoned = own.name == "timestamp_tz"
            return LogicalType(name="timestamp_tz" if zoned else "timestamp")
        case "timestamp":
            return LogicalType(name="timestamp_tz")
        case _:
            return LogicalType(name="binary") if held.is_binary else own


def _spelled(values: pa.Array, held: Capacity) -> pa.Array:
    """Write checked values as text that the server reads back to the same value."""
    kind = values.type
    if pa.types.is_floating(kind):
        return values.cast(pa.float64()).cast(pa.string())
    # Small decimals come with an exponent, which the server reads as exactly as other spellings.
    text = values.cast(pa.string())
    # A year of one or two digits would be one of this or the last century.
    return pc.utf8_lpad(text, 4, "0") if held.kind == "year" else text


def _mask(value: str, bits: dict[str, int]) -> str | None:
    members = value.split(",") if value else []
    if any(member not in bits for member in members):
        return None
    mask = sum({bits[member] for member in members})
    written = ",".join(label for label, bit in bits.items() if mask & bit)
    return str(mask) if written == value else None


def _where(text: pa.Array, test: Callable[[str], bool]) -> pa.Array:
    encoded = text.dictionary_encode()
    found = [test(value) for value in encoded.dictionary.to_pylist()]
    return pa.array(found, pa.bool_()).take(encoded.indices)


class _RewrittenError(Exception):
    """MySQL's JSON would hold something else."""


def _is_rewritten(text: str) -> bool:
    """Say whether MySQL's binary JSON would lose something of a text besides its layout.

    It keeps the last of repeated keys, 64 bits of integers, and doubles of all other numbers
    (https://dev.mysql.com/doc/refman/8.0/en/json.html). What is no JSON is refused before.
    """
    try:
        json.loads(
            text,
            object_pairs_hook=_pairs,
            parse_int=_whole,
            parse_float=_real,
            parse_constant=_real,
        )
    except _RewrittenError:
        return True
    except ValueError:
        return False
    return False


def _pairs(pairs: list[tuple[str, object]]) -> None:
    if len({key for key, _ in pairs}) < len(pairs):
        raise _RewrittenError


def _whole(text: str) -> None:
    if not -(2**63) <= int(text) < 2**64:
        raise _RewrittenError


def _real(text: str) -> None:
    if not re.fullmatch(r"[-+.0-9eE]+", text):
        raise ValueError(text)
    number = float(text)
    if number in (float("inf"), float("-inf")) or Decimal(repr(number)) != Decimal(text):
        raise _RewrittenError


def fits_by_type(source: Column, target: TargetColumn, engine: str, flavour: Flavour) -> bool:
    """Say whether the types alone rule out that a value is refused before it is sent."""
    wire = wire_column(source, target, engine, flavour)
    own, held = effective_type(source), wire.held
    if wire.same and source.native_type.lower() == target.native.lower():
        # A text may hold what another character set lacks.
        return held.charset in (None, "utf8mb4") and held.kind not in ("enum", "set")
    if source.storage != standard_storage(own):
        return False
    checked = engine != "sqlite"
    bounds = held.integers
    if bounds is not None and own.name in _NUMBERS and held.kind != "year":
        low, high = (0, 1) if own.name == "boolean" else _range(own)
        return bounds[0] <= low and high <= bounds[1]
    match own.name:
        case "string" | "json" | "native" | "interval" | "array" | "time_tz" | "numeric":
            # Lengths and labels are promises that SQLite does not keep.
            wide = (held.kind == "longtext" and wire.deepest_json is None) or (
                checked and held.kind == "varchar" and 0 < (own.length or 0) <= (held.length or 0)
            )
            return wide and held.charset == "utf8mb4"
        case "binary":
            return held.kind == "longblob"
        case "uuid":
            return held.kind == "uuid"
        case _:
            return False


def _range(logical: LogicalType) -> tuple[int, int]:
    bits = logical.bits or 64
    return (0, 2**bits - 1) if logical.unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
