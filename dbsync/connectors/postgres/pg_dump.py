"""Finding and running pg_dump.

What lives here: which pg_dump fits a server, and one run of it under an exported snapshot. Must
not know: what is done with its output. The password goes into a temporary password file, never
into arguments or the environment.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dbsync.connectors.postgres.connection import PARAMETERS, Address
from dbsync.connectors.redaction import redact

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(\S*)")
_PROBE_TIMEOUT_S = 20
_DEBIAN = Path("/usr/lib/postgresql")


@dataclass(frozen=True)
class PgDump:
    """A pg_dump that was found; `version` as it says itself, such as 18.4."""

    path: Path
    version: str
    major: int


class PgDumpError(Exception):
    """pg_dump failed; the message is its own last words, without a secret."""


def find_pg_dump(server_major: int) -> tuple[PgDump | None, str]:
    """Find a pg_dump that is not older than the server, or say why there is none.

    ``DBSYNC_PG_DUMP`` names the only one to consider; otherwise the one on PATH is taken if it
    fits, and then the newest in Debian's folders.
    """
    found: list[PgDump] = []
    for path in _candidates():
        if (dump := _probe(path)) is None:
            continue
        if dump.major >= server_major:
            return dump, ""
        found.append(dump)
    if found:
        newest = max(found, key=lambda dump: dump.major)
        return None, f"pg_dump {newest.version} is older than the server ({server_major})"
    given = os.environ.get("DBSYNC_PG_DUMP")
    return None, f"{given} cannot be run" if given else "pg_dump is not installed"


def run_pg_dump(
    dump: PgDump,
    address: Address,
    database: str,
    snapshot: str,
    *,
    exclude_tables: Sequence[str] = (),
    lock_timeout_s: int = 60,
) -> bytes:
    """Dump the schema under `snapshot` and return the custom-format file.

    `exclude_tables` are patterns of pg_dump. Raises `PgDumpError`.
    """
    with tempfile.TemporaryDirectory(prefix="dbsync-") as folder:
        output = Path(folder) / "schema.dump"
        parameters = {**PARAMETERS, **address.public, "dbname": database}
        command = [
            str(dump.path),
            "--format=custom",
            "--schema-only",
            f"--snapshot={snapshot}",
            f"--file={output}",
            f"--lock-wait-timeout={lock_timeout_s * 1000}",
            "--encoding=UTF8",
            "--no-password",
            "--no-subscriptions",
            f"--dbname={_conninfo(parameters)}",
            *(f"--exclude-table={pattern}" for pattern in exclude_tables),
        ]
        environment = {**os.environ, "LC_ALL": "C", **_secrets(address, Path(folder))}
        try:
            done = subprocess.run(  # noqa: S603  (a program that the user installed or named)
                command, capture_output=True, env=environment, stdin=subprocess.DEVNULL, check=False
            )
        except OSError as error:
            raise PgDumpError(f"{dump.path} cannot be run: {error.strerror}") from error
        if done.returncode:
            words = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
            errors = [line for line in words if "error:" in line] or words
            raise PgDumpError(redact(errors[0], address.secrets))
        return output.read_bytes()


def _candidates() -> Iterator[Path]:
    given = os.environ.get("DBSYNC_PG_DUMP")
    if given:
        yield Path(given)
        return
    on_path = shutil.which("pg_dump")
    if on_path:
        yield Path(on_path)
    installed = _DEBIAN.glob("*/bin/pg_dump")
    yield from sorted(installed, key=_major_of_folder, reverse=True)


def _major_of_folder(path: Path) -> int:
    """Read the version that Debian's folder of a pg_dump is named after, such as 15."""
    name = path.parent.parent.name
    return int(name) if name.isdigit() else 0


def _probe(path: Path) -> PgDump | None:
    try:
        done = subprocess.run(  # noqa: S603  (see above)
            [str(path), "--version"],
            capture_output=True,
            text=True,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(done.stdout)
    if done.returncode or match is None:
        return None
    return PgDump(path=path, version=match[1] + match[2], major=int(match[1]))


def _conninfo(parameters: dict[str, str]) -> str:
    from psycopg2.extensions import make_dsn

    return make_dsn(**parameters)


def _secrets(address: Address, folder: Path) -> dict[str, str]:
    """Write the secrets into files that only this user may read, and name them for libpq.

    libpq takes a password from a password file (manual, "The Password File") and every other
    parameter from a service file ("The Connection Service File").
    """
    environment: dict[str, str] = {}
    password = address.parameters.get("password")
    if password:
        escaped = password.replace("\\", "\\\\").replace(":", "\\:")
        environment["PGPASSFILE"] = _private(folder / "pgpass", f"*:*:*:*:{escaped}\n")
    key_password = address.parameters.get("sslpassword")
    if key_password:
        text = f"[dbsync]\nsslpassword={key_password}\n"
        environment["PGSERVICEFILE"] = _private(folder / "pg_service.conf", text)
        environment["PGSERVICE"] = "dbsync"
    return environment


def _private(path: Path, text: str) -> str:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return str(path)
