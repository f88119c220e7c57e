"""Two engines, one tape: every difference of their fills, with its class.

    python -m benches.diff_fills MMBOT.npz HFTBACKTEST.npz [--json RESULT.json]

A log holds `submits` and `fills`, records of (ts, side, tick, lots, order_id): a submit at the wake that sent it, a
fill at its venue time; side is 1 for a buy and −1 for a sell. Orders are matched by what was asked (wake, side, price),
never by their numbers, so two runs that part ways are compared again as soon as they ask for the same thing.

    same            one order, filled equally in both
    other time      one order, filled in both, at another venue time
    other terms     one order, filled in both, at another price or another quantity
    only A, only B  one order, filled in one engine only: the fill models disagree
    followed        the order was sent by one engine only: a consequence of something earlier, not a cause

A strategy's orders follow from its fills: `other …` and `only …` count causes, `followed` counts consequences. Where
nothing but `followed` is left, the strategies themselves differ, and the first submit without a twin says where.
"""

import argparse
import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

SAME, OTHER_TIME, OTHER_TERMS, ONLY_A, ONLY_B, FOLLOWED_A, FOLLOWED_B = (
    "same",
    "other time",
    "other terms",
    "only A",
    "only B",
    "followed A",
    "followed B",
)
EXPLAINED = {
    SAME: "one order, one fill, equal to the lot and the nanosecond",
    OTHER_TIME: "queue or crossing seen at another message",
    OTHER_TERMS: "partial fills, or a fill at another price",
    ONLY_A: "fill rule met in A only; in B the order was cancelled, refused or left",
    ONLY_B: "fill rule met in B only; in A the order was cancelled, refused or left",
    FOLLOWED_A: "B never sent this order: its position or book was another by then",
    FOLLOWED_B: "A never sent this order: its position or book was another by then",
}

Asked = tuple[int, int, int]  # wake, side, tick


@dataclass(frozen=True, kw_only=True)
class Filled:
    """All that was executed of one order: venue times of its first and last execution, value-weighted terms."""

    first_ts: int
    last_ts: int
    lots: int
    tick_lots: int  # Σ tick × lots, so that equal terms compare equal without division


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One order whose fills are not the same in both engines; times in ns, `None` where it was not filled."""

    kind: str
    wake: int
    side: int
    tick: int
    a_ts: int | None
    b_ts: int | None


@dataclass(frozen=True, kw_only=True)
class Log:
    """What one engine asked for and what it got."""

    asked: dict[int, Asked]
    filled: dict[Asked, Filled]

    @classmethod
    def load(cls, path: Path) -> "Log":
        """Read a log; ValueError if a fill names an order that was never submitted, or one thing was asked twice."""
        with np.load(path) as arrays:
            asked = {int(row["order_id"]): _asked(row) for row in arrays["submits"]}
            fills = arrays["fills"]
        if len(set(asked.values())) != len(asked):
            twice = [terms for terms, count in Counter(asked.values()).items() if count > 1]
            raise ValueError(f"{path}: two orders of one side and price in one wake, against rules.md: {twice[:3]}")
        unknown = set(fills["order_id"].tolist()) - set(asked)
        if unknown:
            raise ValueError(f"{path}: fills of orders that were never submitted: {sorted(unknown)[:5]}")
        filled: dict[Asked, Filled] = {}
        for order_id in np.unique(fills["order_id"]).tolist():
            filled[asked[order_id]] = _merged(fills[fills["order_id"] == order_id])
        return cls(asked=asked, filled=filled)


def _asked(row: np.void) -> Asked:
    return int(row["ts"]), int(row["side"]), int(row["tick"])


def _merged(fills: NDArray[np.void]) -> Filled:
    return Filled(
        first_ts=int(fills["ts"].min()),
        last_ts=int(fills["ts"].max()),
        lots=int(fills["lots"].sum()),
        tick_lots=int((fills["tick"] * fills["lots"]).sum()),
    )


def classify(a: Filled | None, b: Filled | None, *, asked_a: bool, asked_b: bool) -> str:
    """The class of one order that was filled in at least one of the engines."""
    if not asked_b:
        return FOLLOWED_A
    if not asked_a:
        return FOLLOWED_B
    if a is None or b is None:
        return ONLY_B if a is None else ONLY_A
    if (a.lots, a.tick_lots) != (b.lots, b.tick_lots):
        return OTHER_TERMS
    return SAME if a == b else OTHER_TIME


def compare(a: Log, b: Log) -> tuple[Counter[str], list[Difference]]:
    """How many filled orders are of each class, and every one that is not `same`, in order of wake."""
    asked_a, asked_b = set(a.asked.values()), set(b.asked.values())
    counts: Counter[str] = Counter()
    differences = []
    for asked in sorted(a.filled.keys() | b.filled.keys()):
        mine, theirs = a.filled.get(asked), b.filled.get(asked)
        kind = classify(mine, theirs, asked_a=asked in asked_a, asked_b=asked in asked_b)
        counts[kind] += 1
        if kind != SAME:
            wake, side, tick = asked
            differences.append(
                Difference(
                    kind=kind,
                    wake=wake,
                    side=side,
                    tick=tick,
                    a_ts=mine.first_ts if mine else None,
                    b_ts=theirs.first_ts if theirs else None,
                )
            )
    return counts, differences


def show(console: Console, a: Log, b: Log, shown: int) -> tuple[Counter[str], list[Difference]]:
    """Print totals, classes and the first differences."""
    counts, differences = compare(a, b)
    asked_a, asked_b = set(a.asked.values()), set(b.asked.values())
    console.print(f"submits: A {len(asked_a)}, B {len(asked_b)}, in common {len(asked_a & asked_b)}")
    for name, alone in (("A", asked_a - asked_b), ("B", asked_b - asked_a)):
        if alone:
            wake, side, tick = min(alone)
            console.print(f"first submit of {name} without a twin: wake {wake}, side {side}, tick {tick}")
    console.print(f"filled orders: A {len(a.filled)}, B {len(b.filled)}")
    totals = Table("class", "orders", "means")
    for kind, meaning in EXPLAINED.items():
        totals.add_row(kind, str(counts[kind]), meaning)
    console.print(totals)
    if differences:
        first = Table("class", "wake", "side", "tick", "A filled after wake, ms", "B filled after wake, ms")
        for d in differences[:shown]:
            after = ["–" if ts is None else f"{(ts - d.wake) / 1e6:.3f}" for ts in (d.a_ts, d.b_ts)]
            first.add_row(d.kind, str(d.wake), "buy" if d.side == 1 else "sell", str(d.tick), *after)
        console.print(first)
    return counts, differences


def main() -> None:
    """Compare two logs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("a", type=Path, help="log of engine A (mmbot)")
    parser.add_argument("b", type=Path, help="log of engine B (hftbacktest)")
    parser.add_argument("--shown", type=int, default=10, help="how many differences to print")
    parser.add_argument("--json", type=Path, help="write all differences here")
    options = parser.parse_args()
    counts, differences = show(Console(), Log.load(options.a), Log.load(options.b), options.shown)
    if options.json:
        options.json.write_text(
            json.dumps({"counts": counts, "differences": [asdict(d) for d in differences]}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
