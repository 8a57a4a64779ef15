"""Signals, in processes of their own: clean unwinding first, the end at once on the second."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# A command whose export makes a file, tells that it is there, and removes it when unwound.
_PROGRAM = """
import os, sys, time
from pathlib import Path
from dbsync import api
from dbsync.cli.main import main

def export_database(**_arguments):
    place = Path(sys.argv[1])
    place.touch()
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        if "stubborn" in sys.argv:
            print("unwinding", flush=True)
            time.sleep(60)
        place.unlink()

api.export_database = export_database
main(["export", "x", "--url", "sqlite:///x", *sys.argv[3:]])
"""


def _start(tmp_path: Path, mode: str, *args: str) -> subprocess.Popen[str]:
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("DBSYNC_", "PYTHONUNBUFFERED"))
    }
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(tmp_path / "partial"), mode, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_first_signal_unwinds(number: signal.Signals, code: int, tmp_path: Path) -> None:
    """The run is unwound, so that nothing is left behind, and says why it ended."""
    process = _start(tmp_path, "clean")
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"interrupted by {number.name}" in err
    assert "Traceback" not in err
    assert not (tmp_path / "partial").exists()


def test_second_signal_ends_at_once(tmp_path: Path) -> None:
    """While a first signal is being handled, another one ends the process."""
    process = _start(tmp_path, "stubborn")
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    assert process.stdout.readline() == "unwinding\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM


def test_json_when_interrupted(tmp_path: Path) -> None:
    """An interrupted run with --json still prints its error object."""
    process = _start(tmp_path, "clean", "--json")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert '"exit_code": 143' in out


def test_ignored_hangup_stays_ignored(tmp_path: Path) -> None:
    """Under nohup a hangup does nothing; SIGTERM still ends the run."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = _start(tmp_path, "clean")
    finally:
        signal.signal(signal.SIGHUP, before)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
