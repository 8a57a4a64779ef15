"""The direction in which code may depend: every import under dbsync/, and what loads when."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "dbsync"

# Layer -> what of dbsync it may import, by name or by everything below that name. The first
# layer whose name begins a module's name decides, so the narrower ones come first.
LAYERS = {
    "dbsync.errors": (),
    "dbsync.model": ("dbsync.errors", "dbsync.model"),
    "dbsync.archive": ("dbsync.errors", "dbsync.model", "dbsync.archive", "dbsync.__version__"),
    "dbsync.storage": ("dbsync.errors", "dbsync.model", "dbsync.storage"),
    "dbsync.connectors": ("dbsync.errors", "dbsync.model", "dbsync.connectors"),
    "dbsync.pipeline": (
        "dbsync.errors",
        "dbsync.model",
        "dbsync.archive",
        "dbsync.storage",
        "dbsync.connectors.base",
        "dbsync.connectors.options",
        "dbsync.connectors.registry",
        "dbsync.pipeline",
        "dbsync.__version__",
    ),
    "dbsync.config": (
        "dbsync.errors",
        "dbsync.model",
        "dbsync.connectors.base",
        "dbsync.connectors.options",
        "dbsync.storage.options",
        "dbsync.pipeline.conditions.syntax",  # the grammar of one option of imports
        "dbsync.pipeline.retention",  # the policy is one value, from the option to the decision
        "dbsync.config",
    ),
    "dbsync.api": (
        "dbsync.errors",
        "dbsync.model",
        "dbsync.connectors.base",
        "dbsync.connectors.options",
        "dbsync.connectors.registry",
        "dbsync.storage",
        "dbsync.pipeline",
        "dbsync.api",
        "dbsync.__version__",
    ),
    "dbsync.service": (
        "dbsync.errors",
        "dbsync.config",
        "dbsync.api",
        "dbsync.service",
        "dbsync.__version__",
    ),
    "dbsync.cli": (
        "dbsync.errors",
        "dbsync.model",
        "dbsync.pipeline.events",
        "dbsync.pipeline.results",
        "dbsync.pipeline.inventory",
        "dbsync.config",
        "dbsync.api",
        "dbsync.service",
        "dbsync.cli",
        "dbsync.__version__",
    ),
    "dbsync.__main__": ("dbsync.cli.main",),
    "dbsync": ("dbsync.api",),
}

# The same for names that are used in annotations only.
ANNOTATIONS = {"dbsync.cli": ("dbsync.connectors.base",)}

# Package of someone else -> the only layers that may import it.
OTHERS = {
    "click": ("dbsync.cli",),
    "rich": ("dbsync.cli",),
    "dotenv": ("dbsync.config",),
    "psycopg2": ("dbsync.connectors.postgres",),
    "adbc_driver_postgresql": ("dbsync.connectors.postgres",),
    "adbc_driver_sqlite": ("dbsync.connectors.sqlite",),
    "adbc_driver_manager": ("dbsync.connectors",),
    "sqlalchemy": ("dbsync.connectors",),
    "sqlite3": (),  # a second copy of the library in one process breaks the locks of the first
    "zstandard": ("dbsync.archive",),
    "pyrage": ("dbsync.archive.encryption",),
    "cronsim": ("dbsync.service",),
    "googleapiclient": ("dbsync.storage.drive",),
    "google": ("dbsync.storage.drive",),
    "google_auth_httplib2": ("dbsync.storage.drive",),
    "google_auth_oauthlib": ("dbsync.storage.drive",),
    "httplib2": ("dbsync.storage.drive",),
    "boto3": ("dbsync.storage.s3",),
    "botocore": ("dbsync.storage.s3",),
    "urllib3": ("dbsync.storage.s3", "dbsync.connectors.treasuredata"),
    "tdclient": ("dbsync.connectors.treasuredata",),
    "msgpack": ("dbsync.connectors.treasuredata",),
}

DRIVERS = {
    "psycopg2",
    "adbc_driver_manager",
    "adbc_driver_postgresql",
    "adbc_driver_sqlite",
    "boto3",
    "botocore",
    "tdclient",
    "msgpack",
}
HEAVY = DRIVERS | {"pyrage", "pyarrow", "sqlalchemy", "zstandard", "numpy"}


def is_below(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> dict[str, Path]:
    return {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(name: str, source: str) -> Iterator[tuple[str, bool]]:
    """Yield every module that `source` imports, and whether for annotations only."""

    def visit(node: ast.AST, annotation: bool) -> Iterator[tuple[str, bool]]:
        match node:
            case ast.Import(names=aliases):
                yield from ((alias.name, annotation) for alias in aliases)
            case ast.ImportFrom(module=module, level=0, names=aliases):
                # ``from dbsync import api`` means dbsync.api, ``from dbsync.errors import X`` not.
                for alias in aliases:
                    whole = f"{module}.{alias.name}"
                    package = module == "dbsync" or whole in known
                    yield whole if package else str(module), annotation
            case ast.ImportFrom():
                raise AssertionError(f"{name}: relative imports hide where an arrow points")
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), body=body, orelse=otherwise):
                for child in body:
                    yield from visit(child, annotation=True)
                for child in otherwise:
                    yield from visit(child, annotation)
            case _:
                for child in ast.iter_child_nodes(node):
                    yield from visit(child, annotation)

    known = modules()
    yield from visit(ast.parse(source), annotation=False)


def wrong_arrows(name: str, source: str) -> list[str]:
    """Return each import of the module `name` that points where it must not."""
    layer = next(layer for layer in LAYERS if is_below(name, (layer,)))
    wrong: list[str] = []
    for target, annotation in imports(name, source):
        allowed = LAYERS[layer] + (ANNOTATIONS.get(layer, ()) if annotation else ())
        top = target.partition(".")[0]
        if top == "dbsync":
            fine = is_below(target, allowed) and not crosses_engines(name, target)
        else:
            fine = top not in OTHERS or is_below(name, OTHERS[top])
        if not fine:
            wrong.append(f"{name} imports {target}")
    return wrong


def crosses_engines(name: str, target: str) -> bool:
    """Say whether one engine's connector reaches into another's, or a shared part into either."""
    if not is_below(target, ("dbsync.connectors",)):
        return False
    engines = {
        f"dbsync.connectors.{path.name}"
        for path in (PACKAGE / "connectors").iterdir()
        if path.is_dir() and not path.name.startswith("_")
    }
    towards = next((engine for engine in engines if is_below(target, (engine,))), None)
    own = next((engine for engine in engines if is_below(name, (engine,))), None)
    return towards is not None and towards != own and name != "dbsync.connectors.registry"


@pytest.mark.parametrize("name", modules())
def test_every_import_points_downward(name: str) -> None:
    """No module imports what its layer must not know."""
    assert wrong_arrows(name, modules()[name].read_text()) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("dbsync.errors", "import dbsync.model.schema"),
        ("dbsync.model.new", "from dbsync.archive import writer"),
        ("dbsync.archive.new", "from dbsync.storage.base import Storage"),
        ("dbsync.archive.new", "def f():\n    import dbsync.connectors.base"),
        ("dbsync.storage.new", "from dbsync.archive.names import x"),
        ("dbsync.storage.new", "from dbsync import archive"),
        ("dbsync.storage.new", "from dbsync import __version__"),
        ("dbsync.connectors.sqlite.new", "from dbsync.connectors.postgres import source"),
        ("dbsync.connectors.base", "from dbsync.connectors.sqlite.source import SqliteSource"),
        ("dbsync.connectors.sqlite.new", "import psycopg2"),
        ("dbsync.connectors.sqlite.new", "import sqlite3"),
        ("dbsync.pipeline.new", "from dbsync.connectors.postgres.source import PostgresSource"),
        ("dbsync.pipeline.new", "from dbsync.config import Given"),
        ("dbsync.pipeline.new", "from dbsync import api"),
        ("dbsync.pipeline.new", "import rich.progress"),
        ("dbsync.config.new", "from dbsync import api"),
        ("dbsync.api", "from dbsync.cli.main import main"),
        ("dbsync.api", "import click"),
        ("dbsync.api", "from dbsync.service.scheduler import Service"),
        ("dbsync.service.new", "from dbsync.pipeline.results import ExportResult"),
        ("dbsync.service.new", "from dbsync.cli.output import Output"),
        ("dbsync.cli.new", "from dbsync.pipeline.exporter import Exporter"),
        ("dbsync.cli.new", "from dbsync.connectors.base import Counts"),
        ("dbsync.cli.new", "if TYPE_CHECKING:\n    from dbsync.connectors.sqlite import x"),
        ("dbsync.cli.new", "import dbsync.storage.local"),
        ("dbsync", "from dbsync.cli.main import main"),
    ],
)
def test_a_wrong_arrow_is_found(name: str, source: str) -> None:
    """The check above fails on each kind of import that it is there for."""
    assert len(wrong_arrows(name, source)) == 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("dbsync.cli.new", "if TYPE_CHECKING:\n    from dbsync.connectors.base import Counts"),
        ("dbsync.cli.new", "from dbsync import api"),
        ("dbsync.cli.new", "import click, json"),
        ("dbsync.pipeline.new", "from dbsync.connectors import registry"),
        ("dbsync.connectors.sqlite.new", "from dbsync.connectors.sqlite.source import x"),
        ("dbsync.connectors.sqlite.new", "from dbsync.connectors import portable"),
        ("dbsync.connectors.registry", "from dbsync.connectors.sqlite import source"),
    ],
)
def test_a_right_arrow_is_not_reported(name: str, source: str) -> None:
    """The check above lets through what the design asks for."""
    assert wrong_arrows(name, source) == []


def loaded_by(code: str) -> set[str]:
    """Run `code` in a new interpreter and return the packages that are then loaded."""
    script = f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return {line.partition(".")[0] for line in done.stdout.splitlines()}


def test_help_loads_nothing_heavy() -> None:
    """``dbsync --help`` answers at once: no driver, no Arrow, no SQLAlchemy, no rich."""
    code = (
        "from dbsync.cli.main import main\nimport sys\nsys.argv = ['dbsync', '--help']\n"
        "try:\n    main()\nexcept SystemExit as done:\n    assert not done.code\n"
    )
    assert loaded_by(code) & (HEAVY | {"rich"}) == set()


def test_the_package_loads_nothing() -> None:
    """Importing dbsync costs next to nothing until one of its functions is used."""
    assert loaded_by("import dbsync") & (HEAVY | {"msgspec", "click"}) == set()


@pytest.mark.parametrize(
    "module",
    [
        "dbsync.api",
        "dbsync.connectors.postgres",
        "dbsync.connectors.sqlite",
        "dbsync.storage.local",
        "dbsync.storage.s3",
    ],
)
def test_drivers_are_loaded_when_a_connector_is_opened(module: str) -> None:
    """Having a connector at hand does not need its driver."""
    assert loaded_by(f"import {module}") & (DRIVERS | {"sqlalchemy"}) == set()
