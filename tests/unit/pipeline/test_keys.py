"""Where keys come from: texts and files, as the program age writes them, and new ones."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dbsync.archive import generate_identity
from dbsync.errors import ConflictError, StorageError, UsageError
from dbsync.pipeline.keys import (
    read_identities,
    read_recipients,
    readable_by_others,
    write_identity,
)

SECRET, PUBLIC = generate_identity()
_, OTHER = generate_identity()


def test_recipients_from_texts_and_files(tmp_path):
    """Public keys and files of them may be mixed; comments and empty lines do not count."""
    team = tmp_path / "team"
    team.write_text(f"# the operators\n\n{PUBLIC}\n  {OTHER}  \n")
    assert read_recipients([]) is None
    found = read_recipients([PUBLIC, f"@{team}"])
    assert found is not None
    assert found.count == 2


def test_identities_from_files_and_texts(tmp_path):
    """An identity file with comments, or the key itself as a secret variable holds it."""
    file = tmp_path / "key"
    file.write_text(f"# created: today\n# public key: {PUBLIC}\n{SECRET}\n")
    assert read_identities([]) is None
    for texts in ([str(file)], [SECRET], file.read_text().splitlines(), [SECRET.lower(), "# x"]):
        found = read_identities(texts)
        assert found is not None
        assert len(found) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no secret key"),
        ("# only a comment\n", "holds no secret key"),
        ("age-encryption.org/v1\n-> scrypt x 18\n", "passphrase"),
        ("-----BEGIN AGE ENCRYPTED FILE-----\n", "passphrase"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n", "SSH key"),
        ("hunter2 is no key\n", "no age key"),
        ("x" * (1 << 20) + "y", "too large"),
    ],
)
def test_files_that_hold_no_identity(tmp_path, content, said):
    """Each kind of wrong file is told by what it is, and nothing in it is repeated."""
    file = tmp_path / "key"
    file.write_text(content)
    with pytest.raises(UsageError, match=said) as caught:
        read_identities([str(file)])
    assert "hunter2" not in str(caught.value)
    assert caught.value.hint or "large" in said


def test_files_that_cannot_be_read(tmp_path):
    """A missing file is named, with what it was meant for."""
    with pytest.raises(UsageError, match=r"identity file .*absent: No such file"):
        read_identities([str(tmp_path / "absent")])
    with pytest.raises(UsageError, match=r"file of recipients .*absent: No such file"):
        read_recipients([f"@{tmp_path / 'absent'}"])
    empty = tmp_path / "empty"
    empty.write_text("# nobody\n")
    with pytest.raises(UsageError, match="no recipient stands in"):
        read_recipients([f"@{empty}"])
    with pytest.raises(UsageError, match="no secret key"):
        read_identities(["# a comment"])


def test_a_new_identity_is_for_its_owner_alone(tmp_path):
    """The file is made with tight rights under any umask, opens what its public key encrypts,
    and replaces nothing."""
    path = tmp_path / "new.key"
    before = os.umask(0)
    try:
        public = write_identity(str(path))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"# public key: {public}\n" in path.read_text()
    recipients, identities = read_recipients([public]), read_identities([str(path)])
    assert recipients is not None
    assert identities is not None
    assert bytes(identities.decrypt(recipients.encrypt(b"text"), "x.age")) == b"text"
    content = path.read_text()
    with pytest.raises(ConflictError, match="exists"):
        write_identity(str(path))
    assert path.read_text() == content
    with pytest.raises(StorageError, match="No such file"):
        write_identity(str(tmp_path / "absent" / "key"))


@pytest.mark.parametrize(
    ("mode", "open_to_others"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)]
)
def test_files_that_others_may_read(tmp_path, mode, open_to_others):
    """Rights of the group or of everybody are noticed; keys in texts and missing files are not."""
    file: Path = tmp_path / "key"
    file.write_text(SECRET)
    file.chmod(mode)
    assert readable_by_others(str(file)) is open_to_others
    assert not readable_by_others(SECRET)
