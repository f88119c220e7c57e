"""Two real runs on two accounts of one exchange, under one limit of the firm (controls 24 and 25)."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from exchange_client import SECRET as BY_HAND
from exchange_client import Client
from paper_exchange import CALM, KEY, SECRET, Collector, PaperExchange

from mmbot import _core
from mmbot.config import BacktestConfig
from mmbot.exchange.generator import MarketKind
from mmbot.ops.account_state import AccountState
from mmbot.ops.firm import say
from mmbot.ops.freeze_latch import FreezeLatch
from mmbot.ops.trade import trade
from mmbot.risk import FIRM, FreezeAsked, FreezeLevel
from mmbot.risk.firm import Word
from mmbot.runtime.ended import Ended
from mmbot.wiring import Mode, Trading, wire

SMALL = dict.fromkeys(
    ("max_order_notional_usd", "max_inventory_usd", "max_net_notional_usd", "max_total_notional_usd"), "1900"
)
"""One order of 0.02 at 60,000 fits, and both sides of it; what two accounts hold together does not."""


class Trader:
    """A run on one account, and what it says."""

    def __init__(self, paper: PaperExchange, folder: Path, uid: int, config: BacktestConfig) -> None:
        key = KEY if uid == paper.uid else f"mmsimtestkey{uid}"
        if uid != paper.uid:
            paper.admin.account({"uid": uid, "key": key, "secret": SECRET, "tier": "mm3"})
            paper.admin.transfer({"uid": uid, "coin": "USDT", "amount": "100000"})
        self.paper, self.uid, self.heard, self._stop = paper, uid, Collector(), asyncio.Event()
        wiring = wire(Mode.PAPER, config, {"MMBOT_BYBIT_API_KEY": key, "MMBOT_BYBIT_API_SECRET": SECRET})
        assert isinstance(wiring, Trading)
        self.state = AccountState.of(folder, "simulator", str(uid))
        self._run = asyncio.create_task(
            trade(config, wiring, self.heard, stop=self._stop, parent=folder, adopt_position="bought by hand")
        )

    async def ends(self) -> Ended:
        """Stop it in order."""
        self._stop.set()
        return await self._run

    def holds(self) -> float:
        """What it says it may hold, in dollars; below zero while it says nothing."""
        if not self.state.holds.exists():
            return -1.0
        coins = Word.decode(self.state.holds.read_bytes()).coins
        return -1.0 if coins is None else sum(one.gross for one in coins.values()) / 1e12

    def open(self) -> list[Any]:
        """Its open orders, as the venue has them."""
        return list(self.paper.exchange.gateway.house.accounts[self.uid].records.open)


def denials(run: Ended) -> set[str]:
    """Every reason for which an order was denied, by the journal."""
    found = [fields for _, _, kind, fields in _core.JournalReader(run.folder / "journal.mmj") if kind == "denied"]
    return {reason for fields in found for reason in fields["denials"]}


async def buy(paper: PaperExchange) -> None:
    """Somebody buys 0.02 on the first account."""
    async with aiohttp.ClientSession() as session:
        paper.admin.account({"uid": paper.uid, "key": "by-hand", "secret": BY_HAND})
        client = Client(paper.exchange, paper.clock, session, "by-hand")
        answer = await client.create(qty="0.020", price="62500", timeInForce="IOC")
        assert answer["retCode"] == 0, answer


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_what_one_account_holds_keeps_the_other_from_growing(tmp_path: Path) -> None:
    """A holds and is stopped, so B, whose firm limit leaves no room for both, sends nothing: while A runs, and after
    it took leave. B quotes once A's account is known to be flat, and names A when its word is torn.
    """

    async def story() -> None:
        async with PaperExchange(tapes=[], kind=MarketKind.CALM) as paper:
            common: dict[str, Any] = {"folder": str(tmp_path), "limits": {"position": "0.02", "order": "0.02"}}
            firm = {**CALM, **SMALL, "max_firm_notional_usd": "1900"}
            await buy(paper)
            stopped = FreezeLatch(AccountState.of(tmp_path, "simulator", "1001"), time.time_ns)
            stopped.ask(FreezeAsked(FreezeLevel.NO_NEW, FIRM, "operator", "holds what it has", time.time_ns()))
            first = Trader(paper, tmp_path, 1001, paper.config(risk=CALM, **common))
            await first.heard.until(lambda: first.holds() > 1_000)
            second = Trader(paper, tmp_path, 1002, paper.config(risk=firm, **common))
            await second.heard.until(lambda: second.heard.count("reconcile") > 2)
            assert (await first.ends()).failure is None
            assert first.state.ended_in_order()
            held = second.heard.count("reconcile")
            await second.heard.until(lambda: second.heard.count("reconcile") > held + 2)
            assert (second.heard.count("request"), second.open(), second.holds()) == (0, [], 0)
            torn = first.state.holds.read_bytes()[:-9]
            say(first.state, Word(1, {}))
            await second.heard.until(lambda: second.heard.count("request") > 0)
            first.state.holds.write_bytes(torn)
            told = {"event": "firm", "unknown": ["simulator-1001"]}
            await second.heard.until(lambda: second.heard.events.count(told) > 0)
            ended = await second.ends()
            assert ended.failure is None
            assert "firm_gross" in denials(ended)

    asyncio.run(story())
