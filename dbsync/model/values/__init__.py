"""Values in record batches: exceptions, the standard form of a logical type, canonical text.

A column's field holds every value that its Arrow type carries exactly. A value beyond it (NaN in
a decimal, an infinite date, text in an SQLite integer column) is NULL there and stands in the
column's exceptions field, which a batch has only when one of its values needs it:
``struct<kind: string, value: binary>``, NULL where the value is ordinary.

Kinds: ``literal`` is the canonical text of a value of the column's logical type (UTF-8), such as
``NaN``, ``infinity``, ``24:00:00``, ``0044-03-15 BC``. ``integer``, ``real``, ``text`` and ``blob``
are a value of another class than the column's type, as SQLite allows: decimal digits, the shortest
text that reads back to the same double, the raw bytes of the text (perhaps not UTF-8), raw bytes.

Must not know: any engine's SQL. Everything here is vectorised; per-value Python only for values
that are exceptions.
"""

from __future__ import annotations

from dbsync.model.values.canonical import RowsDigest, canonical, row_digests
from dbsync.model.values.convert import standard_type, standardize
from dbsync.model.values.exceptions import EXCEPTIONS_TYPE, column_values, make_exceptions
from dbsync.model.values.json_text import refuse_not_json
from dbsync.model.values.keys import key_text
from dbsync.model.values.misfit import HINT, MisfitError, misfit_text, refuse
from dbsync.model.values.text import to_text

__all__ = [
    "EXCEPTIONS_TYPE",
    "HINT",
    "MisfitError",
    "RowsDigest",
    "canonical",
    "column_values",
    "key_text",
    "make_exceptions",
    "misfit_text",
    "refuse",
    "refuse_not_json",
    "row_digests",
    "standard_type",
    "standardize",
    "to_text",
]
