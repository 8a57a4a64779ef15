"""Tests of `dbsync.cli`."""
