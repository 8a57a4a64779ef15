"""Places that keep archives, by key. The interface is `dbsync.storage.base`.

Must not know: archives, databases, the command line.
"""
