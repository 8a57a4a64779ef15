"""``python -m dbsync``: the same as the command ``dbsync``."""

from dbsync.cli.main import main

if __name__ == "__main__":
    main()
