"""What the journal of a run says of its decisions, and of how long its messages were under way.

The latencies are made for a backtest that is to do the same: it asks at the very time of the news, and its venue says
what happens at one time in an order of its own.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from mmbot import _core
from mmbot.data.tape_records import records
from mmbot.research.own_orders import JUDGED, own_orders, told_first

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = ["Changes", "Decision", "HeardRun", "Latencies"]

PAUSE_NS = 1_000_000_000
"""A backtest's decision this far from every wake of the run was made while the run asked nobody."""
ANSWERS = {
    "accepted": "place",
    "rejected": "place",
    "filled": "place",
    "canceled": "cancel",
    "refused": "cancel",
    "amended": "amend",
}
"""What a matching engine says, and which request that answers."""


class Decision(NamedTuple):
    """What a strategy wants from a time on: the quotes, where they differ from those wanted before."""

    ts: int
    instrument: int
    quotes: tuple[tuple[str, int, int], ...]
    """(side, ticks, lots)."""


@dataclass(frozen=True)
class Latencies:
    """(time of sending, latency) in ns, to the venue and back, as the journal shows them."""

    entry: tuple[tuple[int, int], ...]
    response: tuple[tuple[int, int], ...]


class Changes:
    """Keeps the intents that differ from the one before, of the same instrument."""

    def __init__(self, decisions: list[Decision]) -> None:
        self._decisions, self._last = decisions, dict[int, tuple[tuple[str, int, int], ...]]()

    def note(self, ts: int, instrument: int, quotes: Iterable[tuple[str, int, int]]) -> None:
        """Keep an intent, if it is a new one; wanting nothing is nothing new at the start."""
        wanted = tuple(quotes)
        if self._last.get(instrument, ()) != wanted:
            self._decisions.append(Decision(ts, instrument, wanted))
        self._last[instrument] = wanted


class HeardRun:
    """What a journal says of orders, of decisions, of latencies and of when the strategy was asked."""

    def __init__(self, path: Path, tapes: Sequence[_core.Tape], every_ns: int | None) -> None:
        """Read the journal of a run that wrote `tapes` and whose strategy had a timer of `every_ns`, if any."""
        self.orders = own_orders(path)
        self.decisions: list[Decision] = []
        self.until = 0
        """When the run stopped asking the strategy."""
        self.end = 0
        """Time of the last entry."""
        self._wakes: list[int] = []
        self._commands: list[tuple[int, tuple[int, str]]] = []
        self._done: dict[tuple[int, str], int | None] = {(each.number, "place"): each.arrived for each in self.orders}
        self._heard: dict[tuple[str, int, object], tuple[int, int]] = {}
        self._filled: set[int] = set()
        self._unasked: list[tuple[str, int, object]] = []
        received = [_Received(tape) for tape in tapes]
        self._first, self._every = min(each.first for each in received), every_ns
        asked = 0
        changes = Changes(self.decisions)
        first = told_first(path)
        for number, time, kind, said in _core.JournalReader(path):
            self.end = time
            match kind:
                case "wake":
                    self._wakes.append(time)
                    self.until = time
                    asked = self._asked(time, said, received)
                case "intent":
                    changes.note(time, said["instrument"], said["quotes"])
                case "command":
                    self._commands.append((min(asked, time), (said["order_id"], said["command"])))
                case "event" if said["event"] in ANSWERS:
                    self._measure(time, said, said["ts_venue"] - (number in first))

    def _measure(self, time: int, said: Mapping[str, Any], ts: int) -> None:
        """An answer tells how long the question was under way, and how long the answer; told again it tells nothing."""
        order, event = said["order_id"], said["event"]
        if event == "rejected" and said["words"] not in JUDGED:
            return  # said by a gateway or by our own gate: no matching engine
        if event == "accepted" and order in self._filled:
            return  # what the order was after its fill
        name = said["words"] if event == "filled" else ts if event == "amended" else ""  # these come more than once
        told = (event, order, name)
        if told in self._heard:
            return
        self._heard[told] = (ts, max(time - ts, 0))
        self._done.setdefault((order, ANSWERS[event]), ts)
        if event == "filled":
            self._filled.add(order)
            self._unasked.append(told)

    def _asked(self, time: int, said: Mapping[str, Any], received: Sequence[_Received]) -> int:
        """When a backtest asks for this wake: at the very time of timer or news, a run some microseconds later.

        For a fill the delay counts as part of the answer's way, so that fills heard in one breath are heard at once.
        """
        if "fill" in said["reasons"]:
            for told in self._unasked:
                self._heard[told] = (self._heard[told][0], max(time - self._heard[told][0], 0))
        self._unasked.clear()
        if "fill" in said["reasons"]:
            return time
        if "timer" in said["reasons"] and self._every:
            return time - (time - self._first) % self._every
        return max(tape.last(*heard) for tape, heard in zip(received, said["heard"], strict=True))

    @property
    def refused(self) -> dict[int, str]:
        """New orders that were refused, and why, in the words of who refused."""
        return {each.number: each.refused for each in self.orders if each.refused}

    @property
    def latencies(self) -> Latencies:
        """Sorted by the time of sending; those of one time as a simulated venue says them: first what others did to us.

        A command of which nobody told the effect took as long as the one before it.
        """
        entry: list[tuple[int, int]] = []
        for asked, command in self._commands:
            done = self._done.get(command)
            if done is not None:
                entry.append((asked, max(done - asked, 0)))
            elif entry:
                entry.append((asked, entry[-1][1]))
        answers = sorted(self._heard.items(), key=lambda item: (item[1][0], item[0][0] != "filled"))
        return Latencies(tuple(entry), tuple(row for _, row in answers))

    def asked_near(self, ts: int) -> bool:
        """Whether the strategy was asked within a second of then."""
        at = bisect_left(self._wakes, ts)
        return any(abs(wake - ts) <= PAUSE_NS for wake in self._wakes[max(at - 1, 0) : at + 1])


class _Received:
    """When the messages of a tape were heard."""

    def __init__(self, tape: _core.Tape) -> None:
        self._depth, self._trades = (records(tape, name)["ts_recv"] for name in ("depth", "trades"))
        self.first = min((int(times[0]) for times in (self._depth, self._trades) if len(times)), default=0)

    def last(self, depth: int, trades: int) -> int:
        """Time of the last one of so many."""
        return max(int(self._depth[depth - 1]) if depth else 0, int(self._trades[trades - 1]) if trades else 0)
