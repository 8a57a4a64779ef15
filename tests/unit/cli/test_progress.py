"""Events as bars, plain lines and JSON."""

from __future__ import annotations

import io
import json
import re

import pytest

from dbsync.cli import text
from dbsync.cli.output import Output
from dbsync.cli.progress import LINE_SECONDS, MAX_BARS, watching
from dbsync.cli.redaction import RedactingStream, Redactor
from dbsync.cli.tally import Tally
from dbsync.model.schema import Loss, Name
from dbsync.pipeline.events import (
    ChunkDone,
    Finished,
    Planned,
    StageStarted,
    TableDone,
    TableFailed,
    TableStarted,
)
from tests.unit.cli.conftest import COMMANDS, Run

A, B = Name("s", "a"), Name("s", "b")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def output(stream: io.StringIO) -> Output:
    redactor = Redactor()
    wrapped = RedactingStream(stream, redactor)
    return Output(RedactingStream(io.StringIO(), redactor), wrapped, redactor)


def chunk(table: Name, rows: int, *, resumed: bool = False) -> ChunkDone:
    return ChunkDone(table=table, chunk=1, rows=rows, bytes=rows * 10, resumed=resumed)


def test_tally_counts_and_estimates() -> None:
    """Rows, bytes, tables, rate and the rest of the time follow from the events."""
    clock = Clock()
    tally = Tally("export", clock)
    tally.add(Planned(command="export", tables=((A, 1000), (B, 3000))))
    clock.now += 10
    tally.add(chunk(A, 1000))
    tally.add(TableDone(table=A, rows=1000))
    assert (tally.rows, tally.bytes, tally.total()) == (1000, 10_000, 4000)
    assert tally.rate() == pytest.approx(100)
    assert tally.eta() == pytest.approx(30)
    line = tally.line()
    for part in ("export, 25 %", "1,000 of about 4,000 rows", "1 of 2 tables", "30.0 s left"):
        assert part in line


def test_tally_corrects_estimates() -> None:
    """An estimate that was too low grows, and the true number replaces it at the end."""
    tally = Tally("export", Clock())
    tally.add(Planned(command="export", tables=((A, 10), (B, 10))))
    tally.add(chunk(A, 50))
    assert tally.total() == 60
    tally.add(TableDone(table=A, rows=50))
    tally.add(TableDone(table=B, rows=3))
    assert tally.total() == 53
    assert "99 %" not in Tally("export").line()


def test_tally_without_estimates() -> None:
    """Where a table's rows are unknown there is no total, and nothing is invented."""
    tally = Tally("export", Clock())
    tally.add(Planned(command="export", tables=((A, None), (B, 10))))
    tally.add(chunk(A, 5))
    assert tally.total() is None
    assert tally.eta() is None
    assert "%" not in tally.line()
    assert "left" not in tally.line()


def test_resumed_chunks_took_no_time() -> None:
    """Rows of an earlier run count as done, but not for the rate."""
    clock = Clock()
    tally = Tally("import", clock)
    tally.add(Planned(command="import", tables=((A, 1000),)))
    clock.now += 10
    tally.add(chunk(A, 900, resumed=True))
    tally.add(chunk(A, 50))
    assert tally.rows == 950
    assert tally.rate() == pytest.approx(5)
    assert tally.eta() == pytest.approx(10)


def test_a_second_plan_starts_again() -> None:
    """verify checks and then compares: each part is counted by itself, under its own name."""
    tally = Tally("verify", Clock())
    tally.add(Planned(command="verify", tables=((A, 5),)))
    tally.add(chunk(A, 5))
    tally.add(Planned(command="compare", tables=((A, 5),)))
    assert tally.rows == 0
    assert tally.line().startswith("compare")


def test_a_line_every_few_seconds() -> None:
    """Away from a terminal a line appears with the first event after some seconds, not before."""
    clock = Clock()
    stream = io.StringIO()
    with watching(output(stream), "export", show=True, clock=clock) as watch:
        watch.on_event(Planned(command="export", tables=((A, 100),)))
        watch.on_event(chunk(A, 10))
        assert stream.getvalue() == ""
        clock.now += LINE_SECONDS
        watch.on_event(chunk(A, 10))
        watch.on_event(chunk(A, 10))
        assert stream.getvalue().count("\n") == 1
        assert "20 of about 100 rows" in stream.getvalue()
        clock.now += LINE_SECONDS
        watch.on_event(chunk(A, 10))
        assert stream.getvalue().count("\n") == 2


def test_no_progress_keeps_losses() -> None:
    """--no-progress silences progress and nothing else."""
    clock = Clock()
    stream = io.StringIO()
    loss = Loss(object="trigger t", reason="no triggers there")
    with watching(output(stream), "export", show=False, clock=clock) as watch:
        watch.on_event(Planned(command="export", tables=((A, 100),), losses=(loss,)))
        clock.now += 100
        watch.on_event(chunk(A, 10))
    assert "trigger t" in stream.getvalue()
    assert "rows" not in stream.getvalue()


def test_losses_come_before_the_rows() -> None:
    """The report stands on stderr when the plan's event returns: before anything is written."""
    stream = io.StringIO()
    losses = (
        Loss(object="column c", reason="r2", severity="changed"),
        Loss(object="view v", reason="r1"),
    )
    with watching(output(stream), "import", show=True) as watch:
        watch.on_event(Planned(command="import", tables=(), losses=losses))
        said = stream.getvalue()
        watch.report(losses)
    assert "1 thing will be lost, 1 thing will arrive in another form" in said
    assert "changed" in said
    # What is lost matters most, so it comes first.
    assert 0 < said.index("view v") < said.index("column c")
    assert stream.getvalue() == said


def test_weak_guarantee_is_said_first() -> None:
    """An import that cannot be resumed exactly says so with its plan."""
    stream = io.StringIO()
    with watching(output(stream), "import", show=False) as watch:
        watch.on_event(Planned(command="import", tables=(), guarantee="none"))
        assert "may repeat rows" in stream.getvalue()
        watch.on_event(Planned(command="import", tables=(), guarantee="exactly_once"))
        assert stream.getvalue().count("warning") == 1
        watch.on_event(Planned(command="import", tables=(), resuming=True))
    assert "goes on where" in stream.getvalue()


def test_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal each table under way has a bar beside the whole; notes appear above."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    stream = Terminal()
    printed = output(stream)
    with watching(printed, "export", show=True) as watch:
        watch.on_event(Planned(command="export", tables=((A, 100), (B, None))))
        watch.on_event(chunk(B, 7))
        watch.on_event(TableDone(table=B, rows=7))
        watch.on_event(chunk(A, 40))
        watch.on_event(StageStarted(stage="foreign_keys", object="s.b_c"))
        printed.warn("look [here]")
        assert printed.live is not None
        watch.on_event(Finished(rows=47, bytes=1, seconds=1.0))
        assert printed.live is None
    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "warning: look [here]" in drawn
    last = drawn.rpartition("\r")[0].rpartition("\r")[2]
    for part in ("foreign keys s.b_c", "47/107", "s.a", "40/100"):
        assert part in last
    assert "  s.b" not in last


def test_bars_of_many_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tables are under way, only the latest have bars."""
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    names = [Name(None, f"table_{number:03}") for number in range(3 * MAX_BARS)]
    with watching(output(stream), "import", show=True) as watch:
        watch.on_event(Planned(command="import", tables=tuple((name, 10) for name in names)))
        for name in [*names, names[-MAX_BARS]]:
            watch.on_event(chunk(name, 5))
        stream.truncate(0)
    drawn = stream.getvalue()
    assert [name.name for name in names if name.name in drawn] == [
        name.name for name in names[-MAX_BARS:]
    ]


def test_bars_are_removed_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing run leaves no bar behind that would draw over the error."""
    monkeypatch.setenv("TERM", "xterm")
    printed = output(Terminal())
    with pytest.raises(ValueError, match="x"), watching(printed, "e", show=True) as watch:  # noqa: PT012
        watch.on_event(Planned(command="export", tables=((A, 100),)))
        raise ValueError("x")
    assert printed.live is None


def test_dumb_terminals_get_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that cannot move its cursor is treated like a file."""
    monkeypatch.setenv("TERM", "dumb")
    assert not output(Terminal()).is_terminal()
    monkeypatch.setenv("TERM", "xterm")
    assert output(Terminal()).is_terminal()
    assert not output(io.StringIO()).is_terminal()


def test_json_log(dbsync: Run) -> None:
    """With --log-format json every line of stderr is an object with its time and event."""
    ran = dbsync(*COMMANDS["export_database"], "--log-format", "json", "-v")
    lines = [json.loads(line) for line in ran.err.splitlines()]
    assert all(line["time"].endswith("Z") for line in lines)
    assert [line["event"] for line in lines] == [
        "planned", "stagestarted", "chunkdone", "tabledone", "finished", "warning",
    ]  # fmt: skip
    assert lines[0]["losses"][0]["object"] == "view public.v"
    assert lines[2]["table"] == {"schema": "public", "name": "people"}
    failed = dbsync("export", "a", "--url", "sqlite:///x", "--host", "h", "--log-format", "json")
    (error,) = [json.loads(line) for line in failed.err.splitlines()]
    assert (error["event"], error["exit_code"]) == ("error", 2)


def test_verbose_names_stages(dbsync: Run) -> None:
    """-v prints each step of an import."""
    assert "rows: public.people" in dbsync(*COMMANDS["import_archive"], "-v").err
    assert "rows: public.people" not in dbsync(*COMMANDS["import_archive"]).err


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (text.size(0), "0 B"),
        (text.size(1023), "1023 B"),
        (text.size(1536), "1.5 KiB"),
        (text.size(5 << 30), "5.0 GiB"),
        (text.size(2**60), "1024.0 PiB"),
        (text.duration(0.44), "0.4 s"),
        (text.duration(125), "2 min 05 s"),
        (text.duration(3 * 3600 + 7 * 60), "3 h 07 min"),
        (text.plural(1, "row"), "1 row"),
        (text.plural(1200, "row"), "1,200 rows"),
        (text.count(None), "?"),
    ],
)
def test_texts(shown: str, expected: str) -> None:
    """Numbers, sizes and times are written for people."""
    assert shown == expected


def test_tables_that_go_by_themselves() -> None:
    """Each table under way is told of with its share and the time it still needs."""
    clock = Clock()
    tally = Tally("clone", clock)
    tally.add(Planned(command="import", tables=((A, 100), (B, None))))
    tally.add(TableStarted(table=A))
    clock.now += 5
    tally.add(TableStarted(table=B))
    assert tally.table_eta(A) is None
    clock.now += 5
    tally.add(chunk(A, 40))
    tally.add(chunk(B, 7))
    assert tally.table_eta(A) == pytest.approx(15)
    assert tally.table_eta(B) is None
    assert tally.line().split("; ")[1:] == ["s.a 40 %, 15.0 s left", "s.b 7 rows"]
    tally.add(TableDone(table=A, rows=40))
    assert tally.line().split("; ")[1:] == ["s.b 7 rows"]


def test_a_table_that_failed_is_not_waited_for() -> None:
    """It counts as failed, its other rows are not expected any more, and it is named at once."""
    tally = Tally("clone", Clock())
    tally.add(Planned(command="import", tables=((A, 100), (B, 10))))
    tally.add(TableStarted(table=A))
    tally.add(chunk(A, 40))
    tally.add(TableFailed(table=A, message="killed"))
    assert tally.total() == 50
    assert "1 table failed" in tally.line()
    assert ";" not in tally.line()
    stream = io.StringIO()
    with watching(output(stream), "clone", show=False) as watch:
        watch.on_event(TableFailed(table=A, message="job 5 was killed"))
    assert "table s.a failed: job 5 was killed" in stream.getvalue()


def test_bars_of_tables_that_go_by_themselves() -> None:
    """A bar appears when a table begins, and goes when it fails."""
    stream = Terminal()
    with watching(output(stream), "clone", show=True) as watch:
        watch.on_event(Planned(command="import", tables=((A, 10), (B, 10))))
        watch.on_event(TableStarted(table=A))
        watch.on_event(TableStarted(table=B))
        watch.on_event(TableFailed(table=B, message="killed"))
        watch.on_event(TableDone(table=A, rows=0))
    assert "s.a" in stream.getvalue()
