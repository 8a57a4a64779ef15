"""Private servers for tests: real ones, in temporary folders, on free loopback ports.

Must not know: pytest.
"""

from tests.servers.mariadb import MariaServer
from tests.servers.postgres import SETTINGS, PostgresServer, install
from tests.servers.process import PASSWORD, unprivileged

__all__ = ["PASSWORD", "SETTINGS", "MariaServer", "PostgresServer", "install", "unprivileged"]
