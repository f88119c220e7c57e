"""Policies above the engine's hard limits: they say how boldly a strategy may quote, and when it has to leave.

what happened          RiskGuards
what it means          assess: RiskMeasurements in, GuardVerdict out
how far it is stopped  FreezeBoard: FreezeAsked in, FreezeChange out; lowered by an Override
what is watched        RiskWatch: facts and marks in, FreezeAsked out
before an order        RuntimeRiskMonitor, FiveLevelRisk: for who sends orders without the engine
"""

from mmbot.risk.controls import CONTROLS, Control
from mmbot.risk.five_levels import BrokerLimits, FiveLevelRisk
from mmbot.risk.freeze import FreezeBoard, FreezeChange, FreezePolicy, Frozen
from mmbot.risk.guards import RiskGuards, pnl_z
from mmbot.risk.levels import FIRM, FreezeAsked, FreezeLevel, Scope, ScopeKind
from mmbot.risk.monitor import RuntimeRiskMonitor
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
from mmbot.risk.watch import RiskWatch

__all__ = [
    "CONTROLS",
    "FIRM",
    "BrokerLimits",
    "Control",
    "FiveLevelRisk",
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
    "RiskWatch",
    "RuntimeRiskMonitor",
    "Scope",
    "ScopeKind",
    "Signature",
    "Trigger",
    "assess",
    "pnl_z",
]
