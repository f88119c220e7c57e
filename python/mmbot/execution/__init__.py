"""Before an order is sent: is it worth it, is there room for it, what will it cost. Functions of state and time.

how many, how often   OrderBudget
how much is taken     TakerCap
how old is the data   FreshnessGate
what will it cost     estimate · square_root_impact
"""

from mmbot.execution.freshness import FreshnessGate
from mmbot.execution.order_budget import BudgetState, OrderBudget, ReplaceEdge, WorkingSlot
from mmbot.execution.ruling import Denial, Ruling
from mmbot.execution.slippage import SlippageEstimate, SquareRootImpact, estimate, square_root_impact
from mmbot.execution.taker_cap import TakerCap, TakerCapState

__all__ = [
    "BudgetState",
    "Denial",
    "FreshnessGate",
    "OrderBudget",
    "ReplaceEdge",
    "Ruling",
    "SlippageEstimate",
    "SquareRootImpact",
    "TakerCap",
    "TakerCapState",
    "WorkingSlot",
    "estimate",
    "square_root_impact",
]
