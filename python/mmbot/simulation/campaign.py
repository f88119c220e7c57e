"""Many seeds: each played twice, in as many processes as there are cores, and what they showed.

report = campaign(range(2_000))
report.failures     seeds whose promise broke, with the plan that broke it
report.unequal      seeds that did not do the same thing twice: simulator or engine is not deterministic
report.missing      marks that never fired: what was not tested
"""

from __future__ import annotations

import gc
import os
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING

from mmbot.simulation.faults import KINDS
from mmbot.simulation.scene import LENGTH_S, Outcome, play
from mmbot.simulation.stops import STOP_MARKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["MARKS", "CampaignReport", "campaign", "hunt"]

MARKS: tuple[str, ...] = (
    *(f"fault: {kind}" for kind in KINDS),
    *(f"guardian judged: engine {what}" for what in ("gone", "woken", "lies")),
    *(f"frozen: guardian_{what}" for what in ("lost", "acting")),
    "shown later than assumed",
    *("guardian: zero", "guardian: taken over", "restarted after a freeze", "quarantined"),
    *("another machine trades", "fenced", "stopped between the check and the sending", "said: deposed"),
    *STOP_MARKS,
    *(f"said: {name}" for name in ("request", "fill", "link", "paused", "quoting", "reconcile", "refused", "stopping")),
)
"""What has to happen in a campaign for it to have tested anything: every fault, and every branch that answers one."""
CHUNK = 20


@dataclass
class CampaignReport:
    """What came of a campaign."""

    seeds: int = 0
    simulated_s: int = 0
    wall_s: float = 0.0
    turns: int = 0
    orders: int = 0
    fills: int = 0
    failures: list[Outcome] = field(default_factory=list)
    unequal: list[int] = field(default_factory=list)
    marks: Counter[str] = field(default_factory=Counter)

    @property
    def missing(self) -> list[str]:
        """Marks that never fired."""
        return [mark for mark in MARKS if not self.marks[mark]]

    @property
    def passed(self) -> bool:
        """Nothing broke, every seed did the same twice, and everything was tried."""
        return not (self.failures or self.unequal or self.missing)

    def take(self, outcome: Outcome, *, equal: bool) -> None:
        """Add one seed."""
        self.seeds += 1
        self.simulated_s += LENGTH_S
        self.turns += outcome.turns
        self.orders += outcome.orders
        self.fills += outcome.fills
        self.marks += outcome.marks
        if outcome.violation is not None:
            self.failures.append(outcome)
        if not equal:
            self.unequal.append(outcome.seed)


def _twice(seed: int, *, bugs: tuple[str, ...], profile: str | None, once: bool) -> tuple[Outcome, bool]:
    gc.disable()  # a seed's garbage is small, and cycles of killed coroutines are taken in one go
    try:
        first = play(seed, bugs=bugs, profile=profile)
        equal = once or play(seed, bugs=bugs, profile=profile).digest == first.digest
    finally:
        gc.enable()
        gc.collect(0)
    return first, equal


def campaign(
    seeds: Iterable[int],
    *,
    bugs: Sequence[str] = (),
    profile: str | None = None,
    once: bool = False,
    workers: int | None = None,
    heard: Callable[[CampaignReport], object] = lambda _: None,
    enough: Callable[[CampaignReport], object] = lambda _: False,
) -> CampaignReport:
    """Play seeds, each twice unless `once`, until they are through or `enough` says so; `heard` after each."""
    report, began = CampaignReport(), time.perf_counter()
    work = partial(_twice, bugs=tuple(bugs), profile=profile, once=once)
    count = workers or os.cpu_count() or 1
    with ProcessPoolExecutor(count, mp_context=get_context("forkserver")) as pool:
        for outcome, equal in pool.map(work, seeds, chunksize=CHUNK if count > 1 else 1):
            report.take(outcome, equal=equal)
            report.wall_s = time.perf_counter() - began
            heard(report)
            if enough(report):
                pool.shutdown(cancel_futures=True)
                break
    return report


def hunt(bug: str, *, most: int, profile: str | None = None, first: int = 0) -> tuple[int, Outcome | None]:
    """Play seeds with a planted bug until one catches it. Returns how many it took, and the one; None for none."""
    for count in range(1, most + 1):
        outcome = play(first + count - 1, bugs=(bug,), profile=profile)
        if outcome.violation is not None:
            return count, outcome
    return most, None
