"""The accounts that an exchange opens with, and its client side put together."""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mmbot.exchange.account import Account
from mmbot.exchange.auth import ApiKey, Keyring
from mmbot.exchange.gateway import Gateway
from mmbot.exchange.house import House
from mmbot.exchange.market import NS, Market
from mmbot.exchange.money import units
from mmbot.exchange.rates import TIERS, RateLimits
from mmbot.exchange.switches import Switches
from mmbot.venues.bybit.endpoints import SIMULATOR_KEY

__all__ = ["AccountTerms", "open_gateway"]

FIRST_UID = 1001
RICH = {"USDT": "1000000", "USDC": "1000000", "BTC": "10", "ETH": "100"}


@dataclass(frozen=True, kw_only=True)
class AccountTerms:
    """An account as it is opened. A key or secret that is not given is made up from the system's randomness."""

    uid: int = FIRST_UID
    key: str = ""
    secret: str = field(default="", repr=False)
    balances: Mapping[str, str] = field(default_factory=lambda: dict(RICH))
    tier: str = "mm3"
    """One of `mmbot.exchange.rates.TIERS`."""
    institutional: bool = False
    read_only: bool = False
    ips: Sequence[str] = ()

    def open(self, now_ms: int) -> tuple[Account, ApiKey]:
        """Open it. Raises ValueError for an unknown tier or an amount that is none."""
        if self.tier not in TIERS:
            raise ValueError(f"tier {self.tier!r} is unknown; expected one of {', '.join(TIERS)}")
        account = Account(self.uid, limits=RateLimits(TIERS[self.tier]))
        account.institutional, account.created_ms = self.institutional, now_ms
        for coin, amount in self.balances.items():
            account.wallet.transfer(coin, units(amount), now_ms)
        key = ApiKey(
            key=self.key or f"{SIMULATOR_KEY}{secrets.token_hex(8)}",
            secret=self.secret or secrets.token_hex(18),
            uid=self.uid,
            read_only=self.read_only,
            ips=tuple(self.ips),
            created_ms=now_ms,
        )
        return account, key


def open_gateway(
    markets: Iterable[Market],
    clock: Callable[[], int],
    accounts: Iterable[AccountTerms] = (AccountTerms(),),
    *,
    switches: Switches | None = None,
    seed: int = 0,
) -> Gateway:
    """Open the client side of some markets. Raises ValueError for accounts or keys that clash."""
    opened = [terms.open(clock() // NS) for terms in accounts]
    house = House(markets, (account for account, _ in opened), switches=switches, seed=seed)
    keyring = Keyring()
    for _, key in opened:
        keyring.add(key)
    return Gateway(house, keyring, clock, seed=seed)
