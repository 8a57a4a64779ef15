"""The note beside an archive that says how its last rehearsal went.

What lives here: its name, its form, reading and writing it. Must not know: how a rehearsal is
made, or what an archive's documents look like.

The note is worth what the place is worth where it lies: it is not signed. It is bound to one
archive by the digest of the manifest, which covers every other member, so that an archive that is
replaced under the same name loses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from dbsync.storage.base import Storage

SUFFIX = ".rehearsed.json"
_MAX_BYTES = 1 << 20
_MAX_LINES = 100


class Attestation(msgspec.Struct, frozen=True, kw_only=True):
    """How one archive came back when it was restored into a throwaway database."""

    format: Literal["dbsync-rehearsal"] = "dbsync-rehearsal"
    version: Literal[1] = 1
    archive_id: str
    manifest_sha256: str
    """Digest of the manifest as stored, as the archive's trailer names it."""
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    """When the rehearsal ended."""
    engine: str
    engine_version: str
    """The database that took the rows for a while."""
    result: Literal["passed", "failed"]
    differences: tuple[str, ...] = ()
    """What came back otherwise, a line each; of an encrypted archive without any names."""
    not_rehearsed: tuple[str, ...] = ()
    """What that database cannot hold and so was not looked at, a line each; the same holds."""
    tables: int
    rows: int
    seconds: float = 0.0
    writer: str
    """The program and version that made the rehearsal."""

    @property
    def passed(self) -> bool:
        """Say whether everything that was rehearsed came back as it was."""
        return self.result == "passed"


# Made once: several threads read notes, and msgspec 0.22 is not safe where they meet a new type.
_DECODER = msgspec.json.Decoder(Attestation)


def attestation_key(archive_key: str) -> str:
    """Name the note that belongs to an archive; both lie in the same store."""
    return archive_key + SUFFIX


def is_attestation(key: str) -> bool:
    """Say whether a key is that of such a note, whatever archive it belongs to."""
    return key.endswith(SUFFIX)


def read_attestation(storage: Storage, key: str, manifest_sha256: str) -> Attestation | None:
    """Read the note of the archive `key`; None where there is none that fits its manifest.

    A note that cannot be understood counts as none: it proves nothing. Whoever has listed the
    folder knows whether there is a note, and saves a request by not asking. Raises `StorageError`
    where the store fails.
    """
    note = attestation_key(key)
    found = next((info for info in storage.list(note, recursive=False) if info.key == note), None)
    if found is None or found.size > _MAX_BYTES:
        return None
    with storage.open(note, version=found.version) as stream:
        data = stream.read(_MAX_BYTES + 1)
    try:
        attestation = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return attestation if attestation.manifest_sha256 == manifest_sha256 else None


def write_attestation(storage: Storage, key: str, attestation: Attestation) -> None:
    """Put the note beside the archive `key`, in place of an earlier one.

    Of very many differences the first are kept, with a line that counts the others.
    """
    kept = msgspec.structs.replace(
        attestation,
        differences=_shortened(attestation.differences),
        not_rehearsed=_shortened(attestation.not_rehearsed),
    )
    compact = msgspec.json.encode(kept, order="sorted")
    data = msgspec.json.format(compact, indent=2) + b"\n"
    with storage.put_stream(attestation_key(key), overwrite=True, size_hint=len(data)) as out:
        out.write(data)


def _shortened(lines: Sequence[str]) -> tuple[str, ...]:
    lines = tuple(line[:1000] for line in lines)
    if len(lines) <= _MAX_LINES:
        return lines
    return (*lines[:_MAX_LINES], f"and {len(lines) - _MAX_LINES} more")
