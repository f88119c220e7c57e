"""The core's running measures against the batch functions of the same name."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot import signals
from mmbot._core import SignalSpec
from mmbot.signals import Signals

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
touches = st.lists(
    st.tuples(
        st.integers(0, SECOND), st.integers(9_000, 10_000), st.integers(1, 9), st.integers(1, 60), st.integers(1, 60)
    ),
    min_size=2,
    max_size=60,
)


@given(touches)
def test_running_measures_equal_the_batch_functions(rows: list[tuple[int, int, int, int, int]]) -> None:
    """After any sequence of touches each running value is what the batch function says of the whole."""
    gaps, bids, spreads, bid_lots, ask_lots = (np.array(column) for column in zip(*rows, strict=True))
    times, asks = np.cumsum(gaps), bids + spreads
    # A half-life of years forgets nothing; a window of years holds everything, once a last touch has filled it.
    years = 20_000 * HOUR
    running = Signals(
        [
            SignalSpec.microprice(),
            SignalSpec.imbalance(),
            SignalSpec.order_flow_imbalance(100 * years),
            SignalSpec.realised_volatility(years, HOUR),
        ]
    )
    for ts, bid, lots, ask, other in zip(times, bids, bid_lots, asks, ask_lots, strict=True):
        running.on_touch(ts=int(ts), bid=int(bid), bid_lots=int(lots), ask=int(ask), ask_lots=int(other))
    microprice, imbalance, flow, volatility = running.values()
    assert microprice == signals.microprice(bids[-1], bid_lots[-1], asks[-1], ask_lots[-1])
    assert imbalance == signals.imbalance(bid_lots[-1], ask_lots[-1])
    assert flow == pytest.approx(signals.ofi(bids, bid_lots, asks, ask_lots).sum(), abs=1e-3)
    assert math.isnan(volatility)

    end = int(times[0]) + years
    running.on_touch(ts=end, bid=9_500, bid_lots=1, ask=9_501, ask_lots=1)
    one_return = math.log(19_001 / (bids[0] + asks[0]))
    assert running.values()[3] == pytest.approx(abs(one_return) / math.sqrt(years / SECOND), abs=1e-15)


def test_a_window_forgets_and_divides_by_the_time_that_passed() -> None:
    """A steady zigzag keeps its volatility per root second as the window slides, and a still market has none."""
    running = Signals([SignalSpec.realised_volatility(10 * SECOND, SECOND)])
    for second in range(30):
        mid = 10_000 + 10 * (second % 2)
        running.on_touch(ts=second * SECOND, bid=mid - 1, bid_lots=1, ask=mid + 1, ask_lots=1)
        (value,) = running.values()
        assert math.isnan(value) if second < 10 else value == pytest.approx(math.log(10_010 / 10_000))
    for second in range(30, 41):
        running.on_touch(ts=second * SECOND, bid=10_009, bid_lots=1, ask=10_011, ask_lots=1)
    assert running.values() == [0.0]


def test_flows_and_bars_follow_trades_and_time() -> None:
    """Bought minus sold fades by half per half-life; a bar is known once its interval is over."""
    running = Signals([SignalSpec.trade_flow(SECOND), SignalSpec.bar(SECOND, "high"), SignalSpec.bar(SECOND, "volume")])
    running.on_trade(ts=0, tick=100, lots=8, side=1)
    running.on_trade(ts=0, tick=103, lots=4, side=-1)
    assert running.values()[0] == 4.0
    assert all(map(math.isnan, running.values()[1:]))
    running.advance(SECOND)
    assert running.values() == [2.0, 103.0, 12.0]
    assert len(running) == 3


def test_a_one_sided_market_is_unknown_and_the_hash_sees_it() -> None:
    """Without an ask there is no microprice, and the state is another one."""
    running = Signals([SignalSpec.microprice()])
    running.on_touch(ts=1, bid=100, bid_lots=1, ask=101, ask_lots=1)
    state = running.state_hash()
    running.on_touch(ts=1, bid=100, bid_lots=1, ask=None, ask_lots=0)
    assert math.isnan(running.values()[0])
    assert running.state_hash() != state


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (SignalSpec.trade_flow(0), "signal 1: half_life must be positive, got 0 ns"),
        (SignalSpec.realised_volatility(HOUR, 1_000), "keeps 3600000000 samples, expected 1 to 1000000"),
        (SignalSpec.two_scale_volatility(HOUR, SECOND, 1), "signal 1: two-scale volatility needs at least 2"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(spec: SignalSpec, words: str) -> None:
    """The refusal counts the spec from zero and says what would have been right."""
    with pytest.raises(ValueError, match=words):
        Signals([SignalSpec.imbalance(), spec])


def test_a_trade_has_a_side() -> None:
    """A side other than +1 and -1 is refused."""
    with pytest.raises(ValueError, match=r"side must be \+1 or -1 \(who crossed\), got 0"):
        Signals([]).on_trade(ts=0, tick=1, lots=1, side=0)
