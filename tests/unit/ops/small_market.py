"""A market small enough to compute every KPI of it by hand, and folders of iterations to order."""

from pathlib import Path

import msgspec

from mmbot._core import Instrument, TapeWriter
from mmbot.config import BacktestConfig
from mmbot.ops.iterations import Iteration, Summary, write_iteration
from mmbot.ops.kpis import Kpis
from mmbot.strategy import Strategy, Wake, quotes

MS, SECOND = 1_000_000, 1_000_000_000
START = 1_700_000_000 * SECOND
UTC = "2026-11-27T12:00:00Z"


def paint(path: Path, *, seconds: int = 61, symbol: str = "BTCUSDT", delay_ms: int = 3, kind: str = "linear") -> Path:
    """A bid of 1000 and an ask of 1001 that step up a tick of 0.5 every four seconds; sells and buys hit them in turn.

    Depth every 100 ms, a trade 50 ms after each second message; all is heard `delay_ms` late.
    """
    terms = Instrument(venue="bybit", symbol=symbol, kind=kind, tick="0.5", lot="0.001")
    writer = TapeWriter(path, terms)
    for step in range(seconds * 10):
        at, up = START + step * 100 * MS, step // 40
        bid, ask = f"{1000 + up * 0.5:.1f}", f"{1001 + up * 0.5:.1f}"
        writer.depth(at + delay_ms * MS, at, "snapshot", [(bid, "0.010")], [(ask, "0.010")])
        if step % 2:
            side, price = ("sell", bid) if step % 4 == 1 else ("buy", ask)
            writer.trade(at + (50 + delay_ms) * MS, at + 50 * MS, price, "0.015", side)
    writer.finish()
    return path


class Joins(Strategy):
    """Quotes five lots at the touch, and crosses the spread at every `crossing`-th wake."""

    wake = Wake(every_ms=500)

    def __init__(self, crossing: int = 0) -> None:
        self.crossing, self.asked = crossing, 0

    def decide(self, view):
        """Quote where there is room."""
        self.asked += 1
        wanted = quotes(view.bid if view.position < 20 else None, view.ask if view.position > -20 else None, 5)
        if self.crossing and self.asked % self.crossing == 0 and view.ask is not None:
            return wanted.and_order("buy", 2, view.ask)
        return wanted


def settings(*tapes: Path, markout: str = "1s", **venue) -> BacktestConfig:
    """A configuration with a rebate of half a basis point and room for what `Joins` wants."""
    return BacktestConfig.model_validate(
        {
            "instruments": [
                {
                    "tape": str(tape),
                    "limits": {"position": "0.040", "order": "0.020", "collar_bps": 500},
                    "fees": {"maker_bps": -0.5, "taker_bps": 4.0},
                    "venue": venue,
                }
                for tape in tapes
            ],
            "sample_ms": 250,
            "markout": markout,
        }
    )


GOOD = Kpis(
    maker_count=18,
    taker_count=2,
    maker_taker_ratio=0.9,
    edge_bps=3.0,
    net_bps=3.2,
    p95_latency_ms=120.0,
    risk_ratio=0.25,
    clock_drift_ms=1.5,
)
"""An iteration that every gate likes."""


def folder_of(folder: Path, windows: list[dict[str, Kpis]], *, utc: str = UTC, seconds: int = 60) -> Path:
    """A run's folder with one iteration for each dict of KPIs by symbol; the first symbol's stand for all together."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, each in enumerate(windows, 1):
        start = START + (number - 1) * seconds * SECOND
        total = msgspec.structs.asdict(next(iter(each.values())))
        iteration = Iteration(
            iteration=number,
            summary=Summary(**total, per_symbol=each),
            mode="shadow",
            exchange="bybit",
            symbols=tuple(each),
            start_ns=start,
            end_ns=start + seconds * SECOND,
            duration_seconds=seconds,
        )
        write_iteration(folder, iteration, utc=utc)
    return folder


def changed(kpis: Kpis, **values) -> Kpis:
    """The same KPIs with other values."""
    return msgspec.structs.replace(kpis, **values)
