"""The embedded exchange: `mmbot exchange` as a process of its own, started with a run and stopped with it.

A process of its own, because the bot must meet it as it would meet a venue: over sockets, and never waiting for it. It
ends when its stdin does, of which the bot holds the other end: a bot that is killed leaves no exchange behind.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import SecretStr

from mmbot.venues.port import Credentials, VenueError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mmbot.config import ExchangeConfig

__all__ = ["EmbeddedExchange"]

START_S, STOP_S = 30.0, 10.0
"""How long it may take to answer after its start, and to end after it was asked to."""
LINE_BYTES_MAX = 1 << 20


@dataclass
class EmbeddedExchange:
    """An exchange that serves; `url` is where, `credentials` the account that was made for this run."""

    url: str
    credentials: Credentials
    process: asyncio.subprocess.Process
    log: Path

    @classmethod
    async def start(cls, config: ExchangeConfig, tapes: Sequence[str], log: Path) -> EmbeddedExchange:
        """Start it on a free port of the loopback and wait until it serves.

        tapes: what it plays, where the configuration says so. log: where its complaints go. Raises VenueError with the
        last of them if it does not come up.
        """
        words = [sys.executable, "-m", "mmbot", "exchange", "--json", "--until-stdin-closes", "--port", "0"]
        words += ["--speed", f"{config.speed:g}", "--seed", str(config.seed)]
        if config.market == "tape":
            words += [word for tape in tapes for word in ("--tape", tape)]
        else:
            words += ["--market", config.market]
        # In a session of its own: Ctrl-C on the terminal is for the bot, which still needs the venue to cancel there.
        with log.open("wb") as complaints:
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=complaints,
                start_new_session=True,
                limit=LINE_BYTES_MAX,
            )
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), START_S)
            said = json.loads(line)
            credentials = Credentials(key=said["api_key"], secret=SecretStr(said["api_secret"]))
            return cls(said["http"], credentials, process, log)
        except (TimeoutError, json.JSONDecodeError, KeyError, TypeError) as error:
            raise VenueError(await _told(process, words, log)) from error
        except asyncio.CancelledError:
            process.kill()  # in its own session nobody else would end it
            raise

    async def lost(self) -> VenueError:
        """Wait until it ends, which is an error as long as nobody stopped it; returns what to say of that."""
        code = await self.process.wait()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return VenueError(f"the embedded exchange is gone ({how}), and every order with it; see {self.log}")

    async def stop(self) -> int:
        """End it: asked first, killed if it does not. Returns its exit code."""
        return await _ended(self.process)


async def _ended(process: asyncio.subprocess.Process) -> int:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.communicate(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.communicate()
    return -1 if process.returncode is None else process.returncode


async def _told(process: asyncio.subprocess.Process, words: Sequence[str], log: Path) -> str:
    """What a process that did not come up has to say."""
    if process.returncode is None:
        process.kill()
    await process.communicate()
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
    why = "; ".join(said) if said else "it printed nothing"
    return f"the embedded exchange did not start: {why}. Try it alone: mmbot {' '.join(words[3:])}"
