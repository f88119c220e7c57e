"""Many settings of one strategy, and what the best of many is worth.

    tried = grid(config, {"gamma": [0.05, 0.1], "kappa": [0.1, 0.2]})      # four candidates
    deflated_sharpe(gains_of_the_best, sharpes_of_all)

Whoever tries enough settings finds one that looks good on noise alone. The deflated Sharpe ratio is the probability
that the true Sharpe ratio of the best is above what the best of so many worthless ones would have shown.

Source: Bailey and López de Prado, "The Sharpe Ratio Efficient Frontier" (2012) for the probabilistic Sharpe ratio and
"The Deflated Sharpe Ratio" (2014) for its hurdle. Their convention is kept: T − 1, moments of the observed gains, raw
kurtosis (3 for a normal). Not handled: gains that depend on each other, and trials that are near copies of each other;
both make the number too kind or too strict, so it is evidence and no verdict.
"""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from mmbot.config import ConfigError
from mmbot.config.load import explain
from mmbot.research.statistics import SAMPLES_MIN, Measure
from mmbot.strategies import find_strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mmbot.config import BacktestConfig
    from mmbot.research.statistics import Floats
    from mmbot.strategy import Strategy

__all__ = [
    "Candidate",
    "axes",
    "deflated_sharpe",
    "expected_best_sharpe",
    "grid",
    "probabilistic_sharpe",
    "sharpe_ratio",
]

EULER_GAMMA = 0.5772156649015329
NORMAL = NormalDist()


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One setting to be tried. `build` makes a fresh strategy each time: a strategy remembers, and windows overlap."""

    name: str
    build: Callable[[], Strategy]
    settings: Mapping[str, object] = field(default_factory=dict)
    """What sets it apart from the other candidates, for the report."""


def axes(texts: Iterable[str]) -> dict[str, tuple[object, ...]]:
    """Read the axes of a grid, each as `gamma=0.05,0.1`.

    Numbers, true, false and null are read as JSON has them, other text is taken as it is. Raises ConfigError for an
    axis without a name or with an empty value, and for one that is given twice.
    """
    found: dict[str, tuple[object, ...]] = {}
    for text in texts:
        name, _, values = (part.strip() for part in text.partition("="))
        parts = [part.strip() for part in values.split(",")]
        if not name or not all(parts):
            raise ConfigError(f"grid: {text!r} is no axis; expected name=value,value,... as in gamma=0.05,0.1")
        if name in found:
            raise ConfigError(f"grid: {name} is given twice; write all its values behind one {name}=")
        found[name] = tuple(_value(part) for part in parts)
    return found


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def grid(config: BacktestConfig, wanted: Mapping[str, Sequence[object]]) -> tuple[Candidate, ...]:
    """Every combination of `wanted`, laid over the configured parameters of the strategy; the last axis varies fastest.

    Each is built once here, so that a setting the strategy refuses is an answer before the replay and not within it.
    Raises ConfigError for no axis, an empty one, a value given twice, no configured strategy or a refused setting.
    """
    if config.strategy is None:
        raise ConfigError("strategy: missing; a grid varies the parameters of the configured strategy")
    if not wanted:
        raise ConfigError("grid: no axis; name at least one parameter and its values")
    for name, values in wanted.items():
        if not values or len({repr(value) for value in values}) < len(values):
            raise ConfigError(f"grid: {name} is {list(values)}; expected different values, at least one")
    recipe, params = find_strategy(config.strategy.name), config.strategy.params

    def candidate(settings: dict[str, object]) -> Candidate:
        name = " ".join(f"{key}={value}" for key, value in settings.items())
        built = Candidate(name=name, build=lambda: recipe.build({**params, **settings}), settings=settings)
        try:
            built.build()
        except ValidationError as error:
            raise explain(error, f"grid {name}") from None
        return built

    return tuple(
        candidate(dict(zip(wanted, values, strict=True)))
        for values in itertools.product(*(wanted[name] for name in wanted))
    )


def sharpe_ratio(gains: Floats) -> Measure:
    """Mean over standard deviation of the gains, per sample; no value for too few of them or without any risk."""
    if gains.size < SAMPLES_MIN:
        return Measure(None, f"needs {SAMPLES_MIN} sampled gains, there are {gains.size}")
    deviation = float(gains.std(ddof=1))
    # A constant drift leaves rounding noise, not risk: a ratio over it would be a number about floating point.
    if deviation <= 1e-12 * max(1.0, float(np.abs(gains).max())):
        return Measure(None, "equity never deviated from a straight line")
    return Measure(float(gains.mean()) / deviation)


def probabilistic_sharpe(sharpe: float, hurdle: float, *, samples: int, skew: float, kurtosis: float) -> float:
    """Probability that the true Sharpe ratio is above `hurdle`, given the observed one of `samples` gains.

    Both are per sample; kurtosis is raw. Raises ValueError for fewer than two samples, or moments no sample can have.
    """
    spread = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe * sharpe
    if samples < 2 or not spread > 0:
        raise ValueError(
            f"expected at least two samples and kurtosis above 1 + skew², got {samples}, {kurtosis} and {skew}"
        )
    return NORMAL.cdf((sharpe - hurdle) * math.sqrt(samples - 1) / math.sqrt(spread))


def expected_best_sharpe(trials: int, variance: float) -> float:
    """Sharpe ratio that the best of so many worthless, independent trials is expected to show; 0 for a single one.

    `variance` is that of the trials' Sharpe ratios. Raises ValueError for no trial or a negative variance.
    """
    if trials < 1 or not variance >= 0:
        raise ValueError(f"expected at least one trial and a variance of at least 0, got {trials} and {variance}")
    if trials == 1:
        return 0.0
    first, second = NORMAL.inv_cdf(1 - 1 / trials), NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * ((1 - EULER_GAMMA) * first + EULER_GAMMA * second)


def deflated_sharpe(gains: Floats, sharpes: Sequence[Measure]) -> Measure:
    """Probability that the Sharpe ratio behind `gains` is real, although it is the best of `sharpes`.

    gains: of the chosen trial, one per sample. sharpes: of all trials, the chosen one's among them; those without a
    value count as trials but say nothing about the variance.
    """
    chosen = sharpe_ratio(gains)
    if chosen.value is None:
        return chosen
    known = [sharpe.value for sharpe in sharpes if sharpe.value is not None]
    if len(sharpes) > 1 and len(known) < 2:
        return Measure(None, "fewer than two trials have a Sharpe ratio, so their variance is unknown")
    variance = float(np.var(known, ddof=1)) if len(known) > 1 else 0.0
    centred = gains - gains.mean()
    scale = math.sqrt(float(centred @ centred) / gains.size)
    skew, kurtosis = (float(((centred / scale) ** power).mean()) for power in (3, 4))
    hurdle = expected_best_sharpe(len(sharpes), variance)
    return Measure(probabilistic_sharpe(chosen.value, hurdle, samples=gains.size, skew=skew, kurtosis=kurtosis))
