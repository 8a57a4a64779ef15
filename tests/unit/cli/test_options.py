"""Every option has its variable, is documented, and arrives at the library."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import click
import pytest

from dbsync import api
from dbsync.cli.main import cli
from dbsync.cli.parameters import Argument, Option
from dbsync.storage.options import StorageOptions
from tests.unit.cli.conftest import COMMANDS, Library, Run

_FUNCTIONS = {arguments[0]: name for name, arguments in COMMANDS.items()}
_OPTIONS = [
    (name, param)
    for name, command in sorted(cli.commands.items())
    for param in command.params
    if not (isinstance(param, click.Option) and param.opts == ["--help"])
]


def _ids(options: list[tuple[str, click.Parameter]]) -> list[str]:
    return [f"{name} {param.opts[0]}" for name, param in options]


# Per parameter: a text for the variable, and what the library then gets under which name.
_VALUES: dict[str, tuple[str, str, Any]] = {
    "archive": ("b", "archive", "b"),
    "directory": ("e", "directory", "e"),
    "url": ("sqlite:///z", "url", "sqlite:///z"),
    "source": ("sqlite:///z", "source", "sqlite:///z"),
    "target": ("sqlite:///z", "target", "sqlite:///z"),
    "against": ("sqlite:///z", "against", "sqlite:///z"),
    "database": ("/data/shop.sqlite", "database", "shop"),
    "keep": ("k", "keep", "k"),
    "tables": ("a,b.*\nc", "tables", ("a", "b.*", "c")),
    "exclude_tables": ("a", "exclude_tables", ("a",)),
    "columns": ("a:x,y\nb:z", "columns", {"a": ("x", "y"), "b": ("z",)}),
    "where": ("a: x = 1\ny::int = 2", "where", {"a": "x = 1", "*": "y::int = 2"}),
    "schema": ("s", "schema", "s"),
    "include_schema": ("", "include_schema", None),
    "ddl": ("portable", "ddl", "portable"),
    "existing": ("skip", "existing", "skip"),
    "skip_existing": ("yes", "existing", "skip"),
    "overwrite": ("yes", "existing", "overwrite"),
    "on_conflict": ("merge", "on_conflict", "merge"),
    "upsert": ("no", "on_conflict", "error"),
    "conflict_key": ("a:x,y", "conflict_keys", {"a": ("x", "y")}),
    "single_transaction": ("1", "single_transaction", True),
    "verify": ("yes", "verify", True),
    "resume": ("0", "resume", False),
    "jobs": ("3", "jobs", 3),
    "strict": ("true", "strict", True),
    "dry_run": ("on", "dry_run", True),
    "chunk_bytes": ("1MiB", "chunk_bytes", 1 << 20),
    "compression_level": ("7", "compression_level", 7),
    "overwrite_archive": ("1", "overwrite_archive", True),
    "encrypt_to": ("age1x\n@team", "encrypt_to", ("age1x", "@team")),
    "identities": ("key\nother", "identities", ("key", "other")),
    "key_file": ("f", "path", "f"),
    "table": ("t", "table", "t"),
    **{
        option: (text, "storage_options", StorageOptions(**{option: value}))
        for option, text, value in [
            ("s3_region", "eu-west-1", "eu-west-1"),
            ("s3_endpoint", "http://localhost:9000", "http://localhost:9000"),
            ("s3_profile", "backup", "backup"),
            ("s3_sse", "AES256", "AES256"),
            ("s3_part_bytes", "64MiB", 64 << 20),
            ("drive_credentials", "key.json", "key.json"),
            ("drive_endpoint", "http://localhost:9001/", "http://localhost:9001/"),
        ]
    },
    "s3_sse_kms_key_id": (
        "alias/backup",
        "storage_options",
        StorageOptions(s3_sse="aws:kms", s3_sse_kms_key_id="alias/backup"),
    ),
}
# These mean something for td:// URLs alone: see test_treasure_data.py.
TREASURE_DATA = {
    *("td_api_key", "from_td_api_key", "to_td_api_key", "td_time_range", "td_time"),
    *("td_time_column", "timeout", "table_parallelism", "download_parallelism"),
}
_PARTS = {"engine", "host", "port", "username", "password", "database"}
_OUTPUT = {"as_json", "log_format", "verbose", "debug", "env_file", "progress"}
# The others have tests of their own below; commands that make many calls, in a file of their own.
_ARRIVING = [
    (c, p)
    for c, p in _OPTIONS
    if c in _FUNCTIONS
    and p.name not in _OUTPUT | TREASURE_DATA
    and (p.name not in _PARTS or c in {"inspect", "verify", "extract", "rehearse"})
]


@pytest.mark.parametrize(("command", "param"), _OPTIONS, ids=_ids(_OPTIONS))
def test_every_option_has_its_variable(command: str, param: click.Parameter) -> None:
    """The variable is DBSYNC_ and the option's name, and --help documents option and variable."""
    assert isinstance(param, Option | Argument)
    name = next((opt for opt in param.opts if opt.startswith("--")), param.name or "")
    assert param.variable == "DBSYNC_" + name.lstrip("-").replace("-", "_").upper()
    with click.Context(cli.commands[command], info_name=command) as context:
        text = " ".join(cli.commands[command].get_help(context).split())
    for variable in param.variables:
        assert variable in text
    if isinstance(param, Option):
        assert param.help
        assert name in text


def test_secrets_have_files() -> None:
    """URLs, passwords and keys, and nothing else, can be given as a file."""
    secret = {param.name for _, param in _OPTIONS if getattr(param, "secret", False)}
    assert secret == {
        *("url", "password", "source", "target", "against"),
        *("rehearse_url", "webhook", "identities"),
        *("td_api_key", "from_td_api_key", "to_td_api_key"),
    }


@pytest.mark.parametrize(("command", "param"), _ARRIVING, ids=_ids(_ARRIVING))
def test_every_variable_arrives(
    command: str,
    param: click.Parameter,
    dbsync: Run,
    library: Library,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A variable alone reaches the library as the option would."""
    assert isinstance(param, Option | Argument)
    text, argument, value = _VALUES[param.name or ""]
    if (command, param.name) == ("to-parquet", "overwrite"):
        argument, value = "overwrite", True
    if (command, param.name) == ("import", "where"):
        text, value = "a: x = 1\ny = 2", {"a": "x = 1", "*": "y = 2"}
    if param.name == "include_schema":
        # The opposite of each command's default.
        text, value = ("no", False) if command == "export" else ("yes", True)
    arguments = _without(COMMANDS[_FUNCTIONS[command]], param)
    if command == "extract":
        monkeypatch.setenv("DBSYNC_ARCHIVE", "a")
        monkeypatch.setenv("DBSYNC_DIRECTORY", "d")
        arguments = ["extract"]
    if command == "to-parquet":
        for name, usual in (("URL", "sqlite:///x"), ("TABLE", "t"), ("DIRECTORY", "d")):
            monkeypatch.setenv(f"DBSYNC_{name}", usual)
        arguments = ["to-parquet"]
    monkeypatch.setenv(param.variable, text)
    ran = dbsync(*arguments)
    assert ran.code == 0, ran.err
    assert library.arguments[argument] == value


def _without(arguments: list[str], param: click.Parameter) -> list[str]:
    if param.name in ("archive", "key_file"):
        return [a for a in arguments if a not in ("a", "k")]
    for name in param.opts:
        if name in arguments:
            place = arguments.index(name)
            return arguments[:place] + arguments[place + 2 :]
    return arguments


def test_every_argument_of_the_library_can_be_set() -> None:
    """Each argument of a library function is reached by some option of its command."""
    reached = {argument for _, argument, _ in _VALUES.values()} | {"treasure_data", "overwrite"}
    for name in COMMANDS:
        wanted = set(inspect.signature(getattr(api, name)).parameters) - {"on_event"}
        assert wanted <= reached, name


def test_parts_of_the_database(
    dbsync: Run, library: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Engine, host, port, user, password file and name make the URL."""
    (tmp_path / "secret").write_text("p@ss\n")
    for name, value in {
        "ENGINE": "postgres",
        "HOST": "h",
        "PORT": "5433",
        "USERNAME": "u",
        "PASSWORD_FILE": str(tmp_path / "secret"),
        "DATABASE": "d",
    }.items():
        monkeypatch.setenv(f"DBSYNC_{name}", value)
    assert dbsync("export", "a").code == 0
    assert library.arguments["url"] == "postgresql://u:p%40ss@h:5433/d"


def test_precedence(
    dbsync: Run, library: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Flags beat the environment, which beats the .env file, which beats the default."""
    (tmp_path / ".env").write_text("DBSYNC_URL=sqlite:///x\nDBSYNC_JOBS=1\n")
    assert dbsync("export", "a").code == 0
    assert library.arguments["jobs"] == 1
    library.calls.clear()
    monkeypatch.setenv("DBSYNC_JOBS", "2")
    assert dbsync("export", "a").code == 0
    assert library.arguments["jobs"] == 2
    library.calls.clear()
    assert dbsync("export", "a", "--jobs", "3").code == 0
    assert library.arguments["jobs"] == 3
    assert library.arguments["compression_level"] == 3


def test_env_file(
    dbsync: Run, library: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """--env-file and DBSYNC_ENV_FILE name another file, and ./.env is then not read."""
    (tmp_path / ".env").write_text("DBSYNC_URL=sqlite:///wrong\nDBSYNC_JOBS=9\n")
    (tmp_path / "other").write_text("DBSYNC_URL=sqlite:///right\n")
    assert dbsync("export", "a", "--env-file", "other").code == 0
    assert (library.arguments["url"], library.arguments["jobs"]) == ("sqlite:///right", None)
    library.calls.clear()
    monkeypatch.setenv("DBSYNC_ENV_FILE", "other")
    assert dbsync("export", "a").code == 0
    assert library.arguments["url"] == "sqlite:///right"
    ran = dbsync("export", "a", "--env-file", "absent")
    assert ran.code == 2
    assert "absent" in ran.err


def test_output_variables(dbsync: Run, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON, log format, verbosity and progress can be set by variables, too."""
    monkeypatch.setenv("DBSYNC_JSON", "1")
    monkeypatch.setenv("DBSYNC_LOG_FORMAT", "json")
    monkeypatch.setenv("DBSYNC_PROGRESS", "no")
    ran = dbsync("export", "a", "--url", "sqlite:///x")
    assert ran.out.startswith("{")
    assert '"event": "finished"' in ran.err
    assert '"event": "chunkdone"' not in ran.err


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("DBSYNC_JOBS", "many", "DBSYNC_JOBS"),
        ("DBSYNC_JOBS", "0", "DBSYNC_JOBS"),
        ("DBSYNC_STRICT", "perhaps", "DBSYNC_STRICT"),
        ("DBSYNC_CHUNK_BYTES", "1", "DBSYNC_CHUNK_BYTES"),
        ("DBSYNC_COLUMNS", "x", "DBSYNC_COLUMNS"),
        ("DBSYNC_WHERE", "a:b", "DBSYNC_WHERE"),
        ("DBSYNC_HOST", "h", "DBSYNC_HOST"),
    ],
)
def test_bad_variables(
    variable: str, value: str, said: str, dbsync: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad value is blamed on the variable that holds it: exit code 2."""
    monkeypatch.setenv("DBSYNC_URL", "sqlite:///x")
    monkeypatch.setenv(variable, value)
    ran = dbsync("export", "a")
    assert ran.code == 2
    assert said in ran.err
    assert "next:" in ran.err


def test_misspelt_variable(dbsync: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable with a typing mistake is warned of: it would silently do nothing."""
    monkeypatch.setenv("DBSYNC_TABELS", "a")
    ran = dbsync("export", "a", "--url", "sqlite:///x")
    assert ran.code == 0
    assert "did you mean DBSYNC_TABLES?" in ran.err


def test_flags_in_the_other_direction(dbsync: Run, library: Library) -> None:
    """The negative forms of flags arrive."""
    ran = dbsync(
        "import", "a", "--url", "sqlite:///x", "--no-upsert", "--no-resume", "--include-schema"
    )
    assert ran.code == 0
    assert library.arguments["on_conflict"] == "error"
    assert library.arguments["resume"] is False
    assert library.arguments["include_schema"] is True
    ran = dbsync("import", "a", "--url", "sqlite:///x", "--no-upsert", "--on-conflict", "skip")
    assert ran.code == 2
    assert "--no-upsert" in ran.err
