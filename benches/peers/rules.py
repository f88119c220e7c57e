"""The numbers of ../rules.md, for every runner; standard library only: each peer lives in an environment of its own."""

from dataclasses import dataclass

SECOND = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Join the touch on both sides, every `interval_ns` of receive time.

    Quantities are lots, times nanoseconds, fees fractions of the notional (negative is a rebate).
    """

    interval_ns: int = SECOND // 10
    entry_ns: int = SECOND // 100
    response_ns: int = SECOND // 100
    order_lots: int = 10
    position_lots_max: int = 100
    maker_fee: float = -0.000_05
    taker_fee: float = 0.000_7

    def __post_init__(self) -> None:
        """Refuse numbers under which the engines would not be comparable."""
        if self.interval_ns <= self.entry_ns + self.response_ns:
            raise ValueError(
                f"interval {self.interval_ns} ns must exceed the round trip "
                f"{self.entry_ns + self.response_ns} ns: rules.md, strategy rule 7"
            )


RULES = Rules()
