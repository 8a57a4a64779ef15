"""Every option of every command: spelled and documented once, for the commands to share.

Must not know: what the values mean (`dbsync.config` does).
"""

from __future__ import annotations

from typing import Any

import click

from dbsync.cli.parameters import Argument, Decorator, combine, load_environment, option
from dbsync.config.url import ENGINES

archive_argument = click.argument("archive", cls=Argument, required=False)
# One variable says where archives are, for the command that makes them and for those that look.
folder_argument = click.argument("archive", cls=Argument, required=False, metavar="[LOCATION]")
directory_argument = click.argument("directory", cls=Argument, required=False)

common_options = combine(
    option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout."),
    option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="How to write what stands on stderr; json is one object a line.",
    ),
    option("--verbose", "-v", is_flag=True, help="Say more."),
    option("--debug", is_flag=True, help="Show the stack trace of an error."),
    option(
        "--env-file",
        type=click.Path(),
        is_eager=True,
        callback=load_environment,
        help="Read variables from this file.  [default: ./.env, if it exists]",
    ),
)

progress_option = option(
    "--progress/--no-progress",
    default=True,
    help="Show progress on stderr: bars on a terminal, else a line every few seconds.",
)

password_option = option(
    "--password", secret=True, help="Password; also completes a --url without one."
)
database_options = combine(
    option(
        "--url",
        secret=True,
        help="The database, such as postgresql://user@host/name, mysql://user@host/name or "
        "td://region/name.",
    ),
    option("--engine", help=f"In place of --url: {', '.join(ENGINES)}."),
    option("--host", help="Host name, or the path of a Unix socket (for PostgreSQL its folder)."),
    option(
        "--port",
        type=click.IntRange(1, 65535),
        help="Port.  [default: 5432 for PostgreSQL, 3306 for MySQL and MariaDB]",
    ),
    option("--username", help="User name."),
    password_option,
    option("--database", help="Name of the database; for SQLite the path of the file."),
)

of_database_option = option(
    "--database", metavar="NAME", help="Of a folder: only the archives of this database."
)

schema_option = option(
    "--schema",
    help="PostgreSQL only: read from this schema alone, or put every table into it.",
)

table_options = combine(
    option(
        "--tables",
        multiple=True,
        metavar="A,B.*",
        help="Only these tables: names or globs, also as schema.name.",
    ),
    option("--exclude-tables", multiple=True, metavar="A,B.*", help="Not these tables."),
)

_columns_option = option(
    "--columns",
    multiple=True,
    metavar="TABLE:A,B",
    help="Only these columns of a table. May be repeated.",
)

where_option = option(
    "--where",
    multiple=True,
    metavar="'[TABLE: ]CONDITION'",
    help="Only rows that meet a condition in the source's SQL: of one table, with a colon "
    "and a blank behind its name, or of every selected table. May be repeated.",
)
columns_of_table_option = option(
    "--columns", multiple=True, metavar="[TABLE:]A,B", help="Only these columns of the table."
)

row_options = combine(_columns_option, where_option)

archive_row_options = combine(
    _columns_option,
    option(
        "--where",
        multiple=True,
        metavar="'[TABLE: ]CONDITION'",
        help="Only rows of the archive that meet a condition: comparisons of columns with values, "
        "AND, OR, NOT, IN, BETWEEN, LIKE, IS NULL; of one table, with a colon and a blank behind "
        "its name, or of every selected table. May be repeated.",
    ),
)

jobs_option = option("--jobs", type=click.IntRange(1, 256), help="Connections that work at once.")
strict_option = option(
    "--strict", is_flag=True, help="Refuse if anything in the loss report would be lost."
)
dry_run_option = option(
    "--dry-run", is_flag=True, help="Show the plan, losses and counts; change nothing."
)


def encoding_options(*, level: int | None) -> Decorator[Any]:
    """Declare how chunks are made; `level` None leaves the compression to the library."""
    shown = str(level) if level is not None else "chosen for a stream"
    return combine(
        option(
            "--chunk-bytes",
            default="32MiB",
            show_default=True,
            help="Size of a chunk in memory, such as 32MiB.",
        ),
        option(
            "--compression-level",
            type=click.IntRange(1, 22),
            default=level,
            help="zstd level; 2 and 3 are lowered for text that they make hardly smaller."
            f"  [default: {shown}]",
        ),
    )


storage_options = combine(
    option("--s3-region", help="Region of the bucket.  [default: that of the AWS configuration]"),
    option(
        "--s3-endpoint", metavar="URL", help="A store other than Amazon's, such as MinIO or R2."
    ),
    option("--s3-profile", help="Profile of the AWS configuration files."),
    option(
        "--s3-sse",
        type=click.Choice(["AES256", "aws:kms", "aws:kms:dsse"]),
        help="Have the store encrypt what is written.  [default: as the bucket says]",
    ),
    option(
        "--s3-sse-kms-key-id", metavar="KEY", help="Key for --s3-sse aws:kms, which it implies."
    ),
    option(
        "--s3-part-bytes",
        metavar="SIZE",
        help="Size of an upload's parts, such as 64MiB; 10,000 are possible.  "
        "[default: chosen from the estimate]",
    ),
    option(
        "--drive-credentials",
        type=click.Path(),
        help="Key file of a service account, or a token that `dbsync auth drive` has stored.",
    ),
    option(
        "--drive-endpoint",
        metavar="URL",
        help="A Drive other than Google's, for tests of dbsync only.",
    ),
)

encrypt_option = option(
    "--encrypt-to",
    multiple=True,
    metavar="RECIPIENT",
    help="Encrypt the archive to an age public key (age1...), or to those in a file (@FILE). May "
    "be repeated.",
)
identity_option = option(
    "--identity",
    "identities",
    multiple=True,
    secret=True,
    metavar="FILE",
    help="A file with an age secret key that opens an encrypted archive. May be repeated.",
)

overwrite_archive_option = option(
    "--overwrite-archive", is_flag=True, help="Replace an archive that exists."
)


def include_schema_option(*, default: bool | None, help_text: str) -> Decorator[Any]:
    """Declare --include-schema with its default, which differs between export and import."""
    return option(
        "--include-schema/--no-include-schema",
        default=default,
        show_default=default is not None,
        help=help_text,
    )


landing_options = combine(
    include_schema_option(
        default=None,
        help_text="Create tables that are missing, with keys, indexes and so on.  [default: no; "
        "yes for Treasure Data]",
    ),
    option(
        "--ddl",
        type=click.Choice(["auto", "native", "portable"]),
        default="auto",
        show_default=True,
        help="Which definitions to run. auto: the engine's own on the same engine, portable "
        "ones across engines. Use portable for an archive you do not trust.",
    ),
    option(
        "--existing",
        type=click.Choice(["append", "skip", "overwrite", "error"]),
        help="What to do with tables that exist.  [default: append; error for Treasure Data]",
    ),
    option("--skip-existing", is_flag=True, help="Short for --existing skip."),
    option("--overwrite", is_flag=True, help="Short for --existing overwrite."),
    option(
        "--on-conflict",
        type=click.Choice(["update", "error", "skip", "merge"]),
        default="update",
        show_default=True,
        help="What to do with a row whose key exists. merge: only incoming values that are "
        "not NULL win.",
    ),
    option(
        "--upsert/--no-upsert",
        default=None,
        help="Short for --on-conflict update, or error.",
    ),
    option(
        "--conflict-key",
        multiple=True,
        metavar="TABLE:A,B",
        help="Columns of a not-null unique key to use in place of the primary key. May be "
        "repeated.",
    ),
    option("--single-transaction", is_flag=True, help="Everything or nothing, in one transaction."),
    option(
        "--verify",
        is_flag=True,
        help="Read the database in the end and compare it with what was loaded.",
    ),
)
