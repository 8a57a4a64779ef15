"""Input that is small and expands: refused, or read in bounded memory, and never a crash."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

_PRELUDE = """
import io, random, resource, sys
import pyarrow as pa, pyarrow.parquet as pq
from dbsync.archive import Limits, decode_chunk, encode_chunk
from dbsync.archive.catalog import CatalogEntry, decode_catalog, encode_catalog
from dbsync.errors import ArchiveError
from tests.unit.archive.build import *

def parquet(columns, **options):
    sink = io.BytesIO()
    settings = dict(compression="zstd", use_dictionary=False, store_schema=False,
                    write_page_checksum=True, write_statistics=False)
    pq.write_table(pa.table(columns), sink, **{**settings, **options})
    return sink.getvalue()

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
"""


def run(script: str, *arguments: str) -> str:
    """Run a script in a process of its own, so that its peak memory, or its death, is its own."""
    result = subprocess.run(
        [sys.executable, "-c", _PRELUDE + textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def bomb(folder, make: str) -> str:
    """Make a bomb in a process of its own (making one takes memory) and return its path."""
    path = folder / "bomb.parquet"
    run(f"open(sys.argv[1], 'wb').write({make})", str(path))
    assert path.stat().st_size < 1 << 20
    return str(path)


_DICTIONARY = (
    "parquet({'text': pa.DictionaryArray.from_arrays(pa.array([0] * 4000, pa.int32()),"
    " pa.array(['x' * 2**20]))}, use_dictionary=True)"
)
_NULLS = "parquet({'id': pa.nulls(20_000_000, pa.int64())})"
_PAGE = "parquet({'text': pa.array(['\\0' * (1 << 28)])})"


@pytest.mark.parametrize(
    ("make", "of", "limits"),
    [
        (_DICTIONARY, "NOTES", "Limits()"),
        (_PAGE, "NOTES", "Limits(max_arrow_bytes=1 << 26)"),
        (_NULLS, "table('t', column('id'))", "Limits(max_arrow_bytes=1 << 26)"),
    ],
    ids=["dictionary", "page", "nulls"],
)
def test_bombs_are_refused_in_little_memory(tmp_path, make, of, limits):
    """A chunk that would decode to more than allowed is refused before memory is spent on it."""
    out = run(
        f"""
        data = open(sys.argv[1], "rb").read()
        before, batches = peak(), 0
        try:
            for _ in decode_chunk({of}, data, limits={limits}):
                batches += 1
        except ArchiveError as error:
            print(error.code, peak() - before, batches)
        """,
        bomb(tmp_path, make),
    )
    code, grown, batches = out.split()
    assert code == "E_LIMIT"
    assert batches == "0"
    assert int(grown) < 100


def test_what_expands_within_the_limit_is_read_in_little_memory(tmp_path):
    """160 MB of NULLs and 512 MB out of a dictionary pass through batch by batch."""
    out = run(
        """
        data = open(sys.argv[1], "rb").read()
        before, rows = peak(), 0
        for batch in decode_chunk(table("t", column("id")), data):
            rows += batch.num_rows
        print(rows, peak() - before)
        """,
        bomb(tmp_path, _NULLS),
    )
    rows, grown = map(int, out.split())
    assert rows == 20_000_000
    assert grown < 100
    out = run(
        """
        data = open(sys.argv[1], "rb").read()
        before, rows = peak(), 0
        for batch in decode_chunk(NOTES, data):
            rows += batch.num_rows
        print(rows, peak() - before)
        """,
        bomb(tmp_path, _DICTIONARY.replace("4000", "512")),
    )
    rows, grown = map(int, out.split())
    assert rows == 512
    assert grown < 150


@pytest.mark.parametrize("what", ["chunk", "catalog"])
def test_mutated_parquet_never_crashes(what):
    """Footers and page headers with random bytes give an error or rows, and the process lives.

    Digests do not protect here: somebody may have written such a file on purpose. pyarrow alone
    ends the process on some of these.
    """
    out = run(
        """
        rng = random.Random(7)
        value = {"kind": "literal", "value": b"q"}
        rows = batch(ITEMS, range(500), [f"n{i % 9}" for i in range(500)],
                     name=[value if i % 3 else None for i in range(500)])
        if sys.argv[1] == "chunk":
            data = encode_chunk(ITEMS, [rows]).data.to_pybytes()
            read = lambda d: list(decode_chunk(ITEMS, d))
        else:
            entries = [CatalogEntry(path=f"p{i}", size=i, sha256="0" * 64) for i in range(200)]
            data = next(encode_catalog(entries))
            read = lambda d: decode_catalog(d, Limits())
        footer = int.from_bytes(data[-8:-4], "little")
        codes = set()
        for _ in range(2500):
            broken = bytearray(data)
            for _ in range(rng.choice([1, 1, 2, 3])):
                low = len(data) - 8 - footer if rng.random() < 0.7 else 4
                broken[rng.randrange(low, len(data))] = rng.randrange(256)
            try:
                read(bytes(broken))
            except ArchiveError as error:
                codes.add(error.code)
        print(*sorted(codes))
        """,
        what,
    )
    assert "E_CHECKSUM" in out
    assert set(out.split()) <= {
        "E_CHECKSUM", "E_SCHEMA_MISMATCH", "E_CATALOG_MISMATCH", "E_ROWCOUNT", "E_LIMIT",
    }  # fmt: skip
