"""Which markets an exchange opens: recorded ones from tapes, generated ones from a seed.

By default the shipped recordings are the linear markets, and a generator makes a spot pair and an inverse contract. A
tape keeps its own grid and fees; what it does not say (sizes, bands, leverage) is that of Bybit's BTCUSDT.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from mmbot._core import Tape
from mmbot.data.catalog import open_tape
from mmbot.exchange import rules
from mmbot.exchange.generator import Generator, MarketKind
from mmbot.exchange.hall import Hall
from mmbot.exchange.market import Clock, Market
from mmbot.exchange.playback import TapeSource
from mmbot.exchange.public_switches import PublicSwitches
from mmbot.exchange.rules import Rules

__all__ = ["DEFAULT_TAPES", "open_hall", "rules_of"]

DEFAULT_TAPES = ("sample:btcusdt", "sample:ethusdt")

_QUOTES = ("USDT", "USDC", "USD")


@dataclass(frozen=True)
class _Generated:
    """An instrument that a generator can make: where it begins, and a typical order."""

    rules: Rules
    price: str
    order_qty: str


_GENERATED = (
    _Generated(rules.linear("BTC", "0.10", "0.001"), "61500", "0.25"),
    _Generated(rules.linear("ETH", "0.01", "0.01"), "2680", "3"),
    _Generated(rules.spot("BTC", "0.1", "0.000001"), "61480", "0.08"),
    _Generated(rules.inverse("BTC", "0.10"), "61500", "8000"),
)


def _rate(units: int) -> str:
    return f"{Decimal(units).scaleb(-8):f}"


def rules_of(tape: Tape) -> Rules:
    """Terms for a recorded instrument: its grid and fees, and for the rest those of Bybit's BTC markets.

    Raises ValueError for a symbol whose coins can not be told apart.
    """
    instrument = tape.instrument
    symbol = instrument.symbol.upper()
    quote = next((quote for quote in _QUOTES if symbol.endswith(quote) and symbol != quote), None)
    if quote is None:
        raise ValueError(
            f"{instrument.symbol}: the quote coin is not one of {', '.join(_QUOTES)}, so no market is made"
        )
    base, fees = symbol.removesuffix(quote), (_rate(instrument.maker), _rate(instrument.taker))
    tick, lot = instrument.tick, instrument.lot
    match instrument.kind:
        case "inverse":
            made = rules.inverse(base, _as_published(tick), fees=fees)
        case "spot":
            made = rules.spot(base, tick, lot, fees=fees)
        case _:
            made = rules.linear(base, _as_published(tick), lot, fees=fees)
    return made.model_copy(update={"symbol": symbol, "qty_step": lot, "min_order_qty": lot, "quote_coin": quote})


def _as_published(tick: str) -> str:
    """Derivatives write at least two decimals: 0.1 is published as 0.10."""
    whole, _, part = tick.partition(".")
    return f"{whole}.{part:0<2}" if part else whole


def open_hall(
    *,
    clock: Clock,
    tapes: Sequence[str] | None = None,
    kind: MarketKind | None = None,
    seed: int = 1,
    speed: float = 1.0,
    switches: PublicSwitches | None = None,
) -> Hall:
    """Opens the markets. `tapes`: paths or `sample:NAME`; None means the shipped ones, or none if `kind` is given.

    Raises ValueError and OSError with what to do: an unknown tape, one without a book, a speed out of range, an
    instrument given twice.
    """
    switches = switches or PublicSwitches()
    if tapes is None:
        tapes = () if kind is not None else DEFAULT_TAPES
    listed: list[tuple[Market, TapeSource | Generator]] = []
    for name in tapes:
        tape = open_tape(name)
        listed.append((Market(rules_of(tape), clock, switches), TapeSource(tape, speed=speed, name=str(name))))
    taken = {(market.category, market.symbol) for market, _ in listed}
    for number, made in enumerate(_GENERATED):
        is_taken = (made.rules.category, made.rules.symbol) in taken
        if is_taken or (tapes and made.rules.category == "linear"):
            continue
        market = Market(made.rules, clock, switches)
        source = Generator(
            kind or MarketKind.CALM,
            seed=seed * len(_GENERATED) + number,
            price_ticks=market.instrument.ticks(made.price),
            lot_unit=market.instrument.lots(made.order_qty),
            speed=speed,
        )
        listed.append((market, source))
    return Hall(listed, clock, switches)
