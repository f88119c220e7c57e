"""`python -m benches.live_step [FOLDER]`: what a step of the live engine costs, and its journal in a file of FOLDER."""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from mmbot import _core, samples
from mmbot.strategy import Intent, View, quotes

IDLE, DECISIONS, SYNCS = 300_000, 20_000, 300


class Engine:
    """A live engine at the end of a recorded market, woken at every step."""

    def __init__(self, journal: _core.Journal | None, every_ns: int) -> None:
        tape = samples.sample("btcusdt")
        assert tape.span is not None
        desk = _core.Desk(position_max=1_000, order_max=100, requests_per_second_max=10**9)
        self.live = _core.Live(
            [tape],
            _core.Seat([desk], every_ns=every_ns),
            instruments=[tape.instrument],
            queues=[("power", None)],
            journal=journal,
        )
        self.windows: list[View] = []
        self.windows.append(View(self.live, 0, tape.instrument, self.windows))
        self.now = tape.span[1]
        self.wanted: Intent | None = None
        self.live.step(self.now, self.decide, self.windows)

    def decide(self, view: View) -> Intent | None:
        """What is wanted now."""
        return self.wanted

    def answer(self, commands: list[tuple]) -> None:
        """A venue that takes everything at once."""
        for command in commands:
            self.now += 1
            if command[0] == "cancel":
                self.live.canceled(self.now, command[1], 0, self.now)
            else:
                self.live.accepted(self.now, command[1], self.now)


def idle() -> float:
    """Nanoseconds of a step at which nothing is due."""
    engine = Engine(None, 10**15)
    start = time.perf_counter_ns()
    for later in range(1, IDLE):
        engine.live.step(engine.now + later, engine.decide, engine.windows)
    return (time.perf_counter_ns() - start) / IDLE


def decisions(journal: _core.Journal | None) -> tuple[list[int], list[int]]:
    """Nanoseconds of steps that move two quotes (two cancels, two orders), and of flushing what they wrote."""
    engine = Engine(journal, 1)
    bid, ask = engine.windows[0].bid, engine.windows[0].ask
    assert bid is not None
    assert ask is not None
    steps, flushes = [], []
    for turn in range(DECISIONS):
        engine.wanted = quotes(bid - turn % 5, ask + turn % 5, 1)
        engine.now += 10
        start = time.perf_counter_ns()
        commands = engine.live.step(engine.now, engine.decide, engine.windows)
        decided = time.perf_counter_ns()
        if journal is not None:
            journal.flush()
        steps.append(decided - start)
        flushes.append(time.perf_counter_ns() - decided)
        engine.answer(commands)
    return steps, flushes


def told(what: str, spans: list[int]) -> None:
    """One line of the table."""
    spans = sorted(spans)
    p99 = spans[len(spans) * 99 // 100]
    print(f"{what:<44} p50 {statistics.median(spans) / 1e3:>9.2f} µs   p99 {p99 / 1e3:>9.2f} µs")


def main(parent: str | None) -> None:
    """Print the table."""
    print(f"{'a step with nothing to do':<44} {idle():.0f} ns")
    told("a step with a decision and four commands", decisions(None)[0])
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        journal = _core.Journal.create(Path(folder) / "bench.mmj", 0, "{}")
        steps, flushes = decisions(journal)
        told("the same, journaled", steps)
        told("its flush", flushes)
        syncs = []
        for turn in range(SYNCS):
            journal.note(turn, "bench", "{}")
            start = time.perf_counter_ns()
            journal.sync()
            syncs.append(time.perf_counter_ns() - start)
        told("a sync (fdatasync)", syncs)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
