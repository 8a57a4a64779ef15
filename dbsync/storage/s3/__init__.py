"""Objects in a bucket of S3, or of a store that speaks its protocol.

Must not know: archives, databases, the command line.
"""

from __future__ import annotations

from dbsync.storage.s3.store import S3Storage

__all__ = ["S3Storage"]
