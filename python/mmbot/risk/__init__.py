"""Policies above the engine's hard limits: they say how boldly a strategy may quote, and when it has to leave.

what happened          RiskGuards
what it means          assess: RiskMeasurements in, GuardVerdict out
"""

from mmbot.risk.guards import RiskGuards, pnl_z
from mmbot.risk.levels import FIRM, FreezeAsked, FreezeLevel, Scope, ScopeKind
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
    "FreezeLevel",
    "GuardLevel",
    "GuardVerdict",
    "Halt",
    "RiskGuard",
    "RiskGuards",
    "RiskGuardsConfig",
    "RiskMeasurements",
    "Scope",
    "ScopeKind",
    "Trigger",
    "assess",
    "pnl_z",
]
