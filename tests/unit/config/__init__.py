"""Tests of `dbsync.config`."""
