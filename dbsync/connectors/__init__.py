"""Tables in a database to record batches and back: one package for each engine.

Must not know: archives, files, the command line. Drivers are imported when a database is opened.
"""
