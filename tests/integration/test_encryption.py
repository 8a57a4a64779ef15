"""Whole commands on encrypted archives, and what can be seen of them from outside."""

from __future__ import annotations

import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.integration.command import DBSYNC, dbsync, environment

CANARY = "canary-7f3a91"


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A database in whose name, tables, columns, definitions and rows the canary stands."""
    import adbc_driver_sqlite.dbapi as sqlite

    path = tmp_path / f"{CANARY}.sqlite"
    with sqlite.connect(str(path)) as connection, connection.cursor() as cursor:
        cursor.execute(f'CREATE TABLE "{CANARY}" (id INTEGER PRIMARY KEY, "{CANARY} x" TEXT)')
        cursor.execute(f"CREATE VIEW v AS SELECT '{CANARY}' FROM \"{CANARY}\"")
        for number in range(50):
            cursor.execute(f"INSERT INTO \"{CANARY}\" VALUES ({number}, '{CANARY} {number}')")
        connection.commit()
    return f"sqlite:///{path}"


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    """Two new keys: path of the secret one to the public one."""
    paths = [str(tmp_path / name) for name in ("one.key", "two.key")]
    return {path: dbsync("keygen", path).out.decode().strip() for path in paths}


def secrets(keys: dict[str, str]) -> list[str]:
    return [Path(path).read_text().splitlines()[-1] for path in keys]


def test_an_outsider_sees_no_name_and_no_row(tmp_path, source, keys):
    """Nothing of the source stands in the file, nor in what commands say without a key."""
    archive, (one, two) = tmp_path / "a.dbsync.tar", keys
    team = tmp_path / "team"
    team.write_text("".join(f"{key}\n" for key in keys.values()))
    said = dbsync("export", "--url", source, "--encrypt-to", f"@{team}", archive, "--debug", "-v")
    data = archive.read_bytes()
    for word in (CANARY, "sqlite", "snapshot", "CREATE", *secrets(keys), *keys.values()):
        assert word.encode() not in data
    plain = tmp_path / "plain.dbsync.tar"
    dbsync("export", "--url", source, plain)
    assert CANARY.encode() in plain.read_bytes()
    for command in ("inspect", "verify"):
        shut = dbsync(command, archive, code=6)
        assert "2 recipients" in shut.err
        assert "--identity" in shut.err
        for opened in (one, two):
            text = dbsync(command, archive, "--identity", opened, "--debug", "-v")
            for secret in secrets(keys):
                assert secret not in text.err + text.out.decode() + said.err


def test_every_command_reads_it_with_a_key(tmp_path, source, keys):
    """Import from a file and from a pipe, inspect, verify against the source, and extract."""
    archive, (key, other) = tmp_path / "a.dbsync.tar", keys
    dbsync("export", "--url", source, "--encrypt-to", keys[key], archive)
    wrong = dbsync("verify", archive, "--identity", other, code=6)
    assert "E_IDENTITY" in wrong.err
    with_key = {"DBSYNC_IDENTITY_FILE": key}
    assert "encryption-age-1" in dbsync("inspect", archive, env=with_key).out.decode()
    dbsync("verify", archive, "--against", source, env=with_key)
    target = f"sqlite:///{tmp_path / 'target.sqlite'}"
    dbsync("import", "--url", target, "--include-schema", archive, "--verify", env=with_key)
    piped = f"sqlite:///{tmp_path / 'piped.sqlite'}"
    dbsync(
        "import", "--url", piped, "--include-schema", "-", "--identity", key, "--identity", other,
        stdin=archive.read_bytes(),
    )  # fmt: skip
    dbsync("verify", archive, "--against", piped, env=with_key)
    dbsync("extract", archive, tmp_path / "out", env=with_key)
    (file,) = (tmp_path / "out").rglob("*.parquet")
    assert file.read_bytes().startswith(b"PAR1")


def test_an_import_without_the_key_writes_nothing(tmp_path, source, keys):
    """The refusal comes before the target is even made, from a file and from a pipe."""
    archive = tmp_path / "a.dbsync.tar"
    dbsync("export", "--url", source, "--encrypt-to", next(iter(keys.values())), archive)
    target = tmp_path / "target.sqlite"
    url = ("import", "--url", f"sqlite:///{target}", "--include-schema")
    dbsync(*url, archive, code=6)
    dbsync(*url, "-", stdin=archive.read_bytes(), code=6)
    assert not target.exists()


def test_a_clone_keeps_an_encrypted_archive(tmp_path, source, keys):
    """The copy that stays is encrypted, valid, and holds what the target holds."""
    kept, (key, _) = tmp_path / "kept.dbsync.tar", keys
    target = f"sqlite:///{tmp_path / 'target.sqlite'}"
    cloned = dbsync(
        "clone", "--from", source, "--to", target, "--include-schema", "--keep", kept,
        "--encrypt-to", keys[key], "--chunk-bytes", "4KiB", "--verify", "--json",
    ).json()  # fmt: skip
    assert CANARY.encode() not in kept.read_bytes()
    dbsync("verify", kept, "--identity", key, "--against", target)
    info = dbsync("inspect", kept, "--identity", key, "--json").json()
    assert info["archive_id"] == cloned["exported"]["archive_id"]
    assert info["rows"] == cloned["imported"]["rows"] == 50
    assert cloned["exported"]["bytes"] == info["tables"][0]["bytes"]


def test_a_secret_key_is_in_no_argument_list_and_no_output(tmp_path, source, keys):
    """A key in a variable opens the archive and appears nowhere while the command runs."""
    archive, (key, _) = tmp_path / "a.dbsync.tar", keys
    dbsync("export", "--url", source, "--encrypt-to", keys[key], archive)
    secret = Path(key).read_text().splitlines()[-1]
    process = subprocess.Popen(
        [*DBSYNC, "verify", "-", "--debug", "-v"],
        env=environment({"DBSYNC_IDENTITY": secret}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    out, err = process.communicate(archive.read_bytes(), timeout=60)
    assert process.returncode == 0, err
    assert secret.encode() not in arguments + out + err


def test_a_tampered_member_is_refused_before_its_rows_arrive(tmp_path, source, keys):
    """A flipped bit in a chunk ends a piped import with E_CHECKSUM and no row."""
    archive, (key, _) = tmp_path / "a.dbsync.tar", keys
    dbsync("export", "--url", source, "--encrypt-to", keys[key], archive)
    data = bytearray(archive.read_bytes())
    with tarfile.open(archive) as tar:
        chunk = next(m for m in tar if re.search(r"\.parquet\.age$", m.name) and "tables" in m.name)
    data[chunk.offset_data + chunk.size - 1] ^= 1
    target = f"sqlite:///{tmp_path / 'target.sqlite'}"
    arguments = ("import", "--url", target, "--include-schema", "--identity", key)
    assert "E_CHECKSUM" in dbsync(*arguments, "-", stdin=bytes(data), code=6).err
    archive.write_bytes(data)
    assert "E_CHECKSUM" in dbsync(*arguments, archive, code=6).err
    import adbc_driver_sqlite.dbapi as sqlite

    with sqlite.connect(target.removeprefix("sqlite:///")) as connection:
        cursor = connection.cursor()
        cursor.execute(f'SELECT count(*) FROM "{CANARY}"')
        assert cursor.fetchone() == (0,)
        cursor.close()
