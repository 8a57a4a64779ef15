"""The Treasure Data connector: a database of the service to and from record batches.

Rows are read as the results of queries and written by bulk import, over the HTTP client that the
service's makers publish (td-client). Nothing heavy is imported before a connector is opened.
"""
