"""Calls about databases and tables as a target makes them, each safe to repeat.

What lives here: listing with the ids of tables, making, describing, swapping, deleting. Must not
know: rows, bulk imports, plans.

A table's id goes with its rows when names are swapped ("Swap names of two tables", says the
service's own command line), so it tells whether a swap has happened.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

import msgspec

from dbsync.connectors.treasuredata.client import Api
from dbsync.connectors.treasuredata.failures import AnswerError
from dbsync.errors import ConflictError, TargetError

if TYPE_CHECKING:
    from dbsync.connectors.treasuredata.wire import Wire

T = TypeVar("T")


class TableState(msgspec.Struct, frozen=True, kw_only=True):
    """What the list of tables tells of one."""

    name: str
    id: str
    columns: tuple[tuple[str, str], ...]
    """Name and type of each, without ``time``."""
    expire_days: int | None = None
    counted: int = 0
    """Rows by a counter that may lag behind for minutes."""
    stored_bytes: int = 0
    """Size of the compressed rows, by the same counter."""
    aliases: tuple[tuple[str, str], ...] = ()
    """Columns whose name is no name in SQL, and what they are called there."""
    protected: bool = False
    """Deleting it is refused."""


def list_tables(api: Api) -> dict[str, TableState] | None:
    """List the tables of the database by name; None where there is no such database."""
    database = api.address.database
    try:
        answer = api.run(
            f"list the tables of {database}",
            lambda wire: wire.get_json(f"/v3/table/list/{quote(database, safe='')}", ["tables"]),
            answers=(404,),
        )
    except AnswerError:
        return None
    found = [_state(cast("dict[str, Any]", item)) for item in answer["tables"]]
    return {table.name: table for table in found}


def _state(item: dict[str, Any]) -> TableState:
    columns = json.loads(item.get("schema") or "[]")
    return TableState(
        name=str(item["name"]),
        id=str(item.get("id") or ""),
        columns=tuple((str(column[0]), str(column[1])) for column in columns),
        expire_days=int(item["expire_days"]) if item.get("expire_days") else None,
        counted=int(item.get("count") or 0),
        stored_bytes=int(item.get("estimated_storage_size") or 0),
        aliases=tuple(
            (str(column[0]), str(column[2]))
            for column in columns
            if len(column) > 2 and column[2] and column[2] != column[0]
        ),
        protected=bool(item.get("delete_protected")),
    )


def create_database(api: Api) -> None:
    """Make the database; one that exists is left as it is."""
    name = api.address.database
    done(api, f"create database {name}", lambda wire: wire.create_database(name), 409)


def create_table(api: Api, table: str) -> None:
    """Make an empty table without columns; one that exists is left as it is."""
    database = api.address.database
    doing = f"create table {table}"
    done(api, doing, lambda wire: wire.create_log_table(database, table), 409)


def delete_table(api: Api, table: str) -> None:
    """Delete a table with its rows; one that is gone is left alone."""
    database = api.address.database
    done(api, f"delete table {table}", lambda wire: wire.delete_table(database, table), 404)


def describe_table(
    api: Api, table: str, schema: list[list[str]], expire_days: int | None, final: str
) -> None:
    """Set the columns and the expiry of a temporary table; see `held` for `final`."""
    database = api.address.database
    text = json.dumps(schema)
    doing = f"set the schema of table {table}"
    held(api, doing, lambda wire: wire.update_schema(database, table, text), final)
    if expire_days is not None:
        doing = f"set expire_days of table {table}"
        held(api, doing, lambda wire: wire.update_expire(database, table, expire_days), final)


def swap_once(api: Api, final: str, temporary: str, table_id: str) -> None:
    """Give the table with `table_id`, which is called `temporary`, the name `final`.

    A swap that is done twice is undone, so each attempt first looks which table has which name:
    where the answer to the one before it was lost, it may have been done. Raises `ConflictError`
    where neither name belongs to that table any more.
    """
    database = api.address.database

    def attempt(wire: Wire) -> None:
        if not is_swapped(api, final, temporary, table_id):
            wire.swap_table(database, final, temporary)

    held(api, f"put table {final} in its place", attempt, final)
    if not is_swapped(api, final, temporary, table_id):
        raise lost_to_another(f"put table {final} in its place", final)


def is_swapped(api: Api, final: str, temporary: str, table_id: str) -> bool:
    """Say whether the table with `table_id` has its final name; see `swap_once`."""
    tables = list_tables(api) or {}
    ids = {name: table.id for name, table in tables.items()}
    if ids.get(final) == table_id:
        return True
    if ids.get(temporary) != table_id:
        raise lost_to_another(f"put table {final} in its place", final)
    return False


def held(
    api: Api,
    doing: str,
    call: Callable[[Wire], T],
    final: str,
    *,
    answers: tuple[int, ...] = (),
) -> T:
    """Make a call about something of this import; raise `ConflictError` where it is gone.

    Whoever begins an import into the table `final` removes what others have left behind for it.
    Statuses in `answers` are raised as `AnswerError`.
    """
    try:
        return api.run(doing, call, answers=(404, *answers))
    except AnswerError as error:
        if error.status != 404:
            raise
        raise lost_to_another(doing, final) from error


def lost_to_another(doing: str, final: str) -> ConflictError:
    """Make the error for an import whose temporary table or session is gone."""
    return ConflictError(
        f"cannot {doing}: another import into table {final} has begun and removed what this one "
        "had uploaded",
        hint="let one import write a table at a time; run this one again when the other is done",
    )


def unprotected(table: TableState) -> None:
    """Raise `TargetError` for a table that may not be replaced."""
    if table.protected:
        raise TargetError(
            f"table {table.name} is protected against deletion, so it cannot be replaced",
            hint="take off the protection in the console, or use --existing append or skip",
        )


def done(api: Api, doing: str, call: Callable[[Wire], object], already: int) -> None:
    """Make a call whose refusal with the status `already` says that it was done before."""
    try:
        api.run(doing, call, answers=(already,))
    except AnswerError:
        return
