"""Before an order is sent: is there room for it, does the venue bear it, what will it cost.

Functions of state and time:

how many, how often   Throttle
does the venue bear   Breaker · Backoff
how much is taken     TakerCap
does it rest          MakerPlacement
what will it cost     estimate · square_root_impact
what is it called     ClientIds · parse
may we still           FencedError

And after it: does the venue agree with what we hold (`compare`).
"""

from mmbot.execution.backoff import Backoff
from mmbot.execution.breaker import Breaker, BreakerEvent, BreakerState, Phase, Trouble
from mmbot.execution.client_ids import ENVIRONMENT_LETTERS, ClientIds, Named, parse
from mmbot.execution.fencing import FencedError
from mmbot.execution.placement import MakerPlacement, Placement, PlacementRules
from mmbot.execution.reconcile import (
    Account,
    Break,
    BreakKind,
    OpenOrder,
    ReconReport,
    ReconTerms,
    Remedy,
    compare,
)
from mmbot.execution.ruling import Call, Denial, Ruling
from mmbot.execution.slippage import SlippageEstimate, SquareRootImpact, estimate, square_root_impact
from mmbot.execution.taker_cap import TakerCap, TakerCapState
from mmbot.execution.throttle import Throttle, ThrottleState

__all__ = [
    "ENVIRONMENT_LETTERS",
    "Account",
    "Backoff",
    "Break",
    "BreakKind",
    "Breaker",
    "BreakerEvent",
    "BreakerState",
    "Call",
    "ClientIds",
    "Denial",
    "FencedError",
    "MakerPlacement",
    "Named",
    "OpenOrder",
    "Phase",
    "Placement",
    "PlacementRules",
    "ReconReport",
    "ReconTerms",
    "Remedy",
    "Ruling",
    "SlippageEstimate",
    "SquareRootImpact",
    "TakerCap",
    "TakerCapState",
    "Throttle",
    "ThrottleState",
    "Trouble",
    "compare",
    "estimate",
    "parse",
    "square_root_impact",
]
