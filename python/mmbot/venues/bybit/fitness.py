"""Whether a key and its account are fit to trade with: what is read at the start, and every hour after.

A stolen key that may only trade, from one address, still loses less than one that may withdraw from anywhere. So what a
key may do beyond trading is a fault, wherever it would move value; on mainnet also a key that any address may use, and
one that ends within two days.
Source: Bybit v5 documents, GET /v5/user/query-api.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from mmbot.venues.port import Attestation

__all__ = ["days_left", "expiry", "faults_of", "remarks_of"]

DAY_NS = 86_400 * 1_000_000_000
EXPIRES_FAULT_NS, EXPIRES_REMARK_NS = 2 * DAY_NS, 14 * DAY_NS
"""A key that ends so soon is none to begin with on mainnet, and one to renew."""
_MOVE_VALUE = ("Earn", "Exchange", "FiatBybitPay", "FiatConvertBroker", "FiatP2P")
"""Groups of permissions beside Wallet that can turn coins into something else: no business of a trading key."""
_TRADES: Mapping[str, tuple[str, ...]] = {
    "linear": ("ContractTrade.Order", "Derivatives.DerivativesTrade"),
    "inverse": ("ContractTrade.Order", "Derivatives.DerivativesTrade"),
    "spot": ("Spot.SpotTrade",),
}
"""For each category, the permissions of which one lets a key trade it."""


def expiry(expired_at: str, deadline_day: int, now: int) -> int | None:
    """When a key ends, ns since epoch; None for one that does not.

    The venue says a time, "" or one long past for a key bound to addresses; where it says none, the days that are left.
    """
    try:
        when = datetime.fromisoformat(expired_at)
    except ValueError:
        return now + deadline_day * DAY_NS if deadline_day > 0 else None
    ends = int(when.replace(tzinfo=when.tzinfo or UTC).timestamp()) * 1_000_000_000
    return ends if ends > 0 else None


def days_left(expires: int, now: int) -> str:
    """For how long a key still works, for people."""
    return f"{max(0, expires - now) / DAY_NS:.1f} days"


def faults_of(seen: Attestation, *, unified: bool, mainnet: bool, categories: Collection[str], now: int) -> list[str]:
    """Reasons not to trade with this key and account."""
    found = list(_key_faults(seen, mainnet, categories, now))
    if not unified:
        found.append("the account is no unified trading account; upgrade it at the venue")
    if seen.position_mode == "hedge":
        found.append("a contract is in hedge mode; switch it to one-way at the venue while it is flat")
    if seen.price_limit != "reject":
        found.append(f"orders beyond the price band are not refused ({seen.price_limit}); set modifyEnable to false")
    return found


def _key_faults(seen: Attestation, mainnet: bool, categories: Collection[str], now: int) -> Iterator[str]:
    if seen.read_only:
        yield "the key is read-only; make one that may trade"
    if seen.may_withdraw:
        yield "the key may withdraw; make one that may only trade"
    if seen.may_transfer:
        yield "the key may transfer; make one that may only trade"
    for category in sorted(categories):
        if not any(scope in seen.scopes for scope in _TRADES.get(category, ())):
            yield f"the key may not trade {category}; give it {' or '.join(_TRADES.get(category, ('a permission',)))}"
    if mainnet:
        if more := ", ".join(_moves_value(seen.scopes)):
            yield f"the key may do more than trade ({more}); make one that may only trade"
        if not seen.address_bound:
            yield "the key is bound to no address; bind it to ours at the venue"
        if seen.expires is not None and seen.expires - now <= EXPIRES_FAULT_NS:
            yield f"the key ends in {days_left(seen.expires, now)}; renew it first"


def remarks_of(seen: Attestation, *, mainnet: bool, now: int) -> list[str]:
    """What an operator wants to know."""
    found = []
    if not mainnet:
        if not seen.address_bound:
            found.append("the key is bound to no address; bind it to ours")
        if more := ", ".join(_moves_value(seen.scopes)):
            found.append(f"the key may do more than trade: {more}")
    if seen.disconnect_cancel_s is None:
        found.append(
            "the venue cancels nothing when we vanish (DCP is off): orders of a killed run stay until you or the next "
            "run cancel them"
        )
    if seen.expires is not None and seen.expires - now <= EXPIRES_REMARK_NS:
        found.append(f"the key ends in {days_left(seen.expires, now)}; renew it")
    return found


def _moves_value(scopes: Sequence[str]) -> list[str]:
    return [scope for scope in scopes if scope.partition(".")[0] in _MOVE_VALUE]
