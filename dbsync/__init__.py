"""dbsync: a database in one portable archive, and back.

The functions below are the library; `dbsync.errors` is what they raise. Everything is loaded
on first use, so that importing this package, and ``dbsync --help``, cost almost nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = [
    "RetentionPolicy",
    "__version__",
    "clone",
    "export_database",
    "import_archive",
    "inspect",
    "list_archives",
    "prune",
    "rehearse",
    "table_to_parquet",
    "verify",
]

if TYPE_CHECKING:
    from dbsync.api import (
        RetentionPolicy,
        clone,
        export_database,
        import_archive,
        inspect,
        list_archives,
        prune,
        rehearse,
        table_to_parquet,
        verify,
    )


def __getattr__(name: str) -> object:
    if name in __all__:
        from dbsync import api

        return getattr(api, name)
    raise AttributeError(name)
