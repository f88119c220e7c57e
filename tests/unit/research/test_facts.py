"""What names a run: its laws as they work, where fees come from, and who decided."""

import pytest
from painted_tape import MakeAndTake, paint, settings

import mmbot
from mmbot.config import BacktestConfig
from mmbot.data import open_tape
from mmbot.research import wording
from mmbot.research.facts import strategy_words
from mmbot.strategies import JoinTouch, JoinTouchConfig


def painted(folder, kind="linear"):
    """A painted tape in a file."""
    path = folder / f"{kind}.tape"
    paint(path, kind)
    return path


def run(path, fees=None, kind="linear", strategy=None, **venue):
    """A short run of the painted tape; without fees the configuration has none."""
    values = settings(path, kind, "rebate", **venue)
    del values["instruments"][0]["fees"]
    if fees is not None:
        values["instruments"][0]["fees"] = fees
    return mmbot.backtest(BacktestConfig.model_validate(values), strategy=strategy or MakeAndTake())


def test_fees_that_nobody_configured_are_the_tape_s_own(tmp_path):
    """Without fees the tape's hold, to the last unit; each given one replaces the tape's, and the law says whose."""
    path = painted(tmp_path)
    own = open_tape(str(path)).instrument
    said = f"maker {own.maker / 10_000:+g} bps, taker {own.taker / 10_000:+g} bps"
    silent = run(path)
    assert silent.run.laws["fees"] == f"{said}, from the tape"
    spoken = run(path, {"maker_bps": own.maker / 10_000, "taker_bps": own.taker / 10_000})
    assert spoken.run.laws["fees"] == f"{said}, as configured"
    assert silent.fills.equals(spoken.fills)
    dear = run(path, {"taker_bps": 77.0})
    assert dear.run.laws["fees"].endswith("taker +77 bps, one as configured, one from the tape")
    assert dear.fills["fee"].sum() > silent.fills["fee"].sum()


@pytest.mark.parametrize(
    ("venue", "law"),
    [({"queue": "power"}, "power n=2"), ({"queue": "power3", "queue_n": 4}, "power3 n=4"), ({"queue": "log"}, "log")],
)
def test_the_queue_law_shows_the_exponent_that_works(venue, law, tmp_path):
    """A power law shows its exponent although nobody gave one; other laws have none."""
    assert run(painted(tmp_path), **venue).run.laws["queue"] == law


def test_the_settings_of_a_strategy_given_as_an_object_are_kept(tmp_path):
    """Its name and settings stand in the part "to repeat this run" and in the run's name."""
    path = painted(tmp_path)
    one, two = (JoinTouch(JoinTouchConfig(order_lots=lots, cap_lots=9)) for lots in (1, 2))
    first, second = run(path, strategy=one).run, run(path, strategy=two).run
    assert first.strategy == 'JoinTouch {"cap_lots": 9, "every_ms": 100.0, "order_lots": 1}'
    assert first.config_hash == second.config_hash
    assert first.run_id != second.run_id
    assert wording.hash_lines(first)[0] == wording.Line("Strategy", first.strategy)
    assert strategy_words(MakeAndTake()) == "MakeAndTake"


def test_spot_says_that_balances_are_not_modelled(tmp_path):
    """Only a run that trades spot has the limitation."""
    words = "Spot positions may go short: balances are not modelled."
    assert words in run(painted(tmp_path, "spot"), kind="spot").run.limitations
    assert words not in run(painted(tmp_path)).run.limitations


def test_quantities_are_the_rounded_decimals(tmp_path):
    """A quantity is its lots divided exactly: 3 lots of 0.001 are the float 0.003, for every fill."""
    fills = run(painted(tmp_path)).fills
    lot = open_tape(str(tmp_path / "linear.tape")).instrument
    assert fills.height
    assert fills["qty"].to_list() == [float(lot.quantity(lots)) for lots in fills["qty_lots"]]
