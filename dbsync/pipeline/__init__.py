"""The only place where archive, storage and connectors meet: export, import, clone, verify.

Must not know: SQL, file systems, Parquet, the command line.
"""
