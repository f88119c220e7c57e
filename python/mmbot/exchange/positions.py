"""One position in one contract: what it cost, what closing it earned, where it would be liquidated.

    a fill of q lots worth V      closes against the open lots, pro rata of what those cost, then opens with the rest
    profit of closing (linear)    long: part of V − part of the cost; short: the other way round; inverse: the reverse

`stake` is what the open lots cost, signed so that `realised − stake` of all accounts and the public together is zero
after every fill, exactly. One-way mode only. Not handled: liquidation and auto-deleveraging; `liqPrice` is an estimate.
"""

from dataclasses import dataclass

from mmbot.exchange.money import Grid, half_even

__all__ = ["Closed", "Position"]


@dataclass(frozen=True, slots=True)
class Closed:
    """What a fill closed: lots, what they had cost, what they were closed for, and the profit, in units."""

    lots: int
    entry_value: int
    exit_value: int
    profit: int


_NOTHING = Closed(0, 0, 0, 0)


@dataclass(slots=True)
class Position:
    """Signed lots and money in units of the settlement coin."""

    grid: Grid
    lots: int = 0
    entry_value: int = 0
    """What the open lots cost, unsigned."""
    realised: int = 0
    """Profit of closing, before fees and funding."""
    charges: int = 0
    """Fees and funding paid, of all time."""
    realised_now: int = 0
    """Profit less charges since the position was last flat."""
    opened_ms: int = 0
    updated_ms: int = 0

    @property
    def stake(self) -> int:
        """What went into the open lots: positive for a linear long or an inverse short."""
        return self.entry_value * self._sign(self.lots)

    def fill(self, lots: int, value: int, fee: int, now_ms: int) -> Closed:
        """Buy (positive) or sell lots worth `value`; the fee is negative for a rebate."""
        before = self.lots
        closed = self._close(lots, value) if before * lots < 0 else _NOTHING
        self.lots = before + lots
        self.entry_value += value - closed.exit_value - closed.entry_value
        self.realised += closed.profit
        if before == 0 or before * self.lots < 0:
            self.opened_ms, self.realised_now = now_ms, -fee
        else:
            self.realised_now += closed.profit - fee
        self.charges += fee
        self.updated_ms = now_ms
        return closed

    def pay_funding(self, paid: int, now_ms: int) -> None:
        """Book a settlement: positive was paid."""
        self.charges += paid
        self.realised_now -= paid
        self.updated_ms = now_ms

    def funding(self, mark: int, rate: int) -> int:
        """What a settlement at a mark (ticks) and rate (10^-8) makes this position pay; negative is received."""
        paid = self.grid.fee(self.grid.value(mark, abs(self.lots)), rate)
        return paid if self.lots > 0 else -paid

    def unrealised(self, mark: int) -> int:
        """Profit of closing everything at a price in ticks."""
        if not self.lots or not mark:
            return 0
        return self._sign(self.lots) * (self.grid.value(mark, abs(self.lots)) - self.entry_value)

    def worth(self, mark: int) -> int:
        """Value at a price in ticks, or what it cost while there is no price."""
        return self.grid.value(mark, abs(self.lots)) if mark else self.entry_value

    def liquidation(self, mark: int, cushion: int) -> int:
        """Price in ticks at which a loss of `cushion` units from the mark has happened; 0 where there is none.

        An estimate: other positions and coins are taken to stand still, and maintenance margin to stay as it is.
        """
        size = abs(self.lots)
        if not size or not mark:
            return 0
        value = self.grid.value(mark, size)
        at = value - self._sign(self.lots) * max(cushion, 0)
        if at <= 0:
            return 0
        return half_even(mark * value, at) if self.grid.inverse else half_even(mark * at, value)

    def _close(self, lots: int, value: int) -> Closed:
        part = min(abs(lots), abs(self.lots))
        entry = half_even(self.entry_value * part, abs(self.lots))
        leaving = half_even(value * part, abs(lots))
        return Closed(part, entry, leaving, self._sign(self.lots) * (leaving - entry))

    def _sign(self, lots: int) -> int:
        """+1 where a rising value earns: a linear long, an inverse short."""
        long = 1 if lots >= 0 else -1
        return -long if self.grid.inverse else long
