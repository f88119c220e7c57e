"""How the venue behaves where its documentation leaves room: every inferred behaviour is a field here.

The defaults are what was observed or is most likely. Tests and the admin API replace the whole set at once.
Times are ms. Which message comes first is a matter of delays: with `ack_ms` above `order_ms` the order stream
is ahead of the answer, with `order_ms` above `execution_ms` a fill is ahead of the state it leads to.
"""

from typing import Literal

import msgspec

__all__ = ["Switches"]


class Switches(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All switches of the client side."""

    ack_ms: float = 3.0
    """From a request to its answer. SDKs that register a callback after sending need about 3."""
    entry_ms: float = 0.0
    """From the arrival of an order request to its effect; answers and messages count from the effect."""
    order_ms: float = 4.0
    """From an event to its `order` message."""
    execution_ms: float = 4.0
    """From an event to its `execution` message."""
    fast_ms: float = 3.0
    """From an event to its `execution.fast` message."""
    position_ms: float = 5.0
    """From an event to its `position` message."""
    wallet_ms: float = 5.0
    """From an event to its `wallet` message."""
    group_rows: bool = True
    """Rows of one event share one message; otherwise each has its own."""
    announce_new: bool = False
    """A request that trades at once is shown as New first."""
    position_always: bool = True
    """A `position` message follows every create, amend and cancel, changed or not."""
    cancel_race_ms: int = 0
    """A cancel this soon after the fill is acknowledged, and yields a second Filled."""
    amend_across: Literal["kill", "keep"] = "kill"
    """What becomes of a post-only order that is amended to a price that would take."""
    leaves_zeroed: bool = True
    """`leavesQty` of a cancelled order is zero, as documented; otherwise it says what was left, as observed."""
    realtime_lag_ms: int = 0
    """How long a new order is missing from `/v5/order/realtime`."""
    history_lag_ms: int = 0
    """How long a closed order is missing from `/v5/order/history`."""
    execution_lag_ms: int = 0
    """How long an execution is missing from `/v5/execution/list`."""
    forget_cancelled_ms: int = 86_400_000
    """Cancelled and rejected orders without fills leave the history after this."""
    dcp_silence_ms: int = 30_000
    """A private connection that said nothing for this long counts as dead for disconnect-cancel-all."""
    idle_ms: int = 600_000
    """A private or trade connection without a word is cut after this, unless it asked for another time."""
    address_scale: int = 1
    """Multiplies the limits by address: a whole test farm may stand behind one."""
    restart_ms: int = 2_000
    """How long a restart refuses requests with 10019 before it cuts the connections."""
