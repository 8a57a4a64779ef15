"""What the service answers to imports: in bulk, and streaming."""

from __future__ import annotations

from tests.fakes.treasuredata import records
from tests.fakes.treasuredata.accounts import Refusal
from tests.fakes.treasuredata.routes import Answer, Request, in_json, route


@route("bulk_create", "POST", "/v3/bulk_import/create/{name}/{db}/{table}")
def _bulk_create(request: Request) -> Answer:
    name, database, table = request.args
    request.catalog.database(database)
    request.key.require(database, "import")
    request.fake.imports.create(request.catalog, request.key, name, database, table)
    return in_json({"name": name, "bulk_import": name})


@route("bulk_upload", "PUT", "/v3/bulk_import/upload_part/{name}/{part}")
def _bulk_upload(request: Request) -> Answer:
    name, part = request.args
    if part.count(".") > 1 or "/" in part:
        raise Refusal(422, f"Part name {part!r} is invalid")
    request.fake.imports.upload(name, part, request.body, request.key)
    return in_json({"name": name, "bulk_import": name})


@route("bulk_delete_part", "POST", "/v3/bulk_import/delete_part/{name}/{part}")
def _bulk_delete_part(request: Request) -> Answer:
    request.fake.imports.delete_part(*request.args, key=request.key)
    return in_json({"name": request.args[0]})


@route("bulk_freeze", "POST", "/v3/bulk_import/freeze/{name}")
def _bulk_freeze(request: Request) -> Answer:
    request.fake.imports.freeze(request.args[0], request.key, frozen=True)
    return in_json({"name": request.args[0]})


@route("bulk_unfreeze", "POST", "/v3/bulk_import/unfreeze/{name}")
def _bulk_unfreeze(request: Request) -> Answer:
    request.fake.imports.freeze(request.args[0], request.key, frozen=False)
    return in_json({"name": request.args[0]})


@route("bulk_perform", "POST", "/v3/bulk_import/perform/{name}")
def _bulk_perform(request: Request) -> Answer:
    job = request.fake.imports.perform(request.catalog, request.args[0], request.key)
    return in_json({"name": request.args[0], "job_id": job.id})


@route("bulk_commit", "POST", "/v3/bulk_import/commit/{name}")
def _bulk_commit(request: Request) -> Answer:
    request.fake.imports.commit(request.catalog, request.args[0], request.key)
    return in_json({"name": request.args[0]})


@route("bulk_delete", "POST", "/v3/bulk_import/delete/{name}")
def _bulk_delete(request: Request) -> Answer:
    request.fake.imports.delete(request.args[0], request.key)
    return in_json({"name": request.args[0]})


@route("bulk_show", "GET", "/v3/bulk_import/show/{name}")
def _bulk_show(request: Request) -> Answer:
    return in_json(request.fake.imports.get(request.args[0], request.key).describe())


@route("bulk_list", "GET", "/v3/bulk_import/list")
def _bulk_list(request: Request) -> Answer:
    sessions = [
        session.describe()
        for session in list(request.fake.imports.sessions.values())
        if session.account == request.key.account
    ]
    return in_json({"bulk_imports": sessions})


@route("bulk_parts", "GET", "/v3/bulk_import/list_parts/{name}")
def _bulk_parts(request: Request) -> Answer:
    session = request.fake.imports.get(request.args[0], request.key)
    return in_json({"name": session.name, "parts": sorted(session.parts)})


@route("bulk_errors", "GET", "/v3/bulk_import/error_records/{name}")
def _bulk_errors(request: Request) -> Answer:
    return Answer(request.fake.imports.error_records(request.args[0], request.key))


@route("import", "PUT", "/v3/table/import_with_id/{db}/{table}/{id}/{format}")
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
    return in_json({"unique_id": unique, "database": database, "table": table, "elapsed_time": 0.1})
