"""The error tree: one documented exit code each, and a message that is never empty."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from dbsync import errors
from dbsync.errors import ArchiveError, DbsyncError, StorageError
from dbsync.model.values.misfit import MisfitError
from dbsync.storage.drive.reader import ChangedError

REPOSITORY = Path(__file__).resolve().parents[2]

EXIT_CODES = {
    errors.DbsyncError: 1,
    errors.UsageError: 2,
    errors.DatabaseError: 1,
    errors.SourceError: 3,
    errors.TargetError: 4,
    errors.UndoneError: 4,
    errors.StorageError: 5,
    errors.ArchiveError: 6,
    errors.LossError: 7,
    MisfitError: 7,
    ChangedError: 5,
    errors.ConflictError: 8,
}
"""Scripts of users depend on these numbers: they never change."""


def make(kind: type[DbsyncError], message: str, **options: str) -> DbsyncError:
    if issubclass(kind, ArchiveError):
        return kind("E_CHECKSUM", message, **options)
    if issubclass(kind, MisfitError):
        return kind(pa.array([True]), "v", "t", message, **options)
    return kind(message, **options)


def subclasses(kind: type[DbsyncError]) -> set[type[DbsyncError]]:
    return {kind}.union(*(subclasses(child) for child in kind.__subclasses__()))


def test_every_error_is_listed_here() -> None:
    """No class joins the tree without a documented exit code."""
    own = {kind for kind in subclasses(DbsyncError) if kind.__module__.startswith("dbsync")}
    assert own == set(EXIT_CODES)


@pytest.mark.parametrize("kind", EXIT_CODES)
def test_exit_code_message_and_hint(kind: type[DbsyncError]) -> None:
    """Each error has its exit code, says its message, and keeps its hint and nature."""
    error = make(kind, "the disk is full", hint="free some space")
    assert error.exit_code == EXIT_CODES[kind]
    assert "the disk is full" in str(error)
    assert error.message == str(error)
    assert error.hint == "free some space"
    assert error.retryable is False


def raised() -> Iterator[tuple[str, ast.Call]]:
    """Yield every place in the source where an error of the tree is made."""
    names = {kind.__name__ for kind in EXIT_CODES}
    for path in sorted((REPOSITORY / "dbsync").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) in names:
                yield f"{path.name}:{node.lineno}", node


def test_no_error_is_made_without_a_message() -> None:
    """Wherever an error is made, its message and its hint have words in them."""
    places = list(raised())
    assert len(places) > 50
    for place, call in places:
        texts = [*call.args, *(word.value for word in call.keywords if word.arg == "hint")]
        assert texts, place
        for text in texts:
            assert not (isinstance(text, ast.Constant) and text.value == ""), place


def test_an_archive_error_carries_its_code() -> None:
    """The name of the broken rule can be read by programs and stands first in the message."""
    error = ArchiveError("E_TRUNCATED", "the file ends inside chunk 3")
    assert error.code == "E_TRUNCATED"
    assert str(error) == "E_TRUNCATED: the file ends inside chunk 3"


def test_every_archive_error_has_a_next_step() -> None:
    """Each error name of the specification comes with a hint, which can be replaced."""
    specification = (REPOSITORY / "formats" / "archive-v1.md").read_text()
    names = set(re.findall(r"\bE_[A-Z_]+[A-Z]\b", specification))
    assert len(names) >= 17
    for name in names:
        assert ArchiveError(name, "it is broken").hint
        assert ArchiveError(name, "it is broken", hint="try this").hint == "try this"


def test_whether_trying_again_helps_can_be_said() -> None:
    """An error of any class may be marked as one that can pass."""
    assert StorageError("the file system does not answer", retryable=True).retryable
    assert not StorageError("the disk is full").retryable
