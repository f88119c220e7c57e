"""A run in a test: the real engine, journal and tapes, a venue in memory, and a market that the test tells."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from mmbot import _core
from mmbot.execution.client_ids import ClientIds
from mmbot.risk.freeze import FreezeBoard
from mmbot.runtime.bridge import Listed
from mmbot.runtime.clock import RunClock
from mmbot.runtime.freezing import Freezing
from mmbot.runtime.market import RunMarket
from mmbot.runtime.runner import Runner
from mmbot.strategy import Strategy, View, Wake, quotes
from mmbot.venues.fake import FakeVenue
from mmbot.venues.port import InstrumentTerms, LinkEvent
from mmbot.venues.records import BookUpdate, PublicTrade

TERMS = InstrumentTerms(
    category="linear",
    symbol="BTCUSDT",
    kind="linear",
    tradable=True,
    base="BTC",
    quote="USDT",
    settle="USDT",
    tick="0.1",
    lot="0.001",
    min_qty="0.001",
    max_qty="100",
    min_notional="5",
    funding_interval_s=28_800,
)


class Quoter(Strategy):
    """Quotes what the test says, on every message, and on every fill."""

    wake = Wake(message=True, fill=True)

    def __init__(self) -> None:
        self.bid: int | None = 1_000
        self.ask: int | None = 1_002
        self.lots = 10
        self.asked = 0

    def decide(self, view: View):
        """Say what the test told."""
        self.asked += 1
        return quotes(self.bid, self.ask, self.lots)


class Desk:
    """One instrument, one strategy, one venue. Everything happens when the test says so."""

    def __init__(
        self,
        folder: Path,
        strategy: Strategy | None = None,
        *,
        amend: bool = False,
        board: FreezeBoard | None = None,
        sync: bool = False,
    ) -> None:
        self.strategy = strategy or Quoter()
        self.clock = RunClock()
        instrument = _core.Instrument(venue="bybit-linear", symbol="BTCUSDT", kind="linear", tick="0.1", lot="0.001")
        self.listed = Listed(category="linear", symbol="BTCUSDT", instrument=instrument, terms=TERMS)
        self.tape = _core.LiveTape(folder / "tape.live", instrument)
        self.journal_path = folder / "journal.mmj"
        self.journal = _core.Journal.create(self.journal_path, self.clock(), "{}")
        limits = _core.Desk(position_max=100, order_max=50, amend=amend)
        wake = self.strategy.wake
        self.core = _core.Live(
            [self.tape.tape],
            _core.Seat([limits], every_ns=wake.every_ns, message=wake.message, fill=wake.fill, touch=wake.touch),
            instruments=[instrument],
            queues=[("risk_averse", None)],
            journal=self.journal,
            sample_ns=1_000_000_000,
        )
        windows: list[View] = []
        windows.append(View(self.core, 0, instrument, windows))
        self.ids = ClientIds(env="s", epoch_s=1_700_000_000, strategy="tst")
        self.events: list[dict[str, Any]] = []
        markets = [("linear", "BTCUSDT")]
        freezing = board and Freezing(
            board, strategy="quoter", account="7", markets=markets, clock=self.clock.peek, told=self.events.append
        )
        self.runner = Runner(
            core=self.core,
            journal=self.journal,
            market=RunMarket({("linear", "BTCUSDT"): self.tape}),
            listed=[self.listed],
            ids=self.ids,
            clock=self.clock,
            strategy=self.strategy,
            windows=windows,
            sync=sync,
            reconcile_s=60.0,
            settle_s=1.0,
            told=self.events.append,
            freezing=freezing,
            account="7",
        )
        self.venue = FakeVenue([TERMS], self.runner, self.clock, balances={"USDT": "100000"}, maker_rate="-0.00005")
        self._update = 0

    # ---- the market

    def book(self, bid: str = "100.0", ask: str = "100.2", *, kind: str = "snapshot") -> None:
        """The market says a book, the venue has it too."""
        self._update += 1
        self.venue.touch("BTCUSDT", bid, ask)
        record = BookUpdate(
            symbol="BTCUSDT",
            kind=kind,  # type: ignore[arg-type]
            ts_venue=self.clock.peek(),
            previous_id=self._update - 1,
            last_id=self._update,
            bids=[(bid, "5")],
            asks=[(ask, "5")],
        )
        self.runner.on_frame("public", b"{}", ts := self.clock())
        self.runner.on_records("linear", [record], ts)

    def print(self, price: str, qty: str, aggressor: str) -> None:
        """Somebody trades, and may meet our orders."""
        self.venue.trade("BTCUSDT", aggressor, price, qty)  # type: ignore[arg-type]
        record = PublicTrade(
            symbol="BTCUSDT",
            ts_venue=self.clock.peek(),
            price=price,
            qty=qty,
            aggressor=aggressor,  # type: ignore[arg-type]
            trade_id=str(self._update),
        )
        self.runner.on_frame("public", b"{}", ts := self.clock())
        self.runner.on_records("linear", [record], ts)

    def links(self, state: str = "up") -> None:
        """The public link came up or went down."""
        event = LinkEvent(link="public", state=state, why="told to", conn="linear")  # type: ignore[arg-type]
        self.runner.on_link(event)

    # ---- what there is

    def resting(self) -> list[tuple[str, int, int, str]]:
        """Our orders as the engine knows them: side, tick, lots left, stage."""
        return [(side, tick, leaves, state) for _, side, tick, leaves, state, _ in self.core.orders(0)]

    def position(self) -> int:
        """Lots held."""
        return int(self.core.books(0, 0)["position_lots"])

    def told(self, name: str) -> list[dict[str, Any]]:
        """Events of one kind."""
        return [event for event in self.events if event["event"] == name]

    def entries(self) -> list[tuple[str, dict[str, Any]]]:
        """What the journal says so far: kind and fields."""
        self.journal.flush()
        return [(kind, fields) for _, _, kind, fields in _core.JournalReader(self.journal_path)]

    async def open(self) -> None:
        """Start the venue's links and give the runner the session, without the rest of a run."""
        await self.venue.start()
        self.runner._orders = self.venue
        self.links()


def settle(desk: Desk) -> None:
    """Let everything that waits be heard, and what follows from it."""
    with suppress(StopIteration):
        while desk.venue.deliver():
            continue
