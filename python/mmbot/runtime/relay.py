"""What a session tells before anybody trades on it is kept, and told in order once somebody does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mmbot.venues.port import OrderSink, PublicSink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mmbot.venues.port import Fact, Heard, LinkEvent

__all__ = ["Listener", "Relay"]

HELD_MAX = 10_000


class Listener(PublicSink, OrderSink, Protocol):
    """Listens to the market and to the account."""


class Relay:
    """Stands in for a listener that does not exist yet: a session needs one before its instruments are known."""

    def __init__(self) -> None:
        self._listener: Listener | None = None
        self._held: list[Callable[[Listener], None]] = []
        self._links: dict[str, LinkEvent] = {}
        self._idle = False

    def attach(self, listener: Listener) -> None:
        """Tell `listener` what was held, and everything from now on."""
        self._listener = listener
        for event in self._links.values():
            listener.on_link(event)
        held, self._held = self._held, []
        for tell in held:
            tell(listener)

    def idle(self) -> None:
        """Keep no facts until somebody listens, and of each link only its state: whoever comes asks the venue first.

        For a run that stands by for hours while another one trades on the account.
        """
        self._idle = True

    def _tell(self, tell: Callable[[Listener], None]) -> None:
        if self._listener is not None:
            tell(self._listener)
        elif len(self._held) < HELD_MAX:
            self._held.append(tell)
        else:
            raise RuntimeError(f"more than {HELD_MAX} messages before anybody listens: the run does not start")

    def on_frame(self, conn: str, raw: bytes, ts_recv: int) -> None:
        """Pass a frame on; one that nobody listens to is not kept."""
        if self._listener is not None:
            self._listener.on_frame(conn, raw, ts_recv)

    def on_records(self, category: str, records: Sequence[Heard], ts_recv: int) -> None:
        """Pass records on."""
        if self._listener is not None:
            self._listener.on_records(category, records, ts_recv)
        else:
            self._tell(lambda listener: listener.on_records(category, records, ts_recv))

    def on_facts(self, facts: Sequence[Fact], ts_recv: int) -> None:
        """Pass facts on."""
        if self._idle and self._listener is None:
            return
        self._tell(lambda listener: listener.on_facts(facts, ts_recv))

    def on_link(self, event: LinkEvent) -> None:
        """Pass a link's state on."""
        if self._idle and self._listener is None:
            self._links[f"{event.link} {event.conn}"] = event
            return
        self._tell(lambda listener: listener.on_link(event))
