"""Which tables, columns and conditions a selection chooses."""

from __future__ import annotations

import pytest

from dbsync.model.schema import Name
from dbsync.model.selection import Selection, matches

ORDERS, LOG, ITEMS = Name("public", "orders"), Name("audit", "log"), Name(None, "items")


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("orders", ORDERS, True),
        ("public.orders", ORDERS, True),
        ("public.*", ORDERS, True),
        ("public.*", LOG, False),
        ("ord?rs", ORDERS, True),
        ("[lo]*", LOG, True),
        ("Orders", ORDERS, False),
        ("order", ORDERS, False),
        ("items", ITEMS, True),
        ("*.items", ITEMS, False),
    ],
)
def test_patterns_fit_the_bare_or_the_qualified_name(pattern: str, name: Name, fits: bool):
    """Globs are case-sensitive, whole, and apply to ``name`` and to ``schema.name``."""
    assert matches(pattern, name) is fits


def test_without_patterns_every_table_is_selected_but_the_excluded_ones():
    """No `tables` means all; `exclude` always wins."""
    assert Selection().selects(ORDERS)
    assert not Selection(exclude=("audit.*",)).selects(LOG)
    assert not Selection(tables=("log",), exclude=("log",)).selects(LOG)


def test_with_patterns_only_tables_that_fit_one_are_selected():
    """A table takes part where at least one pattern fits."""
    selection = Selection(tables=("orders", "audit.*"))
    assert [selection.selects(name) for name in (ORDERS, LOG, ITEMS)] == [True, True, False]


def test_columns_are_those_of_the_first_pattern_that_fits():
    """A table without a pattern has all of its columns (None)."""
    selection = Selection(columns={"orders": ("id",), "*": ("id", "at")})
    assert selection.columns_of(ORDERS) == ("id",)
    assert selection.columns_of(LOG) == ("id", "at")
    assert Selection().columns_of(LOG) is None


def test_a_condition_for_one_table_beats_the_one_for_every_table():
    """``*`` applies only where no other pattern fits, whatever the order."""
    selection = Selection(where={"*": "id > 0", "audit.log": "at > now()"})
    assert selection.where_of(LOG) == "at > now()"
    assert selection.where_of(ORDERS) == "id > 0"
    assert Selection().where_of(ORDERS) is None


def test_patterns_that_fit_no_table_are_listed_by_kind():
    """Misspelt tables, columns and conditions are all found; ``*`` for conditions never counts."""
    selection = Selection(
        tables=("orders", "ordres"), columns={"lgo": ("id",)}, where={"*": "true", "it": "true"}
    )
    assert selection.unmatched([ORDERS, LOG, ITEMS]) == ["ordres", "lgo", "it"]
    assert Selection(where={"*": "true"}).unmatched([]) == []
