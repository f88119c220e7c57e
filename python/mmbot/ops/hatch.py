"""How people's signed words come to the engine that runs, and its answers back: a file each way, whole or none."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmbot.ops.account_state import write_durably
from mmbot.ops.freeze_tokens import TokenError
from mmbot.risk.override import OverrideRefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

__all__ = ["Hatch"]

LOOK_S = 0.1
ANSWER_S = 20.0
"""As long as a comparison with the venue may take."""


@dataclass(frozen=True)
class Hatch:
    """One kind of word. `name`: what it is, for what is told."""

    name: str
    word: Path
    answer: Path

    async def hear(
        self, judge: Callable[[bytes], Awaitable[dict[str, Any]]], told: Callable[[dict[str, object]], object]
    ) -> None:
        """Judge each word that is handed in, as long as the run lasts. What `judge` refuses is answered with why."""
        while True:
            await asyncio.sleep(LOOK_S)
            if not self.word.exists():
                continue
            try:
                answer = await judge(self.word.read_bytes())
            except (OverrideRefusedError, OSError, ValueError, KeyError, TypeError) as error:
                answer = {"refused": str(error)}
            try:
                write_durably(self.answer, json.dumps(answer).encode())
                self.word.unlink()
            except OSError as error:  # asked again, what was done is refused: it cannot be done twice
                told({"event": self.name, "trouble": f"the answer cannot be written: {error}", **answer})

    async def ask(self, word: bytes, silent: str) -> dict[str, Any]:
        """Hand a word in, and return the answer. Raises TokenError where it is refused, and with `silent` for none."""
        self.answer.unlink(missing_ok=True)
        write_durably(self.word, word)
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                while not self.answer.exists():
                    await asyncio.sleep(LOOK_S)
        if not self.answer.exists():
            self.word.unlink(missing_ok=True)
            raise TokenError(f"the engine does not answer; {silent}")
        answer: dict[str, Any] = json.loads(self.answer.read_bytes())
        if "refused" in answer:
            raise TokenError(f"the engine refuses: {answer['refused']}")
        return answer
