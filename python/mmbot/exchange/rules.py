"""The terms of an instrument as Bybit publishes them, and the whole numbers that they mean.

Values are those of the venue's own instruments-info answers of 2026-08-09 (linear, spot) and of its documentation
(inverse).
"""

from dataclasses import dataclass
from typing import Literal

from mmbot._core import Instrument
from mmbot.config import Strict
from mmbot.exchange.money import rate_units, units

Category = Literal["linear", "inverse", "spot"]


class Rules(Strict):
    """What instruments-info says about one instrument, and the rates that its accounts pay. Decimal text throughout."""

    category: Category
    symbol: str
    base_coin: str
    quote_coin: str
    settle_coin: str
    """The coin that fees, funding and profit are booked in; for spot the quote coin."""
    tick_size: str
    """As published: its decimals are those of every price (`0.10` makes `65095.30`)."""
    qty_step: str
    """`qtyStep`; for spot `basePrecision`. Inverse contracts count USD."""
    min_order_qty: str
    max_order_qty: str
    max_market_qty: str
    min_notional: str
    """`minNotionalValue`; for spot `minOrderAmt`. In the quote coin."""
    quote_precision: str = "0.0000001"
    min_price: str
    max_price: str
    min_leverage: str = "1"
    max_leverage: str = "100.00"
    leverage_step: str = "0.01"
    funding_interval_min: int = 480
    upper_funding_rate: str = "0.005"
    lower_funding_rate: str = "-0.005"
    price_limit_x: str = "0.01"
    price_limit_y: str = "0.02"
    risk_limit_value: str = "2000000"
    initial_margin: str = "0.01"
    maintenance_margin: str = "0.005"
    maker_rate: str = "-0.00005"
    """Fee of a maker as a share of the notional; negative is a rebate."""
    taker_rate: str = "0.0004"
    launch_ms: int = 1_584_230_400_000
    symbol_id: int = 1

    @property
    def is_spot(self) -> bool:
        """Whether a fill moves coins instead of a position."""
        return self.category == "spot"

    def instrument(self) -> Instrument:
        """The same terms as the core reads them."""
        return Instrument(
            venue=f"sim-{self.category}",
            symbol=self.symbol,
            kind=self.category,
            tick=self.tick_size,
            lot=self.qty_step,
            maker=rate_units(self.maker_rate),
            taker=rate_units(self.taker_rate),
        )


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The limits of `Rules` in ticks, lots and 10^-12 of the quote coin."""

    lots_min: int
    lots_max: int
    market_lots_max: int
    tick_min: int
    tick_max: int
    notional_min: int

    @classmethod
    def of(cls, rules: Rules, instrument: Instrument) -> "Bounds":
        """Exact, or ValueError: a limit off the grid is a mistake in the rules."""
        return cls(
            lots_min=instrument.lots(rules.min_order_qty),
            lots_max=instrument.lots(rules.max_order_qty),
            market_lots_max=instrument.lots(rules.max_market_qty),
            tick_min=instrument.ticks(rules.min_price),
            tick_max=instrument.ticks(rules.max_price),
            notional_min=units(rules.min_notional),
        )


def linear(base: str, tick_size: str, qty_step: str, *, fees: tuple[str, str] = ("-0.00005", "0.0004")) -> Rules:
    """A USDT perpetual; sizes as BTCUSDT's."""
    return Rules(
        category="linear",
        symbol=f"{base}USDT",
        base_coin=base,
        quote_coin="USDT",
        settle_coin="USDT",
        tick_size=tick_size,
        qty_step=qty_step,
        min_order_qty=qty_step,
        max_order_qty="1500",
        max_market_qty="150",
        min_notional="5",
        min_price=tick_size,
        max_price="1999999.8",
        maker_rate=fees[0],
        taker_rate=fees[1],
        symbol_id=5,
    )


def spot(base: str, tick_size: str, base_precision: str, *, fees: tuple[str, str] = ("0.001", "0.001")) -> Rules:
    """A spot pair against USDT; sizes as BTCUSDT's."""
    return Rules(
        category="spot",
        symbol=f"{base}USDT",
        base_coin=base,
        quote_coin="USDT",
        settle_coin="USDT",
        tick_size=tick_size,
        qty_step=base_precision,
        min_order_qty=base_precision,
        max_order_qty="230",
        max_market_qty="120",
        min_notional="5",
        min_price=tick_size,
        max_price="1999999.8",
        price_limit_x="0.005",
        price_limit_y="0.01",
        maker_rate=fees[0],
        taker_rate=fees[1],
        symbol_id=9,
    )


def inverse(base: str, tick_size: str, *, fees: tuple[str, str] = ("-0.00005", "0.0004")) -> Rules:
    """A coin-margined perpetual in contracts of one USD; sizes as BTCUSD's."""
    return Rules(
        category="inverse",
        symbol=f"{base}USD",
        base_coin=base,
        quote_coin="USD",
        settle_coin=base,
        tick_size=tick_size,
        qty_step="1",
        min_order_qty="1",
        max_order_qty="25000000",
        max_market_qty="5000000",
        min_notional="1",
        min_price=tick_size,
        max_price="999999",
        max_leverage="100.00",
        maker_rate=fees[0],
        taker_rate=fees[1],
        symbol_id=1,
    )
