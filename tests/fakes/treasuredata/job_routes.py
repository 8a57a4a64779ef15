"""What the service answers about jobs and their results, and about itself."""

from __future__ import annotations

import json
from pathlib import Path

import msgpack

from tests.fakes.treasuredata.accounts import Refusal
from tests.fakes.treasuredata.jobs import FINISHED
from tests.fakes.treasuredata.routes import Answer, Request, in_json, route


@route("server_status", "GET", "/v3/system/server_status")
def _server_status(request: Request) -> Answer:
    return in_json({"status": "ok"})


@route("issue", "POST", "/v3/job/issue/{type}/{db}")
def _issue(request: Request) -> Answer:
    kind, database = request.args
    if kind not in ("trino", "presto", "hive"):
        raise Refusal(422, f"Job type {kind} is not known")
    request.catalog.database(database)
    request.key.require(database, "query")
    sql = request.fields.get("query", "")
    if not sql.strip():
        raise Refusal(422, "The query is empty")
    domain = request.fields.get("domain_key")
    job = request.fake.jobs.query(request.catalog, request.key, database, kind, sql, domain)
    return in_json({"job": job.id, "job_id": job.id, "database": database})


@route("status", "GET", "/v3/job/status/{id}")
def _status(request: Request) -> Answer:
    request.key.require_master()
    job = request.fake.jobs.get(request.args[0], request.key)
    return in_json({"job_id": job.id, "status": job.poll(), "created_at": job.created})


@route("show", "GET", "/v3/job/show/{id}")
def _show(request: Request) -> Answer:
    request.key.require_master()
    job = request.fake.jobs.get(request.args[0], request.key)
    return in_json(job.describe(job.poll()))


@route("jobs", "GET", "/v3/job/list")
def _jobs(request: Request) -> Answer:
    request.key.require_master()
    jobs = [job.describe(job.status) for job in request.fake.jobs.of(request.key.account)]
    wanted = request.query.get("status")
    begin, end = int(request.query.get("from", "0")), int(request.query.get("to", "20"))
    return in_json({"jobs": [j for j in jobs if wanted in (None, j["status"])][begin : end + 1]})


@route("kill", "POST", "/v3/job/kill/{id}")
def _kill(request: Request) -> Answer:
    request.key.require_master()
    job = request.fake.jobs.get(request.args[0], request.key)
    former = job.status
    job.finish("killed", "killed on request")
    return in_json({"job_id": job.id, "former_status": former})


@route("result", "GET", "/v3/job/result/{id}")
def _result(request: Request) -> Answer:
    request.key.require_master()
    job = request.fake.jobs.get(request.args[0], request.key)
    stored = job.result
    if job.status not in FINISHED or stored is None or job.hidden:
        raise Refusal(404, f"Resource not found: result of job {job.id}")
    form = request.query.get("format", "tsv")
    if form == "msgpack.gz":
        return Answer(stored=stored, headers={"Content-Type": "application/octet-stream"})
    if form == "msgpack":
        if request.accepts_gzip and request.fake.encodes_results:
            return Answer(stored=stored, headers={"Content-Encoding": "gzip"})
        return Answer(stored=request.fake.unpacked(stored))
    if form == "json":
        return Answer(_lines(request.fake.unpacked(stored).path))
    raise Refusal(422, f"Format {form} is not served here")


def _lines(path: Path) -> bytes:
    with path.open("rb") as file:
        rows = msgpack.Unpacker(file, raw=False, strict_map_key=False, max_buffer_size=1 << 31)
        return b"".join(json.dumps(row).encode() + b"\n" for row in rows)
