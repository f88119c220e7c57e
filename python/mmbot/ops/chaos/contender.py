"""One of two processes that want to trade on an account: `python -m mmbot.ops.chaos.contender`, for the exercise alone.

It stands by, leads, and sends a create every 20 ms to a model venue that looks at ages only. SIGUSR1 makes it stop
itself between the check of its next create and its way out: the worst moment there is.

stdin: one line of JSON, its orders. stdout: one line of JSON for each event.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from mmbot.execution import FencedError
from mmbot.ops.leader.epochs import EpochFile
from mmbot.ops.leader.fleet import FleetLease
from mmbot.ops.leader.leadership import Leadership
from mmbot.venues.port import VenueError

EVERY_S = 0.02
CALL_S = 5.0


class Contender:
    """Leads if it may, and asks for creates."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self._asked = asked
        self._lead = Leadership(self._tell, time.time_ns)
        self._stop_next = False
        self._fenced = ""

    async def run(self) -> None:
        """Until SIGTERM, or deposed."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, ended.set)
        loop.add_signal_handler(signal.SIGUSR1, self._stop_between)
        lease = FleetLease(
            dsn=self._asked["dsn"],
            account="simulator chaos",
            ttl_ms=self._asked["ttl_ms"],
            build=self._asked.get("build", "b"),
            config=self._asked.get("config", "c"),
            call_s=self._asked["renew_ms"] / 1_000,
            epochs=EpochFile(Path(self._asked["epoch_file"])),
        )
        self._tell({"event": "ready"})
        async with self._lead.held(
            lease, ttl_s=self._asked["ttl_ms"] / 1_000, renew_s=self._asked["renew_ms"] / 1_000, stop=ended
        ):
            self._lead.listen(lambda event: self._tell({"event": "link", "state": event.state}), lambda _: ended.set())
            async with asyncio.timeout(CALL_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._asked["venue"])
            while not ended.is_set():
                await self._create(reader, writer)
                await asyncio.sleep(EVERY_S)
            if self._asked.get("last_word", True):
                await self._create(reader, writer)  # whoever is deposed tries once more, and is refused
            writer.close()

    async def _create(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ts_ms = time.time_ns() // 1_000_000
        try:
            self._lead.check(ts_ms)
        except FencedError as error:
            if str(error)[:24] != self._fenced:
                self._fenced = str(error)[:24]
                self._tell({"event": "fenced", "why": str(error)})
            return
        paused = self._stop_next
        if paused:
            self._stop_next = False
            self._tell({"event": "pausing"})
            os.kill(os.getpid(), signal.SIGSTOP)
        writer.write(f"{self._lead.epoch} {ts_ms}\n".encode())
        async with asyncio.timeout(CALL_S):
            answer = (await reader.readline()).decode().strip()
        if paused or answer != "ok":
            self._tell({"event": "answered", "answer": answer, "age_ms": time.time_ns() // 1_000_000 - ts_ms})

    def _stop_between(self) -> None:
        self._stop_next = True

    @staticmethod
    def _tell(event: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()


def main() -> None:
    """Run one contender; its exit code is 1 where it was refused a lease."""
    contender = Contender(json.loads(sys.stdin.readline()))
    try:
        asyncio.run(contender.run())
    except VenueError as error:
        contender._tell({"event": "refused", "why": str(error)})
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
