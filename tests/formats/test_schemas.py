"""The JSON Schemas of ``formats/``: generated from the code, and true of real documents."""

from __future__ import annotations

import io
import json
import runpy
import tarfile
from pathlib import Path
from typing import Any

import jsonschema
import pyrage
import pytest

from tests.formats.identities import INDEX, identity_of

FORMATS = Path(__file__).resolve().parents[2] / "formats"
GOOD = sorted((FORMATS / "vectors" / "good").glob("*.tar"))
KINDS = {
    "dbsync": "head",
    "head": "head",
    "database": "database",
    "schema": "table",
    "manifest": "manifest",
}


def schema(kind: str) -> dict[str, Any]:
    """Load a committed schema."""
    return json.loads((FORMATS / f"{kind}.schema.json").read_text())


def opened(path: Path, member: str, data: bytes) -> bytes:
    """Decrypt a member where it is encrypted."""
    if not member.endswith(".age"):
        return data
    vector = next(v for v in INDEX["vectors"] if v["file"] == f"good/{path.name}")
    return pyrage.decrypt(data, [identity_of(vector)])


def documents(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """List the JSON documents of an archive with the kind of each."""
    found: list[tuple[str, dict[str, Any]]] = []
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as tar:
        for member in tar:
            file = tar.extractfile(member)
            name = member.name.removesuffix(".age")
            if name.endswith(".json") and not name.startswith("extra/") and file:
                kind = KINDS[Path(name).stem.split("-")[0]]
                document = json.loads(opened(path, member.name, file.read()))
                public = kind == "head" and "encryption" in document
                found.append(("public-head" if public else kind, document))
    return found


def test_committed_schemas_are_those_of_the_code():
    """A change of a struct changes its schema in the same commit."""
    generated = runpy.run_path(str(FORMATS / "generate_schemas.py"))["schemas"]()
    assert generated == {p.name: p.read_text() for p in FORMATS.glob("*.schema.json")}


@pytest.mark.parametrize("kind", sorted({*KINDS.values(), "public-head"}))
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
    ("kind", "field"),
    [
        ("head", "tables"),
        ("public-head", "encryption"),
        ("table", "columns"),
        ("manifest", "catalog"),
    ],
)
def test_a_document_without_a_required_field_is_not_valid(kind, field):
    """The schemas demand what readers demand."""
    base = FORMATS / "vectors" / "good" / "encrypted.dbsync.tar"
    document = next(d for k, d in documents(base) if k == kind)
    del document[field]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema(kind), cls=jsonschema.Draft202012Validator)
