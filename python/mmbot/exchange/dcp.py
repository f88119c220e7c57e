"""Disconnect-cancel-all: when an account's last watched connection is dead for its window, its orders are cancelled.

A connection counts once it subscribed `dcp.future` or `dcp.spot`. It is dead when it is closed, or said nothing for
`silence_ms`. Coming back within the window saves the orders. Only institutional accounts may set a window.
Source: Bybit v5, "Set Disconnect Cancel All" and "Dcp Stream".
"""

from dataclasses import dataclass, field

from mmbot.exchange.refusals import bad_parameter, unsupported

__all__ = ["PRODUCTS", "DeadManSwitch", "read_product"]

PRODUCTS = {"DERIVATIVES": ("dcp.future", "derivatives"), "SPOT": ("dcp.spot", "spot")}
"""Product: its topic, and the family of instruments whose orders it cancels."""
WINDOW_S = (3, 300)


@dataclass(slots=True)
class _Watch:
    """The connections of one account and product."""

    heard_ms: dict[object, int] = field(default_factory=dict)
    gone_ms: int | None = None
    """When the last one died; None while one is alive, or after the orders were cancelled."""


class DeadManSwitch:
    """The watches of all accounts, by uid and product. Times are ms."""

    def __init__(self) -> None:
        self._watches: dict[tuple[int, str], _Watch] = {}

    def watch(self, uid: int, product: str, connection: object, now_ms: int) -> None:
        """A connection subscribed a dcp topic."""
        watch = self._watches.setdefault((uid, product), _Watch())
        watch.heard_ms[connection] = now_ms
        watch.gone_ms = None

    def heard(self, uid: int, connection: object, now_ms: int) -> None:
        """A connection said something."""
        for product in PRODUCTS:
            watch = self._watches.get((uid, product))
            if watch is not None and connection in watch.heard_ms:
                watch.heard_ms[connection] = now_ms
                watch.gone_ms = None

    def lost(self, uid: int, connection: object, now_ms: int) -> None:
        """A connection is closed."""
        for product in PRODUCTS:
            watch = self._watches.get((uid, product))
            if watch is not None and watch.heard_ms.pop(connection, None) is not None and not watch.heard_ms:
                watch.gone_ms = now_ms

    def due(self, windows_s: dict[int, dict[str, int]], silence_ms: int, now_ms: int) -> list[tuple[int, str]]:
        """(uid, product) whose orders are to be cancelled now; each falls due once for each time it was lost."""
        fallen = []
        for (uid, product), watch in self._watches.items():
            if watch.heard_ms and watch.gone_ms is None:
                last = max(watch.heard_ms.values())
                if now_ms - last >= silence_ms:
                    watch.gone_ms = last + silence_ms
            window_s = windows_s.get(uid, {}).get(product)
            if watch.gone_ms is not None and window_s is not None and now_ms - watch.gone_ms >= window_s * 1000:
                # A silent connection is forgotten with it: it has to subscribe again to count.
                watch.heard_ms.clear()
                watch.gone_ms = None
                fallen.append((uid, product))
        return fallen


def read_product(product: object, window: object) -> tuple[str, int]:
    """Read what a client sets: the product and its window in seconds."""
    name = product or "OPTIONS"
    if name == "OPTIONS":
        raise unsupported("product OPTIONS")
    if not isinstance(name, str) or name not in PRODUCTS:
        raise bad_parameter("params error: product invalid")
    if not isinstance(window, int) or isinstance(window, bool) or not WINDOW_S[0] <= window <= WINDOW_S[1]:
        raise bad_parameter(f"params error: timeWindow is {WINDOW_S[0]} to {WINDOW_S[1]} seconds")
    return name, window
