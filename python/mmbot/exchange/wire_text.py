"""Whole numbers as the venue writes them, and the frames around them.

Derivatives keep the decimals of tick and step (`65095.30`, `0.500`), spot drops trailing zeros (`65239`) [obs].
"""

import json
from decimal import Decimal

from mmbot.exchange.rules import Rules

__all__ = ["Levels", "Texts", "decimal_text", "dump"]

Levels = list[tuple[int, int]]
"""(ticks, lots)."""

_KEPT_MAX = 8_192


def dump(message: object) -> bytes:
    """Compact JSON."""
    return json.dumps(message, separators=(",", ":")).encode()


def decimal_text(value: Decimal) -> str:
    """A decimal without exponent and without trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


class _Scale:
    """Multiples of one decimal step as text."""

    def __init__(self, step: str, *, keeps_zeros: bool) -> None:
        self._decimals = len(step.partition(".")[2])
        self._unit = int(Decimal(step).scaleb(self._decimals))
        self._keeps_zeros = keeps_zeros
        self._kept: dict[int, str] = {}

    def text(self, count: int) -> str:
        found = self._kept.get(count)
        if found is None:
            found = self._made(count)
            if len(self._kept) >= _KEPT_MAX:
                self._kept.clear()
            self._kept[count] = found
        return found

    def _made(self, count: int) -> str:
        if not self._decimals:
            return str(count * self._unit)
        whole, part = divmod(count * self._unit, 10**self._decimals)
        text = f"{whole}.{part:0{self._decimals}d}"
        return text if self._keeps_zeros else text.rstrip("0").rstrip(".")


class Texts:
    """How one instrument's prices and quantities are written."""

    def __init__(self, rules: Rules) -> None:
        keeps_zeros = not rules.is_spot
        self._prices = _Scale(rules.tick_size, keeps_zeros=keeps_zeros)
        self._quantities = _Scale(rules.qty_step, keeps_zeros=keeps_zeros)

    def price(self, ticks: int) -> str:
        """A price."""
        return self._prices.text(ticks)

    def qty(self, lots: int) -> str:
        """A quantity; zero is "0", which deletes a level."""
        return self._quantities.text(lots) if lots else "0"

    def rows(self, levels: Levels) -> list[list[str]]:
        """Levels for a REST answer."""
        return [[self.price(tick), self.qty(lots)] for tick, lots in levels]

    def levels(self, levels: Levels) -> str:
        """Levels as JSON."""
        price, qty = self._prices.text, self.qty
        return "[" + ",".join([f'["{price(tick)}","{qty(lots)}"]' for tick, lots in levels]) + "]"
