"""The speed table: dbsync and other tools on the same data, in turn, in the same run."""
