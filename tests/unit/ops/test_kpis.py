"""The KPIs of a window, computed by hand."""

import numpy as np
import polars as pl
import pytest

from mmbot.ops.kpis import KPI_UNITS, Delays, Fills, Kpis, kpis, risk_ratio

NONE = {"latency_ms": None, "risk": None, "drift_ms": None, "messages": 0}
MS, SECOND = 1_000_000, 1_000_000_000


def fill(**changes):
    """A maker who buys one at 99, a mid of 100 that is 100 a second later, without a fee."""
    return {"side": 1, "qty": 1.0, "price": 99.0, "mid": 100.0, "mid_1s": 100.0, "fee": 0.0, "maker": True} | changes


def fills(*rows, mid_start=100.0, mid_end=100.0, initial_position=0.0, inverse=False):
    """A window with these fills."""
    schema = {"side": pl.Int8, "mid_1s": pl.Float64, "maker": pl.Boolean}
    names = ("side", "qty", "price", "mid", "mid_1s", "fee", "maker")
    columns = {name: [row[name] for row in rows] for name in names}
    frame = pl.DataFrame(columns, schema_overrides=schema)
    if not rows:
        frame = frame.cast({name: pl.Float64 for name in ("qty", "price", "mid", "fee")})
    return Fills(
        frame,
        markout="mid_1s",
        mid_start=mid_start,
        mid_end=mid_end,
        initial_position=initial_position,
        inverse=inverse,
    )


@pytest.mark.parametrize(("side", "price"), [(1, 99.0), (-1, 101.0)])
def test_a_maker_away_from_the_mid_earns_on_either_side(side: int, price: float):
    """Buying below the mid and selling above it both have a positive gross, and no slippage."""
    found = kpis([fills(fill(side=side, price=price))], **NONE)
    assert (found.gross_bps, found.slippage_bps, found.adverse_bps) == (100.0, 0.0, 0.0)
    assert (found.edge_bps, found.net_bps, found.maker_taker_ratio) == (100.0, 100.0, 1.0)


@pytest.mark.parametrize(("side", "price", "later"), [(1, 101.0, 98.0), (-1, 99.0, 102.0)])
def test_a_taker_pays_slippage_and_a_mid_that_goes_against_us_is_adverse(side: int, price: float, later: float):
    """Both are costs, and positive: a hundred bps for crossing, two hundred for what came after."""
    found = kpis([fills(fill(side=side, price=price, mid_1s=later, maker=False))], **NONE)
    assert (found.gross_bps, found.slippage_bps, found.adverse_bps) == (0.0, 100.0, 200.0)
    assert (found.edge_bps, found.slippage_bps_p95, found.adverse_bps_p95) == (-300.0, 100.0, 200.0)


def test_net_is_edge_less_fees_and_a_rebate_adds():
    """One maker rebate of 0.01 on a turnover of 100 is one basis point."""
    found = kpis([fills(fill(fee=-0.01))], **NONE)
    assert found.fees_eff_bps == pytest.approx(-1.0)
    assert found.net_bps == pytest.approx(101.0)


def test_inventory_stands_apart_from_the_net():
    """What the mid did to the position after the horizon is in neither edge nor net."""
    found = kpis([fills(fill(), mid_end=103.0, initial_position=2.0)], **NONE)
    assert found.net_bps == pytest.approx(100.0)
    assert found.inventory_bps == pytest.approx((3.0 + 2 * 3.0) / 100 * 1e4)


def test_a_window_without_fills_knows_no_edge():
    """What is not known is None and not zero: neither edge, nor share, nor any p95; the counts are zero."""
    found = kpis([fills()], **NONE)
    unknown = {name for name in KPI_UNITS if getattr(found, name) is None}
    assert unknown >= {"edge_bps", "net_bps", "maker_taker_ratio", "adverse_bps_p95", "slippage_bps_p95", "risk_ratio"}
    assert (found.maker_count, found.taker_count, found.turnover) == (0, 0, 0.0)


def test_makers_alone_have_no_slippage_percentile():
    """Crossing cost nothing because nobody crossed; a percentile of nothing is not zero."""
    found = kpis([fills(fill())], **NONE)
    assert (found.slippage_bps, found.slippage_bps_p95) == (0.0, None)


def test_a_fill_beyond_the_recording_is_counted_and_no_percentile_is_made_of_it():
    """Its later mid is unknown: the last mid values it, the p95 leaves it out."""
    found = kpis([fills(fill(mid_1s=None), mid_end=101.0)], **NONE)
    assert (found.unmarked_count, found.adverse_bps_p95) == (1, None)
    assert found.adverse_bps == pytest.approx(-100.0)


def test_p95_is_the_nearest_rank():
    """Of twenty adverse moves of 1 to 20 bps the 95th percentile is the nineteenth, and no value in between."""
    rows = [fill(mid=10_000.0, price=9_999.0, mid_1s=10_000.0 - move) for move in range(1, 21)]
    assert kpis([fills(*rows)], **NONE).adverse_bps_p95 == pytest.approx(19.0)


def test_symbols_are_added_in_money_not_in_bps():
    """A hundred bps on 100 and none on 900 are ten bps together."""
    found = kpis([fills(fill()), fills(fill(qty=9.0, price=100.0))], **NONE)
    assert found.gross_bps == pytest.approx(10.0)
    assert found.maker_count == 2


def test_an_inverse_contract_counts_in_coins():
    """A maker of an inverse contract buys below the mid and earns, whatever the money is."""
    found = kpis([fills(fill(price=99.0), inverse=True)], **NONE)
    assert found.gross_bps == pytest.approx(100 / 99 * 1e4 - 1e4)


def test_latency_is_a_percentile_and_drift_the_smoothed_least_of_each_second():
    """Least delays of 10 and then 30 ms move the drift by a twentieth of the way; other messages do not."""
    delays = Delays()
    heard = np.array([0, 1, 2], dtype=np.int64) * 100 * MS + 5 * SECOND
    assert delays.window(heard, np.array([10, 50, 90]) * MS) == (90.0, 10.0)
    assert delays.window(heard + SECOND, np.array([80, 30, 40]) * MS) == (80.0, 11.0)


def test_a_window_without_messages_keeps_the_drift_and_knows_no_latency():
    """Silence says nothing about delays; the clock is where it was."""
    delays, nothing = Delays(), np.array([], dtype=np.int64)
    assert delays.window(nothing, nothing) == (None, None)
    delays.window(np.array([SECOND]), np.array([7 * MS]))
    assert delays.window(nothing, nothing) == (None, 7.0)


def test_risk_is_a_percentile_of_the_share_of_the_limit_in_use():
    """Nineteen samples at a tenth and one at the limit: the p95 is a tenth; without samples it is not known."""
    assert risk_ratio(np.array([0.1] * 19 + [1.0])) == 0.1
    assert risk_ratio(np.array([])) is None


def test_every_kpi_has_a_unit():
    """A table of units that lacks one would compare bps with milliseconds."""
    assert set(KPI_UNITS) == set(Kpis.__struct_fields__)
