"""What the guards remember and how they measure it."""

import math
from itertools import accumulate, pairwise
from statistics import stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.risk import GuardLevel, RiskGuard, RiskGuards, RiskGuardsConfig, pnl_z

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
PRICES = [100.0, 100.1, 99.95, 100.2, 100.15, 100.0]


def by_hand(prices: list[float]) -> float:
    """Sample standard deviation of log returns, bps."""
    return 1e4 * stdev(math.log(after / before) for before, after in pairwise(prices))


def fed(prices: list[float], every_ns: int = MINUTE, config: RiskGuardsConfig | None = None) -> RiskGuards:
    """Guards that have seen these prices of X, evenly spaced from time zero."""
    guards = RiskGuards(config)
    for i, price in enumerate(prices):
        guards.update_volatility("X", price, i * every_ns)
    return guards


def volatility(guards: RiskGuards, now_ns: int = 0) -> float | None:
    """The volatility that the guard of X is shown."""
    return guards.measure("X", now_ns, position=0, position_max=1).volatility_bps


def levels(guards: RiskGuards, now_ns: int, **position: float) -> dict[RiskGuard, GuardLevel]:
    """What X's verdict says, by guard."""
    verdict = guards.assess("X", now_ns, **{"position": 0.0, "position_max": 100.0, **position})
    return {trigger.guard: trigger.level for trigger in verdict.triggers}


# --- volatility ---


def test_vol_uses_log_returns() -> None:
    """Three prices make two returns, and their deviation is the one computed by hand."""
    guards = fed(PRICES[:3])
    assert guards.vol_ema_bps == {"X": pytest.approx(by_hand(PRICES[:3]))}


def test_backward_compat_vol_ema_bps() -> None:
    """Alpha 0.1, seeded with the first volatility; one entry a symbol, and 0.0 before there is one."""
    guards = RiskGuards()
    assert guards.vol_ema_bps == {}
    assert [guards.update_volatility("X", price) for price in PRICES[:2]] == [0.0, 0.0]
    expected = by_hand(PRICES[:3])
    assert guards.update_volatility("X", PRICES[2]) == pytest.approx(expected)
    for seen in (4, 5, 6):
        expected += 0.1 * (by_hand(PRICES[:seen]) - expected)
        assert guards.update_volatility("X", PRICES[seen - 1]) == pytest.approx(expected)
    guards.update_volatility("Y", 5.0)
    assert guards.vol_ema_bps == {"X": pytest.approx(expected), "Y": 0.0}


def test_a_shown_zero_is_no_known_volatility() -> None:
    """With one return the average reads 0.0, and the guard still takes the volatility for unknown."""
    guards = fed(PRICES[:2])
    assert guards.vol_ema_bps == {"X": 0.0}
    assert volatility(guards, MINUTE) is None
    assert levels(guards, MINUTE) == {RiskGuard.VOLATILITY: GuardLevel.HARD}


def test_only_the_latest_returns_count() -> None:
    """With a window of three returns, four prices make each volatility, and the average is over those."""
    guards, expected = RiskGuards(RiskGuardsConfig(volatility_window=3)), None
    for seen, price in enumerate(PRICES * 2, 1):
        shown = guards.update_volatility("X", price)
        if seen >= 3:
            now = by_hand((PRICES * 2)[max(0, seen - 4) : seen])
            expected = now if expected is None else expected + 0.1 * (now - expected)
            assert shown == pytest.approx(expected)


def test_memory_does_not_grow() -> None:
    """Of each symbol a hundred prices are kept."""
    guards = fed([100.0 + i % 3 for i in range(300)])
    assert [time_ns for time_ns, _ in guards._prices["X"]._samples] == [i * MINUTE for i in range(200, 300)]


@pytest.mark.parametrize("every_ns", [SECOND // 10, SECOND, MINUTE, 5 * MINUTE])
def test_the_guard_reads_bps_of_a_minute_however_often_prices_come(every_ns: int) -> None:
    """The same returns in a tenth of the time are more volatility, by its square root."""
    guards = fed(PRICES[:3], every_ns)
    assert guards.vol_ema_bps["X"] == pytest.approx(by_hand(PRICES[:3]))
    assert volatility(guards, 2 * every_ns) == pytest.approx(by_hand(PRICES[:3]) * math.sqrt(MINUTE / every_ns))


def test_without_times_a_sample_is_a_minute() -> None:
    """Then bps per sample are what the thresholds speak of, and no price is ever stale."""
    guards = RiskGuards()
    for price in PRICES[:3]:
        guards.update_volatility("X", price)
    assert volatility(guards, 10**18) == pytest.approx(guards.vol_ema_bps["X"])


def test_thresholds_are_not_compared_with_annualised_numbers() -> None:
    """A market of 50 % a year is calm for the guards: 6.9 bps a minute, where annualised it were 5,000."""
    swing = 0.5 * math.sqrt(60 / 31_536_000)
    prices = [100.0 * math.exp(swing * (i % 2)) for i in range(60)]
    config = RiskGuardsConfig(price_stale_ms=120_000)
    guards = fed(prices, MINUTE, config)
    assert volatility(guards, 59 * MINUTE) == pytest.approx(6.9, abs=0.3)
    assert levels(guards, 59 * MINUTE) == {}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 0.0, -5.0])
def test_a_bad_price_is_skipped_and_makes_the_volatility_unknown(bad: float) -> None:
    """It is HARD at once, leaves no trace in the numbers, and the next good price lifts it."""
    guards, spared = fed(PRICES[:4]), fed(PRICES[:4])
    assert guards.update_volatility("X", bad, 4 * MINUTE) == spared.vol_ema_bps["X"]
    assert levels(guards, 4 * MINUTE)[RiskGuard.VOLATILITY] is GuardLevel.HARD
    for each in (guards, spared):
        each.update_volatility("X", PRICES[4], 5 * MINUTE)
    assert volatility(guards, 5 * MINUTE) == volatility(spared, 5 * MINUTE) is not None


def test_an_old_price_makes_the_volatility_unknown() -> None:
    """Just under ten seconds the last price counts, at ten seconds it does not."""
    guards = fed(PRICES[:3], SECOND)
    assert volatility(guards, 12 * SECOND - 1) is not None
    assert volatility(guards, 12 * SECOND) is None


def test_the_last_price_of_a_moment_counts() -> None:
    """A second price at the same time takes the place of the first."""
    guards = fed([100.0, 100.1, 42.0], SECOND)
    guards.update_volatility("X", 99.95, 2 * SECOND)
    returns = by_hand([100.0, 100.1, 99.95])
    assert guards._prices["X"]._samples[-1] == (2 * SECOND, 99.95)
    assert len(guards._prices["X"]._samples) == 3
    assert guards.vol_ema_bps["X"] < by_hand([100.0, 100.1, 42.0])
    assert guards.vol_ema_bps["X"] > returns


def test_times_go_on_and_are_given_always_or_never() -> None:
    """A step back in time and a symbol with times now and then are mistakes of the caller, and named."""
    guards = fed(PRICES[:2])
    with pytest.raises(ValueError, match="before the last price at 60000000000"):
        guards.update_volatility("X", 100.0, SECOND)
    with pytest.raises(ValueError, match="prices of 'X' came with and without now_ns"):
        guards.update_volatility("X", 100.0)


def test_a_symbol_never_seen_is_not_safe() -> None:
    """No price, no quotes; and the other symbol is judged on its own."""
    guards = fed(PRICES[:3])
    assert guards.assess("Y", 2 * MINUTE, position=0, position_max=1).level is GuardLevel.HARD
    assert guards.assess("X", 2 * MINUTE, position=0, position_max=1).halted_until_ns is None


@given(st.lists(st.floats(50.0, 200.0), min_size=3, max_size=30), st.floats(0.001, 1000.0))
def test_volatility_does_not_depend_on_the_unit_of_the_price(prices: list[float], unit: float) -> None:
    """Log returns know no currency."""
    plain, scaled = fed(prices), fed([price * unit for price in prices])
    assert scaled.vol_ema_bps["X"] == pytest.approx(plain.vol_ema_bps["X"], rel=1e-6, abs=1e-6)


# --- latency ---


def calm() -> RiskGuards:
    """Guards with a known, low volatility, so that other guards can be seen."""
    guards = RiskGuards()
    for price in (100.0, 100.0, 100.0):
        guards.update_volatility("X", price)
    return guards


@pytest.mark.parametrize(
    ("slow", "level"), [(5, None), (6, GuardLevel.HARD)], ids=["five of a hundred", "six of a hundred"]
)
def test_latency_is_the_nearest_rank_95th_percentile(slow: int, level: GuardLevel | None) -> None:
    """Five slow round trips in a hundred do not count, the sixth does."""
    guards = calm()
    for latency_ms in [900.0] * slow + [10.0] * (100 - slow):
        guards.update_latency(SECOND, latency_ms)
    assert levels(guards, SECOND).get(RiskGuard.LATENCY) is level


def test_few_round_trips_say_nothing() -> None:
    """Four are not judged; the fifth is."""
    guards = calm()
    for _ in range(4):
        guards.update_latency(0, 310.0)
    assert levels(guards, 0) == {}
    guards.update_latency(0, 310.0)
    assert levels(guards, 0) == {RiskGuard.LATENCY: GuardLevel.SOFT}


def test_old_round_trips_are_forgotten() -> None:
    """Nothing is sent in a halt, so nothing is measured; after a minute the guard lets us try again."""
    guards = calm()
    for _ in range(100):
        guards.update_latency(SECOND, 900.0)
    assert levels(guards, 61 * SECOND - 1) == {RiskGuard.LATENCY: GuardLevel.HARD}
    assert levels(guards, 64 * SECOND) == {}


def test_a_round_trip_that_is_nan_is_not_safe() -> None:
    """One among many fast ones is HARD, few as they are."""
    guards = calm()
    guards.update_latency(0, math.nan)
    assert levels(guards, 0) == {RiskGuard.LATENCY: GuardLevel.HARD}


# --- P&L ---


def earning(changes: list[float], every_ns: int = 10 * SECOND) -> RiskGuards:
    """Guards that saw a P&L change by these amounts, from zero on."""
    guards = calm()
    for i, pnl in enumerate(accumulate([0.0, *changes])):
        guards.update_pnl(i * every_ns, pnl)
    return guards


def test_pnl_z_is_the_loss_over_what_chance_would_make() -> None:
    """The sum of the changes, in their standard deviation times the root of their number."""
    changes = [1.0, -3.0, 2.0, -4.0]
    assert pnl_z([0.0, *accumulate(changes)]) == pytest.approx(-4.0 / (stdev(changes) * 2.0))


@pytest.mark.parametrize(("losses", "level"), [(1, None), (3, GuardLevel.SOFT), (8, GuardLevel.HARD)])
def test_one_bad_trade_is_bad_luck_and_a_row_of_them_is_not(losses: int, level: GuardLevel | None) -> None:
    """Among forty samples one loss passes, three are SOFT and eight HARD, however large they are."""
    for size in (0.01, 1.0, 1e6):
        guards = earning([0.0] * (40 - losses) + [-size] * losses)
        assert levels(guards, 400 * SECOND).get(RiskGuard.PNL) is level


def test_pnl_without_a_change_or_without_a_pause() -> None:
    """Nothing made is no loss; losing the same every time is the surest loss there is."""
    assert pnl_z([5.0, 5.0, 5.0]) == 0.0
    assert pnl_z([3.0, 2.0, 1.0]) == -math.inf
    assert pnl_z([1.0, 2.0, 3.0]) == math.inf
    with pytest.raises(ValueError, match="at least three samples of P&L, got 2"):
        pnl_z([1.0, 2.0])


def test_few_samples_of_pnl_say_nothing() -> None:
    """The thirtieth change is the first that can be judged."""
    assert levels(earning([-1.0] * 29), 300 * SECOND) == {}
    assert levels(earning([-1.0] * 30), 300 * SECOND) == {RiskGuard.PNL: GuardLevel.HARD}


def test_no_loss_falls_between_two_samples() -> None:
    """Told every second, it keeps one in ten, and the losses in between are in the next one."""
    often, seldom = calm(), calm()
    for second, pnl in enumerate(accumulate([-0.5, 0.2] * 200)):
        often.update_pnl(second * SECOND, pnl)
        if second % 10 == 0:
            seldom.update_pnl(second * SECOND, pnl)
    shown = [each.measure("X", 399 * SECOND, position=0, position_max=1).pnl_z for each in (often, seldom)]
    assert shown[0] == shown[1]
    assert shown[0] is not None
    assert shown[0] < -2.5


def test_an_hour_later_the_loss_is_forgotten() -> None:
    """Samples leave the window one by one, and memory does not grow."""
    guards = earning([-1.0] * 40 + [0.0] * 1000)
    assert len(guards._pnl) <= 361
    assert levels(guards, 10_400 * SECOND) == {}


def test_a_pnl_that_is_not_finite_is_unknown_until_the_next_good_one() -> None:
    """It is HARD at once, even between two samples, and is kept nowhere."""
    guards = earning([0.0] * 40)
    guards.update_pnl(401 * SECOND, math.nan)
    assert levels(guards, 401 * SECOND) == {RiskGuard.PNL: GuardLevel.HARD}
    guards.update_pnl(402 * SECOND, 0.0)
    assert levels(guards, 404 * SECOND) == {}
    with pytest.raises(ValueError, match="before the last P&L"):
        guards.update_pnl(0, 0.0)


@given(st.lists(st.integers(-100, 100), min_size=2, max_size=60), st.sampled_from([0.5, 2.0, 1024.0]))
def test_pnl_z_does_not_depend_on_the_currency(changes: list[int], unit: float) -> None:
    """Twice the money is the same luck; the opposite P&L is the opposite of it."""
    pnl = [float(total) for total in accumulate([0, *changes])]
    assert pnl_z([unit * each for each in pnl]) == pytest.approx(pnl_z(pnl))
    assert pnl_z([-each for each in pnl]) == pytest.approx(-pnl_z(pnl))


# --- inventory, taker fills, verdicts ---


@pytest.mark.parametrize(
    ("position", "level"), [(5.9, None), (-6.0, GuardLevel.SOFT), (6.0, GuardLevel.SOFT), (-10.0, GuardLevel.HARD)]
)
def test_long_and_short_weigh_the_same(position: float, level: GuardLevel | None) -> None:
    """The size of the position is held against the largest one allowed."""
    assert levels(calm(), 0, position=position).get(RiskGuard.INVENTORY) is level


@pytest.mark.parametrize("position_max", [0.0, -1.0, math.nan, math.inf])
def test_a_largest_position_that_is_none_is_refused(position_max: float) -> None:
    """A share of nothing cannot be measured, and the mistake is the operator's."""
    with pytest.raises(ValueError, match=r"position_max is .*; expected a finite number above zero"):
        calm().assess("X", 0, position=0.0, position_max=position_max)


def test_taker_fills_count_for_fifteen_minutes() -> None:
    """The twelfth within the window is SOFT, the twentieth HARD, and the first leaves after 900 seconds."""
    guards, seen = calm(), []
    for second in range(20):
        guards.on_taker_fill(second * SECOND)
        seen.append(levels(guards, second * SECOND).get(RiskGuard.TAKER_FILLS, GuardLevel.NONE))
    assert seen == [GuardLevel.NONE] * 11 + [GuardLevel.SOFT] * 8 + [GuardLevel.HARD]
    assert levels(guards, 900 * SECOND - 1) == {RiskGuard.TAKER_FILLS: GuardLevel.HARD}
    assert levels(guards, 903 * SECOND) == {RiskGuard.TAKER_FILLS: GuardLevel.SOFT}
    assert levels(guards, 919 * SECOND) == {}


def test_each_symbol_halts_alone() -> None:
    """A halt of one symbol is its own: another one goes on, and cancels nothing."""
    guards = calm()
    for price in (1.0, 1.0, 1.0):
        guards.update_volatility("Y", price)
    halted = guards.assess("X", 0, position=50.0, position_max=100.0)
    other = guards.assess("Y", 1, position=0.0, position_max=100.0)
    again = guards.assess("X", 2, position=0.0, position_max=100.0)
    assert (halted.cancel_all, other.quotes, again.quotes, again.cancel_all) == (True, True, False, False)
    assert guards.assess("X", 2 * SECOND, position=0.0, position_max=100.0).quotes


def test_windows_end_to_the_nanosecond() -> None:
    """A round trip is forgotten after a minute, a taker fill after fifteen, and neither a nanosecond before."""
    guards = calm()
    guards.on_taker_fill(0)
    for _ in range(5):
        guards.update_latency(0, 100.0)
    times_ns = (MINUTE - 1, MINUTE, 15 * MINUTE - 1, 15 * MINUTE)
    seen = [guards.measure("X", now_ns, position=0, position_max=1) for now_ns in times_ns]
    assert [each.latency_p95_ms for each in seen] == [100.0, None, None, None]
    assert [each.taker_fills for each in seen] == [1, 1, 1, 0]
