"""The JSON documents of an archive: head, database, table schemas and manifest.

What lives here: the structs of head and manifest, and strict deterministic encoding and decoding
of all documents (the JSON Schemas in ``formats/`` are generated from these types). Must not know:
tar, Parquet.
"""

from __future__ import annotations

import hashlib
import re
import threading
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from dbsync.archive.encryption import FEATURE, MAX_RECIPIENTS
from dbsync.errors import ArchiveError
from dbsync.model.schema import Database, Name, Table

FORMAT = "dbsync-archive"
VERSION = "1.0"
_MAJOR = 1
SUPPORTED_FEATURES: frozenset[str] = frozenset({FEATURE})
_NO_DIGEST = "0" * 64
_DIGEST_FIELD = b'"digest": "%s"'

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
ArchiveId = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Moment = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")
]
"""UTC, whole seconds."""
Data = bytes | bytearray | memoryview
T = TypeVar("T")
PUBLIC_FIELDS = (
    "format", "version", "archive_id", "writer", "started", "features_required",
    "features_optional",
)  # fmt: skip
"""What the two heads of an encrypted archive have in common."""


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    """Common configuration: unknown fields are ignored, so later minor versions may add some."""


class Feature(_Document, frozen=True):
    """Something that a reader must (or may) understand, with what to tell a user who lacks it."""

    name: str
    message: str
    version: str
    """The first version of dbsync that understands it."""


class HeadSource(_Document, frozen=True):
    """Where the rows come from."""

    engine: str
    version: str
    database: str
    encoding: str


class HeadConsistency(_Document, frozen=True):
    """Which moment the rows belong to: one for all tables, one for each, or none."""

    level: Literal["snapshot", "per_table", "none"]
    token: str | None = None
    note: str | None = None


class Head(_Document, frozen=True):
    """The first member: what this archive is and which tables it is going to hold."""

    format: Literal["dbsync-archive"]
    version: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,6}\.[0-9]{1,6}$")]
    digest: Sha256
    """sha256 of this document with this value written as 64 zeros."""
    archive_id: ArchiveId
    writer: str
    started: Moment
    source: HeadSource
    consistency: HeadConsistency
    include_schema: bool
    """False where only columns, types and primary keys were exported."""
    tables: tuple[Name, ...]
    features_required: tuple[Feature, ...] = ()
    features_optional: tuple[Feature, ...] = ()


class HeadEncryption(_Document, frozen=True):
    """How the other members of an archive are encrypted."""

    recipients: Annotated[int, msgspec.Meta(ge=1, le=MAX_RECIPIENTS)]
    """How many X25519 recipients each of them has."""


class PublicHead(_Document, frozen=True):
    """The first member of an encrypted archive: what anyone may know. The whole head follows it,
    encrypted."""

    format: Literal["dbsync-archive"]
    version: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,6}\.[0-9]{1,6}$")]
    digest: Sha256
    """As in the head."""
    archive_id: ArchiveId
    writer: str
    started: Moment
    encryption: HeadEncryption
    features_required: tuple[Feature, ...]
    features_optional: tuple[Feature, ...] = ()


class ManifestTable(_Document, frozen=True):
    """What one table amounts to; `number` is that of its folder, from 1."""

    number: Count
    name: Name
    rows: Count
    bytes: Count
    """Stored bytes of its chunks."""
    arrow_bytes: Count
    """Bytes of its rows as Arrow record batches."""
    chunks: Count

    @property
    def table_index(self) -> int:
        """Give the table's position in the head, from 0."""
        return self.number - 1


class ManifestMember(_Document, frozen=True):
    """One of the members between the last chunk and the manifest."""

    path: str
    size: Count
    sha256: Sha256


class Manifest(_Document, frozen=True):
    """The commit record: an archive without it is incomplete."""

    digest: Sha256
    """As in the head."""
    archive_id: ArchiveId
    finished: Moment
    tables: tuple[ManifestTable, ...]
    rows: Count
    bytes: Count
    chunks: Count
    members: Count
    """How many members the catalog lists."""
    head_sha256: Sha256
    catalog: tuple[ManifestMember, ...]
    sums: ManifestMember
    warnings: tuple[str, ...] = ()


Sealed = TypeVar("Sealed", Head, PublicHead, Manifest)


class _Probe(msgspec.Struct):
    """What every version of the format keeps in the head, so that any reader can say no."""

    format: str
    version: str
    digest: str
    features_required: tuple[Feature, ...] = ()


def encode_document(document: msgspec.Struct) -> bytes:
    """Write a document as indented JSON with sorted keys and a final newline.

    Equal documents give equal bytes.
    """
    compact = msgspec.json.encode(document, order="sorted")
    return msgspec.json.format(compact, indent=2) + b"\n"


def decode_document(data: Data, kind: type[T], what: str) -> T:
    """Read a document of type `kind`; raise E_JSON, naming `what`, for anything else."""
    try:
        return _decoder(kind).decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArchiveError("E_JSON", f"{what} cannot be read: {error}") from error


def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    # msgspec 0.22 can crash the process where two threads meet a type for the first time.
    with _one_at_a_time:
        if kind not in _decoders:
            _decoders[kind] = msgspec.json.Decoder(kind)
        return _decoders[kind]


_one_at_a_time = threading.Lock()
_decoders: dict[type, msgspec.json.Decoder[Any]] = {}


def seal(document: Sealed) -> tuple[Sealed, bytes]:
    """Fill in a document's own digest, whatever it says; return it with its bytes."""
    blank = encode_document(msgspec.structs.replace(document, digest=_NO_DIGEST))
    digest = hashlib.sha256(blank).hexdigest()
    data = blank.replace(_DIGEST_FIELD % _NO_DIGEST.encode(), _DIGEST_FIELD % digest.encode())
    return msgspec.structs.replace(document, digest=digest), data


def decode_head(data: Data) -> Head | PublicHead:
    """Read and check the head; of an encrypted archive the part that anyone may know.

    Raises, in this order: E_JSON, E_NOT_ARCHIVE (another format), E_CHECKSUM (its own digest is
    wrong), E_VERSION_UNSUPPORTED (another major version), E_FEATURE_UNSUPPORTED (naming what is
    needed), E_SCHEMA_MISMATCH (a table planned twice).
    """
    probe = decode_document(data, _Probe, "the head (dbsync.json)")
    if probe.format != FORMAT:
        raise ArchiveError("E_NOT_ARCHIVE", f"the head says format {probe.format[:80]!r}")
    _check_seal(bytes(data), probe.digest, "the head (dbsync.json)")
    version = re.fullmatch(r"([0-9]{1,6})\.([0-9]{1,6})", probe.version)
    if version is None:
        raise ArchiveError("E_JSON", f"the head's version {probe.version[:80]!r} is malformed")
    if int(version[1]) != _MAJOR:
        raise ArchiveError(
            "E_VERSION_UNSUPPORTED",
            f"the archive has format version {probe.version}; this dbsync reads {_MAJOR}.x",
        )
    for feature in probe.features_required:
        if feature.name not in SUPPORTED_FEATURES:
            raise ArchiveError(
                "E_FEATURE_UNSUPPORTED",
                f"the archive needs the feature {feature.name!r}: {feature.message}",
                hint=f"dbsync {feature.version} or later understands it.",
            )
    if any(feature.name == FEATURE for feature in probe.features_required):
        return decode_document(data, PublicHead, "the head (dbsync.json)")
    return _decode_whole_head(data, "the head (dbsync.json)")


def decode_encrypted_head(data: Data, public: PublicHead, path: str) -> Head:
    """Read the head that was encrypted; E_SCHEMA_MISMATCH where the public one says otherwise."""
    head = _decode_whole_head(data, path)
    _check_seal(bytes(data), head.digest, path)
    for field in PUBLIC_FIELDS:
        if getattr(head, field) != getattr(public, field):
            raise ArchiveError(
                "E_SCHEMA_MISMATCH", f"{path} and dbsync.json disagree about {field!r}"
            )
    return head


def _decode_whole_head(data: Data, what: str) -> Head:
    head = decode_document(data, Head, what)
    if len(set(head.tables)) != len(head.tables):
        raise ArchiveError("E_SCHEMA_MISMATCH", "the head plans a table twice")
    return head


def public_head(head: Head, recipients: int) -> PublicHead:
    """Give the part of a head that an encrypted archive shows to anyone."""
    shown = {field: getattr(head, field) for field in PUBLIC_FIELDS}
    return PublicHead(digest="", encryption=HeadEncryption(recipients=recipients), **shown)


def decode_manifest(data: Data) -> Manifest:
    """Read the manifest; raise E_JSON, or E_CHECKSUM where its own digest is wrong."""
    manifest = decode_document(data, Manifest, "manifest.json")
    _check_seal(bytes(data), manifest.digest, "manifest.json")
    return manifest


def _check_seal(data: bytes, digest: str, what: str) -> None:
    written = digest.encode("utf-8", "surrogatepass")
    blank = data.replace(written, _NO_DIGEST.encode(), 1)
    if re.fullmatch("[0-9a-f]{64}", digest) is None or hashlib.sha256(blank).hexdigest() != digest:
        raise ArchiveError("E_CHECKSUM", f"{what} is damaged: its own digest is wrong")


def moment(when: datetime) -> str:
    """Write a moment as documents do: UTC, whole seconds."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def mtime_of(head: Head | PublicHead) -> int:
    """Give the time that every tar header of the archive carries: that of `started`.

    Raises E_JSON where there is no such moment, or none that ustar can say.
    """
    try:
        seconds = int(datetime.fromisoformat(head.started).timestamp())
    except ValueError as error:
        raise ArchiveError("E_JSON", f"the head's time {head.started!r} does not exist") from error
    if seconds < 0:
        raise ArchiveError("E_JSON", f"the head's time {head.started!r} is before 1970")
    return seconds


def encode_database(database: Database) -> bytes:
    """Write the database document: everything but the tables, which have members of their own."""
    return encode_document(msgspec.structs.replace(database, tables=()))


def decode_database(data: Data, head: Head, path: str) -> Database:
    """Read the database document, without tables; E_SCHEMA_MISMATCH if the head differs."""
    database = decode_document(data, Database, path)
    if database.tables:
        raise ArchiveError("E_SCHEMA_MISMATCH", f"{path} may not hold tables")
    source = HeadSource(
        engine=database.engine,
        version=database.version,
        database=database.name,
        encoding=database.encoding,
    )
    if source != head.source:
        raise ArchiveError("E_SCHEMA_MISMATCH", f"{path} describes another source than the head")
    return database


def decode_table(data: Data, head: Head, index: int, path: str) -> Table:
    """Read the schema of the table at `index`; E_SCHEMA_MISMATCH if the head plans another."""
    table = decode_document(data, Table, path)
    if table.name != head.tables[index]:
        raise ArchiveError(
            "E_SCHEMA_MISMATCH",
            f"{path} describes {table.name}, but the head plans {head.tables[index]} there",
        )
    return table
