"""mmbot._core.Replay.run_until: the shadow of a recorded market, while it is being recorded."""

from collections.abc import Iterator
from functools import cache
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmbot import samples
from mmbot._core import Desk, Latency, LiveTape, Replay, Seat, SignalSpec, Tape
from mmbot._core import Listing as Listed
from mmbot.data import tape as frames
from mmbot.strategies.join_touch import JoinTouch, JoinTouchConfig
from mmbot.strategy import View

MS = 1_000_000
MESSAGES = 3_000
ROOMS = count()


@cache
def recorded() -> list[tuple[str, Any]]:
    """The first messages of a recorded market, as the method of a tape and its arguments."""
    return list(islice(messages(samples.sample("btcusdt")), MESSAGES))


def messages(tape: Tape) -> Iterator[tuple[str, Any]]:
    """All book messages and trades in the order of receipt."""
    depth, trades = frames.records(tape, "depth"), iter(frames.records(tape, "trades"))
    levels, terms, waiting = frames.records(tape, "levels"), tape.instrument, next(trades, None)
    for index, message in enumerate(depth):
        while waiting is not None and waiting["depth_before_recv"] <= index:
            side = "sell" if waiting["depth_before_venue"] >> 31 else "buy"
            price, quantity = terms.price(int(waiting["tick"])), terms.quantity(int(waiting["lots"]))
            yield "trade", (int(waiting["ts_recv"]), int(waiting["ts_venue"]), price, quantity, side)
            waiting = next(trades, None)
        first, kind = int(message["span"]) & ((1 << 56) - 1), int(message["span"]) >> 56
        mine = levels[first : first + int(message["n_bid"]) + int(message["n_ask"])]
        texts = [(terms.price(int(tick)), terms.quantity(int(lots))) for tick, lots in mine.tolist()]
        sides = texts[: message["n_bid"]], texts[message["n_bid"] :]
        times = int(message["ts_recv"]), int(message["ts_venue"])
        yield "depth", (*times, ("delta", "snapshot", "gap")[kind], *sides)


class Run:
    """A plain maker on a tape, at whatever state that is."""

    def __init__(self, tape: Tape) -> None:
        """Two milliseconds to the venue and back; a wake every 50 ms, at fills and when the touch moves."""
        entry, signals = Latency.constant(2 * MS), [SignalSpec.microprice()]
        listing = Listed(tape, entry=entry, response=entry, signals=signals)
        desk = Desk(position_max=50, order_max=5)
        self.core = Replay([listing], [Seat([desk], every_ns=50 * MS, touch=True, fill=True)], sample_ns=100 * MS)
        self.views: list[View] = []
        self.views.append(View(self.core, 0, tape.instrument, self.views))
        self.decide = JoinTouch(JoinTouchConfig(order_lots=5, cap_lots=50)).decide

    def until(self, until_ns: int, *, last: bool = False) -> None:
        """Goes on."""
        self.core.run_until(until_ns, [self.decide], self.views, last)

    def left(self) -> list[Any]:
        """All that a run leaves behind."""
        core = self.core
        logs: list[dict[str, Any]] = [core.fills(0), core.order_log(0), core.samples(0)]
        return [
            *({name: np.asarray(column).tolist() for name, column in log.items()} for log in logs),
            *(core.commands_hash(0), core.state_hash(0), core.wakes(0), core.now),
            *(core.books(0, 0), core.denials(0), core.signal(0, 0), core.orders(0)),
        ]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(every=st.integers(1, 400), lag_ms=st.sampled_from([0, 20, 500]))
def test_a_shadow_run_leaves_what_the_backtest_of_its_tape_leaves(tmp_path: Path, every: int, lag_ms: int) -> None:
    """Cut anywhere and with any lag: fills, orders, samples and hashes are those of one run over the sealed tape."""
    path = tmp_path / f"{next(ROOMS)}.tape"
    live = LiveTape(path.with_suffix(".live"), samples.sample("btcusdt").instrument)
    shadow = Run(live.tape)
    for index, (method, arguments) in enumerate(recorded()):
        getattr(live, method)(*arguments)
        if index % every == 0:
            until = arguments[0] - lag_ms * MS
            live.settle(until)
            shadow.until(until)
            assert shadow.core.now <= max(until, 0)
    live.seal(path)
    shadow.until(0, last=True)
    backtest = Run(Tape.open(path))
    backtest.core.run([backtest.decide], backtest.views)
    assert shadow.left() == backtest.left()
    assert shadow.core.orders_named(0) > 10


def test_a_run_waits_for_what_is_settled(tmp_path: Path) -> None:
    """A time up to which something may still come is refused, and the error says what to do."""
    live = LiveTape(tmp_path / "x.live", samples.sample("btcusdt").instrument)
    shadow = Run(live.tape)
    with pytest.raises(ValueError, match="settle it"):
        shadow.until(5)
    live.settle(5)
    shadow.until(5)
    shadow.until(0, last=True)
    assert (shadow.core.now, shadow.core.wakes(0)) == (0, 0)
