"""A small market maker on a random walk, whose every number can be recomputed: the results that the tests look at."""

from dataclasses import dataclass, field, fields, replace

import numpy as np
import polars as pl

from mmbot.research.result import EQUITY_SCHEMA, FILLS_SCHEMA, ORDERS_SCHEMA, InstrumentFacts, Result, RunFacts

NS = 1_000_000_000
START = 1_700_000_000 * NS
STEP = NS // 10
HORIZON_STEPS = {"mid_100ms": 1, "mid_1s": 10, "mid_5s": 50, "mid_30s": 300, "mid_300s": 3000}


@dataclass(frozen=True)
class Parts:
    """An attribution as the ledger gives it: signed, adding up to the P&L."""

    spread_capture: float = 0.0
    rebates: float = 0.0
    adverse_selection: float = 0.0
    taker_slippage: float = 0.0
    fees: float = 0.0
    inventory: float = 0.0
    initial_inventory: float = 0.0
    funding: float = 0.0
    residual: float = 0.0
    turnover: float = 0.0

    def __add__(self, other):
        """Portfolio attribution: added in currency."""
        return Parts(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


def instrument(symbol="BTCUSDT", **changes):
    """Facts of a linear perpetual."""
    facts = InstrumentFacts(
        symbol=symbol,
        venue="bybit",
        kind="linear",
        tick="0.1",
        lot="0.001",
        base=symbol.removesuffix("USDT"),
        quote="USDT",
    )
    return replace(facts, **changes)


def run_facts(*symbols, **changes):
    """Facts of a backtest over the given symbols."""
    facts = RunFacts(
        run_id="golden-day-0007",
        mode="backtest",
        version="0.1.0",
        config_hash="c0ffee" * 8,
        code_hash="decade" * 8,
        tape_hashes=("beef" * 12, "f00d" * 12),
        seed=7,
        commands_hash="ab12" * 8,
        state_hash="cd34" * 8,
        venue="bybit",
        instruments=tuple(instrument(symbol) for symbol in symbols or ("BTCUSDT",)),
        start_ns=START,
        span_ns=1800 * NS,
        events=1_234_567,
        wakes=18_000,
        laws={"queue": "risk-averse: cancels come from behind us", "entry latency": "5 ms", "fees": "−0.5 bp / 4 bp"},
        limitations=("Hidden size is invisible.", "Our orders do not move the market."),
    )
    return replace(facts, **changes)


def frame(schema, rows=()):
    """Rows (dicts) as a frame of the schema; what is not given is null."""
    return pl.DataFrame([{name: row.get(name) for name in schema} for row in rows], schema=schema, orient="row")


def fill_row(**changes):
    """One maker buy a tick under the mid."""
    row = {
        "ts_venue": START, "ts_recv": START, "instrument": "BTCUSDT", "order_id": 1, "execution": 1, "side": 1,
        "price": 99.0, "qty": 1.0, "price_ticks": 990, "qty_lots": 1000, "maker": True, "fee": 0.0, "mid": 100.0,
        "order_age_ns": NS, "ahead_at_join": 0.0,
        "mid_100ms": 100.0, "mid_1s": 100.0, "mid_5s": 100.0, "mid_30s": 100.0, "mid_300s": 100.0,
    }  # fmt: skip
    return row | changes


def order_row(**changes):
    """One order that was filled."""
    row = {
        "order_id": 1, "instrument": "BTCUSDT", "side": 1, "price": 99.0, "qty": 1.0, "ts_decided": START,
        "ts_accepted": START + NS, "ts_done": START + 3 * NS, "state": "filled", "reason": None, "cum_qty": 1.0,
        "ahead_at_join": 0.0, "cancels_sent": 0, "amends": 0,
    }  # fmt: skip
    return row | changes


def equity_row(seconds=0, **changes):
    """One sample without a position and without quotes."""
    row = {
        "ts": START + seconds * NS, "instrument": "BTCUSDT", "bid": 99.5, "ask": 100.5, "mid": 100.0, "position": 0.0,
        "cash": 0.0, "equity": 0.0, "fees": 0.0, "quote_bid": None, "quote_ask": None,
    }  # fmt: skip
    return row | changes


def result_of(fills=(), orders=(), equity=(), attribution=None, run=None):
    """A result from rows; without an attribution it is zero."""
    run = run or run_facts()
    names = [*(one.symbol for one in run.instruments), "total"]
    return Result(
        run=run,
        fills=frame(FILLS_SCHEMA, fills),
        orders=frame(ORDERS_SCHEMA, orders),
        equity=frame(EQUITY_SCHEMA, equity),
        attribution=attribution or dict.fromkeys(names, Parts()),
    )


def simulate(symbol, seed, *, seconds, price, qty, horizon="mid_5s"):
    """Quote around a random walk, lean against the position, be filled and be picked off."""
    random = np.random.default_rng(seed)
    steps = seconds * 10
    mid = price + np.round(np.cumsum(random.normal(0, price * 1.2e-5, steps)), 2)
    desk = Desk(symbol=symbol, qty=qty, half=price * 1e-4, mid=mid)
    for step in range(steps - 1):
        quoting = step % 600 >= 20
        if step % 10 == 0:
            desk.sample(step, quoting=quoting)
        if quoting:
            urge = (mid[step + 1] - mid[step]) / desk.half
            taker = random.random() < 0.004 and abs(desk.position) > 2 * qty
            for side in (1, -1):
                meet(desk, random, step, side, urge=urge, taker=taker and side * desk.position < 0)
    desk.sample(steps - 1, quoting=False)
    return desk.fills, desk.orders, desk.equity, attribute(desk.fills, desk.equity[-1]["equity"], mid[-1], horizon)


def meet(desk, random, step, side, *, urge, taker):
    """What becomes of our order on one side: filled when the price comes to us, or cancelled, or left alone."""
    ahead = float(random.integers(0, 40)) * desk.qty
    hit = random.random() < 0.03 * np.exp(-2.0 * side * urge) / (1 + ahead / desk.qty / 6)
    age = int(random.exponential(2.5 * NS))
    if hit or taker:
        desk.trade(step, side, age=0 if taker else age, ahead=None if taker else ahead)
    elif random.random() < 0.05:
        desk.order(step, side, age=age, ahead=ahead, state="canceled")


@dataclass
class Desk:
    """The books of one quoted instrument, kept by hand."""

    symbol: str
    qty: float
    half: float
    mid: np.ndarray
    cash: float = 0.0
    position: float = 0.0
    fees: float = 0.0
    fills: list = field(default_factory=list)
    orders: list = field(default_factory=list)
    equity: list = field(default_factory=list)

    def quote(self, step, side):
        """Our price: half a spread from the mid, both sides moved against the position."""
        skew = -self.position / self.qty * self.half * 0.12
        return float(round(self.mid[step] - side * self.half + skew, 2))

    def sample(self, step, *, quoting):
        """One row of equity."""
        mid = float(self.mid[step])
        self.equity.append(
            equity_row(
                ts=START + step * STEP, instrument=self.symbol, bid=mid - self.half, ask=mid + self.half, mid=mid,
                position=self.position, cash=self.cash, equity=self.cash + self.position * mid, fees=self.fees,
                quote_bid=self.quote(step, 1) if quoting else None, quote_ask=self.quote(step, -1) if quoting else None,
            )
        )  # fmt: skip

    def order(self, step, side, *, age, ahead, state):
        """One row of orders, done now."""
        now, filled = START + step * STEP, state == "filled"
        self.orders.append(
            order_row(
                order_id=len(self.orders) + 1, instrument=self.symbol, side=side, price=self.quote(step, side),
                qty=self.qty, ts_decided=now - age - NS // 1000, ts_accepted=now - age, ts_done=now + NS // 50,
                state=state, cum_qty=self.qty if filled else 0.0, ahead_at_join=ahead, cancels_sent=0 if filled else 1,
            )
        )  # fmt: skip

    def trade(self, step, side, *, age, ahead):
        """One fill: at our quote with a rebate, or (nothing ahead known) across the spread with a fee."""
        maker, mid = ahead is not None, float(self.mid[step])
        paid = self.quote(step, side) if maker else mid + side * self.half
        fee = paid * self.qty * (-0.5e-4 if maker else 4e-4)
        self.order(step, side, age=age, ahead=ahead, state="filled")
        self.position += side * self.qty
        self.cash -= side * self.qty * paid + fee
        self.fees += fee
        later = {
            name: float(self.mid[step + by]) if step + by < self.mid.size else None
            for name, by in HORIZON_STEPS.items()
        }
        self.fills.append(
            fill_row(
                ts_venue=START + step * STEP, ts_recv=START + step * STEP, instrument=self.symbol,
                order_id=len(self.orders), execution=len(self.fills) + 1, side=side, price=paid, qty=self.qty,
                maker=maker, fee=fee, mid=mid, order_age_ns=age, ahead_at_join=ahead, **later,
            )
        )  # fmt: skip


def attribute(fills, pnl, mid_end, horizon):
    """The attribution of the fills by its definition, with what is left over as inventory."""
    signed = [(row["side"] * row["qty"], row) for row in fills]

    def later(row):
        return mid_end if row[horizon] is None else row[horizon]

    spread = sum(v * (row["mid"] - row["price"]) for v, row in signed if row["maker"])
    slippage = sum(v * (row["mid"] - row["price"]) for v, row in signed if not row["maker"])
    adverse = sum(v * (later(row) - row["mid"]) for v, row in signed)
    rebates = sum(max(-row["fee"], 0.0) for row in fills)
    fees = -sum(max(row["fee"], 0.0) for row in fills)
    return Parts(
        spread_capture=spread,
        rebates=rebates,
        adverse_selection=adverse,
        taker_slippage=slippage,
        fees=fees,
        inventory=pnl - spread - slippage - adverse - rebates - fees,
        turnover=sum(row["qty"] * row["mid"] for row in fills),
    )


def market_maker(*, seconds=600, two=True):
    """A result of one or two quoted instruments."""
    books = {"BTCUSDT": simulate("BTCUSDT", 7, seconds=seconds, price=30_000.0, qty=0.01)}
    if two:
        books["ETHUSDT"] = simulate("ETHUSDT", 8, seconds=seconds, price=2_000.0, qty=0.1)
    parts = {symbol: book[3] for symbol, book in books.items()}
    return result_of(
        *([row for book in books.values() for row in book[part]] for part in range(3)),
        attribution=parts | {"total": sum(parts.values(), Parts())},
        run=run_facts(*books, span_ns=seconds * NS),
    )
