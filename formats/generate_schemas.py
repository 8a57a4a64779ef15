"""Writes the JSON Schemas of an archive's documents from the types that read and write them.

Usage: python formats/generate_schemas.py [FOLDER]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec

from dbsync.archive.documents import Head, Manifest, PublicHead
from dbsync.model.schema import Database, Table

DOCUMENTS = {
    "head": Head,
    "public-head": PublicHead,
    "database": Database,
    "table": Table,
    "manifest": Manifest,
}


def schemas() -> dict[str, str]:
    """Return the text of each schema by file name."""
    texts: dict[str, str] = {}
    for name, kind in DOCUMENTS.items():
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": f"dbsync archive v1: {name}",
            **msgspec.json.schema(kind),
        }
        texts[f"{name}.schema.json"] = json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
    return texts


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent
    for file, text in schemas().items():
        (folder / file).write_text(text)
