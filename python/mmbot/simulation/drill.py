"""Drills: one named disaster at a time, on a user's own strategy, instruments and limits.

    for drilled in drill(cast_of(config), ["kill-mid-replace"]):
        drilled.name, drilled.passed

The market is the model's, with jumps, at the prices of the configured recording: what is drilled is whether anything is
lost, not whether money is made. A guardian watches, and the controls are those of `[risk]`, but for what the model does
not have (`own_risk`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from mmbot.config import BacktestConfig, ConfigError, RiskConfig, load
from mmbot.config.risk import LAUNCH_SHARE
from mmbot.research.desks import configured
from mmbot.simulation.cast import Cast, Role
from mmbot.simulation.faults import Fault
from mmbot.simulation.reasons import FROZE
from mmbot.simulation.scene import play

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from mmbot import _core
    from mmbot.config import InstrumentConfig
    from mmbot.simulation.scene import Outcome

__all__ = ["DRILLS", "Drilled", "cast_of", "cast_of_file", "drill", "own_risk"]

QUIET_MS = 10_000
"""The model's market is told every few seconds, and is old after so long."""


def _at(kind: str, *at_s: int, for_ms: int = 2_000, size: float = 1.0) -> list[Fault]:
    return [Fault(kind, second * 1_000, for_ms, size, number) for number, second in enumerate(at_s)]


SOON = range(30, 430, 40)

DRILLS: Mapping[str, tuple[str, Sequence[Fault]]] = {
    "kill-at-place": ("kill -9 just after an order left, ten times", _at("kill at place", *SOON)),
    "kill-mid-replace": (
        "kill -9 just after a cancel or amend left, ten times",
        _at("kill at replace", *range(30, 430, 40)),
    ),
    "kill-at-fill": ("kill -9 just before a fill is heard, ten times", _at("kill at fill", *SOON)),
    "kill-in-recovery": ("killed again and again while it recovers", _at("kill in recovery", 60, 200, 340)),
    "stopped": ("SIGSTOP for half a minute, three times", _at("pause", 60, 180, 300, for_ms=30_000)),
    "answers-lost": (
        "no answer comes for ten seconds, five times",
        _at("answers lost", *range(40, 440, 80), for_ms=10_000),
    ),
    "requests-parked": ("requests arrive six seconds late", _at("requests parked", *SOON[::2], for_ms=8_000)),
    "deaf": ("everything arrives at the venue, nothing comes back", _at("deaf", 60, 180, 300, for_ms=10_000)),
    "rest-dark": ("REST is gone for 20 s", _at("rest dark", 60, 180, 300, for_ms=20_000)),
    "venue-restart": ("the venue restarts and forgets closed orders", _at("venue restart", 60, 180, 300, for_ms=5_000)),
    "disk-full": ("no space is left on the disk", _at("disk full", 120)),
    "power-cut": ("the disk lied, and the power goes", _at("lying disk", 60, 200, 340)),
    "frozen-feed": ("market data stops without a word", _at("frozen feed", 60, 180, 300, for_ms=25_000)),
    "guardian-gone": ("kill -9 of the guardian, three times", _at("guardian killed", 60, 180, 300, for_ms=20_000)),
    "unheard": ("engine and guardian do not hear each other", _at("beats lost", 60, 180, 300, for_ms=20_000)),
}
"""Every drill: in plain words, and what goes wrong."""


@dataclass(frozen=True, slots=True)
class Drilled:
    """What a drill came to."""

    name: str
    said: str
    outcomes: tuple[Outcome, ...]

    @property
    def passed(self) -> bool:
        """No promise broke, and there was something to break."""
        return not self.idle and all(outcome.violation is None for outcome in self.outcomes)

    @property
    def frozen(self) -> list[str]:
        """Which controls stopped it, and how often."""
        marks = Counter[str]()
        for outcome in self.outcomes:
            marks.update({mark: times for mark, times in outcome.marks.items() if mark.startswith(FROZE)})
        return [f"{mark.removeprefix(FROZE)} ({times}×)" for mark, times in sorted(marks.items())]

    @property
    def idle(self) -> str:
        """Why nothing was drilled; empty where something was."""
        if not any(outcome.orders for outcome in self.outcomes):
            return "the strategy never ordered"
        trap = {"kill-at-place": "place", "kill-mid-replace": "replace", "kill-at-fill": "fill"}.get(self.name)
        if trap and not any(outcome.marks[f"killed at {trap}"] for outcome in self.outcomes):
            return f"there was no {trap} to be killed at"
        return ""


def cast_of_file(path: Path) -> Cast:
    """As `cast_of`, of a file. Raises ConfigError, and OSError."""
    return cast_of(load(path, BacktestConfig), str(path))


def cast_of(config: BacktestConfig, path: str = "") -> Cast:
    """The user's own instruments, limits, controls and strategy; path: where they were read from. Raises ConfigError
    for what the model venue does not have.
    """
    configured(config)  # what is wrong with the strategy is said before the first drill
    share = Fraction(LAUNCH_SHARE) if config.risk.launch else Fraction(1)
    return Cast(
        roles=tuple(_role(each, share) for each in config.instruments),
        strategy=lambda _stream: configured(config),
        amends=config.instruments[0].orders.amend,
        risk=own_risk(config.risk),
        guarded=True,
        config=path,
        mood="gap",
    )


def own_risk(risk: RiskConfig) -> RiskConfig:
    """The controls as they are configured, but for what the model does not have: a market that is told many times a
    second, marks, a margin, other accounts, and a pair of stable coins.
    """
    return risk.model_copy(
        update={
            "book_age_ms": max(risk.book_age_ms, QUIET_MS),
            "venue_age_ms": max(risk.venue_age_ms, QUIET_MS),
            "reference_age_ms": 0,
            "elsewhere_age_ms": 0,
            "margin_headroom_pct": 0.0,
            "depeg_pair": None,
            "depeg_bps": None,
        }
    )


def _role(each: InstrumentConfig, share: Fraction) -> Role:
    from mmbot.data.catalog import market_of, open_tape  # noqa: PLC0415  only a drill opens a recording

    category, symbol = market_of(each)
    if category != "linear":
        raise ConfigError(f"{symbol}: drills know linear instruments; {category} is not modelled")
    if each.tape is None:
        raise ConfigError(f"{symbol} has no tape; give one (`tape = ...`), whose tick, lot and first prices are used")
    tape = open_tape(each.tape)
    instrument = tape.instrument
    try:
        position, order = instrument.lots(each.limits.position), instrument.lots(each.limits.order)
    except ValueError as error:
        raise ConfigError(f"limits of {symbol}: {error}") from None
    return Role(
        symbol=symbol,
        tick=instrument.tick,
        lot=instrument.lot,
        position_max=int(position * share),
        order_max=int(order * share),
        touch=_first(tape),
    )


def _first(tape: _core.Tape) -> tuple[int, int]:
    """The touch in the middle of a recording, in ticks. Raises ConfigError where it has none."""
    if tape.span is not None:
        start, stop = tape.span
        bids, asks = tape.touch_at(np.array([(start + stop) // 2], dtype=np.int64))
        if 0 < int(bids[0]) < int(asks[0]):
            return int(bids[0]), int(asks[0])
    raise ConfigError(f"{tape.instrument.symbol}: its recording shows no two-sided market; give another tape")


def drill(cast: Cast, names: Sequence[str], *, seeds: int = 3) -> Iterator[Drilled]:
    """Play drills, each in several worlds."""
    for name in names:
        said, plan = DRILLS[name]
        outcomes = tuple(play(seed, plan=plan, profile="quiet", cast=cast) for seed in range(seeds))
        yield Drilled(name, said, outcomes)
