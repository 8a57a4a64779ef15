"""The text of types: read, written, and refused where it is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbsync.connectors.treasuredata.types import (
    SCALARS,
    TdType,
    array_of,
    map_of,
    parse_type,
    scalar,
)

TYPES = st.recursive(
    st.sampled_from(SCALARS).map(scalar),
    lambda inner: inner.map(array_of) | st.builds(map_of, inner, inner),
    max_leaves=8,
)


@given(TYPES)
def test_a_type_is_read_back_from_its_text(wanted: TdType) -> None:
    """Whatever is nested how deep, the text of a type means that type."""
    assert parse_type(str(wanted)) == wanted


def test_case_and_blanks_do_not_matter() -> None:
    """A type may be spelled as people spell it."""
    assert parse_type(" Map < STRING , array<Int> > ") == map_of(
        scalar("string"), array_of(scalar("int"))
    )


@pytest.mark.parametrize(
    "text",
    ["", "bigint", "array", "array<>", "array<int", "array<int>>", "map<int>", "map<int,int,int>",
     "int,int", "int string", "array<int;>", "map<,int>", "array<" * 100 + "int" + ">" * 100],
)  # fmt: skip
def test_what_is_no_type_is_refused(text: str) -> None:
    """A text that is not wholly a type raises ValueError."""
    with pytest.raises(ValueError, match="no type"):
        parse_type(text)
