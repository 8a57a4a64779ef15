"""The JSON Schemas of ``formats/``: generated from the code, and true of real documents."""

from __future__ import annotations

import io
import json
import runpy
import tarfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest

FORMATS = Path(__file__).resolve().parents[2] / "formats"
GOOD = sorted((FORMATS / "vectors" / "good").glob("*.tar"))
KINDS = {"dbsync": "head", "database": "database", "schema": "table", "manifest": "manifest"}


def schema(kind: str) -> dict[str, Any]:
    """Load a committed schema."""
    return json.loads((FORMATS / f"{kind}.schema.json").read_text())


def documents(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """List the JSON documents of an archive with the kind of each."""
    found: list[tuple[str, dict[str, Any]]] = []
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as tar:
        for member in tar:
            file = tar.extractfile(member)
            if member.name.endswith(".json") and not member.name.startswith("extra/") and file:
                stem = Path(member.name).stem.split("-")[0]
                found.append((KINDS[stem], json.loads(file.read())))
    return found


def test_committed_schemas_are_those_of_the_code():
    """A change of a struct changes its schema in the same commit."""
    generated = runpy.run_path(str(FORMATS / "generate_schemas.py"))["schemas"]()
    assert generated == {p.name: p.read_text() for p in FORMATS.glob("*.schema.json")}


@pytest.mark.parametrize("kind", KINDS.values())
def test_schemas_are_valid(kind):
    """Each file is a JSON Schema of the draft that it names."""
    jsonschema.Draft202012Validator.check_schema(schema(kind))


@pytest.mark.parametrize("path", GOOD, ids=lambda p: p.name)
def test_documents_of_good_archives_are_valid(path):
    """What dbsync writes, and what a later minor version may write, follows the schemas."""
    kinds: set[str] = set()
    for kind, document in documents(path):
        jsonschema.validate(document, schema(kind), cls=jsonschema.Draft202012Validator)
        kinds.add(kind)
    assert kinds >= {"head", "database", "manifest"}


@pytest.mark.parametrize(
    ("kind", "field"), [("head", "tables"), ("table", "columns"), ("manifest", "catalog")]
)
def test_a_document_without_a_required_field_is_not_valid(kind, field):
    """The schemas demand what readers demand."""
    document = next(d for k, d in documents(GOOD[1]) if k == kind)
    del document[field]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema(kind), cls=jsonschema.Draft202012Validator)
