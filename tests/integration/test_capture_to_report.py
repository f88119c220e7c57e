"""The whole way of a recording: raw frames of a venue, a tape, a backtest, a report; each step by its command."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import mmbot

CAPTURES = Path(__file__).parents[1] / "golden" / "captures"
RECORDINGS = {
    "binance": ("binance-usdm-btcusdt.gz", "binance-usdm", "binance.tape", []),
    "bybit": ("bybit-btcusdt.jsonl.zst", "bybit", "bybit/bybit-linear-BTCUSDT.tapez", ["--packed"]),
}
CONFIG = """\
sample_ms = 100
[[instruments]]
tape = "{tape}"
limits = {{position = "1", order = "0.1"}}
[strategy]
name = "join_touch"
params = {{order_lots = 10, cap_lots = 100}}
"""


def mmbot_command(*words, cwd):
    """Run the command as a user does; its standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "mmbot", *map(str, words)], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("venue", RECORDINGS)
def test_a_recording_becomes_a_report(venue, tmp_path):
    """Import, check and backtest a cut of a real capture; the report's numbers are those of the Python API."""
    capture, source, tape, options = RECORDINGS[venue]
    out = tape.partition("/")[0]
    mmbot_command("data", "import", CAPTURES / capture, "--out", out, "--from", source, *options, cwd=tmp_path)
    assert "intact" in mmbot_command("data", "check", tape, cwd=tmp_path)
    config = tmp_path / "run.toml"
    config.write_text(CONFIG.format(tape=tmp_path / tape))
    said = mmbot_command("backtest", config, "--out", "report", cwd=tmp_path)
    written = json.loads((tmp_path / "report" / "summary.json").read_text())
    fills = pl.read_parquet(tmp_path / "report" / "fills.parquet")

    result = mmbot.backtest(config)
    assert fills.equals(result.fills, null_equal=True)
    assert written["run"]["run_id"] == result.run.run_id
    assert written["total"]["pnl"]["pnl"] == pytest.approx(result.attribution["total"].realised_pnl, rel=1e-8)
    assert written["total"]["orders"]["placed"] > 0
    assert result.run.run_id in said
    page = (tmp_path / "report" / "report.html").read_text()
    assert result.run.run_id in page
    assert "<script src" not in page
    assert "default-src 'none'" in page
