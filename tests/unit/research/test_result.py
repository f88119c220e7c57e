"""A result: what it refuses, what it sums up, and the files it writes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from synthetic_run import NS, Parts, equity_row, fill_row, instrument, market_maker, order_row, result_of, run_facts

from mmbot.research.result import ResultError

FROZEN = {"MM_FREEZE_UTC": "1"}
HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (run_facts(instruments=()), "run.instruments: empty"),
        (run_facts("BTCUSDT", "BTCUSDT"), "must be unique"),
        (run_facts(instruments=(instrument(), instrument("BTCUSD", quote="USD"))), "cannot be added"),
        (run_facts(instruments=(instrument(), instrument("ETHUSDT", kind="inverse", base="ETH"))), "ETH.*USDT"),
        (run_facts(markout_horizon="mid_2s"), "'mid_2s' is none of"),
    ],
)
def test_a_run_that_cannot_be_shown_rightly_is_refused(run, message):
    """Mixed currencies and double names would give wrong numbers, so they give an error."""
    with pytest.raises(ResultError, match=message):
        result_of(run=run)


def test_attribution_must_be_complete():
    """One entry for each instrument and one for the total, no more."""
    with pytest.raises(ResultError, match=r"expected exactly \['BTCUSDT', 'total'\], got \['BTCUSDT'\]"):
        result_of(attribution={"BTCUSDT": Parts()})


def test_a_stranger_in_a_frame_is_named():
    """A fill of an instrument that the run does not know is a mistake of the engine side."""
    with pytest.raises(ResultError, match="DOGEUSDT"):
        result_of(fills=[fill_row(instrument="DOGEUSDT")])


def test_summary_adds_instruments_in_currency(busy):
    """Portfolio bps are total money over total value, not the mean of the instruments' bps."""
    summary = busy.summary()
    parts = summary.instruments.values()
    assert summary.total.pnl.pnl == pytest.approx(sum(part.pnl.pnl for part in parts))
    assert summary.total.fills.count == sum(part.fills.count for part in parts) == busy.fills.height > 100
    turnover = sum(part.pnl.turnover for part in parts)
    assert summary.total.pnl.pnl_bps.value == pytest.approx(1e4 * summary.total.pnl.pnl / turnover)
    assert summary.total.performance.pnl.value == pytest.approx(summary.total.pnl.pnl)
    assert summary.total.quoting.two_sided.value == pytest.approx(0.967, abs=0.01)


def test_summary_is_computed_once(single):
    """The same object again, so that views of one result cannot differ."""
    assert single.summary() is single.summary()


@pytest.mark.parametrize(
    "rows",
    [
        {},
        {"equity": [equity_row(0)]},
        {"fills": [fill_row()], "orders": [order_row()], "equity": [equity_row(0), equity_row(1, position=1.0)]},
        {"fills": [fill_row(maker=False, ahead_at_join=None, fee=0.04)], "orders": [order_row(ahead_at_join=None)]},
        {
            "fills": [fill_row(mid_100ms=None, mid_1s=None, mid_5s=None, mid_30s=None, mid_300s=None)],
            "equity": [equity_row(0, bid=None, ask=None), equity_row(1)],
        },
        {"orders": [order_row(state="denied", ts_accepted=None, ts_done=None, cum_qty=0.0, ahead_at_join=None)]},
    ],
    ids=["silent", "one sample", "one fill", "taker only", "nulls", "all denied"],
)
def test_every_view_survives_a_poor_run(rows, tmp_path):
    """Nothing, one of something, or only nulls: all views are written, in finite numbers and without a warning."""
    result = result_of(**rows)
    paths = result.write(tmp_path, environ=FROZEN)
    assert json.loads(paths["summary.json"].read_text())["total"]["fills"]["count"] == len(rows.get("fills", ()))
    assert "nan" not in str(result).lower()
    assert "golden-day-0007" in result._repr_html_()


def test_written_frames_come_back_as_they_were(single, tmp_path):
    """Parquet keeps every column, type and null."""
    paths = single.write(tmp_path / "new" / "folder", environ=FROZEN)
    assert sorted(paths) == ["equity.parquet", "fills.parquet", "orders.parquet", "report.html", "summary.json"]
    for name, frame in (("fills", single.fills), ("orders", single.orders), ("equity", single.equity)):
        assert pl.read_parquet(paths[f"{name}.parquet"]).equals(frame)


def test_json_has_sorted_keys_lf_and_a_final_newline(single):
    """Written for machines and diffs: one form, ASCII, no NaN, nine significant digits."""
    text = single.summary().as_json(utc="1970-01-01T00:00:00Z")
    document = json.loads(text)
    assert text == json.dumps(document, sort_keys=True, indent=2) + "\n"
    assert text.isascii()
    assert "\r" not in text
    assert document["runtime"] == {"utc": "1970-01-01T00:00:00Z", "version": "0.1.0"}
    assert document["total"]["performance"]["calmar"]["value"] is None
    assert document["total"]["pnl"]["pnl"] == float(f"{single.summary().total.pnl.pnl:.9g}")


def test_rewriting_is_the_same_bytes(tmp_path):
    """Two results made alike give five identical files."""
    first = market_maker(seconds=60).write(tmp_path / "a", environ=FROZEN)
    second = market_maker(seconds=60).write(tmp_path / "b", environ=FROZEN)
    for name, path in first.items():
        assert path.read_bytes() == second[name].read_bytes(), name


def test_no_surroundings_leak_into_the_files(tmp_path):
    """Time zone, locale, hash seed and terminal width of the process change no byte."""
    surroundings = {"PYTHONHASHSEED": "1", "TZ": "Asia/Kolkata", "LC_ALL": "C", "COLUMNS": "40"}
    code = "import sys; from synthetic_run import market_maker; r = market_maker(seconds=60); r.write(sys.argv[1])"
    code += "; sys.stdout.buffer.write(str(r).encode())"
    environ = {**os.environ, **FROZEN, **surroundings, "PYTHONPATH": str(HERE)}
    shown = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "other"], env=environ, capture_output=True, check=True
    )
    here = market_maker(seconds=60)
    assert shown.stdout.decode() == str(here)
    for name, path in here.write(tmp_path / "here", environ=FROZEN).items():
        assert path.read_bytes() == (tmp_path / "other" / name).read_bytes(), name


def test_a_long_run_of_one_instrument_spans_what_it_says(single):
    """The sampled span and the stated span agree in the synthetic run that other tests lean on."""
    assert single.summary().total.performance.span_ns == pytest.approx(single.run.span_ns, abs=NS)
