"""The controls that watch a run, by code: what each looks at and how far it stops trading.

The core denies single orders (`_core.denial_table`); these ask for a freeze. Together they are `docs/controls.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mmbot.risk.levels import FreezeAsked, FreezeLevel, Scope

__all__ = ["CONTROLS", "Control", "asked"]


@dataclass(frozen=True, slots=True)
class Control:
    """One control."""

    level: FreezeLevel
    """What it asks for."""
    kind: str
    """loss, infrastructure or market: three breakers that are never confused, beside the API's own (`kind="api"`)."""
    meaning: str


CONTROLS: Final[dict[str, Control]] = {
    "loss_minute": Control(FreezeLevel.REDUCE_ONLY, "loss", "Loss within a minute."),
    "loss_hour": Control(FreezeLevel.NO_NEW, "loss", "Loss within an hour."),
    "loss_day": Control(FreezeLevel.CANCEL_ALL, "loss", "Loss of the day of UTC."),
    "drawdown": Control(FreezeLevel.CANCEL_ALL, "loss", "Fall from the highest equity ever seen."),
    "equity": Control(FreezeLevel.REDUCE_ONLY, "loss", "Equity is not known, so losses are not either."),
    "rejects_in_a_row": Control(FreezeLevel.NO_NEW, "infrastructure", "The venue refuses one order after the other."),
    "unknowns_in_a_row": Control(FreezeLevel.NO_NEW, "infrastructure", "One request after the other has no answer."),
    "executions": Control(FreezeLevel.NO_NEW, "market", "Too many executions within a minute; a person has to look."),
    "one_sided": Control(FreezeLevel.REDUCE_ONLY, "market", "One side is filled again and again."),
    "markout": Control(FreezeLevel.REDUCE_ONLY, "market", "The price moves against us after our fills."),
    "edge": Control(FreezeLevel.NO_NEW, "market", "The edge has collapsed, or is not known."),
    "margin": Control(FreezeLevel.REDUCE_ONLY, "infrastructure", "Little margin is free, or it is not known."),
    "fee": Control(FreezeLevel.NO_NEW, "infrastructure", "A fee is not what the venue told: maker charged as taker."),
    "depeg": Control(FreezeLevel.REDUCE_ONLY, "market", "A stable coin is off one dollar, or has no price."),
    "stop_loss": Control(FreezeLevel.FLATTEN, "loss", "A position lost too much against its entry."),
    "trailing_stop": Control(FreezeLevel.FLATTEN, "loss", "A position fell too far from its best."),
    "unhedged": Control(FreezeLevel.REDUCE_ONLY, "market", "One leg stood alone, too large for too long."),
}
"""By code; a code never changes its meaning."""


def asked(control: str, scope: Scope, reason: str, now: int) -> FreezeAsked:
    """Return what a control asks for. Raises KeyError for a code that is none."""
    return FreezeAsked(CONTROLS[control].level, scope, control, reason, now)
