"""Writes the sample database of `scripts/demo`: a small shop, the same at every run."""

from __future__ import annotations

import random
import sqlite3
import sys
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

SCHEMA = """
CREATE TABLE customer (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    email VARCHAR(80) UNIQUE,
    birthday DATE,
    note TEXT
);
CREATE TABLE product (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    title TEXT NOT NULL COLLATE NOCASE,
    price NUMERIC(10,2) NOT NULL CHECK (price >= 0),
    picture BLOB,
    on_sale BOOLEAN NOT NULL DEFAULT 1
);
CREATE TABLE purchase (
    id INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customer (id) ON DELETE CASCADE,
    placed_at TIMESTAMP NOT NULL,
    details JSON
);
CREATE TABLE purchase_item (
    purchase_id INTEGER NOT NULL REFERENCES purchase (id) ON DELETE CASCADE,
    product_id INTEGER NOT NULL REFERENCES product (id),
    quantity INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (purchase_id, product_id)
) WITHOUT ROWID;
CREATE INDEX purchase_by_customer ON purchase (customer_id, placed_at DESC);
CREATE VIEW turnover AS
    SELECT c.id, c.name, sum(i.quantity * p.price) AS total
    FROM customer c
    JOIN purchase o ON o.customer_id = c.id
    JOIN purchase_item i ON i.purchase_id = o.id
    JOIN product p ON p.id = i.product_id
    GROUP BY c.id;
CREATE TRIGGER product_sold AFTER INSERT ON purchase_item WHEN NEW.quantity <= 0
    BEGIN SELECT RAISE(ABORT, 'quantity must be positive'); END;
"""
NAMES = ("Ada", "Zo\u00eb", "\u014cno", "\u0633\u0627\u0631\u0629", "\u5f20\u4f1f", "O'Neil")
WORDS = ("Lamp", "Caf\u00e9 cup", "\u30dc\u30fc\u30eb", "Chair \U0001fa91", 'The "big" box')
START = datetime(2024, 2, 29, 23, 59, 59)


def fill(database: sqlite3.Connection) -> None:
    """Insert a few thousand rows: NULLs, empty text, quotes, line breaks, several scripts."""
    chance = random.Random(42)
    database.executemany(
        "INSERT INTO customer VALUES (?, ?, ?, ?, ?)",
        (
            (
                number,
                f"{chance.choice(NAMES)} {number}",
                None if number % 7 == 0 else f"customer{number}@example.org",
                None if number % 5 == 0 else str((START - timedelta(days=number * 9)).date()),
                chance.choice((None, "", "two\nlines", "a 'quoted', value")),
            )
            for number in range(1, 1001)
        ),
    )
    database.executemany(
        "INSERT INTO product (title, price, picture, on_sale) VALUES (?, ?, ?, ?)",
        (
            (
                f"{chance.choice(WORDS)} no. {number}",
                chance.randrange(100, 50_000) / 100,
                None if number % 3 else chance.randbytes(200),
                chance.random() < 0.9,
            )
            for number in range(200)
        ),
    )
    for number in range(1, 2001):
        moment = START + timedelta(minutes=chance.randrange(500_000))
        gift = '{"gift": true, "words": "\u00e0 bient\u00f4t"}'
        database.execute(
            "INSERT INTO purchase VALUES (?, ?, ?, ?)",
            (number, chance.randint(1, 1000), str(moment), gift if number % 4 == 0 else None),
        )
        database.executemany(
            "INSERT INTO purchase_item VALUES (?, ?, ?)",
            (
                (number, product, chance.randint(1, 5))
                for product in chance.sample(range(1, 201), chance.randint(1, 4))
            ),
        )


def main(path: str) -> None:
    """Make the database at `path`, which must not exist."""
    if Path(path).exists():
        raise SystemExit(f"{path} exists already")
    with closing(sqlite3.connect(path)) as database:
        database.executescript(SCHEMA)
        fill(database)
        database.commit()
        tables = ("customer", "product", "purchase", "purchase_item")
        counts = {
            table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in tables
        }
    print(f"{path}: " + ", ".join(f"{count} rows in {table}" for table, count in counts.items()))


if __name__ == "__main__":
    main(sys.argv[1])
