"""Names that the venue gives: whole numbers for its floor, UUIDs for derivatives, 19 digits for spot.

They follow a counter, so the same requests in the same order get the same names; `seed` keeps two venues apart.
"""

__all__ = ["Ids"]

_MASK = (1 << 64) - 1
_SPOT_ORDER = 1_900_000_000_000_000_000
_SPOT_EXECUTION = 2_200_000_000_000_000_000


class Ids:
    """The venue's counters."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed & _MASK
        self._orders = 0
        self._executions = 0

    def order(self, *, spot: bool, link_id: str) -> tuple[int, str, str]:
        """Return (floor id, order id, orderLinkId); spot makes up a link id where the client gave none."""
        self._orders += 1
        number = self._orders
        if not spot:
            return number, self._uuid(number), link_id
        order_id = _SPOT_ORDER + 2 * number
        return number, str(order_id), link_id or str(order_id + 1)

    def execution(self, *, spot: bool) -> tuple[int, str]:
        """Return (number, execution id)."""
        self._executions += 1
        number = self._executions
        return number, str(_SPOT_EXECUTION + number) if spot else self._uuid(number | 1 << 47)

    def _uuid(self, number: int) -> str:
        # Spread by odd multipliers, unique by the counter in the last twelve digits.
        mixed = (number * 0x9E37_79B9_7F4A_7C15 ^ self._seed * 0xBF58_476D_1CE4_E5B9) & _MASK
        spread = f"{mixed:016x}"
        return f"{spread[:8]}-{spread[8:12]}-4{spread[12:15]}-a{spread[13:16]}-{number:012x}"
