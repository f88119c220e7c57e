"""An exchange in this process, over real sockets, and a run on it that the test can watch and disturb."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import structs

from mmbot.config import BacktestConfig
from mmbot.exchange.admin import Admin, truth
from mmbot.exchange.clock import VenueClock
from mmbot.exchange.listed import open_hall
from mmbot.exchange.opening import AccountTerms
from mmbot.exchange.venue import Exchange
from mmbot.exchange.wallet import LogRow
from mmbot.ops.trade import trade
from mmbot.runtime.ended import Ended
from mmbot.wiring import Mode, Trading, wire

UID = 1001
KEY, SECRET = "mmsimtestkey0001", "SENTINEL-d41d8cd98f00b204e9800998ecf8427e"


CALM = {"guards": False, "edge_freeze_threshold_bps": -99.0, "unknowns_in_a_row": 50}
"""Controls that a busy machine, a venue in trouble, or a maker who earns nothing would set off stay out of tests of
something else.
"""


class Collector:
    """Watches a run: keeps every event, and wakes whoever waits for one."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self._moved = asyncio.Event()

    def told(self, event: dict[str, Any]) -> None:
        """Keep it."""
        self.events.append(event)
        self._moved.set()

    def watch(self, board: object) -> None:
        """Nothing is shown."""

    def leave(self) -> None:
        """Nothing was shown."""

    def ended(self, ended: Ended) -> None:
        """Nothing is shown."""

    def count(self, name: str) -> int:
        """How many events of a kind there were."""
        return sum(event["event"] == name for event in self.events)

    async def until(self, held: Callable[[], bool], seconds: float = 15.0) -> None:
        """Wait until something holds, looking after each event and ten times a second."""
        try:
            async with asyncio.timeout(seconds):
                while not held():
                    self._moved.clear()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._moved.wait(), 0.1)
        except TimeoutError as error:
            raise AssertionError(f"not within {seconds:g} s; last events: {self._last()}") from error

    def _last(self) -> list[dict[str, Any]]:
        """The last events that say more than that it goes on."""
        usual = ("request", "fill", "reconcile", "link", "answer")
        return [event for event in self.events if event["event"] not in usual][-30:]


class PaperExchange:
    """One exchange with one account, its operator's side, and its truth."""

    def __init__(self, *, tapes: list[str], kind: Any = None, speed: float = 5.0, uid: int = UID) -> None:
        self.clock, self.uid = VenueClock(), uid
        hall = open_hall(clock=self.clock, tapes=tapes, kind=kind, speed=speed)
        account = AccountTerms(uid=uid, key=KEY, secret=SECRET)
        self.exchange = Exchange.open(hall, self.clock, [account], admin_token="operator")
        self.admin = Admin(self.exchange.gateway, "operator")

    async def __aenter__(self) -> PaperExchange:
        await self.exchange.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.exchange.stop()

    def truth(self) -> dict[str, Any]:
        """What the venue knows of our account."""
        return truth(self.exchange.gateway, self.uid)["accounts"][str(self.uid)]

    def charge_more(self, units: int) -> list[LogRow]:
        """Take so much more for the next execution than its own word says; returns the row, once it is there."""
        wallet, charged = self.exchange.gateway.house.accounts[self.uid].wallet, list[LogRow]()

        def dearer(row: LogRow) -> None:
            wallet.coin(row.coin).balance -= units
            charged.append(structs.replace(row, fee=row.fee + units, balance=row.balance - units))
            del wallet.note  # once
            wallet.note(charged[0])

        wallet.note = dearer  # type: ignore[method-assign]
        return charged

    def config(self, *, category: str = "linear", symbol: str = "BTCUSDT", **changes: Any) -> BacktestConfig:
        """A maker at the touch that quotes at once and is filled often."""
        one = {
            "symbol": symbol,
            "category": category,
            "limits": changes.pop("limits", {"position": "1", "order": "0.1"}),
            "orders": {"amend": changes.pop("amend", False)},
        }
        params = changes.pop("params", {"order_lots": 20, "cap_lots": 300})
        return BacktestConfig.model_validate(
            {
                "instruments": [one],
                "strategy": {"name": "join_touch", "params": params},
                "sample_ms": 200,
                "risk": changes.pop("risk", CALM),
                "session": {
                    "url": self.exchange.http,
                    "calls_per_second": 1_000,  # the account's tier
                    "breaker_s": 0.5,
                    "recon_interval_s": 1.0,
                    "settle_s": 4.0,
                    **changes,
                },
            }
        )


Meanwhile = Callable[[Collector], Awaitable[None]]


async def run_on(paper: PaperExchange, config: BacktestConfig, folder: Path, meanwhile: Meanwhile) -> Ended:
    """Trade on the exchange until `meanwhile` returns, then stop in order."""
    environ = {"MMBOT_BYBIT_API_KEY": KEY, "MMBOT_BYBIT_API_SECRET": SECRET}
    assert config.session is not None
    session = config.session.model_copy(update={"folder": str(folder)})  # no other test has this account's folder
    config = config.model_copy(update={"session": session})
    wiring = wire(Mode.PAPER, config, environ)
    assert isinstance(wiring, Trading)
    stop, collector = asyncio.Event(), Collector()
    run = asyncio.create_task(trade(config, wiring, collector, stop=stop, parent=folder))
    watching = asyncio.create_task(_until(meanwhile(collector)))
    await asyncio.wait([run, watching], return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    if watching.done():
        watching.result()
    else:
        watching.cancel()
    return await run


async def _until(awaited: Awaitable[None]) -> None:
    await awaited
