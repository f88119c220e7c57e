"""All markets of one exchange, what moves them, and their beat.

every `beat_ms`:  source.advance ─▶ market.settle ─▶ publisher.beat
a request:        catch_up first, so that it meets the market of its own moment
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from mmbot.exchange.market import NS, Clock, Market
from mmbot.exchange.playback import Source
from mmbot.exchange.public_switches import PublicSwitches
from mmbot.exchange.publisher import Publisher

__all__ = ["Hall", "Key"]

Key = tuple[str, str]
"""(category, symbol)."""


class Hall:
    """Markets by (category, symbol) and the sources that move them."""

    def __init__(
        self, listed: Iterable[tuple[Market, Source]], clock: Clock, switches: PublicSwitches | None = None
    ) -> None:
        """Opens every market. Raises ValueError for an instrument listed twice."""
        self.switches = switches or PublicSwitches()
        self.markets: dict[Key, Market] = {}
        self.notices: list[dict[str, Any]] = []
        """Entries of `/v5/system/status`."""
        self._clock = clock
        self._sources: dict[Key, Source] = {}
        self._rounds: dict[Key, int] = {}
        self._moving = False
        self._moved_ms = 0
        self.started_ms = self.now_ms()
        for market, source in listed:
            key = (market.category, market.symbol)
            if key in self.markets:
                raise ValueError(
                    f"{market.category} {market.symbol} is listed twice; an exchange has one market for it"
                )
            source.open(market, self.now_ns())
            market.settle(self.now_ms())
            self.markets[key], self._sources[key], self._rounds[key] = market, source, source.rounds
        self.publisher = Publisher(list(self.markets.values()))

    def now_ns(self) -> int:
        """Wall time."""
        return self._clock()

    def now_ms(self) -> int:
        """Wall time in ms."""
        return self._clock() // NS

    @property
    def sources(self) -> Mapping[Key, Source]:
        """What moves each market."""
        return self._sources

    def catch_up(self) -> None:
        """Brings every market to this moment, to the millisecond. Call it before a request is judged.

        Inside of itself (a fill that leads to a request) it does nothing.
        """
        now = self._clock()
        if self._moving or now // NS == self._moved_ms:
            return
        self._moving, self._moved_ms = True, now // NS
        try:
            for key, market in self.markets.items():
                if market.status != "Maintenance":
                    self._sources[key].advance(market, now)
                    market.settle(now // NS)
        finally:
            self._moving = False

    def beat(self) -> None:
        """One beat: everything that is due happens and is published."""
        self.catch_up()
        for key, source in self._sources.items():
            if source.rounds != self._rounds[key]:
                self._rounds[key] = source.rounds
                if self.switches.loop_snapshot:
                    self.publisher.resend(self.markets[key])
        self.publisher.beat(self.now_ms())

    async def run(self) -> None:
        """Beats until cancelled. Beats that a busy host missed are not made up for."""
        loop = asyncio.get_running_loop()
        interval = self.switches.beat_ms / 1000
        due = loop.time()
        while True:
            self.beat()
            due = max(due + interval, loop.time())
            await asyncio.sleep(due - loop.time())
