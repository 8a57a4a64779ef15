"""The command line: each command parses, makes one call of `dbsync.api`, and renders the result.

click and rich are used here and nowhere else. rich, and everything below `dbsync.api`, is imported
only when a command runs, so that ``dbsync --help`` is immediate.
"""
