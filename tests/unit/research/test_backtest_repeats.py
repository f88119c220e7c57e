"""The same tape, configuration and seed give the same run: in every process, interpreter and grouping."""

import hashlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import polars as pl
import pytest
from painted_tape import MakeAndTake, paint, settings

import mmbot
from mmbot import samples
from mmbot.config import BacktestConfig
from mmbot.strategies import JoinTouch, JoinTouchConfig

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "configs" / "backtest.toml"

RUN = """
import hashlib, json, pathlib, sys
import mmbot
result = mmbot.backtest(sys.argv[1])
files = result.write(sys.argv[2])
digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
print(json.dumps([result.run.run_id, result.run.commands_hash, result.run.state_hash, digests]))
"""


def elsewhere(tmp_path, number, **environ):
    """Run the shipped configuration in a process of its own; everything that names or holds its outcome."""
    folder = tmp_path / f"cwd {number}"
    folder.mkdir()
    frozen = {**os.environ, "MM_FREEZE_UTC": "1", **environ}
    done = subprocess.run(
        [sys.executable, "-c", RUN, SHIPPED, folder / "out"], cwd=folder, env=frozen, capture_output=True, check=True
    )
    return json.loads(done.stdout)


def test_nothing_around_a_process_changes_a_run(tmp_path):
    """Hash seed, time zone, locale and working directory leave hashes and every byte of every file alone."""
    first = elsewhere(tmp_path, 1, PYTHONHASHSEED="1", TZ="UTC", LC_ALL="C")
    second = elsewhere(tmp_path, 2, PYTHONHASHSEED="4711", TZ="Asia/Kolkata", LC_ALL="de_DE.UTF-8", COLUMNS="40")
    assert first == second
    assert set(first[3]) == {"report.html", "summary.json", "fills.parquet", "orders.parquet", "equity.parquet"}


def told(result):
    """What a run came to, without what names the code: readable numbers, and a hash over all of them."""
    document = json.loads(result.summary().as_json(utc="1970-01-01T00:00:00Z"))
    numbers = {key: document[key] for key in ("currency", "total", "instruments")}
    digest = hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()
    total = document["total"]
    return {
        "commands": result.run.commands_hash,
        "state": result.run.state_hash,
        "tapes": list(result.run.tape_hashes),
        "events": result.run.events,
        "wakes": result.run.wakes,
        "fills": total["fills"]["count"],
        "orders": total["orders"]["total"],
        "pnl": total["pnl"]["pnl"],
        "turnover": total["pnl"]["turnover"],
        "fees": total["fills"]["fees"],
        "summary_sha256": digest,
    }


def join_touch(sample):
    """The rules of the benchmarks on one sample: at the touch every 100 ms."""
    limits = {"position": "1000", "order": "100"}
    config = BacktestConfig.model_validate({"instruments": [{"tape": f"sample:{sample}", "limits": limits}]})
    return mmbot.backtest(config, strategy=JoinTouch(JoinTouchConfig(order_lots=10, cap_lots=100)))


def test_the_recorded_days_come_out_as_approved(golden):
    """Hashes of commands and state, and the summary, of the shipped configuration and of each bundled market.

    The file was written by one interpreter and is compared by whichever runs this test; `make test-newest` runs it on
    the newest one.
    """
    runs = {f"join_touch on {sample}": told(join_touch(sample)) for sample in samples.SAMPLES}
    runs["configs/backtest.toml"] = told(mmbot.backtest(SHIPPED))
    golden.check("day.json", json.dumps(runs, indent=2, sort_keys=True) + "\n")


@pytest.fixture(scope="module")
def tape(tmp_path_factory):
    """Two minutes of the painted market."""
    return paint(tmp_path_factory.mktemp("tapes") / "linear.tape")


def same(left, right):
    """Fills, orders and equity are equal, and so are the hashes."""
    for name in ("fills", "orders", "equity"):
        assert getattr(left, name).equals(getattr(right, name), null_equal=True), name
    assert (left.run.commands_hash, left.run.state_hash) == (right.run.commands_hash, right.run.state_hash)
    return True


def test_many_in_one_pass_equal_many_runs():
    """Five makers carried by one pass over a recorded market leave what each leaves alone."""
    config = BacktestConfig.model_validate(tomllib.loads(SHIPPED.read_text()))
    makers = [JoinTouchConfig(order_lots=lots, cap_lots=20, every_ms=500) for lots in (1, 2, 5, 10, 20)]
    together = mmbot.backtest_many(config, [JoinTouch(maker) for maker in makers])
    alone = [mmbot.backtest(config, strategy=JoinTouch(maker)) for maker in makers]
    assert all(same(*pair) for pair in zip(together, alone, strict=True))
    assert len({result.run.commands_hash for result in together}) == len(makers)


@pytest.mark.parametrize("kind", ["linear", "inverse"])
def test_the_thin_view_of_the_venue_equals_its_full_book(kind, tmp_path):
    """The oracle with two books gives the same run, order by order."""
    tape = paint(tmp_path / "a.tape", kind)
    thin, full = (
        mmbot.backtest(BacktestConfig.model_validate(settings(tape, kind, full_book=oracle)), strategy=MakeAndTake())
        for oracle in (False, True)
    )
    assert thin.fills.height > 100
    assert same(thin, full)


def test_a_run_depends_on_its_seed_only_where_something_is_drawn(tape):
    """With drawn latencies another seed is another run and the same seed the same; with constant ones it is not."""
    drawn = {"entry": {"quantiles_ms": [1.0, 5.0, 90.0]}}

    def run(seed, **venue):
        config = settings(tape, **venue) | {"seed": seed}
        return mmbot.backtest(BacktestConfig.model_validate(config), strategy=MakeAndTake())

    assert same(run(1, **drawn), run(1, **drawn))
    assert not run(1, **drawn).fills.equals(run(2, **drawn).fills)
    assert same(run(1), run(2))


def test_the_name_of_a_run_moves_with_what_it_stands_for(tape):
    """Seed and configuration are in the run's id; the configuration's hash is that of its values, not of its text."""
    first, second = (
        mmbot.backtest(BacktestConfig.model_validate(settings(tape) | {"seed": seed}), strategy=MakeAndTake()).run
        for seed in (1, 2)
    )
    assert first.run_id != second.run_id
    assert first.config_hash != second.config_hash
    assert first.code_hash == second.code_hash


def test_a_written_frame_reads_back_as_it_was(tape, tmp_path):
    """The Parquet files hold the frames of the result, and no other file is left in the folder."""
    result = mmbot.backtest(BacktestConfig.model_validate(settings(tape)), strategy=MakeAndTake())
    paths = result.write(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(paths)
    for name in ("fills", "orders", "equity"):
        assert pl.read_parquet(paths[f"{name}.parquet"]).equals(getattr(result, name), null_equal=True)
