"""What every private server needs: a folder, a free port, an unprivileged user, an end.

Must not know: any engine.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

PASSWORD = "S3cr3t:7f3a@/%"
"""Hard to pass on correctly and easy to find: no output may ever contain it."""


def unprivileged() -> dict[str, int | list[int]]:
    """Give the arguments for `subprocess` that drop root, which servers refuse to run as."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def give_away(path: Path) -> None:
    """Make the server's user the owner of a file or folder."""
    if user := unprivileged():
        os.chown(path, int(str(user["user"])), int(str(user["group"])))


def temporary_folder(prefix: str) -> Path:
    """Make a folder in the first temporary place that the server's user can reach."""
    for parent in dict.fromkeys([tempfile.gettempdir(), "/tmp", "/var/tmp"]):  # noqa: S108
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        folder.chmod(0o711)
        probe = subprocess.run(["test", "-x", str(folder)], check=False, **unprivileged())  # type: ignore[call-overload]
        # A Unix socket's path has room for about 100 bytes.
        if probe.returncode == 0 and len(str(folder)) < 80:
            return folder
        shutil.rmtree(folder)
    raise RuntimeError("no temporary folder can be reached by the server's user")


def die_with_parent() -> None:
    """Ask the kernel, in a child before it becomes the server, to end it with its parent."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGQUIT)


def free_port() -> int:
    """Return a port that was free on the loopback a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def spawn(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start a server that logs into ``log`` of its folder and dies with this process."""
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(  # type: ignore[call-overload]
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            preexec_fn=die_with_parent,  # noqa: PLW1509
            **unprivileged(),
        )
