"""A run obeys the freeze board: the gate asks before anything leaves, and a watch does what a level wants done.

    REDUCE_ONLY   quotes leave; what shrinks the position passes
    NO_NEW        quotes leave; nothing but cancels passes
    CANCEL_ALL    as NO_NEW, and everything open is cancelled until the venue says that nothing is there
    FLATTEN       as CANCEL_ALL; once nothing is open the position is worked off by reduce-only orders
    KILL          as CANCEL_ALL, then the run ends

Whatever goes wrong in here, the answer to "may this leave" is no.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal, Protocol

from mmbot.risk.levels import FreezeLevel
from mmbot.runtime.bell import Bell
from mmbot.venues.port import AmendOrder, CancelOrder, PlaceOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from fractions import Fraction

    from mmbot.execution.cancel_all import CancelAllResult, Target
    from mmbot.risk.freeze import FreezeChange, Frozen
    from mmbot.risk.levels import FreezeAsked, Scope
    from mmbot.venues.cancelling import Cancelling
    from mmbot.venues.port import OrderRequest

__all__ = ["WATCH_S", "FreezeState", "Freezing", "Obeying"]

WATCH_S = 0.025
"""How often the board is looked at: what another process wrote holds here within 50 ms."""
STALE_NS = 50_000_000
"""A look at the board that is older is not good enough for the gate: this process was stopped, or stood in a call."""
AGAIN_S = 5.0
"""After a cancel-all that could not ask the venue, until the next."""

Market = tuple[str, str]


class FreezeState(Protocol):
    """A `FreezeBoard`, or one that is kept on disk."""

    def ask(self, asked: FreezeAsked) -> list[FreezeChange]:
        """Take a freeze."""

    def level_of(self, symbol: str, strategy: str, account: str) -> FreezeLevel:
        """What holds for an order."""

    def level(self, scope: Scope) -> FreezeLevel:
        """The level of one scope by itself."""

    def share(self, now: int) -> Fraction:
        """The share of the limits that holds."""

    @property
    def lowered_at(self) -> Mapping[Scope, int]:
        """When people lowered a scope last, ns since epoch."""

    def refresh(self, now: int) -> list[FreezeChange]:
        """What changed by itself, or by others."""


class Obeying(Protocol):
    """What a run does when it is told to stop."""

    def hold(self, why: str) -> None:
        """Take every quote out, and ask the strategy no more."""

    def go_on(self) -> None:
        """Quote again, if nothing else holds."""

    def pull(self, category: str, symbol: str) -> None:
        """Take the quotes of one instrument out."""

    def believed(self, category: str, symbol: str) -> list[Target]:
        """Our orders there that may be open."""

    def late_until(self, markets: Sequence[Market]) -> int:
        """Until then something of theirs may still come to be at the venue, or to be listed there."""

    def mark_canceled(self, order: str, *, trigger: str) -> None:
        """Write down for what an order left. That it left is the venue's word alone."""

    def shrinks(self, request: PlaceOrder | AmendOrder) -> bool:
        """Whether the position can only shrink by it, beside all that is open."""

    def flatten(self, category: str, symbol: str) -> None:
        """Work the position off a little further."""

    def killed(self, why: str) -> None:
        """End the run."""


class Freezing:
    """The board as one run sees it: its strategy, its account, its markets. `clock` only reads the time."""

    def __init__(
        self,
        state: FreezeState,
        *,
        strategy: str,
        account: str,
        markets: Sequence[Market],
        clock: Callable[[], int],
        told: Callable[[dict[str, object]], None],
        watch_s: float = WATCH_S,
        stands: Sequence[Frozen] = (),
    ) -> None:
        """stands: what the run begins with; it is told, for nothing else says why it quotes nothing from the start."""
        self.state = state
        self.strategy, self.account, self._markets = strategy, account, tuple(markets)
        self._clock, self._told, self._watch_s = clock, told, watch_s
        self._looked_at = 0
        self._unshown: list[FreezeChange] = []
        """What the gate saw on the board before the watch did."""
        self._levels = dict.fromkeys(self._markets, FreezeLevel.NORMAL)
        self._stands = stands
        self._why = ""
        self._zero: dict[Market, None] = {}
        """Markets that are proven empty, in the order of their proof."""
        self._proving: dict[Market, None] = {}
        """Markets of the cancel-all under way that were stopped all the time since it began."""
        self._news = Bell()
        self.cancelling: Cancelling | None = None
        """Given by who has the session."""
        self.looked: Callable[[Sequence[FreezeChange]], None] = lambda _: None
        """Hears after every look at the board, with what had changed."""
        self.last_result: CancelAllResult | None = None
        """How the last cancel-all ended."""

    def level(self, category: str, symbol: str) -> FreezeLevel:
        """What holds in a market of this run."""
        return self.state.level_of(f"{category} {symbol}", self.strategy, self.account)

    def ask(self, asked: FreezeAsked) -> bool:
        """Freeze: nothing new passes the gate from here on, and the watch does the rest at once.

        False for what the board has noted already: nothing changed.
        """
        changes = self.state.ask(asked)
        self.show(changes)
        self._news.ring()
        return bool(changes)

    @property
    def proven(self) -> list[Market]:
        """Markets in which nothing is open, as the venue said twice, in the order of their proof."""
        return list(self._zero)

    def look_soon(self) -> None:
        """Look at the board now, not at the next time."""
        self._news.ring()

    def show(self, changes: Sequence[FreezeChange]) -> None:
        """Tell what changed on the board, and let the core follow it."""
        for change in changes:
            if change.kind == "raised":
                self._why = f"{change.after.name} of {change.scope} by {change.control}: {change.reason}"
            self._told(change.as_event())
            self._news.ring()
        self.looked(changes)

    # ---- the gate's question

    def blocks(self, request: OrderRequest, run: Obeying | None = None) -> str:
        """Say why a request may not leave now; "" where it may."""
        if isinstance(request, CancelOrder):
            return ""
        try:
            self._look_if_stale()
            level = self.level(request.category, request.symbol)
            if level.allows_new_risk:
                return ""
            reduces = run is not None and level is FreezeLevel.REDUCE_ONLY and run.shrinks(request)
            reduces = reduces or (level is FreezeLevel.FLATTEN and _is_way_out(request))
        except Exception as error:  # noqa: BLE001  an error in here must never let an order out
            return f"the freeze board cannot be asked: {type(error).__name__}: {error}"
        return "" if reduces else f"{level.name}: {self._why or 'trading is stopped; see `mmbot status`'}"

    def _look_if_stale(self) -> None:
        """A process that was stopped goes on where it was, before its watch comes to look: look first."""
        now = self._clock()
        if now - self._looked_at > STALE_NS:
            self._unshown += self._refreshed(now)
            if self._unshown:
                self._news.ring()

    def _refreshed(self, now: int) -> list[FreezeChange]:
        self._looked_at = now
        return self.state.refresh(now)

    # ---- the watch

    async def watch(self, run: Obeying) -> None:
        """Do what the levels want, as long as the run lasts."""
        work: asyncio.Task[None] | None = None
        self._say_what_stands()
        try:
            while True:
                seen, self._unshown = self._unshown, []
                self.show([*seen, *self._refreshed(self._clock())])
                self._obey(run)
                for market in self._zero:
                    if self._levels[market] is FreezeLevel.FLATTEN:
                        run.flatten(*market)
                if work is not None and work.done():
                    self._say_if_broken(work)
                    work = None
                if work is None and self._to_cancel():
                    work = asyncio.create_task(self._cancel(run))
                self._news.clear()
                await self._news.wait(self._watch_s)
        finally:
            if work is not None:
                work.cancel()

    def _say_what_stands(self) -> None:
        for one in sorted(self._stands, key=lambda one: one.level):
            self._why = f"{one.level.name} of {one.scope} by {one.control}: {one.reason}"
            words = {"freeze_id": one.freeze_id, "scope": str(one.scope), "level": one.level.name}
            self._told({"event": "frozen", **words, "control": one.control, "why": one.reason, "ts": one.since})

    def _say_if_broken(self, work: asyncio.Task[None]) -> None:
        """A cancel-all that broke, on a journal that takes nothing for one, is begun again; and told."""
        if not work.cancelled() and (error := work.exception()) is not None:
            self._told({"event": "cancel_all_broken", "why": f"{type(error).__name__}: {error}"})

    def _obey(self, run: Obeying) -> None:
        levels = {market: self.level(*market) for market in self._markets}
        before, self._levels = self._levels, levels
        if levels == before:
            return
        for market, level in levels.items():
            if level < before[market] or level.cancels_all is not before[market].cancels_all:
                self._zero.pop(market, None)
                self._proving.pop(market, None)
        if all(level >= FreezeLevel.NO_NEW for level in levels.values()):
            run.hold(self._why or "frozen")
            return
        if all(level >= FreezeLevel.NO_NEW for level in before.values()):
            run.go_on()
        for market, level in levels.items():
            if level > before[market] and not level.allows_new_risk:
                run.pull(*market)

    def _to_cancel(self) -> list[Market]:
        return [one for one, level in self._levels.items() if level.cancels_all and one not in self._zero]

    async def _cancel(self, run: Obeying) -> None:
        """Cancel what has to leave; again, by force, until nothing is proven to be there."""
        markets = self._to_cancel()
        if self.cancelling is None:
            await asyncio.sleep(WATCH_S)
            return
        level = max(self._levels[market] for market in markets)
        force = self.last_result is not None and not self.last_result.proof
        self._proving = dict.fromkeys(markets)
        await self._cancel_all_open_orders(
            f"freeze {level.name}", "force" if force else "normal", markets=markets, run=run, on=self.cancelling
        )
        proof = "" if self.last_result is None else self.last_result.proof
        if proof == "asked":
            self._zero.update(self._proving)  # what was let go meanwhile is not proven
        if any(self._levels[market] is FreezeLevel.KILL for market in markets):
            run.killed(f"killed; {self._why}")
        if proof == "told":
            await asyncio.sleep(AGAIN_S)

    async def _cancel_all_open_orders(
        self,
        trigger: str,
        mode: Literal["normal", "force"] = "normal",
        *,
        markets: Sequence[Market],
        run: Obeying,
        on: Cancelling,
    ) -> dict[str, object]:
        """Cancel everything of some markets, in bulk first unless forced; what left is marked as cancelled for this.

        Returns `canceled_count`, `failed` and `method`; all of it is in `last_result`.
        """
        result = self.last_result = await on.run(
            trigger,
            markets=markets,
            believed=[target for market in markets for target in run.believed(*market)],
            late_until=lambda: run.late_until(markets),
            force=mode == "force",
        )
        for order in result.canceled:
            run.mark_canceled(order, trigger=trigger)
        return result.as_dict()


def _is_way_out(request: OrderRequest) -> bool:
    """What can only shrink the position, and rests nowhere."""
    return isinstance(request, PlaceOrder) and request.reduce_only and request.tif == "ioc"
