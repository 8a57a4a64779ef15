"""Rehearsals: a good archive passes, whatever engine it came from; a bad one does not."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

import dbsync
from dbsync.archive import Archive
from dbsync.errors import ArchiveError, ConflictError, StorageError, UsageError
from dbsync.pipeline import access
from dbsync.pipeline.attestation import Attestation, read_attestation
from dbsync.storage.local import LocalStorage
from tests.integration.command import dbsync as command
from tests.integration.engines import query, tables
from tests.integration.rows import sqlite_script

SCRIPT = """
CREATE TABLE customer (id integer PRIMARY KEY, name varchar(40) NOT NULL UNIQUE);
CREATE TABLE purchase (id integer PRIMARY KEY, customer_id integer NOT NULL,
  price decimal(10,2), FOREIGN KEY (customer_id) REFERENCES customer (id));
CREATE TABLE log (line varchar(40));
INSERT INTO customer VALUES (1, 'Ada'), (2, 'Grace');
INSERT INTO purchase VALUES (10, 1, 9.50), (11, 2, 0.10);
INSERT INTO log VALUES ('same'), ('same');
CREATE VIEW names AS SELECT name FROM customer;
"""


@pytest.fixture(autouse=True)
def no_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Let temporary databases be made in a folder of the test, and demand that none stays."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield
    assert list(folder.iterdir()) == []


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Make empty databases of each engine."""
    if request.param == "sqlite":
        names = iter(range(9))
        return lambda: f"sqlite:///{tmp_path}/{next(names)}.sqlite"
    new = "new_pg_url" if request.param == "postgresql" else "new_maria_url"
    return request.getfixturevalue(new)


@pytest.fixture
def archive(new_url: Callable[[], str], tmp_path: Path) -> Path:
    """Export the small shop from each engine."""
    source = new_url()
    if source.startswith("sqlite"):
        sqlite_script(Path(source.removeprefix("sqlite:///")), SCRIPT)
    else:
        query(source, SCRIPT)
    target = tmp_path / "shop.dbsync.tar"
    dbsync.export_database(source, str(target))
    return target


def note_of(archive: Path) -> Attestation | None:
    """Read the note beside an archive, if it fits it."""
    with access.reading(str(archive)) as opened:
        digest = opened.manifest_sha256
    assert digest is not None
    return read_attestation(LocalStorage(archive.parent), archive.name, digest)


def test_a_good_archive_passes_in_sqlite(archive: Path) -> None:
    """An archive of every engine passes in a temporary SQLite file, and the note says so; what
    SQLite cannot hold is named and no fault."""
    done = command("rehearse", "--json", archive, "--no-progress")
    result = json.loads(done.out)
    assert (result["ok"], result["differences"]) == (True, [])
    assert (result["tables"], result["rows"]) == (3, 6)
    assert result["against"].startswith("sqlite 3")
    from_sqlite = dbsync.inspect(str(archive)).engine == "sqlite"
    assert any("names" in line for line in result["not_rehearsed"]) is not from_sqlite
    note = note_of(archive)
    assert note is not None
    assert (note.passed, note.tables, note.rows, note.engine) == (True, 3, 6, "sqlite")


def test_in_a_database_of_the_same_engine(archive: Path, new_url: Callable[[], str]) -> None:
    """On its own engine everything is rehearsed, views too, and the database is empty again."""
    url = new_url()
    result = dbsync.rehearse(str(archive), url=url)
    assert result.ok, result.differences
    assert result.not_rehearsed == ()
    assert tables(url) == []
    with pytest.raises(Exception, match="names"):
        query(url, "SELECT * FROM names")
    again = dbsync.rehearse(str(archive), url=url, keep=True)
    assert again.ok
    assert query(url, "SELECT count(*) FROM names") == [(2,)]
    with pytest.raises(ConflictError) as error:
        dbsync.rehearse(str(archive), url=url)
    assert error.value.exit_code == 8
    assert query(url, "SELECT count(*) FROM customer") == [(2,)]


def test_values_that_sqlite_cannot_hold_are_named(
    new_pg_url: Callable[[], str], tmp_path: Path
) -> None:
    """A column with values beyond SQLite is left out by name; the rest is compared, and a good
    backup passes."""
    source = new_pg_url()
    query(
        source,
        "CREATE TABLE t (id int PRIMARY KEY, good text, odd numeric);"
        "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 123456789012345678901234567890.123);"
        "CREATE TYPE mood AS ENUM ('happy'); CREATE TABLE u (m mood[], n int4range);"
        "INSERT INTO u VALUES ('{happy}', '[1,3)');"
        "CREATE TABLE dates (d date); INSERT INTO dates VALUES ('infinity'), ('2024-01-01');",
    )
    target = tmp_path / "odd.dbsync.tar"
    dbsync.export_database(source, str(target))
    result = dbsync.rehearse(str(target))
    assert result.ok, result.differences
    note = note_of(target)
    assert note is not None
    assert note.passed


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Export the shop from SQLite."""
    sqlite_script(tmp_path / "shop.sqlite", SCRIPT)
    target = tmp_path / "shop.dbsync.tar"
    dbsync.export_database(f"sqlite:///{tmp_path}/shop.sqlite", str(target))
    return target


def test_a_row_that_comes_back_otherwise_fails(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that changes on its way is found: exit code 7, and the note says failed."""
    from dbsync.connectors.sqlite import throwaway  # noqa: F401 - the engine is loaded
    from dbsync.pipeline import importer

    load = importer.import_from

    def spoiled(archive: Archive, target: object, *args: object, **options: object) -> object:
        result = load(archive, target, *args, **options)  # type: ignore[arg-type]
        path = target._location.path  # type: ignore[attr-defined]
        query(f"sqlite:///{path}", "UPDATE purchase SET price = 9.51 WHERE id = 10")
        return result

    monkeypatch.setattr(importer, "import_from", spoiled)
    result = dbsync.rehearse(str(small))
    assert not result.ok
    assert len(result.differences) == 1
    assert "purchase" in result.differences[0]
    assert result.tables_different[0].differing == 1
    note = note_of(small)
    assert note is not None
    assert not note.passed
    assert "purchase" in note.differences[0]


def test_rows_that_break_a_key_fail(tmp_path: Path) -> None:
    """An archive whose rows break a foreign key cannot be restored as it is, and fails."""
    sqlite_script(tmp_path / "s.sqlite", SCRIPT)
    target = tmp_path / "part.dbsync.tar"
    dbsync.export_database(
        f"sqlite:///{tmp_path}/s.sqlite", str(target), where={"customer": "id = 1"}
    )
    done = command("rehearse", target, "--no-progress", code=7)
    assert b"FAILED" in done.out
    assert b"foreign key" in done.out
    note = note_of(target)
    assert note is not None
    assert not note.passed


def test_a_damaged_archive_fails_and_says_so(small: Path) -> None:
    """A flipped bit ends with exit code 6; the note of an earlier success is replaced."""
    assert dbsync.rehearse(str(small)).ok
    data = bytearray(small.read_bytes())
    data[data.index(b"PAR1") + 60] ^= 1
    small.write_bytes(data)
    with pytest.raises(ArchiveError):
        dbsync.rehearse(str(small))
    note = note_of(small)
    assert note is not None
    assert not note.passed
    assert "E_CHECKSUM" in note.differences[0]


def test_nothing_is_written_where_nothing_may_be(small: Path) -> None:
    """--no-attest leaves no note; without it, a place that cannot be written ends with 5."""
    assert dbsync.rehearse(str(small), attest=False).attestation is None
    assert note_of(small) is None
    (small.parent / (small.name + ".rehearsed.json")).mkdir()
    with pytest.raises(StorageError) as error:
        dbsync.rehearse(str(small))
    assert "passed" in error.value.message
    assert "--no-attest" in (error.value.hint or "")


def test_a_folder_means_its_newest(tmp_path: Path) -> None:
    """Of a folder the newest archive is rehearsed, and its note lies beside it."""
    sqlite_script(tmp_path / "shop.sqlite", SCRIPT)
    folder = tmp_path / "backups"
    folder.mkdir()
    exported = dbsync.export_database(f"sqlite:///{tmp_path}/shop.sqlite", f"{folder}/")
    result = dbsync.rehearse(f"{folder}/")
    assert result.ok
    assert exported.archive is not None
    assert result.attestation == exported.archive + ".rehearsed.json"
    assert {str(path) for path in folder.iterdir()} == {exported.archive, result.attestation}


def test_an_encrypted_archive_gives_no_names_away(tmp_path: Path) -> None:
    """The note of an encrypted archive counts what differs and names nothing."""
    import pyrage

    identity = pyrage.x25519.Identity.generate()
    key = tmp_path / "key.txt"
    key.write_text(str(identity))
    key.chmod(0o600)
    sqlite_script(tmp_path / "s.sqlite", SCRIPT)
    target = tmp_path / "secret.dbsync.tar"
    dbsync.export_database(
        f"sqlite:///{tmp_path}/s.sqlite", str(target), where={"customer": "id = 1"},
        encrypt_to=[str(identity.to_public())],
    )  # fmt: skip
    result = dbsync.rehearse(str(target), identities=[str(key)])
    assert not result.ok
    note = (tmp_path / "secret.dbsync.tar.rehearsed.json").read_text()
    assert '"failed"' in note
    assert not any(name in note for name in ("purchase", "customer"))


@pytest.mark.parametrize("arguments", [["-"], ["--keep", "x.dbsync.tar"]], ids=["pipe", "keep"])
def test_what_makes_no_sense_is_refused(arguments: list[str], tmp_path: Path) -> None:
    """A pipe, and keeping a temporary file, end with exit code 2."""
    command("rehearse", *arguments, code=2, stdin=b"", cwd=tmp_path)


def test_keep_without_a_database_is_refused(small: Path) -> None:
    """The library refuses to keep a temporary file, too."""
    with pytest.raises(UsageError):
        dbsync.rehearse(str(small), keep=True)
