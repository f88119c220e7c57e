"""Policies above the engine's hard limits: they say how boldly a strategy may quote, and when it has to leave.

what happened          RiskGuards
what it means          assess: RiskMeasurements in, GuardVerdict out
how far it is stopped  FreezeBoard: FreezeAsked in, FreezeChange out; lowered by an Override
"""

from mmbot.risk.freeze import FreezeBoard, FreezeChange, FreezePolicy, Frozen
from mmbot.risk.guards import RiskGuards, pnl_z
from mmbot.risk.levels import FIRM, FreezeAsked, FreezeLevel, Scope, ScopeKind
from mmbot.risk.override import Operator, Override, OverrideRefusedError, Reconciled, Signature
from mmbot.risk.verdict import (
    GuardLevel,
    GuardVerdict,
    Halt,
    RiskGuard,
    RiskGuardsConfig,
    RiskMeasurements,
    Trigger,
    assess,
)

__all__ = [
    "FIRM",
    "FreezeAsked",
    "FreezeBoard",
    "FreezeChange",
    "FreezeLevel",
    "FreezePolicy",
    "Frozen",
    "GuardLevel",
    "GuardVerdict",
    "Halt",
    "Operator",
    "Override",
    "OverrideRefusedError",
    "Reconciled",
    "RiskGuard",
    "RiskGuards",
    "RiskGuardsConfig",
    "RiskMeasurements",
    "Scope",
    "ScopeKind",
    "Signature",
    "Trigger",
    "assess",
    "pnl_z",
]
