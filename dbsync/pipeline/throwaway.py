"""Where a rehearsal takes place, and the note that is left of it.

What lives here: the temporary database, and what may stand in the note. Must not know: how a
rehearsal is made.
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime

from dbsync import __version__
from dbsync.archive import Archive
from dbsync.errors import StorageError, UsageError
from dbsync.pipeline.attestation import Attestation, attestation_key, write_attestation
from dbsync.pipeline.rehearsal import Rehearsed
from dbsync.storage.location import open_location
from dbsync.storage.options import StorageOptions


@contextmanager
def database(url: str | None) -> Generator[str]:
    """Give the URL of the database to use: `url`, or an SQLite file that is gone afterwards.

    The file lies where temporary files do (``TMPDIR``), and only its owner may read it.
    """
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="dbsync-rehearsal-") as folder:
        yield f"sqlite:///{folder}/rehearsal.sqlite"


def require_object(place: str, options: StorageOptions | None) -> None:
    """Raise `UsageError` for a pipe, which can be read once, and beside which nothing lies."""
    if open_location(place, options).sequential:
        raise UsageError(
            "a rehearsal needs an archive that can be read at random, not a pipe",
            hint="write the archive to a file first",
        )


def attest(archive: Archive, place: str, found: Rehearsed, options: StorageOptions | None) -> str:
    """Write the outcome beside the archive; returns where it stands.

    Of an encrypted archive it says how much differs, but no names. Raises `StorageError`.
    """
    result = found.result
    location = open_location(place, options)
    differences, left_out = result.differences, result.not_rehearsed
    if archive.encrypted:
        differences = _counted(differences, "differences")
        left_out = _counted(left_out, "things that this database cannot hold")
    note = Attestation(
        archive_id=result.archive_id,
        manifest_sha256=archive.manifest_sha256 or "",
        time=datetime.now(UTC),
        engine=found.engine,
        engine_version=found.engine_version,
        result="passed" if result.ok else "failed",
        differences=differences,
        not_rehearsed=left_out,
        tables=result.tables,
        rows=result.rows,
        seconds=round(result.seconds, 3),
        writer=f"dbsync {__version__}",
    )
    try:
        write_attestation(location.storage, location.key, note)
    except StorageError as error:
        outcome = "passed" if result.ok else "failed"
        raise StorageError(
            f"the rehearsal {outcome}, but its outcome could not be written beside the archive: "
            f"{error.message}",
            hint="use --no-attest where nothing may be written",
        ) from error
    return attestation_key(place)


def _counted(lines: tuple[str, ...], what: str) -> tuple[str, ...]:
    return (
        (f"{len(lines)} {what}; the archive is encrypted, so they are not named",) if lines else ()
    )
