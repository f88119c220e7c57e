"""Trouble on demand: what is armed happens to the next requests or messages that match, and then is used up.

A place is a channel and a name, matched as a glob:

    rest:POST /v5/order/create      trade:order.create      requests: answer, http, silence, disconnect, delay
    private:order                   public:orderbook.50.*   messages: drop, duplicate, reorder, delay, corrupt,
                                                            oversize, disconnect, mute
    socket:private                  socket:trade            new connections: disconnect, mute (half-open)
    engine:create                                           orders that were acknowledged: reject

`executed` says whether the request was done before its answer went wrong: that is the ambiguous answer. Nothing here
touches a socket; the connections ask and obey. With a seed, probabilities fall the same way each time.
"""

import random
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

import msgspec

__all__ = ["MESSAGE_FAULTS", "REQUEST_FAULTS", "Fault", "Faults", "What"]

What: TypeAlias = Literal[
    "answer",
    "http",
    "silence",
    "disconnect",
    "delay",
    "drop",
    "duplicate",
    "reorder",
    "corrupt",
    "oversize",
    "mute",
    "reject",
]
REQUEST_FAULTS = frozenset({"answer", "http", "silence", "disconnect", "delay"})
MESSAGE_FAULTS = frozenset({"drop", "duplicate", "reorder", "delay", "corrupt", "oversize", "disconnect", "mute"})
ENGINE_FAULTS = frozenset({"reject"})
_CHANNELS = {"rest": REQUEST_FAULTS, "trade": REQUEST_FAULTS, "engine": ENGINE_FAULTS}
OVERSIZE_BYTES = 5_000_000


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of trouble and where it strikes."""

    where: str
    what: What
    count: int | None = 1
    """How many matching ones it strikes; None: until it is cleared."""
    skip: int = 0
    """How many matching ones pass first."""
    probability: float = 1.0
    uid: int | None = None
    """Only this account."""
    executed: bool = False
    """Requests: it is done, and only the answer goes wrong."""
    code: int = 10016
    """For `answer`: the retCode."""
    message: str = "Server error, please try again later."
    reason: str = "EC_Others"
    """For `reject`: the rejectReason."""
    status: int = 503
    """For `http`: the status."""
    delay_ms: float = 100.0
    """For `delay`; and how long `reorder` waits for a successor."""
    how: Literal["close", "going_away", "abort"] = "abort"
    """For `disconnect`: close code 1000, 1001, or no close at all."""

    def __post_init__(self) -> None:
        known = _CHANNELS.get(self.where.partition(":")[0], MESSAGE_FAULTS)
        if self.what not in known:
            raise ValueError(f"{self.where!r} cannot suffer {self.what!r}; expected one of {sorted(known)}")
        if ":" not in self.where or not 0 <= self.probability <= 1 or self.skip < 0:
            raise ValueError(f"{self!r} strikes nowhere; expected channel:name, a probability and skip of at least 0")


class _Armed:
    """A fault and what is left of it."""

    __slots__ = ("fault", "left", "number", "skip")

    def __init__(self, number: int, fault: Fault) -> None:
        self.number, self.fault = number, fault
        self.skip, self.left = fault.skip, fault.count


class Faults:
    """What is armed, in the order in which it was armed."""

    def __init__(self, seed: int = 0) -> None:
        self.struck = 0
        self._armed: list[_Armed] = []
        self._number = 0
        self._dice = random.Random(seed)  # noqa: S311 (decides which messages suffer, nothing secret)

    def arm(self, fault: Fault) -> int:
        """Add a fault; returns its number."""
        self._number += 1
        self._armed.append(_Armed(self._number, fault))
        return self._number

    def clear(self, number: int | None = None) -> int:
        """Disarm one fault, or all; returns how many there were."""
        before = len(self._armed)
        self._armed = [armed for armed in self._armed if number is not None and armed.number != number]
        return before - len(self._armed)

    def armed(self) -> list[tuple[int, Fault, int | None]]:
        """(number, fault, how often it may still strike)."""
        return [(armed.number, armed.fault, armed.left) for armed in self._armed]

    def strike(self, where: str, uid: int | None) -> Fault | None:
        """Return the fault that strikes here and now, and use it up."""
        if not self._armed:
            return None
        for armed in self._armed:
            fault = armed.fault
            if (fault.uid is not None and fault.uid != uid) or not fnmatchcase(where, fault.where):
                continue
            if armed.skip:
                armed.skip -= 1
                continue
            if fault.probability < 1 and self._dice.random() >= fault.probability:
                continue
            self.struck += 1
            if armed.left is not None:
                armed.left -= 1
                if not armed.left:
                    self._armed.remove(armed)
            return fault
        return None


def corrupted(payload: bytes) -> bytes:
    """Return a message cut in the middle, which is no JSON any more."""
    return payload[: max(len(payload) // 2, 1)]


def oversized(payload: bytes) -> bytes:
    """Return a message with a field that is larger than any buffer expects."""
    return payload[:-1] + b',"padding":"' + b"x" * OVERSIZE_BYTES + b'"}'
