"""The start of a run that takes over what an earlier one left: compare first, trade after.

    hold the stream back ─ reasons not to trade ─ look thoroughly, until nothing is put off ─ let the stream in

The look is the one of every lost link (`Runner.look`): executions are booked once, orders are joined, what nobody sent
is adopted, what had no answer is chased. If something still differs the run goes on without quotes, and says what.
Everything may be repeated: a run killed in the middle of this leaves a journal that the next one takes over.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mmbot.venues.port import ARRIVES_NS

if TYPE_CHECKING:
    from mmbot.execution.recovery import Estate
    from mmbot.runtime.runner import Runner

__all__ = ["Recovering"]

LOOKS = 5
"""A look that still puts something off after so many is good enough to let the stream in; it is looked at again."""
AGAIN_S = 2.0


class Recovering:
    """Takes over for one run."""

    def __init__(self, run: Runner, estate: Estate) -> None:
        self._run, self._estate = run, estate

    async def run(self) -> None:
        """Return when the books were compared with the venue's, or the run is to end."""
        run, estate = self._run, self._estate
        run.told({"event": "recovering", "journal": estate.journal, "orders": len(estate.orders), "lost": estate.lost})
        for asked in estate.frozen:
            run.on_freeze(asked)
        if not estate.ended:  # what died a moment ago may have sent more than its disk kept, however whole that looks
            run.strangers_until = run.clock.peek() + ARRIVES_NS
        self._quarantine()
        looks = 0
        while looks < LOOKS and not run.ended.is_set():
            report = await run.look(None)
            if report is not None:
                looks += 1
                if report.clean:
                    break
            await asyncio.sleep(AGAIN_S)
        run.let_in()

    def _quarantine(self) -> None:
        """Where the journal lost its end, orders may yet arrive that nobody remembers: no order leaves until then."""
        if not self._estate.lost:
            return
        run = self._run
        now = run.clock.peek()
        until = run.resolver.quarantine(now, now)
        run.strangers_until = until
        run.pause("quarantine", self._estate.lost)

        def over() -> None:
            run.resume("quarantine")
            run.reconciler.hurry()

        asyncio.get_running_loop().call_later((until - now) / 1e9, over)
