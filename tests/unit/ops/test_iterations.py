"""A run in pieces: where they are cut, what is in them, and the files."""

import json
from pathlib import Path

import msgspec
import pytest
from small_market import GOOD, MS, SECOND, START, UTC, Joins, folder_of, paint, settings

from mmbot.ops.baseline import read_baseline
from mmbot.ops.dryrun import dry_run, on_recording
from mmbot.ops.iterations import IterationError, iteration_files, read_iterations, remove_iterations
from mmbot.ops.runs import RUN_SUMMARY, Cut, read_run, with_symbols
from mmbot.ops.strictness import Doubts, StrictError
from mmbot.research.backtest import backtest
from mmbot.research.edge import EdgeError, audit_trades

FROZEN = {"MM_FREEZE_UTC": "1"}


def run(tmp_path, config, *, cut=None, crossing=0, doubts=None, out="out"):
    """A dry run of `Joins`, and where it wrote."""
    folder = tmp_path / out
    strategy = Joins(crossing)
    summary = dry_run(config, folder, strategy=strategy, cut=cut or Cut(duration_s=10), doubts=doubts, environ=FROZEN)
    return summary, folder


def test_iterations_hold_every_fill_once_and_add_up_to_the_run(tmp_path: Path):
    """Six iterations of ten seconds: counts, turnover and money are those of a backtest of the same market."""
    config = settings(paint(tmp_path / "a.tape"))
    summary, folder = run(tmp_path, config, crossing=7)
    each = list(read_iterations(folder))
    result = backtest(config, strategy=Joins(7))
    inside = result.fills.filter(result.fills["ts_recv"] < summary.end_ns)
    assert [one.iteration for one in each] == [1, 2, 3, 4, 5, 6]
    assert sum(one.summary.maker_count + one.summary.taker_count for one in each) == inside.height > 0
    assert sum(one.summary.turnover for one in each) == pytest.approx((inside["qty"] * inside["mid"]).sum())
    assert summary.summary.turnover == pytest.approx(sum(one.summary.turnover for one in each))
    assert summary.left_over_seconds == pytest.approx(1, abs=0.2)
    assert (summary.commands_hash, summary.state_hash) == (result.run.commands_hash, result.run.state_hash)


def test_money_of_the_iterations_is_the_money_of_the_run(tmp_path: Path):
    """Net and inventory of all iterations, in currency, are the P&L of the ledger: nothing is lost between windows."""
    config = settings(paint(tmp_path / "a.tape", seconds=60))
    _, folder = run(tmp_path, config, cut=Cut(duration_s=5.9), crossing=5)
    each = [one.summary for one in read_iterations(folder)]
    result = backtest(config, strategy=Joins(5))
    end = START + 3 * MS + len(each) * 5_900 * MS
    equity = result.equity.filter(result.equity["ts"] <= end)["equity"][-1]
    money = sum((one.net_bps + one.inventory_bps) * one.turnover / 1e4 for one in each if one.turnover)
    # The sample before the end of the last window values its position; a fill between the two is not in it.
    assert money == pytest.approx(equity, abs=1e-3)


def test_delay_and_drift_are_the_tape_s(tmp_path: Path):
    """Everything was heard 3 ms late; a feed that is delayed by 40 more is heard 43 ms late."""
    tape = paint(tmp_path / "a.tape")
    _, folder = run(tmp_path, settings(tape))
    assert {one.summary.p95_latency_ms for one in read_iterations(folder)} == {3.0}
    assert {one.summary.clock_drift_ms for one in read_iterations(folder)} == {3.0}
    _, folder = run(tmp_path, settings(tape, feed_extra_ms=40.0))
    assert {one.summary.p95_latency_ms for one in read_iterations(folder)} == {43.0}


def test_a_law_for_the_feed_takes_the_place_of_recorded_delays(tmp_path: Path):
    """A constant law is the delay; delays that are drawn are not known message by message, so there is no number."""
    tape = paint(tmp_path / "a.tape")
    _, folder = run(tmp_path, settings(tape, feed={"constant_ms": 8.0}))
    assert next(read_iterations(folder)).summary.p95_latency_ms == 8.0
    _, folder = run(tmp_path, settings(tape, feed={"quantiles_ms": [1.0, 9.0]}))
    assert next(read_iterations(folder)).summary.p95_latency_ms is None


def test_two_symbols_are_told_apart_and_together(tmp_path: Path):
    """Each symbol has its own KPIs; together they have the fills of both."""
    config = settings(paint(tmp_path / "a.tape"), paint(tmp_path / "b.tape", symbol="ETHUSDT", delay_ms=9))
    summary, folder = run(tmp_path, config)
    first = next(read_iterations(folder)).summary
    assert list(first.per_symbol) == ["BTCUSDT", "ETHUSDT"]
    assert first.maker_count == sum(one.maker_count for one in first.per_symbol.values()) > 0
    assert [one.p95_latency_ms for one in first.per_symbol.values()] == [3.0, 9.0]
    assert first.p95_latency_ms == 9.0
    assert summary.run.symbols == ("BTCUSDT", "ETHUSDT")


def test_the_same_run_writes_the_same_bytes(tmp_path: Path):
    """With a frozen time, two runs differ in no byte of any iteration or summary."""
    config = settings(paint(tmp_path / "a.tape"))
    texts = []
    for out in ("one", "two"):
        _, folder = run(tmp_path, config, out=out)
        texts.append([path.read_bytes() for path in [*iteration_files(folder), folder / RUN_SUMMARY]])
    assert texts[0] == texts[1]
    assert b"1970-01-01T00:00:00Z" in texts[0][0]


def test_the_files_are_laid_out_as_their_readers_expect(tmp_path: Path):
    """KPIs lie below `summary`; who, when and what lie beside it; a dry run tunes nothing and says so."""
    _, folder = run(tmp_path, settings(paint(tmp_path / "a.tape")))
    said = json.loads((folder / "ITER_SUMMARY_1.json").read_text())
    assert {"iteration", "summary", "tuning", "timestamp", "duration_seconds", "exchange", "symbols"} <= said.keys()
    assert {"profile", "mode", "notes", "start_ns", "end_ns", "schema", "runtime"} <= said.keys()
    assert {"maker_taker_ratio", "net_bps", "p95_latency_ms", "risk_ratio", "per_symbol"} <= said["summary"].keys()
    assert set(said["tuning"]) == {"deltas", "rationale", "applied", "conditions"}
    assert (said["mode"], said["exchange"], said["iteration"]) == ("dryrun", "bybit", 1)
    assert said["timestamp"] == "2023-11-14T22:13:30.003Z"
    assert read_run(folder).iterations == 6


def test_an_earlier_run_s_iterations_are_taken_away(tmp_path: Path):
    """A shorter run must not leave the last iterations of a longer one beside its own; other files stay."""
    config = settings(paint(tmp_path / "a.tape"))
    run(tmp_path, config)
    (tmp_path / "out" / "ITER_SUMMARY_notes.json").write_text("{}")
    _, folder = run(tmp_path, config, cut=Cut(duration_s=10, iterations=2))
    assert [path.name for path in iteration_files(folder)] == ["ITER_SUMMARY_1.json", "ITER_SUMMARY_2.json"]
    assert (folder / "ITER_SUMMARY_notes.json").exists()


def test_a_recording_shorter_than_an_iteration_is_refused(tmp_path: Path):
    """No iteration is no run: the message says how long the market was heard."""
    with pytest.raises(IterationError, match=r"61\.0 s, which is less than one iteration of 600 s"):
        run(tmp_path, settings(paint(tmp_path / "a.tape")), cut=Cut(duration_s=600))


def test_fewer_iterations_than_asked_for_are_a_doubt(tmp_path: Path):
    """Told and noted without --strict, an error with it."""
    config, told = settings(paint(tmp_path / "a.tape")), []
    cut = Cut(duration_s=10, iterations=24)
    summary, _ = run(tmp_path, config, cut=cut, doubts=Doubts(tell=told.append))
    assert summary.notes == tuple(told) == ("24 iterations were asked for; the market gave 6",)
    with pytest.raises(StrictError, match="24 iterations were asked for"):
        run(tmp_path, config, cut=cut, doubts=Doubts(strict=True))


def test_iterations_are_read_by_number(tmp_path: Path):
    """1, 2, 10 and not 1, 10, 2."""
    folder = folder_of(tmp_path / "run", [{"BTCUSDT": GOOD}] * 11)
    assert [path.name for path in iteration_files(folder)][8:] == [
        "ITER_SUMMARY_9.json",
        "ITER_SUMMARY_10.json",
        "ITER_SUMMARY_11.json",
    ]
    assert [one.iteration for one in read_iterations(folder)] == list(range(1, 12))


def test_what_a_file_does_not_say_is_not_known(tmp_path: Path):
    """A file of another tool with two KPIs has these two; all others are None, and none is zero."""
    tmp_path.joinpath("ITER_SUMMARY_1.json").write_text('{"iteration": 1, "summary": {"net_bps": 2.5, "new": 1}}')
    [found] = read_iterations(tmp_path)
    assert found.summary.net_bps == 2.5
    assert found.summary.risk_ratio is None
    assert found.runtime is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"iteration": 1, "net_bps": 2.5}', "missing required field `summary`"),
        ('{"iteration": 2, "summary": {}}', "says it is iteration 2"),
        ('{"iteration": 1, "summary": {"risk_ratio": "low"}}', r"\$.summary.risk_ratio"),
        ("{", "truncated"),
    ],
)
def test_a_file_that_is_no_iteration_is_named(tmp_path: Path, text: str, said: str):
    """KPIs that do not lie below `summary`, another number than in the name, text for a number, half a file."""
    tmp_path.joinpath("ITER_SUMMARY_1.json").write_text(text)
    with pytest.raises(IterationError, match=said):
        list(read_iterations(tmp_path))


def test_a_folder_without_iterations_is_an_error(tmp_path: Path):
    """No files are not a run of zero iterations."""
    with pytest.raises(IterationError, match="expected the folder of a shadow run or a dry run"):
        iteration_files(tmp_path)
    remove_iterations(tmp_path)
    with pytest.raises(IterationError, match="no such file"):
        read_run(tmp_path)
    (tmp_path / RUN_SUMMARY).write_text("[]")
    with pytest.raises(IterationError, match="Expected `object`"):
        read_run(tmp_path)


def test_a_run_is_read_as_it_was_written(tmp_path: Path):
    """The summary of a run survives the file, up to the nine digits that are written."""
    summary, folder = run(tmp_path, settings(paint(tmp_path / "a.tape")))
    read = read_run(folder)
    floats = {"summary": summary.summary, "left_over_seconds": summary.left_over_seconds}
    assert msgspec.structs.replace(read, runtime=None, **floats) == summary
    assert read.summary.net_bps == pytest.approx(summary.summary.net_bps, rel=1e-8)


def test_symbols_choose_among_the_configured(tmp_path: Path):
    """One of two instruments is kept; a symbol that is not configured is refused with those that are."""
    config = settings(paint(tmp_path / "a.tape"), paint(tmp_path / "b.tape", symbol="ETHUSDT"))
    assert [one.tape for one in with_symbols(config, ["ETHUSDT"]).instruments] == [str(tmp_path / "b.tape")]
    assert with_symbols(config, []) is config
    with pytest.raises(ValueError, match="SOLUSDT: not configured; the configuration has BTCUSDT, ETHUSDT"):
        with_symbols(config, ["SOLUSDT"])


def test_a_recording_stands_in_for_the_configured_tape(tmp_path: Path):
    """By symbol and kind of contract; an instrument that was not recorded is named."""
    config = settings(paint(tmp_path / "a.tape"))
    recorded = tmp_path / "recorded"
    recorded.mkdir()
    with pytest.raises(ValueError, match="no recording of linear BTCUSDT; found no tape"):
        on_recording(config, recorded)
    paint(recorded / "x.tape", kind="spot")
    with pytest.raises(ValueError, match="found spot BTCUSDT"):
        on_recording(config, recorded)
    paint(recorded / "y.tape", seconds=5)
    assert on_recording(config, recorded).instruments[0].tape == str(recorded / "y.tape")


def test_a_duration_has_a_length(tmp_path: Path):
    """Zero seconds are refused before anything is written."""
    with pytest.raises(IterationError, match="has no length"):
        run(tmp_path, settings(paint(tmp_path / "a.tape")), cut=Cut(duration_s=0))
    assert SECOND == 1000 * MS
    assert UTC.endswith("Z")


@pytest.mark.parametrize("text", [b'{"x":' + b"[" * 100_000, b'{"iteration":"\xff"}', b'{"symbol":"\xff"}'])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: bytes):
    """Lists in lists without end and bytes that are no text are told with the file, whatever was to be read of it."""
    for name in ("ITER_SUMMARY_1.json", RUN_SUMMARY, "baseline.json", "trades.jsonl"):
        (tmp_path / name).write_bytes(text)
    with pytest.raises(IterationError, match="ITER_SUMMARY_1"):
        list(read_iterations(tmp_path))
    with pytest.raises(IterationError, match=RUN_SUMMARY):
        read_run(tmp_path)
    with pytest.raises(IterationError, match="baseline"):
        read_baseline(tmp_path / "baseline.json")
    with pytest.raises(EdgeError, match="trades"):
        audit_trades(tmp_path / "trades.jsonl")
