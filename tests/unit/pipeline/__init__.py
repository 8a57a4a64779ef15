"""Tests of `dbsync.pipeline`."""
