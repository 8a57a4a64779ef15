"""What the service answers about databases and tables."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec

from tests.fakes.treasuredata.accounts import Refusal
from tests.fakes.treasuredata.catalog import Table
from tests.fakes.treasuredata.routes import Answer, Request, in_json, route

if TYPE_CHECKING:
    from tests.fakes.treasuredata.server import FakeTreasureData


@route("databases", "GET", "/v3/database/list")
def _databases(request: Request) -> Answer:
    request.key.require_master()
    return in_json(
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


@route("create_database", "POST", "/v3/database/create/{db}")
def _create_database(request: Request) -> Answer:
    request.key.require_master()
    if not request.key.may_create_databases:
        raise Refusal(403, "Access denied: no right to create databases")
    request.catalog.create_database(request.args[0])
    return in_json({"database": request.args[0]})


@route("delete_database", "POST", "/v3/database/delete/{db}")
def _delete_database(request: Request) -> Answer:
    request.key.require(request.args[0], "change")
    request.catalog.delete_database(request.args[0])
    return in_json({"database": request.args[0]})


@route("tables", "GET", "/v3/table/list/{db}")
def _tables(request: Request) -> Answer:
    database = request.catalog.database(request.args[0])
    request.key.require(database.name, "see")
    tables = [_described(request.fake, table) for table in database.tables.values()]
    return in_json({"database": database.name, "tables": tables})


def _described(fake: FakeTreasureData, table: Table) -> dict[str, Any]:
    return {
        "id": table.id,
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


@route("create_table", "POST", "/v3/table/create/{db}/{table}/log")
def _create_table(request: Request) -> Answer:
    database, table = request.args
    request.catalog.database(database)
    request.key.require(database, "change")
    request.catalog.create_table(database, table)
    return in_json({"database": database, "table": table, "type": "log"})


@route("delete_table", "POST", "/v3/table/delete/{db}/{table}")
def _delete_table(request: Request) -> Answer:
    database, table = request.args
    request.catalog.database(database)
    request.key.require(database, "change")
    request.catalog.delete_table(database, table)
    return in_json({"database": database, "table": table, "type": "log"})


@route("swap", "POST", "/v3/table/swap/{db}/{a}/{b}")
def _swap(request: Request) -> Answer:
    request.catalog.database(request.args[0])
    request.key.require(request.args[0], "change")
    request.catalog.swap(*request.args)
    return in_json(dict(zip(("database", "table1", "table2"), request.args, strict=True)))


@route("update_schema", "POST", "/v3/table/update-schema/{db}/{table}")
def _update_schema(request: Request) -> Answer:
    database, table = request.args
    request.catalog.database(database)
    request.key.require(database, "change")
    request.catalog.update_schema(database, table, request.fields.get("schema", ""))
    return in_json({"database": database, "table": table})


@route("update_table", "POST", "/v3/table/update/{db}/{table}")
def _update_table(request: Request) -> Answer:
    database, table = request.args
    found = request.catalog.table(database, table)
    request.key.require(database, "change")
    given = request.fields.get("expire_days", "")
    if not re.fullmatch(r"\d*", given):
        raise Refusal(422, f"expire_days {given!r} is invalid")
    found.expire_days = int(given or 0) or None
    return in_json({"database": database, "table": table, "type": "log"})


@route("change_database", "POST", "/v3/table/change_database/{db}/{table}")
def _change_database(request: Request) -> Answer:
    database, table = request.args
    to = request.fields.get("dest_database_name", "")
    for name in (database, to):
        request.catalog.database(name)
        request.key.require(name, "change")
    request.catalog.move_table(database, table, to)
    return in_json({"database": to, "table": table, "type": "log"})


@route("tail", "GET", "/v3/table/tail/{db}/{table}")
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
