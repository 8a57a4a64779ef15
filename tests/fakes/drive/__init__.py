"""A Google Drive over HTTP, honest as far as dbsync can see: the real client library speaks to it.

It keeps files, folders, names that repeat, shared drives, rights, quotas, revisions, upload
sessions and tokens, gives only the fields that were asked for, and fails as a test arranges. What
it cannot show is whether Google's service behaves as documented.
"""

from tests.fakes.drive.faults import Fault
from tests.fakes.drive.server import FakeDrive
from tests.fakes.drive.state import MANAGE, READ, WRITE

__all__ = ["MANAGE", "READ", "WRITE", "FakeDrive", "Fault"]
