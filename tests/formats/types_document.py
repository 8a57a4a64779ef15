"""Reading ``formats/types-v1.md``: its tables, and what section 5 says of every type and value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from dbsync.model.types import LogicalType, TypeName, decimal, integer

DOCUMENT = Path(__file__).parents[2] / "formats" / "types-v1.md"
INTEGERS = [integer(b, unsigned=u) for b in (8, 16, 32, 64) for u in (False, True)]
_DECIMALS = ((10, 0), (10, 2), (38, 10), (60, 20), (60, 35), (100, 20), (3, -2), (2000, 2))
TYPES = {
    str(logical): logical
    for logical in [
        *INTEGERS,
        *(LogicalType(name="float", bits=bits) for bits in (32, 64)),
        *(decimal(*digits) for digits in _DECIMALS),
        *(LogicalType(name="string", length=n) for n in (None, 5, 40, 63, 20_000_000)),
        *(
            LogicalType(name="array", element=element)
            for element in (integer(32), LogicalType(name="string"), LogicalType(name="native"))
        ),
        *(
            LogicalType(name=name)
            for name in get_args(TypeName)
            if name not in ("integer", "float", "decimal", "string", "array")
        ),
    ]
}
ENGINES = {"PostgreSQL": "postgresql", "SQLite": "sqlite", "MariaDB": "mysql", "MySQL": "mysql"}
"""The engine of each column of the tables of section 5."""
Row = dict[str, str]


def table(section: str) -> list[Row]:
    """Read the table of a section as dicts by column heading."""
    text = DOCUMENT.read_text(encoding="utf-8")
    body = re.split(rf"^#+ {re.escape(section)}.*$", text, flags=re.MULTILINE)[1]
    body = re.split(r"^#", body, maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for line in body.splitlines() if line.startswith("|")]
    split = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    headings, rows = split[0], split[2:]
    assert rows, section
    assert all(len(row) == len(headings) for row in rows), section
    return [dict(zip(headings, row, strict=True)) for row in rows]


def code(cell: str) -> str:
    """Take the code marks off a cell."""
    return cell.removeprefix("`").removesuffix("`")


def codes(cell: str) -> list[str]:
    """List everything that has code marks in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def named(row: Row) -> LogicalType:
    """Find the logical type that a row is about."""
    return TYPES[code(row["Logical type"])]


@dataclass(frozen=True)
class Cell:
    """What becomes of one logical type in one engine."""

    outcome: str
    """exact, wider or text."""
    refused: frozenset[str]
    """Names of values, as section 5.2 has them."""


@dataclass(frozen=True)
class Values:
    """One kind of values of one logical type, which some engine refuses."""

    name: str
    type: str
    examples: tuple[str, ...]
    """As canonical text; a byte that is no UTF-8 is a lone surrogate, as `os.fsdecode` has it."""
    held_by: frozenset[str]
    early: bool
    """Refused before the first write, and not by the server."""


def cell(text: str) -> Cell:
    """Read a cell of section 5.1."""
    outcome, _, refused = text.partition("; not: ")
    assert outcome in ("exact", "wider", "text"), text
    return Cell(outcome, frozenset(refused.split(", ")) if refused else frozenset())


def outcomes(product: str) -> dict[str, Cell]:
    """Give the cells of one column of section 5.1 by logical type."""
    return {code(row["Logical type"]): cell(row[product]) for row in table("5.1")}


def special_values() -> list[Values]:
    """Read section 5.2: one entry for each type of each row."""
    return [
        Values(
            row["Values"],
            name,
            tuple(_unescaped(example) for example in codes(row["Such as"])),
            frozenset(ENGINES[product] for product in row["Held by"].split(", ")),
            {"before": True, "by the server": False}[row["Refused"]],
        )
        for row in table("5.2")
        for name in codes(row["Of the types"])
    ]


def row_of(logical: LogicalType) -> str:
    """Name the row of section 5.1 that a logical type follows, as the text below it says."""
    rows = [code(row["Logical type"]) for row in table("5.1")]
    name = str(logical)
    if name in rows:
        return name
    match logical.name:
        case "decimal":
            precision, scale = logical.precision or 0, logical.scale or 0
            if scale < 0 or precision > 1000:
                return "decimal(3,-2)"
            limits = ((15, "10,2"), (38, "38,10"), (65, "60,20"), (1000, "100,20"))
            return f"decimal({next(digits for most, digits in limits if precision <= most)})"
        case "string":
            return "string(40)" if (logical.length or 0) <= 10_000 else "string(20000000)"
        case "array":
            return "array of integer32"
        case _:
            raise KeyError(name)


def _unescaped(text: str) -> str:
    return "" if text == "''" else text.replace("\\0", "\0").replace("\\xff", "\udcff")
