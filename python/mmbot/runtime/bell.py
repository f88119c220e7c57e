"""What a task of a run waits for between two looks: news, or that it is time."""

from __future__ import annotations

import asyncio

__all__ = ["Bell"]


class Bell:
    """Rung by anybody, waited for by one task. It stays rung until it is taken down.

    As an `asyncio.Event` under a timeout, without the cancelled wait and the exception of each one that runs out: a
    quiet run does nothing but let them run out.
    """

    def __init__(self) -> None:
        self.rung = False
        self._waiting: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """There is news."""
        self.rung = True
        self._wake()

    def clear(self) -> None:
        """What it was rung for is being seen to."""
        self.rung = False

    async def wait(self, seconds: float) -> bool:
        """Return as soon as it is rung, or after so long; whether it is rung."""
        if not self.rung:
            loop = asyncio.get_running_loop()
            self._waiting = loop.create_future()
            late = loop.call_later(seconds, self._wake)
            try:
                await self._waiting
            finally:
                self._waiting = None
                late.cancel()
        return self.rung

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
