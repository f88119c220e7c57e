"""What names a run and lets somebody repeat it: hashes of code, configuration and tapes, and the laws it went by."""

from __future__ import annotations

import hashlib
import inspect
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import mmbot
from mmbot import _core
from mmbot.config import Strict
from mmbot.research.summary import InstrumentFacts, RunFacts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mmbot.config import BacktestConfig, LatencyConfig, VenueConfig
    from mmbot.research.traded import Traded
    from mmbot.strategy import Strategy

QUOTE_CURRENCIES = ("USDT", "USDC", "FDUSD", "USD", "EUR", "BTC", "ETH")
LIMITATIONS = (
    "The recorded market does not react to us: no impact beyond the displayed liquidity that we take.",
    "Hidden and iceberg size is invisible, so fills on venues that have it come too early.",
    "Queue position is estimated from level sizes; only order-by-order data would make it exact.",
    "At equal venue times the order of receipt decides; matching inside one timestamp is not visible.",
    "The tape is one sample of one market: nothing here says how the next day differs.",
)
SPOT_LIMITATION = "Spot positions may go short: balances are not modelled."
EXPONENTS = {"power": 2.0, "power2": 2.0, "power3": 3.0}
"""Of the power laws, where the configuration says none; the core's own defaults."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """In which mode a run was, and, where no simulated venue filled its orders, what did and what that leaves out."""

    mode: str = "backtest"
    laws: Mapping[str, str] | None = None
    limitations: tuple[str, ...] | None = None


def facts(
    config: BacktestConfig,
    replay: _core.Run,
    seat: int,
    strategy: Strategy,
    traded: Sequence[Traded],
    *,
    setting: Setting | None = None,
) -> RunFacts:
    """Name one strategy's part of a finished run; without a setting, of a backtest."""
    setting = setting or Setting()
    spans = [each.tape.span for each in traded if each.tape.span]
    start, end = min(span[0] for span in spans), max(span[1] for span in spans)
    tapes = tuple(f"{each.tape.tape_hash:016x}" for each in traded)
    code, words = code_hash(type(strategy)), config.hash()
    state = f"{replay.state_hash(seat):016x}"
    asked = strategy_words(strategy)
    name = hashlib.sha256("|".join([code, words, asked, *tapes, str(config.seed), state]).encode()).hexdigest()[:12]
    return RunFacts(
        run_id=name,
        mode=setting.mode,
        version=mmbot.__version__,
        config_hash=words,
        code_hash=code,
        strategy=asked,
        tape_hashes=tapes,
        seed=config.seed,
        commands_hash=f"{replay.commands_hash(seat):016x}",
        state_hash=state,
        venue=", ".join(sorted({each.instrument.venue for each in traded})),
        instruments=tuple(named(each) for each in traded),
        start_ns=start,
        span_ns=end - start,
        events=sum(each.tape.events for each in traded),
        wakes=replay.wakes(seat),
        laws=_laws(traded) if setting.laws is None else setting.laws,
        limitations=(LIMITATIONS if setting.limitations is None else setting.limitations)
        + (SPOT_LIMITATION,) * any(each.instrument.kind == "spot" for each in traded),
        markout_horizon=f"mid_{config.markout}",
    )


def strategy_words(strategy: Strategy) -> str:
    """A strategy and its settings in one line, however it was given: its name, and its `config` as JSON if it has one.

    Not handled: settings that a strategy keeps elsewhere than in an attribute `config` of a `Strict` model.
    """
    name, settings = type(strategy).__qualname__, getattr(strategy, "config", None)
    if not isinstance(settings, Strict):
        return name
    return f"{name} {json.dumps(settings.model_dump(mode='json'), sort_keys=True)}"


def named(traded: Traded) -> InstrumentFacts:
    """Name the instrument and its currencies, from its symbol where the configuration does not say."""
    instrument, config = traded.instrument, traded.config
    pair = instrument.symbol.partition("_")[0]  # BTCUSD_PERP, BTCUSD_240927: what follows says when, not what
    suffix = next((quote for quote in QUOTE_CURRENCIES if pair.endswith(quote)), "")
    base = pair.removesuffix(suffix)
    return InstrumentFacts(
        symbol=traded.symbol,
        venue=instrument.venue,
        kind=instrument.kind,
        tick=instrument.tick,
        lot=instrument.lot,
        base=config.base or base,
        quote=config.quote or suffix or "quote",
    )


def _laws(traded: Sequence[Traded]) -> dict[str, str]:
    laws = {}
    for each in traded:
        venue = each.config.venue
        mark = "" if len(traded) == 1 else f"{each.symbol} "
        laws[f"{mark}queue"] = _queue_words(venue)
        laws[f"{mark}fills"] = "whole orders" if venue.whole_fills else "partial, by what is there"
        laws[f"{mark}liquidity"] = "stays taken" if venue.consume_liquidity else "comes back at once"
        laws[f"{mark}entry latency"] = _latency_words(venue.entry)
        laws[f"{mark}response latency"] = _latency_words(venue.response)
        extra = f" + {venue.feed_extra_ms:g} ms" if venue.feed_extra_ms else ""
        laws[f"{mark}feed latency"] = "as recorded" + extra if venue.feed is None else _latency_words(venue.feed)
        laws[f"{mark}fees"] = _fee_words(each)
    return laws


def _queue_words(venue: VenueConfig) -> str:
    """The queue model with the exponent that it works with."""
    exponent = EXPONENTS.get(venue.queue) if venue.queue_n is None else venue.queue_n
    return venue.queue if exponent is None else f"{venue.queue} n={exponent:g}"


def _fee_words(traded: Traded) -> str:
    """The rates, and who said them."""
    fees, instrument = traded.config.fees, traded.instrument
    if fees.tiers:
        return f"{len(fees.tiers)} tiers, as configured"
    said = {fees.maker_bps is None, fees.taker_bps is None}
    if len(said) > 1:
        source = "one as configured, one from the tape"
    else:
        source = "from the tape" if fees.from_tape else "as configured"
    return f"maker {instrument.maker / 10_000:+g} bps, taker {instrument.taker / 10_000:+g} bps, {source}"


def _latency_words(latency: LatencyConfig) -> str:
    if latency.constant_ms is not None:
        return f"{latency.constant_ms:g} ms"
    if latency.quantiles_ms is not None:
        return f"drawn from {latency.quantiles_ms[0]:g} to {latency.quantiles_ms[-1]:g} ms"
    return f"recorded in {latency.recorded}"


@cache
def _package_hash() -> bytes:
    digest = hashlib.sha256(_core.SOURCE_HASH.encode())
    package = Path(mmbot.__file__).parent
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.digest()


def code_hash(strategy: type[Strategy]) -> str:
    """One name for the code that decided: SHA-256 over the core's sources, the package's and the strategy's file."""
    digest = hashlib.sha256(_package_hash())
    try:
        digest.update(inspect.getsource(inspect.getmodule(strategy) or strategy).encode())
    except (OSError, TypeError):
        digest.update(strategy.__qualname__.encode())  # typed into a shell: its name is all there is
    return digest.hexdigest()[:16]
