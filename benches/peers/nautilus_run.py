"""NautilusTrader on the rules of ../rules.md, as near as can be: python -m benches.peers.nautilus_run CAPTURE.npz.

The documented (Cython) BacktestEngine on an L2 book, one OrderBookDeltas object per message, trade execution, queue
position and a 10 ms latency model; logging and risk engine bypassed, so that only the job itself is paid for. Runs in
an environment of its own (requirements-nautilus.txt) and prints one JSON line; where the package is missing, the line
says `skipped` and why.
"""

import argparse
import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from benches.peers.capture import DELTA, Capture
from benches.peers.measure import cold, warm
from benches.peers.rules import RULES

try:
    import nautilus_trader
    import pandas as pd
    from nautilus_trader.backtest.engine import BacktestEngine
    from nautilus_trader.backtest.models import LatencyModel
    from nautilus_trader.config import BacktestEngineConfig, LoggingConfig, RiskEngineConfig
    from nautilus_trader.model.currencies import BTC, USDT
    from nautilus_trader.model.data import BookOrder, OrderBookDelta, OrderBookDeltas, TradeTick
    from nautilus_trader.model.enums import (
        AccountType,
        AggressorSide,
        BookAction,
        BookType,
        OmsType,
        OrderSide,
        RecordFlag,
    )
    from nautilus_trader.model.identifiers import InstrumentId, Symbol, TradeId, Venue
    from nautilus_trader.model.instruments import CryptoPerpetual
    from nautilus_trader.model.objects import Money, Price, Quantity
    from nautilus_trader.trading.strategy import Strategy
except ImportError as missing:
    print(json.dumps({"engine": "nautilus_trader", "skipped": f"not installed here: {missing}"}))
    raise SystemExit(0) from missing

VENUE = Venue("BINANCE")
INSTRUMENT = InstrumentId(Symbol("BTCUSDT-PERP"), VENUE)
SIDES = (OrderSide.BUY, OrderSide.SELL)


def decimals(step: float) -> int:
    """Decimals of a power-of-ten step, e.g. 1 for 0.1."""
    return max(0, -Decimal(repr(step)).normalize().as_tuple().exponent)


def instrument(capture: Capture) -> CryptoPerpetual:
    """A linear perpetual with the capture's steps and the rules' fees."""
    price_precision, size_precision = decimals(capture.tick), decimals(capture.lot)
    return CryptoPerpetual(
        instrument_id=INSTRUMENT,
        raw_symbol=Symbol("BTCUSDT"),
        base_currency=BTC,
        quote_currency=USDT,
        settlement_currency=USDT,
        is_inverse=False,
        price_precision=price_precision,
        size_precision=size_precision,
        price_increment=Price(capture.tick, price_precision),
        size_increment=Quantity(capture.lot, size_precision),
        max_quantity=None,
        min_quantity=None,
        max_notional=None,
        min_notional=None,
        max_price=None,
        min_price=None,
        margin_init=Decimal("0.01"),
        margin_maint=Decimal("0.005"),
        maker_fee=Decimal(repr(RULES.maker_fee)),
        taker_fee=Decimal(repr(RULES.taker_fee)),
        ts_event=0,
        ts_init=0,
    )


def objects(capture: Capture) -> list[Any]:
    """The capture as NautilusTrader's own objects, in receive order: one per book message, one per trade."""
    return [(_trade if is_trade else _deltas)(capture, index) for is_trade, index in capture.receive_order()]


def _trade(capture: Capture, index: int) -> "TradeTick":
    trade = capture.trades[index]
    return TradeTick(
        INSTRUMENT,
        Price(int(trade["tick"]) * capture.tick, decimals(capture.tick)),
        Quantity(int(trade["lots"]) * capture.lot, decimals(capture.lot)),
        AggressorSide.SELLER if capture.sold[index] else AggressorSide.BUYER,
        TradeId(str(index)),
        int(trade["ts_venue"]),
        int(trade["ts_recv"]),
    )


def _deltas(capture: Capture, index: int) -> "OrderBookDeltas":
    message = capture.depth[index]
    first, n_bid, n = int(capture.first[index]), int(message["n_bid"]), int(capture.n_levels[index])
    ts_venue, ts_recv = int(message["ts_venue"]), int(message["ts_recv"])
    is_delta = capture.kind[index] == DELTA
    flags = 0 if is_delta else RecordFlag.F_SNAPSHOT
    deltas = [] if is_delta else [OrderBookDelta.clear(INSTRUMENT, 0, ts_venue, ts_recv)]
    for place, (tick, lots) in enumerate(capture.levels[first : first + n].tolist()):
        order = BookOrder(
            OrderSide.BUY if place < n_bid else OrderSide.SELL,
            Price(tick * capture.tick, decimals(capture.tick)),
            Quantity(lots * capture.lot, decimals(capture.lot)),
            0,
        )
        action = BookAction.UPDATE if lots else BookAction.DELETE
        last = RecordFlag.F_LAST if place == n - 1 else 0
        deltas.append(OrderBookDelta(INSTRUMENT, action, order, flags | last, 0, ts_venue, ts_recv))
    return OrderBookDeltas(INSTRUMENT, deltas)


class Listener(Strategy):
    """Keeps a book and does nothing else."""

    def on_start(self) -> None:
        """Ask for the book; nothing else is needed, so nothing else is asked for."""
        self.subscribe_order_book_deltas(INSTRUMENT, BookType.L2_MBP)


class JoinTheTouch(Listener):
    """The rules' strategy."""

    def __init__(self, capture: Capture, t0: int) -> None:
        super().__init__()
        self.t0, self.lot = t0, capture.lot
        self.qty = Quantity(RULES.order_lots * capture.lot, decimals(capture.lot))
        self.working: list[Any] = [None, None]
        self.position_lots = 0
        self.wakes = self.submits = self.cancels = self.rejects = 0
        self.fills: list[tuple[int, int, float, int]] = []
        self.balance = self.fee = 0.0

    def on_start(self) -> None:
        """Subscribe, and wake at the instants of the rules."""
        super().on_start()
        self.clock.set_timer(
            "wake",
            pd.Timedelta(RULES.interval_ns),
            start_time=pd.Timestamp(self.t0, tz="UTC"),
            callback=self.wake,
        )

    def wake(self, _event: Any) -> None:
        """Compare what is wanted with what is working, the bid side first."""
        self.wakes += 1
        book = self.cache.order_book(INSTRUMENT)
        best = (book.best_bid_price(), book.best_ask_price())
        if None in best or best[0] >= best[1]:
            return
        room = (
            self.position_lots < RULES.position_lots_max,
            self.position_lots > -RULES.position_lots_max,
        )
        for side in (0, 1):
            order = self.working[side]
            if order is not None and order.is_closed:
                order = self.working[side] = None
            if order is not None and not (room[side] and order.price == best[side]):
                self.cancel_order(order)
                self.cancels += 1
                order = self.working[side] = None
            if room[side] and order is None:
                order = self.order_factory.limit(INSTRUMENT, SIDES[side], self.qty, best[side], post_only=True)
                self.working[side] = order
                self.submit_order(order)
                self.submits += 1

    def on_order_filled(self, event: Any) -> None:
        """Book the fill."""
        sign = 1 if event.order_side == OrderSide.BUY else -1
        price, qty = float(event.last_px), float(event.last_qty)
        self.position_lots += sign * round(qty / self.lot)
        self.balance -= sign * price * qty
        self.fee += float(event.commission)
        self.fills.append((event.ts_event, sign, price, round(qty / self.lot)))

    def on_order_rejected(self, _event: Any) -> None:
        """Count a refused post-only order."""
        self.rejects += 1


def engine(capture: Capture, data: list[Any], mode: str) -> tuple[BacktestEngine, Strategy | None]:
    """A fresh engine with its data and, unless mode is `feed`, its strategy."""
    config = BacktestEngineConfig(
        logging=LoggingConfig(bypass_logging=True),
        risk_engine=RiskEngineConfig(bypass=True),
        run_analysis=False,
    )
    built = BacktestEngine(config)
    built.add_venue(
        venue=VENUE,
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        starting_balances=[Money(1_000_000, USDT)],
        base_currency=USDT,
        default_leverage=Decimal(10),
        latency_model=LatencyModel(base_latency_nanos=RULES.entry_ns),
        book_type=BookType.L2_MBP,
        bar_execution=False,
        trade_execution=True,
        queue_position=True,
    )
    built.add_instrument(instrument(capture))
    # By kind: the engine judges what a list holds by its first element.
    for kind in (OrderBookDeltas, TradeTick):
        built.add_data([item for item in data if isinstance(item, kind)], sort=False)
    built.sort_data()
    if mode == "feed":
        return built, None
    t0 = int(capture.depth["ts_recv"][0])
    strategy = Listener() if mode == "sub" else JoinTheTouch(capture, t0)
    built.add_strategy(strategy)
    return built, strategy


def replay(built: tuple[BacktestEngine, Strategy | None]) -> dict[str, Any]:
    """Run the engine and say what happened."""
    running, strategy = built
    running.run()
    outcome: dict[str, Any] = {}
    if strategy is not None:
        book = running.cache.order_book(INSTRUMENT)
        outcome |= {"bid": round(float(book.best_bid_price()), 10), "ask": round(float(book.best_ask_price()), 10)}
    if isinstance(strategy, JoinTheTouch):
        outcome |= {
            "wakes": strategy.wakes,
            "submits": strategy.submits,
            "cancels": strategy.cancels,
            "rejects": strategy.rejects,
            "fills": len(strategy.fills),
            "position": round(strategy.position_lots * strategy.lot, 9),
            "balance": round(strategy.balance, 6),
            "fee": round(strategy.fee, 6),
        }
    return outcome


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("capture", type=Path, help="capture file of capture.py")
    parser.add_argument("--mode", choices=("feed", "sub", "mm"), default="mm")
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds after one warm-up")
    parser.add_argument("--cold", action="store_true", help="measure this process from its start instead")
    return parser.parse_args()


def main() -> None:
    """Measure one configuration."""
    options = parse()
    cpu_from, wall_from = time.process_time(), time.perf_counter()
    capture = Capture.load(options.capture)
    data = objects(capture)
    load_cpu_s, load_wall_s = time.process_time() - cpu_from, time.perf_counter() - wall_from

    def prepare() -> tuple[BacktestEngine, Strategy | None]:
        return engine(capture, data, options.mode)

    timing = cold(prepare, replay, load_cpu_s, load_wall_s) if options.cold else warm(prepare, replay, options.rounds)
    row = {
        "engine": "nautilus_trader",
        "version": nautilus_trader.__version__,
        "case": options.mode,
        "state": "cold" if options.cold else "warm",
        "events": capture.events,
        "load_cpu_s": round(load_cpu_s, 3),
        **timing.as_row(),
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
