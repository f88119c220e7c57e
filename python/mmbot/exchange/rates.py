"""How often an account may ask: rolling windows of one second, per account and endpoint group.

Linear and inverse share a bucket, spot has its own, and REST and the trade socket share both. A batch spends one unit
for each of its orders, from a bucket that single requests do not touch. What is refused spends nothing [inferred].
Apart from that, each address may send 600 HTTP requests in 5 s (HTTP 403), 3,000 trade-socket requests in a second
(10403), and open 500 sockets in 5 minutes.
Source: Bybit v5, "Rate Limit Rules".
"""

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from mmbot.exchange.refusals import RefusedError, too_many_visits

__all__ = ["TIERS", "Addresses", "RateLimits", "Rates", "Spent", "Tier", "Window"]

Family: TypeAlias = str

RESET_AHEAD_MS = 100
"""How far ahead of a refusal its reset time lies at least: SDKs sleep until then, and pybit fails on a time gone by."""


class Window:
    """At most `limit` units in any `span_ms` that end now."""

    __slots__ = ("_spent", "_used", "limit", "span_ms")

    def __init__(self, limit: int, span_ms: int) -> None:
        self.limit = limit
        self.span_ms = span_ms
        self._spent: deque[tuple[int, int]] = deque()
        self._used = 0

    def room(self, now_ms: int) -> int:
        """Units that may be spent now."""
        spent = self._spent
        while spent and spent[0][0] <= now_ms - self.span_ms:
            self._used -= spent.popleft()[1]
        return self.limit - self._used

    def spend(self, now_ms: int, count: int = 1) -> None:
        """Use units; ask `room` first."""
        spent = self._spent
        if spent and spent[-1][0] == now_ms:
            spent[-1] = (now_ms, spent[-1][1] + count)
        else:
            spent.append((now_ms, count))
        self._used += count

    def reset_ms(self, now_ms: int) -> int:
        """When there is room again, and never so soon that the answer which says it arrives later."""
        return max((self._spent[0][0] if self._spent else now_ms) + self.span_ms, now_ms + RESET_AHEAD_MS)


@dataclass(frozen=True, slots=True)
class Spent:
    """What the answer says in its limit headers."""

    limit: int
    left: int
    reset_ms: int
    granted: int = 1
    """Orders of a batch that may be done; the others are refused by the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Order entry requests a second of one account."""

    derivatives: int = 10
    spot: int = 20
    spot_amend: int = 10


TIERS = {
    "default": Tier(),
    "vip1": Tier(derivatives=20, spot=25, spot_amend=25),
    "vip2": Tier(derivatives=40, spot=30, spot_amend=30),
    "vip3": Tier(derivatives=60, spot=40, spot_amend=40),
    **{f"pro{n}": Tier(derivatives=200 * n, spot=200 * n, spot_amend=200 * n) for n in range(1, 7)},
    **{f"mm{n}": Tier(derivatives=c, spot=c, spot_amend=c) for n, c in ((1, 600), (2, 800), (3, 1000))},
    "unlimited": Tier(derivatives=10**6, spot=10**6, spot_amend=10**6),
}
"""Published tiers by name, and `unlimited`, which no venue has: for measuring."""

_FIXED = {
    "order/realtime": 50,
    "order/history": 50,
    "execution/list": 50,
    "position/list": 50,
    "position/closed-pnl": 50,
    "account/wallet-balance": 50,
    "account/info": 50,
    "account/transaction-log": 25,
    "position/set-leverage": 10,
    "position/switch-mode": 10,
    "user/query-api": 10,
    "order/disconnected-cancel-all": 5,
    "account/fee-rate": 5,
    "account/query-dcp-info": 5,
    "account/set-limit-px-action": 5,
    "account/user-setting-config": 5,
    "asset/coin/query-info": 5,
}
_UPGRADED = {f"order/{verb}{batch}" for verb in ("create", "amend", "cancel") for batch in ("", "-batch")}


@dataclass(frozen=True, slots=True)
class RateLimits:
    """The limits of one account: a tier, and exceptions to it by (group, family)."""

    tier: Tier = field(default_factory=Tier)
    exceptions: dict[tuple[str, Family], int] = field(default_factory=dict)

    def limit(self, group: str, family: Family) -> int:
        """Units a second of one endpoint group; families are "derivatives", "spot" and, for the rest, ""."""
        exception = self.exceptions.get((group, family))
        if exception is not None:
            return exception
        if group in _UPGRADED:
            if family != "spot":
                return self.tier.derivatives
            return self.tier.spot_amend if group == "order/amend" else self.tier.spot
        if group == "order/cancel-all":
            return 20 if family == "spot" else 10
        return _FIXED.get(group, 50)

    def with_exception(self, group: str, family: Family, limit: int) -> "RateLimits":
        """Return these limits with one of them changed."""
        return replace(self, exceptions={**self.exceptions, (group, family): limit})


class Rates:
    """The windows of one account."""

    def __init__(self, limits: RateLimits | None = None) -> None:
        self.limits = limits or RateLimits()
        self._windows: dict[tuple[str, Family], Window] = {}

    def change(self, limits: RateLimits) -> None:
        """Use other limits from now on; every window starts empty."""
        self.limits = limits
        self._windows.clear()

    def spend(self, group: str, family: Family, now_ms: int, count: int = 1) -> Spent:
        """Spend `count` units, or as many as there is room for; raise 10006 when there is room for none."""
        window = self._windows.get((group, family))
        if window is None:
            window = self._windows[group, family] = Window(self.limits.limit(group, family), 1000)
        room = window.room(now_ms)
        if room <= 0:
            raise too_many_visits(window.limit, window.reset_ms(now_ms))
        granted = min(count, room)
        window.spend(now_ms, granted)
        return Spent(window.limit, room - granted, now_ms if granted == count else window.reset_ms(now_ms), granted)


class Addresses:
    """Limits by address, times `scale`."""

    def __init__(self, scale: int = 1) -> None:
        self.scale = scale
        self._windows: dict[tuple[str, str], Window] = {}

    def http(self, address: str, now_ms: int) -> None:
        """Count an HTTP request; refuse with HTTP 403 beyond 600 in 5 s."""
        if not self._take("http", address, now_ms, 600, 5000):
            raise RefusedError(403, "access too frequent", http=403)

    def trade(self, address: str, now_ms: int) -> None:
        """Count a trade-socket request; refuse with 10403 beyond 3,000 in a second."""
        if not self._take("trade", address, now_ms, 3000, 1000):
            raise RefusedError(10403, "Exceed IP rate limit. 3000 requests per second per IP")

    def socket(self, address: str, now_ms: int) -> None:
        """Count a new socket; refuse with HTTP 403 beyond 500 in 5 minutes."""
        if not self._take("socket", address, now_ms, 500, 300_000):
            raise RefusedError(403, "too many connections", http=403)

    def _take(self, kind: str, address: str, now_ms: int, limit: int, span_ms: int) -> bool:
        window = self._windows.get((kind, address))
        if window is None:
            window = self._windows[kind, address] = Window(limit * self.scale, span_ms)
        if window.room(now_ms) <= 0:
            return False
        window.spend(now_ms)
        return True
