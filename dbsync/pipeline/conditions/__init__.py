"""Conditions over the rows of an archive: a small language, without any SQL of a database.

What lives here: the grammar (`syntax`), its meaning for record batches (`evaluate`), and for the
key ranges of chunks (`ranges`). Must not know: archives, databases.

    condition   NOT condition | condition AND condition | condition OR condition | (condition)
                column = value   also  <>  !=  <  <=  >  >=
                column [NOT] IN (value, ...)
                column [NOT] BETWEEN value AND value
                column [NOT] LIKE 'pattern'      % any text, _ one character, \\ before either
                column IS [NOT] NULL
    column      name, "name"
    value       'text', number, TRUE, FALSE

NULL compares as in SQL: a row is taken where the condition is true, not where it is unknown.
"""

from __future__ import annotations

from dbsync.pipeline.conditions.evaluate import Condition

__all__ = ["Condition"]
