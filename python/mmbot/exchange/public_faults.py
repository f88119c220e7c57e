"""Faults on the public streams: what becomes of a frame on its way to a client."""

from collections.abc import Iterable
from weakref import WeakKeyDictionary

from mmbot.exchange.faults import Fault, Faults, corrupted, oversized
from mmbot.exchange.outbox import Outbox

__all__ = ["PublicFaults"]

_NOTHING: tuple[tuple[float, bytes], ...] = ()


class PublicFaults:
    """The public sockets' `tamper`. A place is `public:TOPIC`, or `public:ack` for answers."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._kept: WeakKeyDictionary[Outbox, list[bytes]] = WeakKeyDictionary()

    def __call__(self, outbox: Outbox, topic: str, frame: bytes) -> Iterable[tuple[float, bytes]]:
        """(delay in seconds, frame) for what is sent instead."""
        fault = self._faults.strike(f"public:{topic or 'ack'}", None)
        return self._with_kept(outbox, frame) if fault is None else self._struck(outbox, frame, fault)

    def _struck(self, outbox: Outbox, frame: bytes, fault: Fault) -> Iterable[tuple[float, bytes]]:
        sent: tuple[tuple[float, bytes], ...] = _NOTHING
        match fault.what:
            case "duplicate":
                sent = (0.0, frame), (0.0, frame)
            case "delay":
                sent = ((fault.delay_ms / 1000, frame),)
            case "corrupt":
                sent = ((0.0, corrupted(frame)),)
            case "oversize":
                sent = ((0.0, oversized(frame)),)
            case "reorder":
                self._kept.setdefault(outbox, []).append(frame)
            case "disconnect":
                outbox.cut_off(fault.how)
            case "mute":
                outbox.muted = True
        return sent

    def _with_kept(self, outbox: Outbox, frame: bytes) -> Iterable[tuple[float, bytes]]:
        kept = self._kept.pop(outbox, ())
        return ((0.0, frame), *((0.0, earlier) for earlier in kept))
