"""Certificates for servers of tests: an authority of their own, and one server on the loopback.

Must not know: any engine, pytest.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    """Paths of PEM files: the authority's, the server's, and its key."""

    authority: Path
    certificate: Path
    key: Path


def make_certificates(folder: Path, name: str = "127.0.0.1") -> Certificates:
    """Make an authority and a certificate for `name` in a folder, with the program openssl."""
    authority, key = folder / "ca.pem", folder / "ca-key.pem"
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    _run([*new, "-x509", "-days", "30", "-subj", "/CN=tests", "-keyout", key, "-out", authority])
    request, server_key = folder / "server.csr", folder / "server-key.pem"
    _run([*new, "-subj", f"/CN={name}", "-keyout", server_key, "-out", request])
    kind = "IP" if name.replace(".", "").isdigit() else "DNS"
    extensions = folder / "extensions"
    extensions.write_text(f"subjectAltName = {kind}:{name}\n")
    certificate = folder / "server.pem"
    sign = ["openssl", "x509", "-req", "-in", request, "-CA", authority, "-CAkey", key]
    sign += ["-CAcreateserial", "-days", "30", "-extfile", extensions, "-out", certificate]
    _run(sign)
    for file in (authority, server_key, certificate):
        file.chmod(0o644)  # the server runs as another user
    return Certificates(authority, certificate, server_key)


def _run(command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr}")
