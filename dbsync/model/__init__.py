"""Schemas, logical types, values and losses: the vocabulary that every layer above shares.

Must not know: any SQL dialect, any file format, any place where archives are kept.
"""
