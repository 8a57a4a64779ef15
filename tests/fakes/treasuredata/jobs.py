"""Jobs: queued, booting, running, then success, error or killed; queries run by DuckDB.

A query runs on the rows that are stored, in a thread of its own. The same query on unchanged data
is answered from the result that was stored before, so that a benchmark pays for it once.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from tests.fakes.treasuredata import results
from tests.fakes.treasuredata.accounts import Key, Refusal
from tests.fakes.treasuredata.catalog import Catalog
from tests.fakes.treasuredata.faults import Fault, Faults

FINISHED = ("success", "error", "killed")
_STEPS = ("queued", "booting", "running")


@dataclass
class Job:
    """One job of an account."""

    id: str
    account: str
    database: str
    type: str
    query: str
    status: str = "running"
    hidden: int = 0
    """How often it still says that it is not finished, whatever it is."""
    stderr: str = ""
    result: results.Stored | None = None
    created: str = ""
    ended: str = ""
    done: threading.Event = field(default_factory=threading.Event)

    def finish(self, status: str, stderr: str = "") -> None:
        """End it, unless it was killed before."""
        if not self.done.is_set():
            self.status, self.stderr, self.ended = status, stderr, _now()
            self.done.set()

    def poll(self) -> str:
        """Return the status as the next request may see it."""
        if self.hidden > 0:
            self.hidden -= 1
            return _STEPS[max(0, len(_STEPS) - 1 - self.hidden)]
        return self.status

    def describe(self, status: str) -> dict[str, Any]:
        """Return what the service tells of it."""
        over = status in FINISHED
        told: dict[str, Any] = {
            "job_id": self.id,
            "type": self.type,
            "database": self.database,
            "query": self.query,
            "status": status,
            "url": f"https://console.example/jobs/{self.id}",
            "created_at": self.created,
            "start_at": self.created if status != "queued" else "",
            "updated_at": self.ended or self.created,
            "end_at": self.ended if over else "",
            "priority": 0,
            "retry_limit": 0,
            "result": "",
            "debug": {"cmdout": "", "stderr": self.stderr} if over else None,
            "hive_result_schema": "",
            "result_size": None,
            "num_records": None,
        }
        if over and self.result is not None:
            told["hive_result_schema"] = json.dumps(self.result.columns)
            told["result_size"] = self.result.bytes
            told["num_records"] = self.result.rows
        return told


class Jobs:
    """All jobs of the service."""

    def __init__(self, folder: Path, faults: Faults):
        self.hidden_polls = 0
        """How many polls of a new job see it queued, booting or running."""
        self.gzip_members = 1
        """How many members the gzip of a large result may have."""
        self.issued: list[Job] = []
        self._folder = folder
        self._faults = faults
        self._jobs: dict[str, Job] = {}
        self._domain: dict[tuple[str, str], str] = {}
        self._stored: dict[tuple[str, str, str], tuple[int, results.Stored]] = {}
        self._lock = threading.Lock()

    def get(self, job_id: str, key: Key) -> Job:
        """Return a job of the key's account, or refuse with 404."""
        job = self._jobs.get(job_id)
        if job is None or job.account != key.account:
            raise Refusal(404, f"Resource not found: job {job_id}")
        return job

    def of(self, account: str) -> list[Job]:
        """Return the jobs of an account, the newest first."""
        return [job for job in reversed(self.issued) if job.account == account]

    def start(
        self,
        account: str,
        database: str,
        kind: str,
        query: str,
        work: Callable[[Job], None],
        *,
        domain_key: str | None = None,
    ) -> Job:
        """Accept a job and let `work` run for it; a domain key that is taken is a conflict."""
        with self._lock:
            taken = self._domain.get((account, domain_key)) if domain_key else None
            if taken:
                raise Refusal(409, f"Domain key {domain_key} is in use", conflicts_with=taken)
            job = Job(str(1_000_001 + len(self.issued)), account, database, kind, query)
            job.created, job.hidden = _now(), self.hidden_polls
            self._jobs[job.id] = job
            self.issued.append(job)
            if domain_key:
                self._domain[account, domain_key] = job.id
        threading.Thread(target=_run, args=(job, work), daemon=True).start()
        return job

    def query(
        self, catalog: Catalog, key: Key, database: str, kind: str, sql: str, domain: str | None
    ) -> Job:
        """Accept a query."""
        fault = self._faults.take("query_job", sql)

        def work(job: Job) -> None:
            if fault is not None and fault.action in ("error", "killed"):
                job.finish(fault.action, f"{fault.action} by arrangement")
                return
            job.result = self._result(job, catalog, key, sql, fault)
            job.finish("success")

        return self.start(key.account, database, kind, sql, work, domain_key=domain)

    def _result(
        self, job: Job, catalog: Catalog, key: Key, sql: str, fault: Fault | None
    ) -> results.Stored:
        limit = fault.size if fault is not None and fault.action == "truncated" else None
        known = (job.account, job.database, sql)
        version = catalog.version
        found = self._stored.get(known)
        if limit is None and found is not None and found[0] == version:
            return found[1]
        cursor = catalog.cursor()
        try:
            cursor.execute(f'USE "{job.database}"')
            text = results.for_duckdb(sql)
            _check_rights(cursor, text, job.database, key)
            stored = results.store(
                cursor,
                text,
                self._folder / f"{job.id}.msgpack.gz",
                members=self.gzip_members,
                stop=job.done.is_set,
                limit=limit,
            )
        finally:
            cursor.close()
        if limit is None and not job.done.is_set():
            self._stored[known] = (version, stored)
        return stored


def _check_rights(cursor: duckdb.DuckDBPyConnection, sql: str, database: str, key: Key) -> None:
    kinds = [statement.type for statement in cursor.extract_statements(sql)]
    if kinds != [duckdb.StatementType.SELECT]:
        raise Refusal(422, "Only one SELECT is understood")
    for name in cursor.get_table_names(sql, qualified=True):
        schema, dot, _ = name.rpartition(".")
        key.require(schema.strip('"') if dot else database, "query")


def _run(job: Job, work: Callable[[Job], None]) -> None:
    try:
        work(job)
    except (duckdb.Error, Refusal) as error:
        job.finish("error", f"Query failed: {error}")
    except Exception as error:
        job.finish("error", f"The fake failed: {error!r}")
        raise


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
