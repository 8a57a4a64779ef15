"""Treasure Data: an export of one table from the fake beside td-client's own way of reading.

The fake runs in a process of its own and stores the result of the query once, so that nobody pays
for the query: dbsync submits it again and gets what is stored, td-client reads the same job. Each
contest runs without a limit of bandwidth and with one per connection, since several connections
are there for services that are far away.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import urllib3

from scripts.benchmark import report
from scripts.benchmark.measure import Contestant, compete

LIMITS = (None, 4_000_000, 2_000_000)
"""Bytes a second for each connection."""

_KEY = "1/bench"
_SECOND_KEY = "2/bench"
_DATABASE = "shop"

_WORDS = "['the','order','of','a','customer','who','asked','for','more','time','and','paid']"
_TABLES: dict[str, tuple[dict[str, str], str]] = {
    "orders": (
        {
            "id": "long", "customer_id": "int", "amount": "double", "paid": "int",
            "status": "string", "city": "string", "note": "string", "source": "string",
            "token": "string", "tags": "array<string>", "sizes": "map<string,long>",
        },
        f"""
        SELECT range AS id, (hash(range) % 100000)::INT AS customer_id,
          round(random() * 1000, 2) AS amount, (range % 7 > 0)::INT AS paid,
          ['new', 'paid', 'packed', 'sent', 'returned'][(1 + hash(range + 1) % 5)::INT] AS status,
          CASE WHEN range % 20 > 0 THEN 'City ' || hash(range + 2) % 800 END AS city,
          CASE WHEN hash(range + 3) % 5 > 0 THEN array_to_string(list_transform(range(12),
            lambda x: {_WORDS}[(1 + hash(range * 12 + x) % 12)::INT]), ' ') END AS note,
          ['web', 'app', 'shop'][(1 + hash(range + 4) % 3)::INT] AS source,
          uuid()::VARCHAR AS token,
          ['x' || hash(range) % 10, 'y'] AS tags, MAP {{{{'width': range % 90}}}} AS sizes,
          1700000000 + range // 5 AS time
        FROM range({{rows}})
        """,
    ),
    "events": (
        {"id": "long", "at": "string", "device": "int", "reading": "double", "valid": "int"},
        """
        SELECT range AS id, make_timestamp(1700000000000000 + range * 1000003)::VARCHAR AS at,
          (hash(range) % 5000)::INT AS device, round(random() * 40, 3) AS reading,
          (range % 33 > 0)::INT AS valid, 1700000000 + range AS time
        FROM range({rows})
        """,
    ),
}  # fmt: skip

_ITERATE = """
import sys, tdclient
endpoint, key, job, rows = sys.argv[1:]
client = tdclient.Client(key, endpoint=endpoint)
assert sum(1 for _ in client.job(job).result()) == int(rows)
"""

_PARQUET = """
import sys, tdclient
from itertools import islice
import pyarrow as pa, pyarrow.parquet as pq
endpoint, key, job, rows, path = sys.argv[1:]
client = tdclient.Client(key, endpoint=endpoint)
job = client.job(job)
found, writer = job.result(), None
names = [name for name, _ in job.result_schema]
while batch := list(islice(found, 50_000)):
    # Maps are pairs to Arrow.
    columns = [[list(v.items()) if isinstance(v, dict) else v for v in c] for c in zip(*batch)]
    types = {"map(varchar,bigint)": pa.map_(pa.string(), pa.int64())}
    table = pa.table(
        [pa.array(c, types.get(kind)) for c, (_, kind) in zip(columns, job.result_schema)], names
    )
    writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
    writer.write_table(table)
writer.close()
assert pq.read_metadata(path).num_rows == int(rows)
"""


class _Fake:
    """The fake, as another process sees it."""

    def __init__(self, endpoint: str):
        self.endpoint = endpoint

    def control(self, name: str, **given: Any) -> Any:
        """Ask it for something; see `FakeTreasureData.control`."""
        body = json.dumps(given).encode()
        url = f"{self.endpoint}_fake/{name}"
        answer = urllib3.request("POST", url, body=body, timeout=600, retries=False)
        if answer.status != 200:
            raise RuntimeError(answer.data.decode())
        return answer.json()


def contests(folder: Path, tables: Sequence[str], rows: int, repeat: int) -> None:
    """Run the contests for each table, and print them."""
    with _running() as fake:
        fake.control("add_key", key=_KEY)
        for table in tables:
            columns, select = _TABLES[table]
            fake.control(
                "fill", database=_DATABASE, table=table, columns=list(columns.items()),
                select=select.format(rows=rows),
            )  # fmt: skip
            environment = {"DBSYNC_TD_API_KEY": _KEY, "DBSYNC_DOWNLOAD_PARALLELISM": "4"}
            archive = folder / f"{table}.dbsync.tar"
            ours = Contestant(
                "dbsync export, 4 downloads",
                [_export(fake, table, archive)],
                output=archive,
                environment=environment,
            )
            compete([ours], 1)  # the query runs, and its result is stored
            job = _stored(fake, table)
            iterating, writing = _peers(fake, job, rows, folder)
            size = f"{job['result_size'] / report.MB:.0f} MB as msgpack.gz"
            title = f"Treasure Data: {table}, {rows:,} rows, {size}"
            # The slowest by far, which one run shows.
            report.contest(f"{title}, without a limit, one run", compete([ours, writing], 1))
            for limit in LIMITS:
                fake.control("set", bytes_per_s=limit)
                at = f"{limit / report.MB:.0f} MB/s a connection" if limit else "without a limit"
                report.contest(f"{title}, {at}", compete([ours, iterating], repeat))
            fake.control("set", bytes_per_s=None)
            report.contest(
                f"Treasure Data: clone of {table} into a second account, {rows:,} rows, one run",
                compete([_clone(fake, table)], 1),
            )


def _export(fake: _Fake, table: str, archive: Path) -> list[str | Path]:
    return [
        "dbsync", "export", "--url", _url(fake), "--tables", table, "--no-progress",
        "--overwrite-archive", archive,
    ]  # fmt: skip


def _clone(fake: _Fake, table: str) -> Contestant:
    """A clone, whose rows are compared by the fake itself."""

    def equal() -> None:
        columns = ", ".join(f'"{name}"' for name in ("time", *_TABLES[table][0]))
        values = f"SELECT row({columns}) AS r FROM {_DATABASE}.{table}"
        sql = f"SELECT count(*), sum(hash(r))::VARCHAR FROM ({values})"
        sides = [fake.control("query", account=account, sql=sql) for account in ("main", "second")]
        if sides[0] != sides[1]:
            raise RuntimeError(f"the clone differs: {sides}")

    fake.control("add_key", key=_SECOND_KEY, account="second")
    url = _url(fake)
    return Contestant(
        "dbsync clone",
        [["dbsync", "clone", "--from", url, "--to", url, "--tables", table, "--no-progress"]],
        check=equal,
        environment={"DBSYNC_FROM_TD_API_KEY": _KEY, "DBSYNC_TO_TD_API_KEY": _SECOND_KEY},
    )


def _url(fake: _Fake) -> str:
    return f"td://{fake.endpoint.split('/')[2]}/{_DATABASE}?scheme=http"


def _stored(fake: _Fake, table: str) -> dict[str, Any]:
    """Return the job of the newest query of all of a table."""
    headers = {"authorization": f"TD1 {_KEY}"}
    listed = urllib3.request("GET", f"{fake.endpoint}v3/job/list", headers=headers).json()
    return next(
        job for job in listed["jobs"] if table in job["query"] and "count(" not in job["query"]
    )


def _peers(fake: _Fake, job: dict[str, Any], rows: int, folder: Path) -> list[Contestant]:
    given = [fake.endpoint, _KEY, job["job_id"], str(rows)]
    parquet = folder / "peer.parquet"
    return [
        Contestant("td-client, job.result() read and dropped", [
            [sys.executable, "-c", _ITERATE, *given]
        ]),
        Contestant(
            "td-client, job.result() into Parquet by pyarrow",
            [[sys.executable, "-c", _PARQUET, *given, parquet]],
            output=parquet,
        ),
    ]  # fmt: skip


@contextmanager
def _running() -> Iterator[_Fake]:
    """Run the fake; it ends when its standard input does."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.treasuredata"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield _Fake(process.stdout.readline().strip())
        finally:
            process.stdin.close()
            process.wait(60)
