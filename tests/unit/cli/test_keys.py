"""Keys on the command line: where they may stand, what is said of them, and that none is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbsync.cli.redaction import Redactor
from dbsync.errors import ArchiveError
from tests.unit.cli.conftest import Library, Run

SECRET = "AGE-SECRET-KEY-10PNC2XZV02URKSU9YPMAG6W53XXFVFGF9RZ3NL4FM34EXSS8J6MQUMAZ2P"
READING = [
    ["import", "a", "--url", "sqlite:///x"],
    ["inspect", "a"],
    ["verify", "a"],
    ["extract", "a", "d"],
]


@pytest.mark.parametrize("arguments", READING, ids=lambda a: a[0])
def test_a_key_on_the_command_line_is_refused(
    arguments: list[str], dbsync: Run, library: Library
) -> None:
    """--identity takes files only, because others can see arguments; the key is not repeated."""
    ran = dbsync(*arguments, "--identity", SECRET)
    assert ran.code == 2
    assert "DBSYNC_IDENTITY" in ran.err
    assert SECRET not in ran.err + ran.out
    assert library.calls == []


@pytest.mark.parametrize("arguments", READING, ids=lambda a: a[0])
def test_a_key_in_a_variable_or_in_the_file_of_one(
    arguments: list[str],
    dbsync: Run,
    library: Library,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """DBSYNC_IDENTITY holds keys or paths, DBSYNC_IDENTITY_FILE names an identity file."""
    monkeypatch.setenv("DBSYNC_IDENTITY", f"{SECRET}\nother.key")
    assert dbsync(*arguments).code == 0
    assert library.arguments["identities"] == (SECRET, "other.key")
    library.calls.clear()
    monkeypatch.delenv("DBSYNC_IDENTITY")
    file = tmp_path / "key"
    file.write_text(f"# public key: age1x\n{SECRET}\n")
    file.chmod(0o600)
    monkeypatch.setenv("DBSYNC_IDENTITY_FILE", str(file))
    ran = dbsync(*arguments)
    assert library.arguments["identities"] == ("# public key: age1x", SECRET)
    assert "chmod" not in ran.err


@pytest.mark.parametrize("by", ["flag", "DBSYNC_IDENTITY", "DBSYNC_IDENTITY_FILE"])
def test_an_open_identity_file_is_warned_of(
    by: str, dbsync: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A file that others may read is named once, however it was given, and used all the same."""
    file = tmp_path / "key"
    file.write_text(SECRET)
    file.chmod(0o644)
    arguments = ["verify", "a"]
    if by == "flag":
        arguments += ["--identity", str(file)]
    else:
        monkeypatch.setenv(by, str(file))
    ran = dbsync(*arguments)
    assert ran.code == 0
    assert ran.err.count(f"others may read the identity file {file}") == 1
    assert SECRET not in ran.err + ran.out


@pytest.mark.parametrize("flags", [[], ["--json"], ["--debug"], ["-v"]], ids=" ".join)
def test_whatever_slips_out_of_a_layer_below_is_masked(
    flags: list[str], dbsync: Run, library: Library
) -> None:
    """A secret key in an error is masked in any spelling; the public one is not."""
    library.fail = ArchiveError("E_DECRYPT", f"tried {SECRET} and {SECRET.lower()} for age1abc")
    ran = dbsync("inspect", "a", *flags)
    assert ran.code == 6
    assert "10pnc2xz" not in (ran.err + ran.out).lower()
    assert "age1abc" in ran.err + ran.out
    assert SECRET not in Redactor().clean(f"x={SECRET};")


def test_a_clone_encrypts_what_it_keeps(
    dbsync: Run, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--encrypt-to without --keep is a mistake; the variable, meant for exports, is not."""
    clone = ["clone", "--from", "sqlite:///x", "--to", "sqlite:///y"]
    ran = dbsync(*clone, "--encrypt-to", "age1x")
    assert ran.code == 2
    assert "--keep" in ran.err
    monkeypatch.setenv("DBSYNC_ENCRYPT_TO", "age1x\n@team")
    assert dbsync(*clone, "--keep", "k").code == 0
    assert library.arguments["encrypt_to"] == ("age1x", "@team")
    library.calls.clear()
    assert dbsync(*clone).code == 0


def test_keygen_prints_the_public_key(dbsync: Run, library: Library) -> None:
    """The public key stands alone on stdout, so that a script can take it."""
    assert dbsync("keygen", "k").out == "age1public\n"
    assert library.arguments == {"path": "k"}
    assert '"public_key": "age1public"' in dbsync("keygen", "k", "--json").out
    ran = dbsync("keygen")
    assert ran.code == 2
    assert "DBSYNC_KEY_FILE" in ran.err
