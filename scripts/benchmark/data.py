"""The generated tables: ``orders``, mixed and about 240 bytes a row, and ``events``, five numbers.

Run as a program, so that the memory it takes is not counted as that of a contestant:
``python -m scripts.benchmark.data postgres|mysql|sqlite PLACE TABLE ROWS``. Up to 200,000 rows are
made here; more are copies of these with other keys and moments, made inside of the database.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
import sqlite3
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta

BLOCK = 200_000
COLUMNS = {
    "orders": (
        "id bigint PRIMARY KEY",
        "customer_id int NOT NULL",
        "amount numeric(12,2) NOT NULL",
        "placed_at timestamptz NOT NULL",
        "due date",
        "paid boolean NOT NULL",
        "status varchar(12) NOT NULL",
        "city varchar(60)",
        "note text",
        "details jsonb",
        "token uuid NOT NULL",
    ),
    "events": (
        "id bigint PRIMARY KEY",
        "at timestamp NOT NULL",
        "device int NOT NULL",
        "reading double precision NOT NULL",
        "valid boolean NOT NULL",
    ),
}
MOMENT = {"orders": "placed_at", "events": "at"}
START = datetime(2023, 1, 1, tzinfo=UTC)
STATUSES = ("new", "paid", "packed", "sent", "returned")
TYPES = {
    "sqlite": {
        "timestamptz": "TIMESTAMPTZ", "timestamp": "TIMESTAMP", "jsonb": "JSON", "uuid": "UUID",
        "bigint": "INTEGER", "double precision": "DOUBLE",
    },
    "mysql": {"timestamptz": "timestamp(6)", "timestamp": "datetime(6)", "jsonb": "json"},
}  # fmt: skip
"""What the types of `COLUMNS`, which are PostgreSQL's, are called elsewhere."""


def rows(table: str, count: int) -> Iterator[list[object]]:
    """Yield the same rows at every run, as Python values that both engines' texts come from."""
    chance = random.Random(2024)
    words = ["".join(chance.choices("aeiourstlnmdkp", k=chance.randint(2, 9))) for _ in range(3000)]
    cities = [word.title() for word in words[:800]]
    moment = START
    for number in range(1, count + 1):
        moment += timedelta(microseconds=chance.randrange(20_000_000))
        if table == "events":
            reading = round(chance.gauss(20, 8), 3)
            yield [number, moment.replace(tzinfo=None), chance.randrange(5000), reading,
                   chance.random() < 0.97]  # fmt: skip
        else:
            yield [
                number,
                int(chance.paretovariate(1.2)) % 100_000,
                f"{chance.lognormvariate(4, 1):.2f}",
                moment,
                None if chance.random() < 0.1 else (moment + timedelta(days=30)).date(),
                chance.random() < 0.8,
                chance.choice(STATUSES),
                None if chance.random() < 0.05 else chance.choice(cities),
                _note(chance, words),
                json.dumps({
                    "source": chance.choice(("web", "app", "shop")),
                    "score": round(chance.random(), 4),
                    "tags": chance.sample(words, 2),
                }),
                uuid.UUID(int=chance.getrandbits(128), version=4),
            ]  # fmt: skip


def _note(chance: random.Random, words: list[str]) -> str | None:
    """Write a few words, rarely with quotes, commas or line breaks; a fifth is NULL."""
    kind = chance.random()
    if kind < 0.2:
        return None
    text = " ".join(words[min(int(chance.expovariate(1 / 300)), 2999)] for _ in range(12))
    if kind < 0.3:
        return f'He said "{text}", twice:\nand left'
    return text


def fill_postgres(dsn: str, table: str, count: int) -> None:
    """Create and fill a table on PostgreSQL."""
    import psycopg2

    with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {table} ({', '.join(COLUMNS[table])})")
        block = io.StringIO()
        writer = csv.writer(block)
        for row in rows(table, min(count, BLOCK)):
            # In CSV, an unquoted nothing is NULL; no text of these rows is empty.
            writer.writerow(["" if value is None else value for value in row])
        block.seek(0)
        cursor.copy_expert(f"COPY {table} FROM STDIN (FORMAT csv)", block)
        for statement in _copies(table, count, "{} + make_interval(days => {})"):
            cursor.execute(statement)
        connection.commit()
        connection.autocommit = True
        cursor.execute(f"VACUUM (ANALYZE, FREEZE) {table}")


def fill_mysql(place: str, table: str, count: int) -> None:
    """Create and fill a table on MySQL; `place` is the JSON of PyMySQL's arguments."""
    import pymysql

    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="") as block:
        writer = csv.writer(block, lineterminator="\n")
        for row in rows(table, min(count, BLOCK)):
            writer.writerow([_mysql_text(value) for value in row])
        block.flush()
        arguments = json.loads(place)
        with closing(pymysql.connect(**arguments, local_infile=True)) as connection:
            cursor = connection.cursor()
            cursor.execute("SET sql_mode = 'STRICT_ALL_TABLES', time_zone = '+00:00'")
            cursor.execute(
                f"CREATE TABLE {table} ({', '.join(columns('mysql', table))}) CHARSET utf8mb4"
            )
            cursor.execute(
                f"LOAD DATA LOCAL INFILE '{block.name}' INTO TABLE {table} CHARACTER SET utf8mb4"
                " FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' ESCAPED BY ''"
            )
            for statement in _copies(table, count, "{} + INTERVAL {} DAY"):
                cursor.execute(statement)
            connection.commit()
            cursor.execute(f"ANALYZE TABLE {table}")


def _mysql_text(value: object) -> object:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(sep=" ")
    return "NULL" if value is None else value


def fill_sqlite(path: str, table: str, count: int) -> None:
    """Create and fill a table in an SQLite file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE {table} ({', '.join(columns('sqlite', table))})")
        marks = ", ".join("?" for _ in COLUMNS[table])
        connection.executemany(
            f"INSERT INTO {table} VALUES ({marks})",
            ([_sqlite_value(value) for value in row] for row in rows(table, min(count, BLOCK))),
        )
        suffix = "+00:00" if table == "orders" else ""
        shifted = f"strftime('%Y-%m-%d %H:%M:%f', {{}}, {{}} || ' days') || '{suffix}'"
        for statement in _copies(table, count, shifted):
            connection.execute(statement)
        connection.commit()


def columns(engine: str, table: str) -> list[str]:
    """Give the columns with the types that a database of another engine would declare."""
    found: list[str] = []
    for column in COLUMNS[table]:
        name, _, declared = column.partition(" ")
        for native, other in TYPES[engine].items():
            if declared == native or declared.startswith(native + " "):
                declared = other + declared[len(native) :]
                break
        found.append(f"{name} {declared}")
    return found


def _sqlite_value(value: object) -> object:
    return str(value) if isinstance(value, date | uuid.UUID) else value


def _copies(table: str, count: int, shifted: str) -> Iterator[str]:
    """Yield one INSERT for each further block: equal rows must not stand side by side, or they
    would compress away."""
    names = [column.split()[0] for column in COLUMNS[table]]
    for number in range(1, -(-count // BLOCK)):
        first = number * BLOCK
        wanted = {"id": f"id + {first}", MOMENT[table]: shifted.format(MOMENT[table], number)}
        values = ", ".join(wanted.get(name, name) for name in names)
        yield (
            f"INSERT INTO {table} SELECT {values} FROM {table}"
            f" WHERE id <= {min(BLOCK, count - first)} ORDER BY id"
        )


if __name__ == "__main__":
    engine, place, name, number = sys.argv[1:]
    if engine == "postgres":
        fill_postgres(os.environ["BENCH_DSN"], name, int(number))
    elif engine == "mysql":
        fill_mysql(place, name, int(number))
    else:
        fill_sqlite(place, name, int(number))
