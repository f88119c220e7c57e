"""How far trading is stopped, and for whom: the words that controls, freeze, guardian and gateway share.

Raising a level is automatic and immediate, lowering one never is. Source: the freeze levels of docs/freeze.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, TypeAlias

__all__ = ["FIRM", "FreezeAsked", "FreezeLevel", "Scope", "ScopeKind"]

ScopeKind: TypeAlias = Literal["symbol", "strategy", "account", "firm"]


class FreezeLevel(IntEnum):
    """What may still leave; a higher level forbids more."""

    NORMAL = 0
    """Everything that the limits allow."""
    REDUCE_ONLY = 1
    """Orders that shrink a position, and cancels."""
    NO_NEW = 2
    """Cancels, where somebody wants them."""
    CANCEL_ALL = 3
    """Cancels, of everything, until the venue says that nothing is open."""
    FLATTEN = 4
    """As CANCEL_ALL; then the position is worked off by reduce-only orders inside the collar."""
    KILL = 5
    """As CANCEL_ALL; then processes stop, and keys are to be revoked."""

    @property
    def allows_new_risk(self) -> bool:
        """Orders that may grow a position."""
        return self is FreezeLevel.NORMAL

    @property
    def cancels_all(self) -> bool:
        """Everything open has to leave, verified."""
        return self >= FreezeLevel.CANCEL_ALL


@dataclass(frozen=True, slots=True, order=True)
class Scope:
    """Whose trading is meant: `name` is "category symbol", the strategy, the account, or "" for the firm."""

    kind: ScopeKind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".strip()


FIRM = Scope("firm")
"""Everything."""


@dataclass(frozen=True, slots=True)
class FreezeAsked:
    """Somebody wants trading stopped: a control, reconciliation, the guardian, a person."""

    level: FreezeLevel
    scope: Scope
    control: str
    """Which control, by its code (docs/reliability.md); "operator" for a person."""
    reason: str
    """What was seen, with its numbers and the limit."""
    ts: int
    """When, ns since epoch."""
    worst: FreezeLevel = FreezeLevel.NORMAL
    """The highest level that it had, where it is asked for anew after people lowered a part of it."""
