"""Bulk imports: uploading, frozen, performing, ready, committing, committed.

What a request may do depends on the state; what comes out of turn is refused with 409 where it
repeats a step that was made, and with 422 where a step before it is missing. A job that fails
leaves its session ready, with the parts that it had read: a client that commits without a look at
the job and at the counts loses rows here.
"""

from __future__ import annotations

import gzip
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tests.fakes.treasuredata import records
from tests.fakes.treasuredata.accounts import Key, Refusal
from tests.fakes.treasuredata.catalog import Catalog
from tests.fakes.treasuredata.faults import Faults
from tests.fakes.treasuredata.jobs import Job, Jobs


@dataclass
class Session:
    """One bulk import."""

    name: str
    account: str
    database: str
    table: str
    folder: Path
    status: str = "uploading"
    frozen: bool = False
    parts: dict[str, Path] = field(default_factory=dict)
    uploads: int = 0
    judged: records.Judged = field(default_factory=records.Judged)
    job_id: str | None = None
    hidden: int = 0
    """How often it still says that it is committing although it has committed."""

    def describe(self) -> dict[str, Any]:
        """Return what the service tells of it."""
        status = self.status
        if status == "committed" and self.hidden > 0:
            self.hidden -= 1
            status = "committing"
        return {
            "name": self.name,
            "database": self.database,
            "table": self.table,
            "status": status,
            "upload_frozen": self.frozen,
            "job_id": self.job_id,
            "valid_records": self.judged.valid_records,
            "error_records": len(self.judged.errors),
            "valid_parts": self.judged.valid_parts,
            "error_parts": self.judged.error_parts,
        }


class BulkImports:
    """The sessions of all accounts."""

    def __init__(self, folder: Path, jobs: Jobs, faults: Faults):
        self.hidden_polls = 0
        """How many looks at a session that has committed still see it committing."""
        self.sessions: dict[tuple[str, str], Session] = {}
        self.lock = threading.RLock()
        self._folder = folder
        self._jobs = jobs
        self._faults = faults
        self._made = 0

    def get(self, name: str, key: Key) -> Session:
        """Return a session of the key's account, or refuse with 404."""
        session = self.sessions.get((key.account, name))
        if session is None:
            raise Refusal(404, f"Resource not found: bulk import {name}")
        key.require(session.database, "import")
        return session

    def create(self, catalog: Catalog, key: Key, name: str, database: str, table: str) -> None:
        """Open a session into a table that exists."""
        catalog.table(database, table)
        with self.lock:
            if (key.account, name) in self.sessions:
                raise Refusal(409, f"Bulk import {name} already exists")
            self._made += 1
            folder = self._folder / f"session{self._made}"
            folder.mkdir()
            self.sessions[key.account, name] = Session(name, key.account, database, table, folder)

    def delete(self, name: str, key: Key) -> None:
        """Forget a session, whatever its state."""
        with self.lock:
            session = self.get(name, key)
            del self.sessions[key.account, name]
        shutil.rmtree(session.folder, ignore_errors=True)

    def upload(self, name: str, part: str, data: bytes, key: Key) -> None:
        """Keep a part; one of the same name is replaced."""
        with self.lock:
            session = self.get(name, key)
            _require_open(session)
            session.uploads += 1
            path = session.folder / f"{session.uploads}"
        path.write_bytes(data)
        with self.lock:
            session.parts[part] = path

    def delete_part(self, name: str, part: str, key: Key) -> None:
        """Forget a part."""
        with self.lock:
            session = self.get(name, key)
            _require_open(session)
            if session.parts.pop(part, None) is None:
                raise Refusal(404, f"Resource not found: part {part}")

    def freeze(self, name: str, key: Key, *, frozen: bool) -> None:
        """Close a session for uploads, or open it again."""
        with self.lock:
            session = self.get(name, key)
            if session.status != "uploading" or session.frozen == frozen:
                raise Refusal(409, f"Bulk import {name} is {_state(session)}")
            session.frozen = frozen

    def perform(self, catalog: Catalog, name: str, key: Key) -> Job:
        """Start the job that reads the parts."""
        with self.lock:
            session = self.get(name, key)
            if session.status != "uploading":
                raise Refusal(409, f"Bulk import {name} is {_state(session)}")
            if not session.frozen or not session.parts:
                raise Refusal(422, f"Bulk import {name} is not frozen or has no parts")
            table = catalog.table(session.database, session.table)
            fault = self._faults.take("import_job", name)
            parts = [session.parts[part] for part in sorted(session.parts)]
            session.status = "performing"

        def work(job: Job) -> None:
            action = fault.action if fault is not None else None
            failed = action in ("error", "killed")
            size = fault.size if fault is not None else 0
            read = parts[:size] if failed else parts
            refuse = size if action == "bad_records" else 0
            try:
                session.judged = records.judge(_contents(read), table.columns, refuse=refuse)
                if action == "lost_records":
                    session.judged.lose(size)
            finally:
                session.status = "ready"
            job.finish(str(action) if failed else "success", "by arrangement" if failed else "")

        job = self._jobs.start(key.account, session.database, "bulk_import_perform", "", work)
        session.job_id = job.id
        return job

    def commit(self, catalog: Catalog, name: str, key: Key) -> None:
        """Make the valid records of a session part of its table, all at once."""
        with self.lock:
            session = self.get(name, key)
            if session.status in ("committing", "committed"):
                raise Refusal(409, f"Bulk import {name} is {_state(session)}")
            if session.status != "ready":
                raise Refusal(422, f"Bulk import {name} is {_state(session)}")
            catalog.table(session.database, session.table)
            session.status, session.hidden = "committing", self.hidden_polls
            fault = self._faults.take("commit_job", name)
            if fault is not None:
                session.judged.lose(fault.size)

        def work() -> None:
            try:
                catalog.append(session.database, session.table, session.judged.batches)
            except Refusal:  # the table is gone
                session.status = "ready"
            else:
                session.status = "committed"

        threading.Thread(target=work, daemon=True).start()

    def error_records(self, name: str, key: Key) -> bytes:
        """Return the refused records as gzipped msgpack."""
        errors = self.get(name, key).judged.errors
        return gzip.compress(b"".join(msgspec.msgpack.encode(record) for record in errors))


def _contents(paths: list[Path]) -> Iterator[bytes]:
    for path in paths:
        yield path.read_bytes()


def _require_open(session: Session) -> None:
    if session.status != "uploading" or session.frozen:
        raise Refusal(422, f"Bulk import {session.name} is {_state(session)}")


def _state(session: Session) -> str:
    return "frozen" if session.status == "uploading" and session.frozen else session.status
