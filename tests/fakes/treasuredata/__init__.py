"""A Treasure Data over HTTP, honest as far as a client can see: the real td-client speaks to it.

It knows accounts, keys and rights, keeps databases and tables with schema, expire_days and
counters that lag, runs queries with DuckDB on the rows that are stored, keeps results as gzipped
msgpack and serves ranges of them, leads bulk imports through all their states, and fails as a test
arranges. What it cannot show is whether the live service behaves as documented.

    with FakeTreasureData() as fake:
        key = fake.add_key("1/secret", "tokyo")          # an administrator of account "tokyo"
        account = fake.account("tokyo")
        make(account, "sales", "orders", [["id", "long"], ["tags", "array<string>"]],
             [{"id": 1, "tags": ["a"], "time": 1600000000}], expire_days=30)
        fill(account, "sales", "big", [["id", "long"]],  # any SELECT of DuckDB, by name
             "SELECT range AS id, range AS time FROM range(50000)")
        tdclient.Client(key, endpoint=fake.endpoint)
        fake.url(key, "sales")                           # td://:1%2Fsecret@127.0.0.1:PORT/sales?...
        fake.fail("issue", "drop_after")                 # names in *_routes, actions in faults
        fake.fail("result", "status", status=429, retry_after="1", skip=2)
        fake.fail("query_job", "truncated", size=100)    # the result of the next query is short
        fake.before("bulk_commit", process.kill)         # or after(...): done, but not answered
        fake.jobs.hidden_polls = 3                       # queued, booting, running, then the truth
        fake.imports.hidden_polls = 1                    # committing, then committed
        account.query('SELECT * FROM sales.orders ORDER BY time')  # what is there, in DuckDB's SQL
        account.database("sales").tables["orders"].columns         # and .expire_days, .count
        account.refresh_counters()                       # counters lag behind commits until this
        [logged.path for logged in fake.requests("bulk_upload")]

`python -m tests.fakes.treasuredata PORT` runs one as a process of its own, which is controlled by
POST /_fake/{fail,set,add_key,fill,query,log} with the arguments as JSON.
"""

from tests.fakes.treasuredata.faults import Fault
from tests.fakes.treasuredata.seeding import fill, make
from tests.fakes.treasuredata.server import DROP, FakeTreasureData

__all__ = ["DROP", "FakeTreasureData", "Fault", "fill", "make"]
