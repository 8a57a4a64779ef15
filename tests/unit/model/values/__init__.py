"""Tests of `dbsync.model.values`."""
