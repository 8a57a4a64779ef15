"""Tests of the store on Google Drive, against a Drive of our own over HTTP."""
