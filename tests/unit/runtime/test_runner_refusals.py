"""What a refusal of the venue frees, from its fact through the bridge to the engine's exposure."""

import asyncio
from pathlib import Path

from trading_desk import Desk, settle

from mmbot.venues.port import Refused

EXPOSURE = 6


def test_a_refused_cancel_leaves_an_unanswered_amend_in_the_exposure(tmp_path: Path):
    """The venue may have taken the amend; only a word on the amend itself says that it did not."""
    desk = Desk(tmp_path, amend=True)
    asyncio.run(desk.open())
    desk.strategy.ask = None  # type: ignore[attr-defined]
    desk.book()
    settle(desk)
    (number,) = [row[0] for row in desk.core.order_rows(0)]
    desk.venue.send = lambda _: None  # type: ignore[method-assign]
    desk.strategy.bid, desk.strategy.lots = 999, 30  # type: ignore[attr-defined]
    desk.book(kind="delta")
    assert [row[EXPOSURE] for row in desk.core.order_rows(0)] == [30]

    def refuse(request: str, at: int) -> None:
        told = Refused(
            client_id=desk.runner.bridge.name(number),
            request=request,  # type: ignore[arg-type]
            reason="busy",
            code=110_079,
            message="under way",
            ts_venue=at,
        )
        desk.runner.on_facts([told], desk.clock())

    refuse("cancel", desk.clock())
    assert [row[EXPOSURE] for row in desk.core.order_rows(0)] == [30]
    refuse("amend", desk.clock())
    assert [row[EXPOSURE] for row in desk.core.order_rows(0)] == [10]
