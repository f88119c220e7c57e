"""Numbered ticks of a message bus: what one says, and in which order they are to be believed.

    arrive    1  2  4  3  3  7  8 …          1 2 in order; 4 waits for 3; the second 3 is a duplicate;
    released  1  2  3  4  ┆gap┆  7  8        7 waits 40 ms for 5 and 6, then they are missing

A tick that comes early waits until those before it are there, for 40 ms at most and with 4,000 others at most: then
what is missing is a gap, and who listens is told that something was lost before the next tick. A number more than
4,000 below the expected one is no late tick but a producer that began again, which loses as much as a gap.

Pure: times are given, nothing is read or awaited.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, Literal, NamedTuple, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["HELD_MAX", "WAIT_NS", "Release", "SequenceCounts", "SequenceGuard", "Tick", "TickError", "parse_tick"]

WAIT_NS: Final = 40_000_000
HELD_MAX: Final = 4_000
NS_PER_MS: Final = 1_000_000
RANGES_REMEMBERED: Final = 64
_DECIMAL: Final = re.compile(r"[0-9]+(\.[0-9]+)?")

Item = TypeVar("Item")


class TickError(ValueError):
    """A message that is no tick. It says which field, and what was expected."""


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """The best prices at a time, and how much last traded. Prices and sizes are decimal strings, time is ns."""

    symbol: str
    seq: int
    ts_venue: int
    bid: str
    bid_size: str
    ask: str
    ask_size: str
    last_qty: str
    """Traded since the tick before; "0" for nothing. Alone it tells neither price nor side, so it is no trade."""
    last_price: str | None = None
    last_side: Literal["buy", "sell"] | None = None
    """Side of the aggressor. With `last_price`, what traded is a trade."""


def parse_tick(fields: Mapping[bytes, bytes]) -> Tick:
    """Read a tick: `ts` (whole milliseconds), `seq`, `symbol`, `bid`, `bid_size`, `ask`, `ask_size`, `last_qty`, and
    optionally `last_price` with `last_side` ("buy" or "sell"). Raises TickError."""
    try:
        words = {key.decode(): value.decode() for key, value in fields.items()}
    except UnicodeDecodeError as error:
        raise TickError(f"not UTF-8: {error}") from None
    missing = [name for name in _REQUIRED if name not in words]
    if missing:
        raise TickError(f"no {', '.join(missing)}; expected {', '.join(_REQUIRED)}")
    side = words.get("last_side")
    if side not in (None, "buy", "sell"):
        raise TickError(f'last_side is {side!r}; expected "buy" or "sell"')
    if (side is None) != ("last_price" not in words):
        raise TickError("last_price and last_side belong together; one is missing")
    return Tick(
        symbol=words["symbol"],
        seq=_whole(words, "seq"),
        ts_venue=_whole(words, "ts") * NS_PER_MS,
        **{name: _decimal(words, name) for name in _DECIMALS},
        last_price=None if side is None else _decimal(words, "last_price"),
        last_side=side,  # type: ignore[arg-type]  # checked above
    )


_DECIMALS: Final = ("bid", "bid_size", "ask", "ask_size", "last_qty")
_REQUIRED: Final = ("ts", "seq", "symbol", *_DECIMALS)


def _whole(words: Mapping[str, str], name: str) -> int:
    text = words[name]
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise TickError(f"{name} is {text!r}; expected a whole number{' of milliseconds' if name == 'ts' else ''}")
    return int(text)


def _decimal(words: Mapping[str, str], name: str) -> str:
    if not _DECIMAL.fullmatch(words[name]):
        raise TickError(f"{name} is {words[name]!r}; expected a plain decimal")
    return words[name]


class Release(NamedTuple, Generic[Item]):
    """A message whose turn it is."""

    item: Item
    after_gap: bool
    """Something before it was lost."""


@dataclass
class SequenceCounts:
    """What a symbol's numbers went through."""

    taken: int = 0
    """Messages released."""
    gaps: int = 0
    """Times that something was lost."""
    missing: int = 0
    """How many numbers were."""
    duplicates: int = 0
    """Messages with a number that was there."""
    late: int = 0
    """Messages that came when their gap had been given up."""
    reordered: int = 0
    """Messages that came after a higher number, in time."""
    restarts: int = 0
    """Times that a producer began again."""


@dataclass
class _Line(Generic[Item]):
    """One symbol's messages that wait for their turn."""

    expected: int | None = None
    highest: int = -1
    lost: bool = False
    """Something was lost since the last release."""
    held: dict[int, tuple[int, Item]] = field(default_factory=dict)
    """By number, in order of arrival: when it came, and what."""
    given_up: deque[range] = field(default_factory=lambda: deque(maxlen=RANGES_REMEMBERED))
    counts: SequenceCounts = field(default_factory=SequenceCounts)

    def drain(self) -> Iterator[Release[Item]]:
        """Release what follows without a hole."""
        while self.expected in self.held:
            _, item = self.held.pop(self.expected)
            self.expected += 1
            self.counts.taken += 1
            after_gap, self.lost = self.lost, False
            yield Release(item, after_gap)

    def give_up(self) -> Iterator[Release[Item]]:
        """Count what is missing before the first that waits, and release from there."""
        first = min(self.held)
        missing = range(self.expected or 0, first)
        self.given_up.append(missing)
        self.counts.gaps += 1
        self.counts.missing += len(missing)
        self.lost, self.expected = True, first
        yield from self.drain()

    def begin_again(self, seq: int) -> Iterator[Release[Item]]:
        """Release what waits, and follow a producer that counts from `seq` now."""
        while self.held:
            yield from self.give_up()
        self.counts.restarts += 1
        self.counts.gaps += 1
        self.given_up.clear()
        self.lost, self.expected, self.highest = True, seq, seq - 1

    def repeated(self, seq: int) -> None:
        """Count a number whose turn has passed, or that waits already."""
        if any(seq in missing for missing in self.given_up):
            self.counts.late += 1
        else:
            self.counts.duplicates += 1


class SequenceGuard(Generic[Item]):
    """Releases each symbol's messages in the order of their numbers, each once. Memory is bounded by `held_max`."""

    def __init__(self, *, wait_ns: int = WAIT_NS, held_max: int = HELD_MAX) -> None:
        self.wait_ns, self.held_max = wait_ns, held_max
        self._lines: dict[str, _Line[Item]] = {}

    @property
    def held(self) -> int:
        """How many messages wait."""
        return sum(len(line.held) for line in self._lines.values())

    def counts(self, symbol: str) -> SequenceCounts:
        """What was counted for a symbol."""
        return self._lines.setdefault(symbol, _Line()).counts

    def offer(self, symbol: str, seq: int, item: Item, now_ns: int) -> Iterator[Release[Item]]:
        """Take a message in; yields what may go on, in order. One that was there already, or is late, is counted."""
        line = self._lines.setdefault(symbol, _Line())
        if line.expected is None:
            line.expected = seq
        elif line.expected - seq > self.held_max:
            yield from line.begin_again(seq)
        elif seq < line.expected or seq in line.held:
            line.repeated(seq)
            return
        line.counts.reordered += seq < line.highest
        line.highest = max(line.highest, seq)
        line.held[seq] = (now_ns, item)
        yield from line.drain()
        while self.held > self.held_max:
            yield from max(self._lines.values(), key=lambda one: len(one.held)).give_up()

    def due(self, now_ns: int) -> Iterator[Release[Item]]:
        """What has waited long enough by now: its gap is given up."""
        for line in self._lines.values():
            while line.held and now_ns - next(iter(line.held.values()))[0] >= self.wait_ns:
                yield from line.give_up()

    def flush(self) -> Iterator[Release[Item]]:
        """Everything that waits, whatever is missing: nothing more will come."""
        for line in self._lines.values():
            while line.held:
                yield from line.give_up()
