"""How much a reader accepts before it refuses an archive with E_LIMIT.

What lives here: the bounds against hostile or damaged archives. The defaults admit everything that
`ArchiveWriter` and `encode_chunk` can produce. Must not know: where the numbers are enforced.
"""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one reader; every one is enforced on real bytes, not only on what headers claim."""

    max_member_bytes: int = 2 * GIB
    """Stored bytes of one chunk, or of one part of the catalog."""
    max_arrow_bytes: int = 2 * GIB
    """Decoded bytes of one chunk; also bounds a single Parquet page."""
    max_json_bytes: int = 64 * MIB
    """Stored bytes of one JSON document."""
    max_footer_bytes: int = 16 * MIB
    """Bytes of a Parquet footer; reading one takes some fifty times as much memory."""
    max_members: int = 4_000_000
    """Members of the archive that the catalog lists."""
    max_tables: int = 999_999
    max_batch_bytes: int = 8 * MIB
    """Aim for the size of one decoded batch; a single row may still be larger."""
