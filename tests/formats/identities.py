"""The secret keys of the vectors, which are no secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pyrage import x25519

VECTORS = Path(__file__).resolve().parents[2] / "formats" / "vectors"
INDEX: dict[str, Any] = json.loads((VECTORS / "index.json").read_text())


def key_of(vector: dict[str, Any]) -> str | None:
    """Return the text of the key that a vector is read with, if any."""
    if "identity" not in vector:
        return None
    lines = (VECTORS / vector["identity"]).read_text().splitlines()
    (key,) = [line for line in lines if line and not line.startswith("#")]
    return key


def identity_of(vector: dict[str, Any]) -> x25519.Identity:
    """Return the key of an encrypted vector for pyrage."""
    key = key_of(vector)
    assert key is not None
    return x25519.Identity.from_str(key)
