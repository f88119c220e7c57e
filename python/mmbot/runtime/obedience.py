"""What a run does when the freeze board tells it to stop: `Obeying`, for the runner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmbot.execution.cancel_all import Target
from mmbot.venues.port import ARRIVES_NS, AmendOrder, PlaceOrder, VenueError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmbot.runtime.runner import Runner

__all__ = ["Obedience"]

FREEZE = "freeze"


class Obedience:
    """Obeys for one runner."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def hold(self, why: str) -> None:
        """Take every quote out, and ask the strategy no more."""
        if self._runner.pauses:  # the quotes are out already, or were asked to leave; ask again
            self._runner.pull_all()
        self._runner.pause(FREEZE, why)

    def go_on(self) -> None:
        """Quote again, if nothing else holds."""
        if self._runner.flattening is not None:
            self._runner.flattening.over()
        self._runner.resume(FREEZE)

    def _index(self, category: str, symbol: str) -> int:
        places = [(each.category, each.symbol) for each in self._runner.listed]
        return places.index((category, symbol))

    def pull(self, category: str, symbol: str) -> None:
        """Take the quotes of one instrument out."""
        self._runner.pull(self._index(category, symbol))

    def believed(self, category: str, symbol: str) -> list[Target]:
        """Our orders there that may be open."""
        orders = self._runner.core.orders(self._index(category, symbol))
        return [Target(category, symbol, self._runner.bridge.name(order[0])) for order in orders]

    def late_until(self, markets: Sequence[tuple[str, str]]) -> int:
        """Until then a create of theirs without an answer may still come to be at the venue, or an order of theirs that
        is open as far as we know may be missing in its lists.
        """
        bridge = self._runner.bridge
        last = bridge.last_unanswered_place(markets)
        unlisted = bridge.listed_by(markets, self._runner.clock.peek())
        return max(self._runner.strangers_until, 0 if last is None else last + ARRIVES_NS, unlisted)

    def mark_canceled(self, order: str, *, trigger: str) -> None:
        """Write down in the journal for what an order left."""
        self._runner.note("canceled", {"correlation_id": order, "trigger": trigger})

    def shrinks(self, request: PlaceOrder | AmendOrder) -> bool:
        """Whether what is open on its side, itself included, fits into the position of the other side."""
        if isinstance(request, PlaceOrder) and request.reduce_only:
            return True
        index = self._index(request.category, request.symbol)
        position = int(self._runner.core.books(0, index)["position_lots"])
        side = "sell" if position > 0 else "buy"
        rows = [order for order in self._runner.core.orders(index) if order[1] == side]
        number = next((row[0] for row in rows if self._runner.bridge.name(row[0]) == request.client_id), None)
        if number is None or position == 0:
            return False
        wanted = 0 if request.qty is None else self._runner.listed[index].instrument.lots(request.qty)
        open_lots = sum(max(row[3], wanted) if row[0] == number else row[3] for row in rows)
        return bool(open_lots <= abs(position))

    def flatten(self, category: str, symbol: str) -> None:
        """Work the position off a little further; without terms for it that is left to a person."""
        if self._runner.flattening is not None:
            self._runner.flattening.step(self._index(category, symbol))

    def killed(self, why: str) -> None:
        """End the run."""
        self._runner.fail(VenueError(why))
