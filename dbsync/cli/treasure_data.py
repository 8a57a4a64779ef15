"""The options of the commands that reach Treasure Data.

Must not know: what the values mean (`dbsync.config.treasure_data` does).
"""

from __future__ import annotations

import click

from dbsync.cli.parameters import combine, option

_MOST_PARALLEL = 64

_timeout_option = option(
    "--timeout",
    metavar="TIME",
    help="Treasure Data: bound of one request with its repetitions, such as 10m. A query may run "
    "longer as long as it answers.  [default: 10m]",
)
key_option = option(
    "--td-api-key", secret=True, metavar="KEY", help="Treasure Data: API key, for a td:// URL."
)
_source_options = combine(
    option(
        "--td-time-range",
        metavar="FROM,TO",
        help="Treasure Data: only rows whose time lies in this range, TO excluded; Unix seconds "
        "or ISO 8601, in UTC where no zone is named; a side may be empty.",
    ),
    option(
        "--td-time",
        type=click.Choice(["keep", "drop"]),
        default="keep",
        show_default=True,
        help="Treasure Data: is time a column of the tables that are read?",
    ),
    option(
        "--download-parallelism",
        type=click.IntRange(1, _MOST_PARALLEL),
        default=4,
        show_default=True,
        help="Treasure Data: parts of one result that are downloaded at once.",
    ),
)
_time_column_option = option(
    "--td-time-column",
    multiple=True,
    metavar="[TABLE:]COLUMN",
    help="Treasure Data: the column that gives time, of one table or of every one; integer "
    "seconds, a date or a timestamp. May be repeated.  [default: a column of integers called "
    "time, else the moment of the archive]",
)
_tables_option = option(
    "--table-parallelism",
    type=click.IntRange(1, _MOST_PARALLEL),
    default=2,
    show_default=True,
    help="Treasure Data: tables at once.",
)

connection_options = combine(key_option, _timeout_option)
reading_options = combine(key_option, _source_options, _tables_option, _timeout_option)
writing_options = combine(key_option, _time_column_option, _tables_option, _timeout_option)
clone_options = combine(
    key_option,
    option("--from-td-api-key", secret=True, metavar="KEY", help="Treasure Data: that of --from."),
    option("--to-td-api-key", secret=True, metavar="KEY", help="Treasure Data: that of --to."),
    _source_options,
    _time_column_option,
    _tables_option,
    _timeout_option,
)
