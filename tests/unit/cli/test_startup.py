"""``dbsync --help`` answers at once: nothing heavy is imported before a command runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from dbsync.cli.main import main

_HEAVY = ("pyarrow", "sqlalchemy", "psycopg2", "adbc_driver_manager", "numpy", "rich", "dotenv")


@pytest.mark.parametrize("args", [["--help"], ["export", "--help"], ["--version"], ["nonsense"]])
def test_no_heavy_imports(args: list[str]) -> None:
    """Help, version and usage errors import no driver, no pyarrow and no rich."""
    program = (
        "import json, sys\n"
        "from dbsync.cli.main import run\n"
        f"run({args!r})\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}
    assert loaded.isdisjoint(_HEAVY)
    assert "dbsync" in loaded


def test_module_and_script_are_the_same() -> None:
    """``python -m dbsync`` is the command."""
    done = subprocess.run(
        [sys.executable, "-m", "dbsync", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("dbsync ")


@pytest.mark.parametrize(
    ("name", "usual"), [("MIMALLOC_PURGE_DELAY", "2000"), ("OPENBLAS_NUM_THREADS", "1")]
)
@pytest.mark.parametrize("given", [None, "5"])
def test_libraries_are_settled_before_they_load(
    name: str, usual: str, given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is kept for the next chunk and no thread spins, unless the user wants otherwise."""
    monkeypatch.setenv(name, given or "")
    if given is None:
        monkeypatch.delenv(name)
    with pytest.raises(SystemExit):
        main(["--version"])
    assert os.environ[name] == (given or usual)
