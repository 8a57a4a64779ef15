"""Comparing the rows of two sides by digests of key ranges, and naming the rows that differ.

What lives here: everything that `verify --against` and ``--verify`` of clone and import share.
Rows are compared in their canonical form under the archive's types, so neither their order nor the
engine matters (``formats/types-v1.md``, section 9). Must not know: SQL, files, how results are
printed.
"""
