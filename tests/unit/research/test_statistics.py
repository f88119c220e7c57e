"""The statistics of a run against hand computations, published values and their own properties."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_run import NS, START, Parts, equity_row, fill_row, frame, order_row

from mmbot import ledger
from mmbot.research import statistics
from mmbot.research.result import EQUITY_SCHEMA, FILLS_SCHEMA, ORDERS_SCHEMA


def fills_of(*rows):
    """Fills from the changes to one maker buy."""
    return frame(FILLS_SCHEMA, [fill_row(**row) for row in rows])


def orders_of(*rows):
    """Orders from the changes to one filled buy."""
    return frame(ORDERS_SCHEMA, [order_row(**row) for row in rows])


def equity_of(*rows):
    """Samples from (seconds, changes)."""
    return frame(EQUITY_SCHEMA, [equity_row(seconds, **changes) for seconds, changes in rows])


def curve(values, seconds=1):
    """Sample times and equity of a curve."""
    return START + np.arange(len(values), dtype=np.int64) * seconds * NS, np.asarray(values, dtype=np.float64)


class TestNearestRank:
    """One definition of a percentile."""

    @pytest.mark.parametrize(
        ("share", "expected"), [(0.05, 15), (0.30, 20), (0.40, 20), (0.50, 35), (0.61, 40), (1.0, 50)]
    )
    def test_matches_the_textbook_example(self, share, expected):
        """The five-value example everybody copies: ceil(share × 5)-th smallest."""
        assert statistics.nearest_rank([50, 15, 40, 20, 35], share) == expected

    def test_is_not_moved_by_floating_point(self):
        """0.07 × 100 is a little above 7 in floating point and must still be the seventh value."""
        assert statistics.nearest_rank(range(1, 101), 0.07) == 7

    def test_has_no_value_for_nothing(self):
        """No values have no percentile, and it is not zero."""
        assert statistics.nearest_rank([], 0.5) is None

    @pytest.mark.parametrize("share", [0.0, -0.1, 1.1, 95])
    def test_refuses_a_share_that_is_none(self, share):
        """A percentile given as 95 instead of 0.95 is a mistake that must be heard."""
        with pytest.raises(ValueError, match=r"within \(0, 1\]"):
            statistics.nearest_rank([1.0], share)

    @given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.floats(0.001, 1.0))
    def test_leaves_the_share_at_or_below(self, values, share):
        """The result is one of the values, and at least that share of them is not above it."""
        found = statistics.nearest_rank(values, share)
        assert found in values
        assert sum(value <= found for value in values) >= share * len(values) - 1e-6


class TestWilson:
    """Intervals of proportions."""

    def test_matches_a_published_interval(self):
        """81 of 263: Newcombe (1998), table I, method 3 gives 0.2553 to 0.3662."""
        interval = statistics.wilson(81, 263)
        assert (interval.low, interval.high) == (pytest.approx(0.2553, abs=5e-5), pytest.approx(0.3662, abs=5e-5))

    def test_says_something_about_never(self):
        """0 of 20 is not "impossible": Newcombe (1998) gives 0 to 0.1611."""
        interval = statistics.wilson(0, 20)
        assert (interval.low, interval.high) == (0.0, pytest.approx(0.1611, abs=5e-5))

    @given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
    def test_surrounds_the_share_within_zero_and_one(self, counts):
        """The interval holds the observed share and never leaves [0, 1]."""
        hits, trials = counts
        interval = statistics.wilson(hits, trials)
        assert 0.0 <= interval.low <= hits / trials <= interval.high <= 1.0

    @pytest.mark.parametrize(("hits", "trials"), [(1, 0), (0, 0), (3, 2), (-1, 2)])
    def test_refuses_impossible_counts(self, hits, trials):
        """More successes than trials, or no trial, has no proportion."""
        with pytest.raises(ValueError, match="successes <= trials"):
            statistics.wilson(hits, trials)


class TestRatioInterval:
    """Intervals of sums over sums, for fills that share their future."""

    def test_is_the_textbook_error_for_separate_observations(self):
        """Far apart, equally weighted and without order, it is mean ± 1.96 · s/√n."""
        count = 64
        values = np.where(np.arange(count) % 2 == 0, 1.0, 3.0)
        ts = np.arange(count, dtype=np.int64) * 1000 * NS  # a thousand clusters apart, so no lag connects them
        interval = statistics.ratio_interval(ts, values, np.ones(count), NS)
        half = 1.959964 * values.std(ddof=1) / math.sqrt(count)
        assert interval.low == pytest.approx(2.0 - half, rel=1e-6)
        assert interval.high == pytest.approx(2.0 + half, rel=1e-6)

    def test_does_not_count_one_burst_as_many_fills(self):
        """Each moment copied ten times over carries no more knowledge, so the interval must not shrink."""
        random = np.random.default_rng(1)
        values, ts = random.normal(size=200), np.arange(200, dtype=np.int64) * 100 * NS
        once = statistics.ratio_interval(ts, values, np.ones(200), NS)
        tenfold = statistics.ratio_interval(np.repeat(ts, 10), np.repeat(values, 10), np.ones(2000), NS)
        assert tenfold.high - tenfold.low == pytest.approx(once.high - once.low, rel=1e-9)

    def test_covers_the_truth_where_fills_share_their_future(self):
        """Overlapping moves of a random walk: 95 % intervals must hold zero in at least 88 of 100 runs."""
        random = np.random.default_rng(2)
        covered = 0
        for _ in range(100):
            walk = np.cumsum(random.normal(size=2_010))
            move = walk[10:] - walk[:-10]
            ts = np.arange(move.size, dtype=np.int64) * NS
            interval = statistics.ratio_interval(ts, move, np.ones(move.size), 10 * NS)
            covered += interval.low <= 0.0 <= interval.high
        assert covered >= 88

    def test_is_silent_for_few_moments(self):
        """Twenty-nine clusters, however many fills they hold, give no interval."""
        ts = np.repeat(np.arange(29, dtype=np.int64) * 100 * NS, 50)
        assert statistics.ratio_interval(ts, np.ones(ts.size), np.ones(ts.size), NS) is None


class TestMarkouts:
    """Where the market went after our fills."""

    def test_are_weighted_by_value_and_signed_our_way(self):
        """1 bought at mid 100 going to 101 and 3 sold at mid 200 going to 201: (1 − 3) / 700 in bps."""
        fills = fills_of(
            {"mid_1s": 101.0},
            {"side": -1, "qty": 3.0, "mid": 200.0, "price": 202.0, "mid_1s": 201.0},
        )
        mark = statistics.markouts(fills, maker=True)[1]
        assert mark.move_bps.value == pytest.approx(1e4 * (1 - 3) / 700)
        # From the fill price: 1 × (101 − 99) + 3 × (202 − 201).
        assert mark.edge_bps.value == pytest.approx(1e4 * (2 + 3) / 700)
        assert (mark.horizon_ns, mark.count, mark.interval) == (NS, 2, None)

    def test_leave_out_what_lies_beyond_the_tape(self):
        """A fill without a later mid takes no part, neither above nor below the line."""
        fills = fills_of({"mid_300s": None}, {"mid_300s": 100.5})
        mark = statistics.markouts(fills, maker=True)[4]
        assert (mark.count, mark.move_bps.value) == (1, pytest.approx(50.0))

    def test_keep_maker_and_taker_apart(self):
        """A maker's markout does not see a taker's fill."""
        fills = fills_of({"mid_1s": 101.0}, {"maker": False, "mid_1s": 90.0})
        assert statistics.markouts(fills, maker=True)[1].move_bps.value == pytest.approx(100.0)
        assert statistics.markouts(fills, maker=False)[1].move_bps.value == pytest.approx(-1000.0)

    def test_say_why_there_is_none(self):
        """No fills and no later mid are two different reasons."""
        assert statistics.markouts(fills_of(), maker=True)[0].move_bps.note == "no fills"
        late = statistics.markouts(fills_of({"mid_1s": None}), maker=True)[1]
        assert (late.move_bps.value, "end of the tape" in late.move_bps.note) == (None, True)


class TestFillsAndOrders:
    """Counts, shares and rates."""

    def test_maker_share_is_a_share(self):
        """Three makers and one taker are 75 %, not 3 to 1."""
        counts = statistics.fill_counts(fills_of({}, {}, {"side": -1}, {"maker": False, "qty": 3.0}))
        assert (counts.buys, counts.sells, counts.maker, counts.taker) == (3, 1, 3, 1)
        assert counts.maker_share.value == 0.75
        assert counts.maker_share_by_value.value == 0.5
        assert counts.value == 6 * 99.0

    def test_fill_rates_count_only_what_was_placed(self):
        """Denied, rejected and travelling orders were never in the book."""
        orders = orders_of(
            {},
            {"state": "canceled", "qty": 3.0, "cum_qty": 1.0, "cancels_sent": 2},
            {"state": "canceled", "qty": 4.0, "cum_qty": 0.0, "cancels_sent": 1},
            {"state": "denied", "ts_accepted": None, "cum_qty": 0.0, "reason": "limit"},
            {"state": "rejected", "ts_accepted": None, "cum_qty": 0.0},
            {"state": "working", "ts_accepted": None, "ts_done": None, "cum_qty": 0.0},
        )
        counts = statistics.order_counts(orders, fills_count=2)
        assert (counts.total, counts.placed, counts.filled, counts.touched) == (6, 3, 1, 2)
        assert counts.fill_rate.value == 2 / 8
        assert counts.fill_rate_orders.value == pytest.approx(1 / 3)
        assert counts.cancel_to_fill.value == 1.5
        assert counts.lifetime.p99 == 2 * NS

    def test_quantities_of_two_instruments_are_weighted_by_price(self):
        """A filled order worth 100 beside an unfilled one worth 300 is a quarter, whatever the units."""
        orders = orders_of(
            {"price": 100.0}, {"instrument": "ETHUSDT", "price": 3.0, "qty": 100.0, "cum_qty": 0.0, "state": "canceled"}
        )
        assert statistics.order_counts(orders, 1).fill_rate.value == 0.25

    def test_nothing_traded_has_no_ratio(self):
        """Cancels per fill without a fill is not infinite and not zero: it is absent, with the reason."""
        counts = statistics.order_counts(orders_of({"state": "canceled", "cum_qty": 0.0, "cancels_sent": 1}), 0)
        assert counts.cancel_to_fill == statistics.Measure(None, "no fills")


class TestFillProbability:
    """Fills by queue position."""

    def test_counts_by_position_in_own_quantities(self):
        """An order of 2 behind 2 stands at 1×, the top of its bin; behind 2.1 it is in the next bin."""
        orders = orders_of(
            {"ahead_at_join": 0.0},
            {"qty": 2.0, "ahead_at_join": 2.0, "cum_qty": 0.5, "state": "canceled"},
            {"qty": 2.0, "ahead_at_join": 2.0, "cum_qty": 0.0, "state": "canceled"},
            {"qty": 2.0, "ahead_at_join": 2.1, "cum_qty": 0.0, "state": "canceled"},
            {"ahead_at_join": 5000.0},
        )
        bins = [(b.low, b.high, b.filled, b.orders) for b in statistics.fill_probability(orders)]
        assert bins == [(0.0, 0.0, 1, 1), (0.0, 1.0, 1, 2), (1.0, 3.0, 0, 1), (1000.0, None, 1, 1)]

    def test_leaves_out_what_never_queued_or_is_not_decided(self):
        """Takers have no queue; an order still working without a fill may yet fill."""
        orders = orders_of(
            {"ahead_at_join": None}, {"state": "working", "cum_qty": 0.0, "ts_done": None}, {"state": "rejected"}
        )
        assert statistics.fill_probability(orders) == ()


class TestPositionAndPresence:
    """Inventory and quotes over time."""

    def test_inventory_holds_each_sample_until_the_next(self):
        """2 for one second, −4 for three, then a last sample that stood for no known time."""
        ts = START + np.array([0, 1, 4]) * NS
        held = statistics.inventory(
            ts, np.array([2.0, -4.0, 9.0]), unit="BTC", max_abs=statistics.Measure(9.0), traded=7.0
        )
        assert held.time_weighted.value == pytest.approx((2 - 12) / 4)
        assert held.time_weighted_abs.value == pytest.approx((2 + 12) / 4)
        assert held.mean.value == pytest.approx(7 / 3)
        assert held.turns.value == 2.0
        assert held.final.value == 9.0

    def test_largest_position_is_found_between_samples(self):
        """Bought 5 and sold 5 between two flat samples: the risk was there although no sample saw it."""
        equity = equity_of((0, {}), (10, {}))
        fills = fills_of({"ts_recv": START + 2 * NS, "qty": 5.0}, {"ts_recv": START + 3 * NS, "qty": 5.0, "side": -1})
        assert statistics.position_extreme(equity, fills).value == 5.0

    def test_quoting_is_weighted_by_time(self):
        """Two-sided 1 s at 200 bp, bid only 2 s, absent 1 s; the last sample has no duration."""
        equity = equity_of(
            (0, {"quote_bid": 99.0, "quote_ask": 101.0}),
            (1, {"quote_bid": 99.5}),
            (3, {}),
            (4, {"quote_bid": 99.0, "quote_ask": 101.0}),
        )
        seen = statistics.quoting(equity)
        shares = (seen.two_sided, seen.bid_only, seen.ask_only, seen.absent, seen.bid_at_touch, seen.ask_at_touch)
        assert [share.value for share in shares] == [0.25, 0.5, 0.0, 0.25, 0.5, 0.0]
        assert seen.spread_quoted_bps.value == pytest.approx(200.0)
        assert seen.spread_market_bps.value == pytest.approx(100.0)

    def test_an_empty_side_of_the_market_has_no_spread(self):
        """A book without an ask contributes no time to the market's spread."""
        seen = statistics.quoting(equity_of((0, {"ask": None}), (1, {})))
        assert seen.spread_market_bps == statistics.Measure(None, "the market never had two sides")

    def test_instruments_do_not_lend_each_other_time(self):
        """Interleaved samples of two instruments: each stands until its own next one."""
        quote = {"quote_bid": 99.0, "quote_ask": 101.0}
        equity = equity_of(
            (0, quote), (0, {"instrument": "ETHUSDT"}), (1, {"instrument": "ETHUSDT"}), (9, {})
        )  # fmt: skip
        assert statistics.quoting(equity).two_sided.value == pytest.approx(0.9)


class TestPerformance:
    """Risk against reward of an equity curve."""

    @pytest.mark.parametrize(
        ("sharpe", "samples", "error"), [(0.5, 60, 0.137), (1.0, 36, 0.204), (1.5, 60, 0.188), (3.0, 60, 0.303)]
    )
    def test_error_of_sharpe_is_the_published_one(self, sharpe, samples, error):
        """Lo (2002), table 1."""
        assert statistics.sharpe_error(sharpe, samples) == pytest.approx(error, abs=5e-4)

    @pytest.mark.parametrize(("rho", "scale"), [(0.0, 3.4641), (0.2, 2.8788), (0.4, 2.3635), (-0.2, 4.1708)])
    def test_scale_of_sharpe_knows_autocorrelation(self, rho, scale):
        """Lo (2002): from months to a year is √12 only for independent returns."""
        assert statistics.sharpe_scale(12, rho) == pytest.approx(scale, abs=5e-5)

    def test_drawdown_by_hand(self):
        """Peak 10 at 1 s, down to 4, back at 10 at 4 s, and down again by 2 until the end."""
        ts, equity = curve([5, 10, 4, 6, 10, 8])
        found = statistics.performance(ts, equity)
        assert found.max_drawdown.value == 6.0
        assert found.max_drawdown_share.value == 0.6
        assert found.drawdown_ns_max == 3 * NS

    def test_a_drawdown_that_never_ends_lasts_until_the_end(self):
        """Under water from the first sample on."""
        assert statistics.performance(*curve([3, 2, 1, 2])).drawdown_ns_max == 3 * NS

    def test_sharpe_and_sortino_by_hand(self):
        """Gains of +3 and −1 in turns: mean 1, sample deviation 2·√(n/(n−1)), downside √½."""
        gains = np.tile([3.0, -1.0], 20)
        ts, equity = curve(np.append(0.0, np.cumsum(gains)))
        found = statistics.performance(ts, equity)
        assert found.sharpe.value == pytest.approx(1 / (2 * math.sqrt(40 / 39)))
        assert found.sortino.value == pytest.approx(1 / math.sqrt(0.5))
        assert found.t_statistic.value == pytest.approx(found.sharpe.value * math.sqrt(40))
        assert found.autocorrelation.value == pytest.approx(-39 / 40)

    def test_a_short_run_is_not_annualised_unless_asked(self):
        """An hour says nothing about a year by itself, and the note says so."""
        ts, equity = curve(np.cumsum(np.random.default_rng(3).normal(size=3600)))
        quiet = statistics.performance(ts, equity)
        assert quiet.sharpe_annual.value is None
        assert "30 days" in quiet.sharpe_annual.note
        assert quiet.calmar.value is None
        asked = statistics.performance(ts, equity, annualised=True)
        assert asked.sharpe_annual.value == pytest.approx(
            quiet.sharpe.value * statistics.sharpe_scale(365 * 86_400, quiet.autocorrelation.value)
        )

    def test_a_long_run_is_annualised(self):
        """Forty daily samples, with Calmar as annual P&L over the deepest fall."""
        gains = np.tile([2.0, -1.0], 20)
        ts, equity = curve(np.append(0.0, np.cumsum(gains)), seconds=86_400)
        found = statistics.performance(ts, equity)
        assert found.sharpe_annual.value > found.sharpe.value
        assert found.calmar.value == pytest.approx(20 / 40 * 365 / 1.0)
        assert found.sharpe_annual_error.value / found.sharpe_error.value == pytest.approx(
            found.sharpe_annual.value / found.sharpe.value
        )

    @pytest.mark.parametrize(
        ("values", "reason"),
        [
            ([], "there are 0"),
            ([1.0], "there are 1"),
            ([1.0, 2.0, 1.0], "there are 3"),
            (list(range(50)), "straight line"),
            ([5.0] * 50, "straight line"),
        ],
    )
    def test_meaningless_ratios_are_absent_and_say_why(self, values, reason):
        """Few samples and curves without any deviation have no Sharpe ratio."""
        found = statistics.performance(*curve(values))
        assert found.sharpe.value is None
        assert reason in found.sharpe.note

    def test_a_percentage_needs_capital(self):
        """A drawdown of an account that began with nothing has no percentage."""
        assert "without capital" in statistics.performance(*curve([0, 5, 1])).max_drawdown_share.note


class TestPnl:
    """Attribution in currency, in bps and over time."""

    PARTS = Parts(
        spread_capture=1.4, rebates=2.100198, adverse_selection=-3.65, inventory=5.3, taker_slippage=-0.35,
        fees=-4.20014, funding=-1.80018, residual=0.0, turnover=52_505.05,
    )  # fmt: skip

    def test_split_adds_up_in_currency_and_bps(self):
        """The worked example of a hand-checked attribution: −1.200122, −0.228573 bp."""
        split = statistics.pnl_split(self.PARTS)
        assert split.pnl == pytest.approx(-1.200122)
        assert split.pnl_bps.value == pytest.approx(-0.228573, abs=5e-7)
        assert sum(part.bps.value for part in split.components) == pytest.approx(split.pnl_bps.value)
        shown = {part.name: part.bps.value for part in split.components}
        assert shown["spread_capture"] == pytest.approx(0.266641, abs=5e-7)
        assert shown["fees"] == pytest.approx(-0.799950, abs=5e-7)

    def test_net_is_gross_less_adverse_slippage_and_fees(self):
        """The edge identity within 0.05 bps: inventory and funding stay outside."""
        split = statistics.pnl_split(self.PARTS)
        bps = {part.name: part.bps.value for part in split.components}
        gross, costs = bps["spread_capture"], -(bps["fees"] + bps["rebates"])
        assert split.net_bps.value == pytest.approx(
            gross - -bps["adverse_selection"] - -bps["taker_slippage"] - costs, abs=0.05
        )

    def test_without_turnover_there_are_no_bps(self):
        """Funding on an idle position is money, but not a share of trading."""
        split = statistics.pnl_split(Parts(funding=-1.0))
        assert (split.pnl, split.pnl_bps.value, split.pnl_bps.note) == (-1.0, None, "nothing was traded")

    def test_path_ends_where_the_split_ends_and_adds_up_everywhere(self, single):
        """Over time as at the end: components sum to the P&L, and their last values are the attribution."""
        rows = single.equity
        ts, equity, mid = (rows[name].to_numpy() for name in ("ts", "equity", "mid"))
        path = statistics.attribution_path(ts, equity, mid, single.fills, "mid_5s")
        assert np.allclose(np.sum(list(path.values()), axis=0), equity - equity[0], atol=1e-9)
        parts = single.attribution["BTCUSDT"]
        assert parts.spread_capture > 0  # the run is worth looking at
        for name, values in path.items():
            assert values[-1] == pytest.approx(getattr(parts, name), abs=1e-9), name


def test_results_do_not_depend_on_the_order_of_rows(busy):
    """Frames shuffled within their contract give the same numbers."""
    shuffled = busy.orders.sample(fraction=1.0, shuffle=True, seed=5)
    assert statistics.fill_probability(shuffled) == statistics.fill_probability(busy.orders)
    fills = busy.fills.sample(fraction=1.0, shuffle=True, seed=5)
    for before, after in zip(
        statistics.markouts(busy.fills, maker=True), statistics.markouts(fills, maker=True), strict=True
    ):
        assert after.move_bps.value == pytest.approx(before.move_bps.value)
        assert (after.interval is None) == (before.interval is None)


def test_path_ends_where_the_ledger_ends(single):
    """The ledger's own attribution of the same fills has the same parts, so table and chart cannot disagree."""
    fills, last = single.fills.rename({"mid_5s": "mid_after"}), single.equity.row(-1, named=True)
    parts = ledger.attribution(fills, mid_start=single.equity["mid"][0], mid_end=last["mid"])
    rows = single.equity
    path = statistics.attribution_path(
        *(rows[name].to_numpy() for name in ("ts", "equity", "mid")), single.fills, "mid_5s"
    )
    for name, values in path.items():
        assert values[-1] == pytest.approx(getattr(parts, name), abs=1e-9), name
    assert statistics.pnl_split(parts).pnl == pytest.approx(last["equity"])
