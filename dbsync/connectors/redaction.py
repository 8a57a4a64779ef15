"""Keeping passwords out of what drivers and programs say.

Must not know: engines, or where a secret came from.
"""

from __future__ import annotations

from collections.abc import Iterable


def redact(text: str, secrets: Iterable[str]) -> str:
    """Replace every secret in `text`."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text
