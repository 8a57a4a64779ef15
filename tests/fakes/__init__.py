"""Servers of the tests that stand in for services which cannot be run locally."""
