"""Run the fake as a process of its own: `python -m tests.fakes.treasuredata [PORT]`.

It prints its endpoint and ends when its standard input ends, so that it never outlives whoever
started it.
"""

from __future__ import annotations

import os
import sys

from tests.fakes.treasuredata.server import FakeTreasureData


def main() -> None:
    """Serve until the standard input ends."""
    with FakeTreasureData(int(sys.argv[1]) if len(sys.argv) > 1 else 0) as fake:
        print(fake.endpoint, flush=True)
        sys.stdin.read()
    os._exit(0)  # DuckDB's binding would list on stderr what it leaks at the interpreter's end


main()
