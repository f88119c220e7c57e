"""The books of our own trading, and where its profit came from.

`Ledger` is the core's own: exact double entry in integers, the very books that trading keeps.
`attribution` splits the realised P&L of a list of fills into what earned it and what cost it:

    realised P&L = spread capture + rebates + fees + adverse selection + inventory
                   + initial inventory + taker slippage + funding

Every term is a signed contribution, profit positive. The terms are summed exactly and rounded once, so they add up to
the realised P&L for every markout horizon, and adverse selection + inventory does not depend on the horizon.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mmbot._core import Ledger

__all__ = ["Attribution", "Ledger", "attribution", "combine"]

Array: TypeAlias = NDArray[np.float64]
Contract: TypeAlias = Literal["linear", "inverse"]
BPS: Final = 1e4
TERMS: Final = (
    "spread_capture",
    "rebates",
    "fees",
    "adverse_selection",
    "inventory",
    "initial_inventory",
    "taker_slippage",
    "funding",
)


@runtime_checkable
class PolarsLike(Protocol):
    """A frame that lists its rows as Polars does."""

    def to_dicts(self) -> list[dict[str, Any]]:
        """Rows as dicts."""
        ...


@runtime_checkable
class PandasLike(Protocol):
    """A frame that lists its rows as pandas does."""

    def to_dict(self, orient: Literal["records"]) -> list[dict[str, Any]]:
        """Rows as dicts."""
        ...


Fills: TypeAlias = Iterable[Mapping[str, Any]] | PolarsLike | PandasLike


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """Where the profit came from, in the settlement currency; every term is signed, profit positive.

    spread_capture: distance from the mid at which our resting orders filled.
    rebates: fees received (>= 0). fees: fees paid (<= 0).
    adverse_selection: move of the mid from each fill to its markout horizon, on the filled side; usually negative.
    inventory: move of the mid from the horizon to the end.
    initial_inventory: move of the mid over the whole span, on what was held before.
    taker_slippage: distance from the mid that our crossing orders paid; usually negative.
    funding: received minus paid.
    realised_pnl: change of cash, plus the final position at the final mid, minus the initial one at the initial mid.
    residual: realised_pnl minus the sum of the terms: rounding only. turnover: sum of quantity times mid.
    """

    spread_capture: float = 0.0
    rebates: float = 0.0
    fees: float = 0.0
    adverse_selection: float = 0.0
    inventory: float = 0.0
    initial_inventory: float = 0.0
    taker_slippage: float = 0.0
    funding: float = 0.0
    realised_pnl: float = 0.0
    residual: float = 0.0
    turnover: float = 0.0

    def __add__(self, other: Attribution) -> Attribution:
        """Both together. They must be in one currency."""
        return combine((self, other))

    @property
    def net(self) -> float:
        """What trading itself earned: gross - adverse - slippage - fees. Inventory and funding stand apart."""
        trading = (self.spread_capture, self.adverse_selection, self.taker_slippage, self.rebates, self.fees)
        return math.fsum(trading)

    @property
    def net_bps(self) -> float:
        """`net` in bps of turnover."""
        return self._in_bps(self.net)

    def bps(self) -> dict[str, float]:
        """The terms, `realised_pnl` and `residual`, in bps of turnover.

        Without turnover a zero stays zero, and an amount has no bps: NaN.
        """
        return {name: self._in_bps(getattr(self, name)) for name in (*TERMS, "realised_pnl", "residual")}

    def edge_bps(self) -> dict[str, float]:
        """The edge audit's view in bps of turnover: gross, then costs (positive is a cost), then the two nets.

        `net_bps = gross_bps - adverse_bps - slippage_bps - fees_eff_bps`, and
        `net_with_inventory_bps` adds inventory (initial inventory included) and funding: the realised P&L.
        """
        return {
            "gross_bps": self._in_bps(self.spread_capture),
            "adverse_bps": self._in_bps(0.0 - self.adverse_selection),
            "slippage_bps": self._in_bps(0.0 - self.taker_slippage),
            "fees_eff_bps": self._in_bps(0.0 - (self.fees + self.rebates)),
            "inventory_bps": self._in_bps(self.inventory + self.initial_inventory),
            "funding_bps": self._in_bps(self.funding),
            "net_bps": self.net_bps,
            "net_with_inventory_bps": self._in_bps(self.realised_pnl),
        }

    def _in_bps(self, amount: float) -> float:
        if self.turnover > 0.0:
            return BPS * amount / self.turnover
        return 0.0 if amount == 0.0 else math.nan


def combine(parts: Iterable[Attribution]) -> Attribution:
    """Several attributions of one currency as one: currency is added first, bps follow from the sums.

    A mean of bps is not the bps of the whole: +1 bp on a million and -5 bp on ten thousand make +0.94 bp.
    """
    together = list(parts)
    sums = {field.name: math.fsum(getattr(part, field.name) for part in together) for field in fields(Attribution)}
    return Attribution(**sums)


def attribution(
    fills: Fills,
    *,
    mid_start: float,
    mid_end: float,
    initial_position: float = 0.0,
    funding: Iterable[float] = (),
    contract: Contract = "linear",
) -> Attribution:
    """Split the realised P&L of `fills` into its sources.

    fills: one row per fill, as mappings or as a Polars or pandas frame, with
        `side` (+1 bought, -1 sold), `qty` (positive), `price`, `mid` (at the fill), `fee` (currency paid, negative is a
        rebate), `maker` (we rested), and `mid_after` (mid at the markout horizon; missing, None or NaN where the
        horizon lies beyond the end: `mid_end` stands in). At least one row must have the field `mid_after`, be it None.
    mid_start, mid_end: mid at the start and at the end of the span.
    initial_position: signed quantity held at the start.
    funding: amounts received (negative: paid), in currency.
    contract: "linear" (also spot), or "inverse": `qty` is then in the quote currency (contracts times contract value),
        prices in quote per coin, and fees, funding and all results in the coin.

    Raises ValueError naming the row and the field for a missing or non-finite number, no `mid_after` in any row, a side
    other than +1 or -1, a quantity that is not positive, or, for an inverse contract, a price that is not positive.
    """
    if contract not in ("linear", "inverse"):
        raise ValueError(f'contract must be "linear" or "inverse", got {contract!r}')
    marks = np.array([_number(mid_start, "attribution", "mid_start"), _number(mid_end, "attribution", "mid_end")])
    rows = _rows(fills)
    side, qty, fee = (_column(rows, field) for field in ("side", "qty", "fee"))
    prices = {field: _column(rows, field) for field in ("price", "mid")} | {"mid_after": _markouts(rows, mid_end)}
    held = np.array([_number(initial_position, "attribution", "initial_position")])
    received = np.array(
        [_number(amount, f"funding {i}", "amount") for i, amount in enumerate(funding)], dtype=np.float64
    )
    maker = np.array([_flag(row.get("maker"), f"fill {i}") for i, row in enumerate(rows)], dtype=np.bool_)

    _require(np.abs(side) == 1.0, side, "side", "+1 (bought) or -1 (sold)")
    _require(qty > 0.0, qty, "qty", "positive")
    if contract == "inverse":
        if not (marks > 0.0).all():
            raise ValueError(
                f"attribution: mid_start and mid_end must be positive for an inverse contract, got {marks}"
            )
        for field, column in prices.items():
            _require(column > 0.0, column, field, "positive for an inverse contract")
    price, mid, after = (_worth(column, contract) for column in prices.values())
    start, end = np.split(_worth(marks, contract), 2)

    signed = side * qty
    terms = {
        "spread_capture": _exact((signed[maker], mid[maker]), (-signed[maker], price[maker])),
        "rebates": math.fsum(-fee[fee < 0.0]),
        "fees": math.fsum(-fee[fee > 0.0]),
        "adverse_selection": _exact((signed, after), (-signed, mid)),
        "inventory": _exact((signed, end), (-signed, after)),
        "initial_inventory": _exact((held, end), (-held, start)),
        "taker_slippage": _exact((signed[~maker], mid[~maker]), (-signed[~maker], price[~maker])),
        "funding": math.fsum(received),
    }
    # Cash moved, and positions marked: no term of the split enters.
    realised = _exact((-signed, price), (-fee, _ONE), (received, _ONE), (signed, end), (held, end), (-held, start))
    residual = math.fsum((realised, *(-amount for amount in terms.values())))
    turnover = _exact((qty, np.abs(mid)))
    return Attribution(**terms, realised_pnl=realised, residual=residual, turnover=turnover)


_ONE: Final[Array] = np.ones(1)


def _exact(*products: tuple[Array, Array]) -> float:
    """The sum of all products, rounded once.

    Each product is taken as itself and its rounding error (Dekker 1971), and these are summed exactly. Not handled:
    products beyond the range of floats; prices and quantities stay far from 1e300.
    """
    parts: list[float] = []
    for left, right in products:
        product = left * right
        (left_high, left_low), (right_high, right_low) = _halves(left), _halves(right)
        error = left_low * right_low - (
            ((product - left_high * right_high) - left_low * right_high) - left_high * right_low
        )
        parts += product.tolist()
        parts += error.tolist()
    return math.fsum(parts)


def _halves(values: Array) -> tuple[Array, Array]:
    """Each value as two of at most 26 bits, which multiply without rounding (Veltkamp)."""
    scaled = 134_217_729.0 * values  # 2^27 + 1
    high = scaled - (scaled - values)
    return high, values - high


def _rows(fills: Fills) -> list[Mapping[str, Any]]:
    if isinstance(fills, PolarsLike):
        return cast("list[Mapping[str, Any]]", fills.to_dicts())
    if isinstance(fills, PandasLike) and not isinstance(fills, Mapping):
        return cast("list[Mapping[str, Any]]", fills.to_dict("records"))
    rows = list(cast("Iterable[Mapping[str, Any]]", fills))
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise ValueError(f"fill {i}: expected a mapping with side, qty, price, mid, fee and maker, got {row!r}")
    return rows


def _column(rows: list[Mapping[str, Any]], field: str) -> Array:
    return np.array([_number(row.get(field), f"fill {i}", field) for i, row in enumerate(rows)], dtype=np.float64)


def _markouts(rows: list[Mapping[str, Any]], mid_end: float) -> Array:
    """Mids at the horizon; where there is none, the span ended before it."""
    if rows and not any("mid_after" in row for row in rows):
        found = ", ".join(sorted({str(name) for row in rows for name in row}))
        raise ValueError(
            f"fills: no row has mid_after, the mid at the markout horizon; found {found}; "
            "give the column, with None where the horizon lies beyond the end"
        )
    seen = [row.get("mid_after") for row in rows]
    known = [
        mid_end if mid is None or (isinstance(mid, (float, np.floating)) and math.isnan(mid)) else mid for mid in seen
    ]
    return np.array([_number(mid, f"fill {i}", "mid_after") for i, mid in enumerate(known)], dtype=np.float64)


def _number(value: object, where: str, field: str) -> float:
    try:
        number = float(cast("float", value))
    except (TypeError, ValueError):
        raise ValueError(f"{where}: {field} must be a number, got {value!r}") from None
    if not math.isfinite(number):
        raise ValueError(f"{where}: {field} must be finite, got {number}")
    return number


def _flag(value: object, where: str) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{where}: maker must be True or False, got {value!r}")
    return bool(value)


def _require(ok: NDArray[np.bool_], values: Array, field: str, expected: str) -> None:
    if not ok.all():
        i = int(np.argmin(ok))
        raise ValueError(f"fill {i}: {field} must be {expected}, got {values[i]}")


def _worth(prices: Array, contract: Contract) -> Array:
    """What one unit of quantity is worth in the settlement currency: buying pays it, selling earns it.

    An inverse contract bought at p brings 1/p coins in, so its worth is -1/p: it rises with the price as well.
    """
    return prices if contract == "linear" else -1.0 / prices
