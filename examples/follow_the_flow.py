"""Your own strategy, in a file of your own: joins the touch, but not on the side that is being run over.

It asks the core for one measure, the order-flow imbalance: the size that joined the bid and left the ask, less the
reverse, in lots, each change counting half after a second. When the flow is one-sided, the quote in its way steps out.

Run it wherever a strategy is asked for by name: `examples/follow_the_flow.py:FollowTheFlow`.
"""

import math

from pydantic import Field

from mmbot.config import Strict
from mmbot.strategy import Intent, SignalSpec, Strategy, View, Wake, quotes


class FollowTheFlowConfig(Strict):
    """Sizes in lots."""

    order_lots: int = Field(default=1, ge=1)
    """Size of each quote."""
    cap_lots: int = Field(default=10, ge=1)
    """Largest position either way."""
    flow_lots: float = Field(default=100.0, gt=0)
    """Flow beyond which its side of the market is left alone."""


class FollowTheFlow(Strategy):
    """Quotes at the touch of the run's first instrument."""

    wake = Wake(every_ms=100, fill=True)
    signals = (SignalSpec.order_flow_imbalance(1_000_000_000),)

    def __init__(self, config: FollowTheFlowConfig) -> None:
        self.config = config

    def decide(self, view: View) -> Intent:
        """Return one quote per side that has room and is not run over."""
        lots, cap, flow = self.config.order_lots, self.config.cap_lots, view.signal(0)
        if view.bid is None or view.ask is None or math.isnan(flow):  # not warm yet
            return quotes(None, None, lots)
        falling, rising = flow < -self.config.flow_lots, flow > self.config.flow_lots
        bid = view.bid if view.position + lots <= cap and not falling else None
        ask = view.ask if view.position - lots >= -cap and not rising else None
        return quotes(bid, ask, lots)
