"""The fake Treasure Data against the real td-client: every operation, state, right and fault."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import tdclient
import urllib3
from tdclient import errors

from tests.fakes.treasuredata import DROP, FakeTreasureData, fill, make

_ROOT = Path(__file__).parents[2]
_COLUMNS = [
    ["id", "long"],
    ["small", "int"],
    ["ratio", "double"],
    ["name", "string"],
    ["tags", "array<string>"],
    ["sizes", "map<string,long>"],
]
_ROWS: list[dict[str, Any]] = [
    {"id": 2**62, "small": -5, "ratio": 0.5, "name": "Grüße 🎉", "tags": ["a", None], "time": 10},
    {"id": None, "name": 'a"b\0c\n', "tags": [], "sizes": {"x": 1}, "time": 20},
]


@pytest.fixture
def fake() -> Iterator[FakeTreasureData]:
    with FakeTreasureData() as running:
        running.add_key("1/admin", "main")
        make(running.account(), "sales", "orders", _COLUMNS, _ROWS, expire_days=30)
        yield running


def _client(fake: FakeTreasureData, key: str = "1/admin") -> tdclient.Client:
    return tdclient.Client(
        key, endpoint=fake.endpoint, max_cumul_retry_delay=-1, retries=False, timeout=20
    )


@pytest.fixture
def client(fake: FakeTreasureData) -> tdclient.Client:
    return _client(fake)


def _query(client: tdclient.Client, sql: str, **more: Any) -> Any:
    job = client.query("sales", sql, type="trino", **more)
    job.wait(timeout=20, wait_interval=0)
    return job


def _part(*records: object) -> bytes:
    return gzip.compress(b"".join(msgpack.packb(record) for record in records))


def _upload(client: tdclient.Client, session: str, part: str, *records: object) -> None:
    data = _part(*records)
    client.bulk_import_upload_part(session, part, io.BytesIO(data), len(data))


def _load(client: tdclient.Client, *records: object) -> Any:
    client.create_bulk_import("s", "sales", "orders")
    _upload(client, "s", "p1", *records)
    client.freeze_bulk_import("s")
    session = client.bulk_import("s")
    session.perform().wait(timeout=20, wait_interval=0)
    session.update()
    return session


def test_databases_are_made_listed_and_deleted_once(client: tdclient.Client) -> None:
    """Databases appear with the key's permission; a second one of the name is a conflict."""
    client.create_database("other_db")
    with pytest.raises(errors.AlreadyExistsError):
        client.create_database("other_db")
    with pytest.raises(errors.APIError, match="422"):
        client.create_database("No")
    assert {d.name: d.permission for d in client.databases()} == {
        "sales": "administrator",
        "other_db": "administrator",
    }
    client.delete_database("other_db")
    with pytest.raises(errors.NotFoundError):
        client.delete_database("other_db")


def test_tables_tell_columns_expiry_and_counts(client: tdclient.Client) -> None:
    """The list of tables has what td-client makes of it."""
    (table,) = client.tables("sales")
    assert (table.name, table.schema, table.expire_days, table.count) == (
        "orders", _COLUMNS, 30, 2,
    )  # fmt: skip
    with pytest.raises(errors.NotFoundError):
        client.tables("no_such_db")


def test_tables_are_made_changed_swapped_moved_and_deleted(client: tdclient.Client) -> None:
    """Schema and expiry are set by requests of their own, and go along with a swap."""
    client.create_log_table("sales", "fresh")
    client.update_schema("sales", "fresh", [["a_b", "array<map<string,int>>"], ["x", "int"]])
    client.update_expire("sales", "fresh", 7)
    client.swap_table("sales", "fresh", "orders")
    tables = {table.name: table for table in client.tables("sales")}
    assert tables["orders"].schema == [["a_b", "array<map<string,int>>"], ["x", "int"]]
    assert tables["orders"].expire_days == 7
    assert tables["fresh"].count == 2
    assert list(_query(client, "SELECT count(*) FROM orders").result()) == [[0]]
    assert list(_query(client, "SELECT count(*) FROM fresh").result()) == [[2]]
    client.create_database("other_db")
    client.change_database("sales", "fresh", "other_db")
    assert [table.name for table in client.tables("other_db")] == ["fresh"]
    assert client.delete_table("other_db", "fresh") == "log"
    with pytest.raises(errors.NotFoundError):
        client.delete_table("other_db", "fresh")
    with pytest.raises(errors.AlreadyExistsError):
        client.create_log_table("sales", "orders")


def test_columns_have_aliases_in_queries(fake: FakeTreasureData, client: tdclient.Client) -> None:
    """A column whose name is none in SQL is uploaded by its name and queried by its alias."""
    client.create_log_table("sales", "fresh")
    client.update_schema("sales", "fresh", [["User Agent", "string", "agent"], ["b", "int"]])
    client.create_bulk_import("s", "sales", "fresh")
    _upload(client, "s", "p", {"time": 1, "User Agent": "curl", "b": 2})
    client.freeze_bulk_import("s")
    client.bulk_import("s").perform().wait(timeout=20, wait_interval=0)
    client.bulk_import("s").commit(wait=True, wait_interval=0, timeout=20)
    assert list(_query(client, "SELECT agent, b FROM fresh").result()) == [["curl", 2]]
    client.update_schema("sales", "fresh", [["User Agent", "string", "browser"], ["b", "string"]])
    assert list(_query(client, "SELECT browser, b FROM fresh").result()) == [["curl", "2"]]
    with pytest.raises(errors.APIError, match="422"):
        client.update_schema("sales", "fresh", [["a", "int", "x"], ["b", "int", "x"]])


@pytest.mark.parametrize(
    "columns", [[["time", "long"]], [["v", "long"]], [["A", "long"]], [["a", "boolean"]]]
)
def test_schemas_that_the_service_refuses(client: tdclient.Client, columns: Any) -> None:
    """Reserved names, names in capitals and types that do not exist are refused."""
    with pytest.raises(errors.APIError, match="422"):
        client.update_schema("sales", "orders", columns)


def test_queries_run_on_the_rows_that_are_stored(client: tdclient.Client) -> None:
    """A query gives every value, its types, the number of its rows and the size of its bytes."""
    job = _query(
        client,
        'SELECT "id", "small", "ratio", "name", "tags", "sizes", "time", true AS flag, '
        "CAST(1.5 AS decimal(4,2)) AS exact, sum(2) OVER () AS total "
        'FROM "sales"."orders" WHERE td_time_range("time", 0, 30) ORDER BY "time"',
    )
    assert list(job.result()) == [
        [2**62, -5, 0.5, "Grüße 🎉", ["a", None], None, 10, True, "1.50", 4],
        [None, None, None, 'a"b\0c\n', [], {"x": 1}, 20, True, "1.50", 4],
    ]
    assert job.result_schema == [
        ["id", "bigint"], ["small", "integer"], ["ratio", "double"], ["name", "varchar"],
        ["tags", "array(varchar)"], ["sizes", "map(varchar,bigint)"], ["time", "bigint"],
        ["flag", "boolean"], ["exact", "decimal(4,2)"], ["total", "bigint"],
    ]  # fmt: skip
    assert job.num_records == 2
    path = f"/v3/job/result/{job.id}?format=msgpack.gz"
    with client.api.get(path) as answer:
        assert len(answer.read()) == job.result_size


@pytest.mark.parametrize(
    ("range_", "count"),
    [
        ("10, 20", 1),
        ("NULL, 20", 1),
        ("20, NULL", 1),
        ("'1970-01-01 00:00:10', '1970-01-01 00:00:21'", 2),
        ("'1970-01-01 09:00:10', '1970-01-01 09:00:20', 'Asia/Tokyo'", 1),
    ],
)
def test_ranges_of_time(client: tdclient.Client, range_: str, count: int) -> None:
    """td_time_range takes seconds and texts, is half open, and may be open at either end."""
    sql = f"SELECT count(*) FROM orders WHERE td_time_range(time, {range_})"
    assert list(_query(client, sql).result()) == [[count]]


def test_casts_of_trino_are_understood(client: tdclient.Client) -> None:
    """Casts to Trino's names of types work, also to arrays, maps and JSON text."""
    sql = (
        "SELECT CAST(small AS bigint), CAST(ratio AS varchar), CAST(tags AS array(varchar)), "
        "CAST(sizes AS map(varchar, double)), json_format(CAST(tags AS json)), 'array(bigint)' "
        "FROM orders ORDER BY time"
    )
    assert list(_query(client, sql).result())[1] == [
        None, None, [], {"x": 1.0}, "[]", "array(bigint)",
    ]  # fmt: skip


def test_jobs_pass_through_their_states(fake: FakeTreasureData, client: tdclient.Client) -> None:
    """A job is queued, booting and running before it succeeds, and has no result before."""
    fake.jobs.hidden_polls = 3
    job = client.query("sales", "SELECT 1", type="trino")
    with pytest.raises(errors.NotFoundError):
        list(client.job_result_each(job.id))
    assert [client.job_status(job.id) for _ in range(3)] == ["queued", "booting", "running"]
    job.wait(timeout=20, wait_interval=0)
    assert job.success()
    assert [one.id for one in client.jobs()] == [job.id]
    assert client.kill(job.id) == "success"


def test_a_query_that_fails_says_why_in_its_job(client: tdclient.Client) -> None:
    """A statement that cannot run, or is no SELECT, gives a job with the status error."""
    for sql in ("SELECT nothing FROM orders", "DROP TABLE orders", "SELECT 1; SELECT 2"):
        job = _query(client, sql)
        assert job.error()
        assert "Query failed" in job.debug["stderr"]
        with pytest.raises(errors.NotFoundError):
            list(client.job_result_each(job.id))


def test_a_domain_key_gives_one_job(fake: FakeTreasureData, client: tdclient.Client) -> None:
    """A submission whose answer was lost is a conflict with the first job when it is repeated."""
    fake.fail("issue", "drop_after")
    with pytest.raises(urllib3.exceptions.ProtocolError):
        client.api.query("SELECT 1", type="trino", db="sales", domain_key="once")
    with pytest.raises(errors.AlreadyExistsError) as caught:
        client.api.query("SELECT 1", type="trino", db="sales", domain_key="once")
    told = json.loads(str(caught.value).partition(": ")[2])
    assert told["conflicts_with"] == fake.jobs.issued[0].id
    assert len(fake.jobs.issued) == 1


def test_ranges_of_a_result(fake: FakeTreasureData, client: tdclient.Client) -> None:
    """Ranges are answered with 206 while the ETag agrees, and with the whole where it does not."""
    fill(
        fake.account(),
        "sales",
        "many",
        [["n", "long"]],
        "SELECT range n, 0 AS time FROM range(9999)",
    )
    job = _query(client, "SELECT n FROM many")
    path = f"/v3/job/result/{job.id}?format=msgpack.gz"

    def get(**headers: str) -> tuple[int, bytes, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with client.api.get(path, headers=named) as answer:
            return answer.status, answer.read(), answer.headers

    status, whole, headers = get()
    assert (status, len(whole)) == (200, job.result_size)
    status, piece, found = get(range="bytes=100-199", if_range=headers["etag"])
    assert (status, piece) == (206, whole[100:200])
    assert found["content-range"] == f"bytes 100-199/{len(whole)}"
    assert get(range="bytes=100-199", if_range='"other"')[:2] == (200, whole)
    assert get(range=f"bytes=100-{len(whole) + 50}")[1] == whole[100:]
    assert get(range=f"bytes={len(whole)}-")[0] == 416
    rows = list(msgpack.Unpacker(io.BytesIO(gzip.decompress(whole))))
    assert rows == [[n] for n in range(9999)] == list(job.result())
    fake.encodes_results = False
    assert list(job.result()) == rows == list(client.job_result_format_each(job.id, "json"))
    fake.fail("result", "whole")
    assert get(range="bytes=0-9")[:2] == (200, whole)
    fake.fail("result", "short", size=4)
    assert get(range="bytes=100-199")[:2] == (206, whole[100:104])


def test_a_gzip_of_several_members(fake: FakeTreasureData, client: tdclient.Client) -> None:
    """A large result may be stored as several members, which is one gzip all the same."""
    fake.jobs.gzip_members = 2
    fill(
        fake.account(),
        "sales",
        "many",
        [["n", "long"]],
        "SELECT range n, 0 AS time FROM range(70000)",
    )
    job = _query(client, "SELECT n FROM many")
    with client.api.get(f"/v3/job/result/{job.id}?format=msgpack.gz") as answer:
        whole = answer.read()
    assert len(whole) == job.result_size
    unpacked = gzip.decompress(whole)
    assert sum(1 for _ in msgpack.Unpacker(io.BytesIO(unpacked))) == 70000
    fake.encodes_results = False
    assert sum(1 for _ in job.result()) == 70000


def test_a_repeated_query_is_answered_from_what_is_stored(
    fake: FakeTreasureData, client: tdclient.Client
) -> None:
    """The same query runs again only after the data have changed."""
    first, again = (_query(client, "SELECT count(*) FROM orders") for _ in range(2))
    assert fake.jobs.issued[0].result is fake.jobs.issued[1].result
    assert list(first.result()) == list(again.result())
    make(fake.account(), "sales", "another", [["a", "int"]])
    _query(client, "SELECT count(*) FROM orders")
    assert fake.jobs.issued[1].result is not fake.jobs.issued[2].result


def test_a_bulk_import_goes_through_all_its_states(
    fake: FakeTreasureData, client: tdclient.Client
) -> None:
    """Rows appear with the commit, all at once; the counter follows later."""
    fake.imports.hidden_polls = 1
    client.create_bulk_import("s", "sales", "orders")
    _upload(client, "s", "p1", {"time": 1, "id": 7, "name": 12, "small": "3", "more": "x"})
    _upload(client, "s", "p2", {"time": 2, "id": 1}, {"time": 3, "small": 2**40})
    _upload(client, "s", "p2", {"time": 2, "id": 8, "tags": ["t"], "sizes": {"k": 9}})
    _upload(client, "s", "p3", {"time": 9})
    client.bulk_import_delete_part("s", "p3")
    assert client.list_bulk_import_parts("s") == ["p1", "p2"]
    with pytest.raises(errors.APIError, match="422"):
        client.perform_bulk_import("s")
    client.freeze_bulk_import("s")
    with pytest.raises(errors.AlreadyExistsError):
        client.freeze_bulk_import("s")
    with pytest.raises(errors.APIError, match="422"):
        _upload(client, "s", "p4", {"time": 1})
    client.unfreeze_bulk_import("s")
    client.freeze_bulk_import("s")
    session = client.bulk_import("s")
    with pytest.raises(errors.APIError, match="422"):
        client.commit_bulk_import("s")
    job = session.perform(wait=True, wait_interval=0, timeout=20)
    assert job.success()
    session.update()
    assert (session.status, session.valid_records, session.error_records) == ("ready", 2, 0)
    assert (session.valid_parts, session.error_parts) == (2, 0)
    assert fake.account().query("SELECT count(*) FROM sales.orders") == [(2,)]
    seen: list[str | None] = []
    client.commit_bulk_import("s")
    while "committed" not in seen:
        session.update()
        seen.append(session.status)
    assert set(seen) == {"committing", "committed"}
    with pytest.raises(errors.AlreadyExistsError):
        client.commit_bulk_import("s")
    sql = "SELECT time, id, name, small, more, tags, sizes FROM sales.orders WHERE time < 5"
    assert fake.account().query(sql + " ORDER BY time") == [
        (1, 7, "12", 3, "x", None, None),
        (2, 8, None, None, None, ["t"], {"k": 9}),
    ]
    (table,) = client.tables("sales")
    assert table.count == 2
    assert table.schema == [*_COLUMNS, ["more", "string"]]
    fake.account().refresh_counters()
    assert client.tables("sales")[0].count == 4
    assert [one.name for one in client.bulk_imports()] == ["s"]
    client.delete_bulk_import("s")
    with pytest.raises(errors.NotFoundError):
        client.bulk_import("s")


def test_sessions_belong_to_a_table_and_have_one_name(client: tdclient.Client) -> None:
    """A session needs its table, and its name is taken until it is deleted."""
    client.create_bulk_import("s", "sales", "orders")
    with pytest.raises(errors.AlreadyExistsError):
        client.create_bulk_import("s", "sales", "orders")
    with pytest.raises(errors.NotFoundError):
        client.create_bulk_import("t", "sales", "no_such_table")
    with pytest.raises(errors.NotFoundError):
        _upload(client, "t", "p", {"time": 1})


def test_error_records_are_counted_and_shown(client: tdclient.Client) -> None:
    """Records without an integer time do not fail the job: they are counted and left out."""
    session = _load(client, {"id": 1}, {"time": "10", "id": 2}, [1], {"time": 5, "id": 3})
    assert (session.valid_records, session.error_records) == (1, 3)
    assert list(session.error_record_items()) == [{"id": 1}, {"time": "10", "id": 2}, [1]]


def test_a_broken_part_is_counted(fake: FakeTreasureData, client: tdclient.Client) -> None:
    """A part that is no gzip, or ends in the middle of a record, is an error part."""
    client.create_bulk_import("s", "sales", "orders")
    cut = gzip.compress(msgpack.packb({"time": 1, "name": "long enough"})[:-3])
    for name, data in (("a", b"no gzip"), ("b", cut), ("c", _part({"time": 1})[:-9])):
        client.bulk_import_upload_part("s", name, io.BytesIO(data), len(data))
    _upload(client, "s", "d", {"time": 1})
    client.freeze_bulk_import("s")
    client.bulk_import("s").perform().wait(timeout=20, wait_interval=0)
    session = client.bulk_import("s")
    assert (session.valid_parts, session.error_parts, session.valid_records) == (1, 3, 1)


def test_values_that_do_not_fit_their_column(
    fake: FakeTreasureData, client: tdclient.Client
) -> None:
    """What does not fit becomes NULL without a word, and text where the column is text."""
    session = _load(client, {"time": 1, "id": "x", "small": 2**31, "name": {"a": [1]}, "tags": "t"})
    assert session.error_records == 0
    session.commit(wait=True, wait_interval=0, timeout=20)
    sql = "SELECT id, small, name, tags FROM sales.orders WHERE time = 1"
    assert fake.account().query(sql) == [(None, None, '{"a":[1]}', None)]


def test_streaming_import_happens_once(fake: FakeTreasureData, client: tdclient.Client) -> None:
    """An upload with an id that was taken before adds nothing."""
    data = _part({"time": 1, "id": 5})
    for _ in range(2):
        client.import_data("sales", "orders", "msgpack.gz", io.BytesIO(data), len(data), "u1")
    assert fake.account().query("SELECT count(*) FROM sales.orders") == [(3,)]
    assert len(client.tail("sales", "orders", 10)) == 3


def test_rights_of_keys(fake: FakeTreasureData) -> None:
    """A key does what its right on a database allows, and sees nothing of other accounts."""
    reader = _client(fake, fake.add_key("2/reader", rights={"sales": "query_only"}))
    loader = _client(fake, fake.add_key("3/loader", rights={"sales": "import_only"}))
    writer = _client(fake, fake.add_key("4/writer", write_only=True))
    other = _client(fake, fake.add_key("5/other", "other"))
    nobody = _client(fake, "6/nobody")
    assert _query(reader, "SELECT 1 FROM orders").success()
    assert [d.permission for d in reader.databases()] == ["query_only"]
    for refused in (
        lambda: reader.create_log_table("sales", "mine"),
        lambda: reader.create_bulk_import("s", "sales", "orders"),
        lambda: loader.tables("sales"),
        lambda: loader.query("sales", "SELECT 1", type="trino"),
        writer.databases,
    ):
        with pytest.raises(errors.ForbiddenError):
            refused()
    loader.create_bulk_import("s", "sales", "orders")
    writer.create_bulk_import("t", "sales", "orders")
    make(fake.account(), "secret", "hidden", [["a", "int"]])
    assert _query(reader, "SELECT * FROM secret.hidden").error()
    assert other.databases() == []
    with pytest.raises(errors.NotFoundError):
        other.tables("sales")
    for client in (nobody, _client(fake, "1/admin\t")):
        assert client.server_status() == "ok"
    with pytest.raises(errors.AuthError):
        nobody.databases()
    limited = _client(fake, fake.add_key("7/limited", may_create_databases=False))
    with pytest.raises(errors.ForbiddenError):
        limited.create_database("new_db")


def test_slashes_are_collapsed_and_td1_is_demanded(fake: FakeTreasureData) -> None:
    """`//v3/...` is understood; another scheme of authorization is not."""
    http = urllib3.PoolManager()
    url = f"{fake.endpoint}/v3//database/list"
    assert http.request("GET", url, headers={"authorization": "TD1 1/admin"}).status == 200
    assert http.request("GET", url, headers={"authorization": "Bearer 1/admin"}).status == 401
    form = {"authorization": "TD1 1/admin", "content-type": "application/x-www-form-urlencoded"}
    url = f"{fake.endpoint}v3/job/issue/trino/sales"
    assert http.request("POST", url, body="query=SELECT+1", headers=form).status == 415


def test_faults_of_requests(fake: FakeTreasureData, client: tdclient.Client) -> None:
    """Each action does to the exchange what it says, as often as arranged."""
    fake.fail("create_table", "status", status=429, retry_after="7", skip=1)
    client.create_log_table("sales", "one")
    with pytest.raises(errors.APIError, match="429"):
        client.create_log_table("sales", "two")
    fake.fail("create_table", "drop_before")
    fake.fail("create_table", "drop_after")
    for _ in range(2):
        with pytest.raises(urllib3.exceptions.ProtocolError):
            client.create_log_table("sales", "two")
    with pytest.raises(errors.AlreadyExistsError):
        client.create_log_table("sales", "two")
    fake.fail("tables", "drop_body", size=20)
    with pytest.raises(urllib3.exceptions.ProtocolError):
        client.tables("sales")
    client.create_bulk_import("s", "sales", "orders")
    for action, parts in (("drop_before", []), ("drop_after", ["p"])):
        fake.fail("bulk_upload", action, size=5, within="/s/")  # type: ignore[arg-type]
        with pytest.raises((urllib3.exceptions.HTTPError, errors.APIError)):
            _upload(client, "s", "p", {"time": 1})
        assert client.list_bulk_import_parts("s") == parts
    fake.fail("bulk_freeze", "forget")
    with pytest.raises(errors.NotFoundError):
        client.freeze_bulk_import("s")
    fake.integer_timestamps = True
    with pytest.raises(AttributeError):
        client.tables("sales")
    fake.fail("*", "revoke", skip=1)
    client.databases()
    with pytest.raises(errors.AuthError):
        client.databases()


@pytest.mark.parametrize("action", ["stall", "stall_body"])
def test_faults_that_stall(fake: FakeTreasureData, action: Any) -> None:
    """A request may stay without an answer, or without the rest of it."""
    fake.fail("databases", action, size=5)
    hasty = tdclient.Client(
        "1/admin", endpoint=fake.endpoint, max_cumul_retry_delay=-1, retries=False, timeout=0.2
    )
    with pytest.raises((errors.APIError, urllib3.exceptions.HTTPError)):
        hasty.databases()
    assert fake.stalled.is_set()


def test_faults_of_jobs(fake: FakeTreasureData, client: tdclient.Client) -> None:
    """Jobs end with an error, are killed, lose rows in silence or refuse records, as arranged."""
    for action in ("error", "killed"):
        fake.fail("query_job", action)  # type: ignore[arg-type]
        assert _query(client, "SELECT 1").status() == action
    fake.fail("query_job", "truncated", size=1)
    job = _query(client, "SELECT id FROM orders")
    assert job.num_records == 2
    assert len(list(job.result())) == 1
    fake.fail("import_job", "bad_records", size=2)
    session = _load(client, *({"time": n} for n in range(5)))
    assert (session.valid_records, session.error_records) == (3, 2)
    session.delete()
    fake.fail("import_job", "error")
    session = _load(client, {"time": 1})
    assert client.job(session.job_id).error()
    assert (session.status, session.valid_records) == ("ready", 0)
    session.delete()
    fake.fail("import_job", "lost_records", size=2)
    fake.fail("commit_job", "lost_records", size=1)
    session = _load(client, *({"time": n} for n in range(100, 105)))
    assert (session.valid_records, session.error_records) == (3, 0)
    session.commit(wait=True, wait_interval=0, timeout=20)
    assert fake.account().query("SELECT count(*) FROM sales.orders WHERE time >= 100") == [(2,)]


def test_hooks_run_before_and_after_the_effect(
    fake: FakeTreasureData, client: tdclient.Client
) -> None:
    """A test may act when a request has arrived, and again once it has had its effect."""
    seen: list[bool] = []

    def look() -> None:
        seen.append("new_db" in fake.account().databases)

    fake.before("create_database", look)
    fake.after("create_database", look)
    client.create_database("new_db")
    assert seen == [False, True]
    fake.before("delete_database", lambda: DROP)
    with pytest.raises(urllib3.exceptions.ProtocolError):
        client.delete_database("new_db")
    assert "new_db" in fake.account().databases


def test_bandwidth_is_limited_per_connection(
    fake: FakeTreasureData, client: tdclient.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a limit, the last block comes when all bytes before it and its own had their time."""
    waited: list[float] = []
    monkeypatch.setattr("tests.fakes.treasuredata.handler.time.sleep", waited.append)
    fill(
        fake.account(), "sales", "many", [["n", "double"]],
        "SELECT random() AS n, 0 AS time FROM range(20000)",
    )  # fmt: skip
    job = _query(client, "SELECT n FROM many")
    fake.bytes_per_s = 1_000
    with client.api.get(f"/v3/job/result/{job.id}?format=msgpack.gz") as answer:
        assert len(answer.read()) == job.result_size
    assert max(waited) > job.result_size / 1_000 * 0.9


def test_a_process_of_its_own_is_controlled_over_http() -> None:
    """The fake runs by itself, takes seeds and faults over HTTP, and ends with its input."""
    command = [sys.executable, "-m", "tests.fakes.treasuredata"]
    with subprocess.Popen(
        command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        endpoint = process.stdout.readline().strip()

        def control(name: str, **given: Any) -> Any:
            body = json.dumps(given).encode()
            answer = urllib3.request("POST", f"{endpoint}_fake/{name}", body=body, timeout=20)
            return answer.json()

        key = control("add_key", key="1/k")
        select = "SELECT range AS n, range AS time FROM range(100)"
        given = {"database": "sales", "table": "numbers", "columns": [["n", "long"]]}
        assert control("fill", select=select, **given) == 100
        control("set", bytes_per_s=None, encodes_results=False)
        control("fail", operation="databases", status=500)
        client = tdclient.Client(key, endpoint=endpoint, max_cumul_retry_delay=-1)
        with pytest.raises(errors.APIError):
            client.databases()
        assert client.tables("sales")[0].count == 100
        assert control("query", sql="SELECT sum(n) FROM sales.numbers") == [[4950]]
        assert ["tables", "/v3/table/list/sales"] in control("log")
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == 0
