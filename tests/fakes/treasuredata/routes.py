"""What the service answers to each request that arrived whole and was let in.

A request is a method and a path; `find` gives the operation's name (by which faults and the log
know it) and the function that answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tests.fakes.treasuredata import records
from tests.fakes.treasuredata.accounts import Key, Refusal
from tests.fakes.treasuredata.catalog import Catalog, Table
from tests.fakes.treasuredata.jobs import FINISHED
from tests.fakes.treasuredata.results import Stored

if TYPE_CHECKING:
    from tests.fakes.treasuredata.server import FakeTreasureData


@dataclass
class Request:
    """A request with its parts; `args` are the variable parts of the path, unquoted."""

    fake: FakeTreasureData
    key: Key
    args: tuple[str, ...]
    query: dict[str, str]
    fields: dict[str, str]
    body: bytes
    accepts_gzip: bool = False

    @property
    def catalog(self) -> Catalog:
        """The databases of the key's account."""
        return self.fake.account(self.key.account)


@dataclass
class Answer:
    """An answer: a body, or a stored result of which a range may be asked for."""

    body: bytes = b""
    stored: Stored | None = None
    headers: dict[str, str] = field(default_factory=dict)


Function = Callable[[Request], Answer]
_ROUTES: list[tuple[str, str, re.Pattern[str], Function]] = []


def find(method: str, path: str) -> tuple[str, Function | None, tuple[str, ...]]:
    """Return an operation's name, what answers it, and the quoted arguments of the path."""
    for name, wanted, pattern, function in _ROUTES:
        match = pattern.fullmatch(path)
        if match and wanted == method:
            return name, function, match.groups()
    return "unknown", None, ()


def _route(name: str, method: str, path: str) -> Callable[[Function], Function]:
    pattern = re.compile(re.sub(r"\{\w+\}", "([^/]+)", path))

    def add(function: Function) -> Function:
        _ROUTES.append((name, method, pattern, function))
        return function

    return add


def _json(found: Any) -> Answer:
    return Answer(json.dumps(found).encode(), headers={"Content-Type": "application/json"})


# Databases and tables


@_route("databases", "GET", "/v3/database/list")
def _databases(request: Request) -> Answer:
    request.key.require_master()
    return _json(
        {
            "databases": [
                {
                    "name": database.name,
                    "count": sum(table.count for table in database.tables.values()),
                    "created_at": database.created,
                    "updated_at": database.created,
                    "organization": None,
                    "permission": right,
                }
                for database in request.catalog.databases.values()
                if (right := request.key.right(database.name))
            ]
        }
    )


@_route("create_database", "POST", "/v3/database/create/{db}")
def _create_database(request: Request) -> Answer:
    request.key.require_master()
    if not request.key.may_create_databases:
        raise Refusal(403, "Access denied: no right to create databases")
    request.catalog.create_database(request.args[0])
    return _json({"database": request.args[0]})


@_route("delete_database", "POST", "/v3/database/delete/{db}")
def _delete_database(request: Request) -> Answer:
    request.key.require(request.args[0], "change")
    request.catalog.delete_database(request.args[0])
    return _json({"database": request.args[0]})


@_route("tables", "GET", "/v3/table/list/{db}")
def _tables(request: Request) -> Answer:
    database = request.catalog.database(request.args[0])
    request.key.require(database.name, "see")
    tables = [_described(request.fake, table) for table in database.tables.values()]
    return _json({"database": database.name, "tables": tables})


def _described(fake: FakeTreasureData, table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "type": "log",
        "count": table.count,
        "estimated_storage_size": table.count * 16,
        "schema": json.dumps(table.columns),
        "expire_days": table.expire_days,
        "created_at": table.created,
        "updated_at": table.updated,
        "counter_updated_at": table.updated,
        "last_log_timestamp": 1_600_000_000 if fake.integer_timestamps else table.updated,
        "delete_protected": False,
    }


@_route("create_table", "POST", "/v3/table/create/{db}/{table}/log")
def _create_table(request: Request) -> Answer:
    database, table = request.args
    request.catalog.database(database)
    request.key.require(database, "change")
    request.catalog.create_table(database, table)
    return _json({"database": database, "table": table, "type": "log"})


@_route("delete_table", "POST", "/v3/table/delete/{db}/{table}")
def _delete_table(request: Request) -> Answer:
    database, table = request.args
    request.catalog.database(database)
    request.key.require(database, "change")
    request.catalog.delete_table(database, table)
    return _json({"database": database, "table": table, "type": "log"})


@_route("swap", "POST", "/v3/table/swap/{db}/{a}/{b}")
def _swap(request: Request) -> Answer:
    request.catalog.database(request.args[0])
    request.key.require(request.args[0], "change")
    request.catalog.swap(*request.args)
    return _json(dict(zip(("database", "table1", "table2"), request.args, strict=True)))


@_route("update_schema", "POST", "/v3/table/update-schema/{db}/{table}")
def _update_schema(request: Request) -> Answer:
    database, table = request.args
    request.catalog.database(database)
    request.key.require(database, "change")
    request.catalog.update_schema(database, table, request.fields.get("schema", ""))
    return _json({"database": database, "table": table})


@_route("update_table", "POST", "/v3/table/update/{db}/{table}")
def _update_table(request: Request) -> Answer:
    database, table = request.args
    found = request.catalog.table(database, table)
    request.key.require(database, "change")
    given = request.fields.get("expire_days", "")
    if not re.fullmatch(r"\d*", given):
        raise Refusal(422, f"expire_days {given!r} is invalid")
    found.expire_days = int(given or 0) or None
    return _json({"database": database, "table": table, "type": "log"})


@_route("change_database", "POST", "/v3/table/change_database/{db}/{table}")
def _change_database(request: Request) -> Answer:
    database, table = request.args
    to = request.fields.get("dest_database_name", "")
    for name in (database, to):
        request.catalog.database(name)
        request.key.require(name, "change")
    request.catalog.move_table(database, table, to)
    return _json({"database": to, "table": table, "type": "log"})


@_route("tail", "GET", "/v3/table/tail/{db}/{table}")
def _tail(request: Request) -> Answer:
    database, table = request.args
    request.catalog.table(database, table)
    request.key.require(database, "query")
    count = int(request.query.get("count", "10"))
    cursor = request.catalog.cursor()
    cursor.execute(f'FROM "{database}"."{table}" ORDER BY "time" DESC LIMIT {count}')
    names = [column[0] for column in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return Answer(b"".join(msgspec.msgpack.encode(row) for row in rows))


@_route("import", "PUT", "/v3/table/import_with_id/{db}/{table}/{id}/{format}")
def _import(request: Request) -> Answer:
    database, table, unique, form = request.args
    columns = request.catalog.table(database, table).columns
    request.key.require(database, "import")
    if form != "msgpack.gz":
        raise Refusal(422, f"Format {form} is not known")
    place = (request.key.account, database, table, unique)
    if place not in request.fake.imported:
        judged = records.judge(iter([request.body]), columns)
        if judged.error_parts:
            raise Refusal(422, "The body is not gzipped msgpack")
        request.catalog.append(database, table, judged.batches)
        request.fake.imported.add(place)
    return _json({"unique_id": unique, "database": database, "table": table, "elapsed_time": 0.1})


# Jobs


@_route("issue", "POST", "/v3/job/issue/{type}/{db}")
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
    return _json({"job": job.id, "job_id": job.id, "database": database})


@_route("status", "GET", "/v3/job/status/{id}")
def _status(request: Request) -> Answer:
    request.key.require_master()
    job = request.fake.jobs.get(request.args[0], request.key)
    return _json({"job_id": job.id, "status": job.poll(), "created_at": job.created})


@_route("show", "GET", "/v3/job/show/{id}")
def _show(request: Request) -> Answer:
    request.key.require_master()
    job = request.fake.jobs.get(request.args[0], request.key)
    return _json(job.describe(job.poll()))


@_route("jobs", "GET", "/v3/job/list")
def _jobs(request: Request) -> Answer:
    request.key.require_master()
    jobs = [job.describe(job.status) for job in request.fake.jobs.of(request.key.account)]
    wanted = request.query.get("status")
    begin, end = int(request.query.get("from", "0")), int(request.query.get("to", "20"))
    return _json({"jobs": [j for j in jobs if wanted in (None, j["status"])][begin : end + 1]})


@_route("kill", "POST", "/v3/job/kill/{id}")
def _kill(request: Request) -> Answer:
    request.key.require_master()
    job = request.fake.jobs.get(request.args[0], request.key)
    former = job.status
    job.finish("killed", "killed on request")
    return _json({"job_id": job.id, "former_status": former})


@_route("result", "GET", "/v3/job/result/{id}")
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
    import msgpack

    with path.open("rb") as file:
        rows = msgpack.Unpacker(file, raw=False, strict_map_key=False, max_buffer_size=1 << 31)
        return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


# Bulk imports


@_route("bulk_create", "POST", "/v3/bulk_import/create/{name}/{db}/{table}")
def _bulk_create(request: Request) -> Answer:
    name, database, table = request.args
    request.catalog.database(database)
    request.key.require(database, "import")
    request.fake.imports.create(request.catalog, request.key, name, database, table)
    return _json({"name": name, "bulk_import": name})


@_route("bulk_upload", "PUT", "/v3/bulk_import/upload_part/{name}/{part}")
def _bulk_upload(request: Request) -> Answer:
    name, part = request.args
    if part.count(".") > 1 or "/" in part:
        raise Refusal(422, f"Part name {part!r} is invalid")
    request.fake.imports.upload(name, part, request.body, request.key)
    return _json({"name": name, "bulk_import": name})


@_route("bulk_delete_part", "POST", "/v3/bulk_import/delete_part/{name}/{part}")
def _bulk_delete_part(request: Request) -> Answer:
    request.fake.imports.delete_part(*request.args, key=request.key)
    return _json({"name": request.args[0]})


@_route("bulk_freeze", "POST", "/v3/bulk_import/freeze/{name}")
def _bulk_freeze(request: Request) -> Answer:
    request.fake.imports.freeze(request.args[0], request.key, frozen=True)
    return _json({"name": request.args[0]})


@_route("bulk_unfreeze", "POST", "/v3/bulk_import/unfreeze/{name}")
def _bulk_unfreeze(request: Request) -> Answer:
    request.fake.imports.freeze(request.args[0], request.key, frozen=False)
    return _json({"name": request.args[0]})


@_route("bulk_perform", "POST", "/v3/bulk_import/perform/{name}")
def _bulk_perform(request: Request) -> Answer:
    job = request.fake.imports.perform(request.catalog, request.args[0], request.key)
    return _json({"name": request.args[0], "job_id": job.id})


@_route("bulk_commit", "POST", "/v3/bulk_import/commit/{name}")
def _bulk_commit(request: Request) -> Answer:
    request.fake.imports.commit(request.catalog, request.args[0], request.key)
    return _json({"name": request.args[0]})


@_route("bulk_delete", "POST", "/v3/bulk_import/delete/{name}")
def _bulk_delete(request: Request) -> Answer:
    request.fake.imports.delete(request.args[0], request.key)
    return _json({"name": request.args[0]})


@_route("bulk_show", "GET", "/v3/bulk_import/show/{name}")
def _bulk_show(request: Request) -> Answer:
    return _json(request.fake.imports.get(request.args[0], request.key).describe())


@_route("bulk_list", "GET", "/v3/bulk_import/list")
def _bulk_list(request: Request) -> Answer:
    sessions = [
        session.describe()
        for session in list(request.fake.imports.sessions.values())
        if session.account == request.key.account
    ]
    return _json({"bulk_imports": sessions})


@_route("bulk_parts", "GET", "/v3/bulk_import/list_parts/{name}")
def _bulk_parts(request: Request) -> Answer:
    session = request.fake.imports.get(request.args[0], request.key)
    return _json({"name": session.name, "parts": sorted(session.parts)})


@_route("bulk_errors", "GET", "/v3/bulk_import/error_records/{name}")
def _bulk_errors(request: Request) -> Answer:
    return Answer(request.fake.imports.error_records(request.args[0], request.key))


@_route("server_status", "GET", "/v3/system/server_status")
def _server_status(request: Request) -> Answer:
    return _json({"status": "ok"})
