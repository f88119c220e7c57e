"""How far the time after a lift has come (`FreezePolicy`), over restarts: it is of runs, not of a machine that stands
still. It begins with the lift where a run saw it, else with the first run after it.

    lift.json     {"lifted_at", "begun"}, ns since epoch. Where it is lost, or of another lift, the time begins anew.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from mmbot.ops.account_state import UNREADABLE, write_durably

if TYPE_CHECKING:
    from collections.abc import Callable

    from mmbot.ops.account_state import AccountState
    from mmbot.risk.freeze import FreezeBoard

__all__ = ["LiftMemory"]

LOOK_S = 0.5


class LiftMemory:
    """Of one account and one run. `told`: hears what cannot be written."""

    def __init__(self, state: AccountState, board: FreezeBoard, told: Callable[[dict[str, object]], object]) -> None:
        self._path, self._board, self._told = state.lift, board, told
        self._seen = 0

    def begin(self, now: int) -> None:
        """A run begins."""
        lifted_at = self._board.lifted_at
        if not lifted_at:
            return
        begun = self._read().get(lifted_at)
        self._board.begins(now if begun is None else begun)
        if begun is None:
            self._keep(lifted_at, now)
        self._seen = lifted_at

    def look(self) -> None:
        """While it lasts: what is lifted now, it sees."""
        lifted_at = self._board.lifted_at
        if lifted_at != self._seen:
            self._seen = lifted_at
            self._keep(lifted_at, lifted_at)

    async def watch(self) -> None:
        """Look, as long as this lasts."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def _read(self) -> dict[int, int]:
        try:
            words = json.loads(self._path.read_bytes())
            return {int(words["lifted_at"]): int(words["begun"])}
        except (OSError, *UNREADABLE):
            return {}  # not known is not over

    def _keep(self, lifted_at: int, begun: int) -> None:
        try:
            write_durably(self._path, json.dumps({"lifted_at": lifted_at, "begun": begun}).encode())
        except OSError as error:  # the next run begins the time anew
            self._told({"event": "lift", "trouble": f"how far the time after it has come cannot be written: {error}"})
