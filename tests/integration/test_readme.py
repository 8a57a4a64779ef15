"""The README: every command in it runs, and its tables name every option and exit code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from dbsync.cli.failures import EXIT_CODES
from dbsync.cli.main import cli
from tests.conftest import REPOSITORY
from tests.fakes.drive import MANAGE, FakeDrive
from tests.fakes.treasuredata import FakeTreasureData, fill, make
from tests.integration.command import environment
from tests.servers.s3 import ENVIRONMENT, S3Server

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the sample database of the recipes."""
    demo_data = REPOSITORY / "scripts" / "demo_data.py"
    subprocess.run([sys.executable, demo_data, "shop.sqlite"], cwd=tmp_path, check=True)
    return tmp_path


def _run(command: list[str], folder: Path, **variables: str) -> None:
    bin_folder = Path(sys.executable).parent
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment({"PATH": path, **variables}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (command[-1], done.stderr, done.stdout[-2000:])


@pytest.fixture
def drive(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A shared drive, and the key of a service account that may write into it."""
    robot = "backup@project.example.com"
    with FakeDrive(tmp_path_factory.mktemp("drive")) as fake:
        fake.accounts.service_account(folder / "backup-key.json", robot)
        shared = fake.drive.make_shared_drive("Backups", {robot: MANAGE})
        yield {"FOLDER": shared, "DBSYNC_DRIVE_ENDPOINT": fake.root}


@pytest.fixture
def treasure_data() -> Iterator[dict[str, str]]:
    """Two regions of Treasure Data, one with a database, and a key for each."""
    with FakeTreasureData() as us, FakeTreasureData() as tokyo:
        us.add_key("1/from")
        tokyo.add_key("2/to")
        columns = [["user_id", "long"], ["path", "string"], ["tags", "array<string>"]]
        rows = (
            "SELECT range % 7 AS user_id, '/' || range AS path, ['a'] AS tags, "
            "1700000000 + range AS time FROM range(500)"
        )
        fill(us.account(), "shop", "events", columns, rows)
        make(us.account(), "shop", "users", [["name", "string"]], [{"name": "Ada", "time": 0}])
        yield {
            "US": f"td://{us.host}/shop?scheme=http",
            "TOKYO": f"td://{tokyo.host}/shop?scheme=http",
            "DBSYNC_FROM_TD_API_KEY": "1/from",
            "DBSYNC_TO_TD_API_KEY": "2/to",
        }


@pytest.mark.usefixtures("pg_dump18")
def test_recipes_run(
    folder: Path,
    pg_url: str,
    maria_url: str,
    s3_server: S3Server,
    drive: dict[str, str],
    treasure_data: dict[str, str],
) -> None:
    """Each block of commands succeeds, in the order in which they stand."""
    variables = {
        "PG": pg_url,
        "MYSQL": maria_url,
        "BUCKET": s3_server.bucket(),
        "DBSYNC_S3_ENDPOINT": s3_server.url,
        **ENVIRONMENT,
        **drive,
        **treasure_data,
    }
    blocks = _blocks("sh")
    assert len(blocks) > 10
    for block in blocks:
        _run(["bash", "-euo", "pipefail", "-c", block], folder, **variables)


def test_library_example_runs(folder: Path) -> None:
    """The Python example does what it says."""
    (example,) = _blocks("python")
    _run([sys.executable, "-c", example], folder)


def test_every_option_is_listed() -> None:
    """The option table names every option of every command and its variable."""
    table = README[README.index("### Options") : README.index("### Exit codes")]
    for command in cli.commands.values():
        for param in command.params:
            if isinstance(param, click.Option) and param.name != "help":
                name = next(opt for opt in param.opts if opt.startswith("--"))
                assert f"`{name}" in table, name


def test_every_exit_code_is_listed() -> None:
    """The table of exit codes has every code that --help lists."""
    table = README[README.index("### Exit codes") : README.index("### How rows land")]
    for line in EXIT_CODES.splitlines():
        assert re.search(rf"\b{line.split()[0]}\b", table), line
