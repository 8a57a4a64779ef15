"""Writes the vectors and their index; run it from anywhere with dbsync installed.

Everything but the release of pyarrow is fixed, so running it twice gives identical bytes.
Usage: python formats/vectors/generate.py [FOLDER]
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pyarrow as pa

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import bad  # noqa: E402  # its neighbours are found through the line above
import encrypted  # noqa: E402


def generate(folder: Path) -> None:
    """Write all vectors and the index into `folder`, removing vectors that are no more."""
    folder.mkdir(parents=True, exist_ok=True)
    lines: list[dict[str, str]] = []
    for vector in (*bad.vectors(), *encrypted.vectors()):
        kind = "good" if vector.random == "ok" else "bad"
        path = folder / kind / f"{vector.name}.dbsync.tar"
        path.parent.mkdir(exist_ok=True)
        data = vector.make()
        path.write_bytes(data)
        line = {
            "file": f"{kind}/{path.name}",
            "description": vector.description,
            "random": vector.random,
            "stream": vector.stream,
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        if vector.identity is not None:
            line["identity"] = f"identities/{vector.identity}.txt"
        lines.append(line)
    written = {line["file"] for line in lines}
    for path in folder.glob("*/*.dbsync.tar"):
        if str(path.relative_to(folder)) not in written:
            path.unlink()
    index = {"pyarrow": pa.__version__, "vectors": lines}
    (folder / "index.json").write_text(json.dumps(index, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
