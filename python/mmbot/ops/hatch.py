"""How people's signed words come to the engine that runs, and its answers back: one file each way, whole or none.

One word at a time: who comes while another waits is told so. An answer names the word that it is of, so a late one is
nobody else's. A word that is withdrawn, because nobody answered, may be under judgement already: then what became of
it is in the run's log.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from mmbot.ops.account_state import write_durably
from mmbot.risk.override import OverrideRefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

__all__ = ["Hatch"]

LOOK_S = 0.1


@dataclass(frozen=True)
class Hatch:
    """One kind of word. `name`: what it is, for what is told."""

    name: str
    word: Path
    answer: Path

    async def hear(
        self, judge: Callable[[bytes], Awaitable[dict[str, Any]]], told: Callable[[dict[str, object]], object]
    ) -> None:
        """Judge each word that is handed in, as long as the run lasts."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.hear_one(judge, told)

    async def hear_one(
        self, judge: Callable[[bytes], Awaitable[dict[str, Any]]], told: Callable[[dict[str, object]], object]
    ) -> None:
        """Judge the word that is handed in, if there is one. What `judge` raises is the answer, under `refused`.

        An answer that cannot be written is told to the run's log alone. A word that cannot be taken away is judged
        again, and refused: nothing of this can be done twice.
        """
        try:
            word = self.word.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            told({"event": self.name, "trouble": f"the word cannot be read: {error}"})
            return
        try:
            answer = await judge(word)
        except Exception as error:  # noqa: BLE001  whatever a file holds, the run goes on
            plain = isinstance(error, (OverrideRefusedError, ValueError, OSError)) and str(error)
            answer = {"refused": str(error) if plain else f"it is no word of this kind: {error!r}"}
        try:
            write_durably(self.answer, json.dumps({**answer, "of": _name(word)}).encode())
        except OSError as error:
            told({**answer, "event": self.name, "trouble": f"the answer cannot be written: {error}"})
        try:
            if self.word.read_bytes() == word:
                self.word.unlink()
        except FileNotFoundError:
            return  # withdrawn meanwhile
        except OSError as error:
            told({"event": self.name, "trouble": f"the word cannot be taken away: {error}"})

    async def ask(self, word: bytes, seconds: float) -> dict[str, Any]:
        """Hand a word in, and return the answer. Raises TimeoutError for none; OSError, also while another waits."""
        with self._alone():
            self.answer.unlink(missing_ok=True)
            write_durably(self.word, word)
            try:
                async with asyncio.timeout(seconds):
                    while (answer := self.answered(word)) is None:
                        await asyncio.sleep(LOOK_S)
            except TimeoutError:
                self.word.unlink(missing_ok=True)
                raise
        return answer

    def answered(self, word: bytes) -> dict[str, Any] | None:
        """Return the answer to this word, if it is there; one to another word is none."""
        try:
            answer: dict[str, Any] = json.loads(self.answer.read_bytes())
        except FileNotFoundError:
            return None
        return answer if answer.get("of") == _name(word) else None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        file = os.open(self.word.with_name(f".{self.word.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OSError(f"{self.word.name}: another word waits for its answer; try again after it") from None
            yield
        finally:
            os.close(file)


def _name(word: bytes) -> str:
    return sha256(word).hexdigest()
