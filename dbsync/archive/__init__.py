"""Archive v1: schema and chunks to bytes and back, as ``formats/archive-v1.md`` says.

What lives here: the container, its documents, and the Parquet profile of chunks. Must not know:
any database, any place where archives are kept.
"""

from dbsync.archive.archive import Archive, ChunkRef
from dbsync.archive.catalog import CatalogEntry
from dbsync.archive.decode import decode_chunk
from dbsync.archive.documents import Feature, Head, HeadConsistency, Manifest, ManifestTable
from dbsync.archive.encode import EncodedChunk, encode_chunk, encode_file
from dbsync.archive.encryption import Encryption, Identities, Recipients, generate_identity
from dbsync.archive.indexed import open_archive
from dbsync.archive.limits import Limits
from dbsync.archive.stream import open_stream
from dbsync.archive.unpacked import open_unpacked
from dbsync.archive.verify import VerifyReport, verify_archive, verify_chunk
from dbsync.archive.writer import ArchiveWriter

ChunkEntry = CatalogEntry

__all__ = [
    "Archive",
    "ArchiveWriter",
    "CatalogEntry",
    "ChunkEntry",
    "ChunkRef",
    "EncodedChunk",
    "Encryption",
    "Feature",
    "Head",
    "HeadConsistency",
    "Identities",
    "Limits",
    "Manifest",
    "ManifestTable",
    "Recipients",
    "VerifyReport",
    "decode_chunk",
    "encode_chunk",
    "encode_file",
    "generate_identity",
    "open_archive",
    "open_stream",
    "open_unpacked",
    "verify_archive",
    "verify_chunk",
]
