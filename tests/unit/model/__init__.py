"""Tests of `dbsync.model`."""
