"""How long each stage takes, in a few kilobytes whatever the length of the run.

frame received ─ decode ─ hear, decide, limits ─ journal ─ encode, hand to the socket
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["STAGES", "Latencies", "Spread"]

STAGES = ("decode", "decide", "journal", "send", "wire_to_wire", "answer")
"""What is measured. `decode` is of every public frame with something in it; the others are of what led to a request:
`decide`, `journal` and `send` of messages, timers and facts, `wire_to_wire`, from the frame to the socket, of public
messages alone. `answer` is from the socket to the venue's word on a request, so it holds the network and the venue."""

KEPT = 4_096
"""Latest values kept for each stage; quantiles are theirs."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Quantiles of the latest values, in ns, and how many there have been in all."""

    count: int
    p50: int
    p99: int
    max: int


class Latencies:
    """Collects values by stage."""

    def __init__(self) -> None:
        self._rings: dict[str, list[int]] = {stage: [] for stage in STAGES}
        self._counts = dict.fromkeys(STAGES, 0)

    def add(self, stage: str, ns: int) -> None:
        """Take one value in."""
        ring, count = self._rings[stage], self._counts[stage]
        if count < KEPT:
            ring.append(ns)
        else:
            ring[count % KEPT] = ns
        self._counts[stage] = count + 1

    def spread(self, stage: str) -> Spread | None:
        """Return the stage's quantiles (nearest rank); None before its first value."""
        ring = sorted(self._rings[stage])
        if not ring:
            return None
        rank = [ring[-(-len(ring) * share // 100) - 1] for share in (50, 99)]
        return Spread(count=self._counts[stage], p50=rank[0], p99=rank[1], max=ring[-1])

    def all(self) -> dict[str, Spread]:
        """Return every stage that has a value."""
        spreads = {stage: self.spread(stage) for stage in STAGES}
        return {stage: spread for stage, spread in spreads.items() if spread is not None}
