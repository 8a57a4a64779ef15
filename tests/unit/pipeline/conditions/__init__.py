"""Tests of `dbsync.pipeline.conditions`."""
