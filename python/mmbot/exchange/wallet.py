"""The coins of one account and its transaction log: every change of a balance is a row, and rows sum to balances.

    change = cash flow + funding − fee            (funding: + received; fee: + paid, − rebate)

Amounts are whole 10^-12. The log keeps its newest rows; the balances never forget.
Source: Bybit v5, "Get Transaction Log" and "Get Wallet Balance".
"""

from collections import deque
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

__all__ = ["Coin", "LogRow", "Wallet"]

LogKind: TypeAlias = Literal["TRADE", "SETTLEMENT", "TRANSFER_IN", "TRANSFER_OUT"]


@dataclass(slots=True)
class Coin:
    """One coin: what is there, and what open spot orders hold of it."""

    balance: int = 0
    locked: int = 0
    realised: int = 0
    """Profit, fees and funding of contracts that settle in it."""

    @property
    def free(self) -> int:
        """What is not locked."""
        return self.balance - self.locked


class LogRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One change of one balance. Amounts in units, `qty`, `price` and `size` as text."""

    number: int
    ts_ms: int
    kind: LogKind
    coin: str
    category: str = ""
    symbol: str = ""
    side: str = "None"
    qty: str = "0"
    size: str = "0"
    price: str = "0"
    funding: int = 0
    fee: int = 0
    cash_flow: int = 0
    balance: int
    fee_rate: int = 0
    trade_id: str = ""
    order_id: str = ""
    link_id: str = ""

    @property
    def change(self) -> int:
        """What the balance changed by."""
        return self.cash_flow + self.funding - self.fee


class Wallet:
    """Balances by coin."""

    def __init__(self, log_max: int = 50_000) -> None:
        self.coins: dict[str, Coin] = {}
        self.log: deque[LogRow] = deque(maxlen=log_max)
        self.posted = 0

    def coin(self, name: str) -> Coin:
        """Return the coin; one that was never held is empty."""
        found = self.coins.get(name)
        if found is None:
            found = self.coins[name] = Coin()
        return found

    def transfer(self, name: str, amount: int, now_ms: int) -> None:
        """Bring coins in, or take them out."""
        kind: LogKind = "TRANSFER_IN" if amount >= 0 else "TRANSFER_OUT"
        coin = self.coin(name)
        coin.balance += amount
        self.note(LogRow(number=0, ts_ms=now_ms, kind=kind, coin=name, cash_flow=amount, balance=coin.balance))

    def note(self, row: LogRow) -> None:
        """Append a row of a change that has been made."""
        self.posted += 1
        self.log.append(msgspec.structs.replace(row, number=self.posted))
