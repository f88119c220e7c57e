"""Every number of a run in one place, by the names that dashboards use: `name{label="value"}`.

    run, gate, freeze board, Redis ─▶ RunMetrics.all() ─▶ the status events · metrics.json ─▶ mmbot status --json

Breakers are kept apart by `kind`: `api` is the order gate's, after HTTP 429 or a ban, for a minute; `loss`,
`infrastructure` and `market` are 1 while a control of that kind holds a freeze, which people lower. A Redis that is
away counts as infrastructure too.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

from mmbot.ops.counters import Counters
from mmbot.risk.controls import CONTROLS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mmbot.ops.account_state import AccountState
    from mmbot.risk.freeze import FreezeBoard
    from mmbot.runtime.gate import OrderGate
    from mmbot.runtime.runner import Runner

__all__ = ["BREAKER", "KINDS", "RunMetrics", "board_metrics", "read_metrics"]

BREAKER = "circuit_breaker_state"
KINDS = ("api", "loss", "infrastructure", "market")
WRITE_S = 1.0


def board_metrics(board: FreezeBoard, into: Counters) -> None:
    """What a freeze board counts, and which breakers its freezes hold open."""
    into.set("freeze_level", int(board.highest))
    into.set("mm_freeze_events_total", board.mm_freeze_events_total)
    into.set("freeze_triggered_total", board.freeze_triggered_total.total())
    for control, count in board.freeze_triggered_total.items():
        into.set("freeze_triggered_total", count, control=control)
    held = [control for one in board.frozen for control in (one.control, *one.noted)]
    kinds = {CONTROLS[control].kind for control in held if control in CONTROLS}
    for kind in KINDS[1:]:
        into.set(BREAKER, int(kind in kinds), kind=kind)


class RunMetrics:
    """The numbers of one run. `others`: counters of whoever keeps its own, Redis' for one."""

    def __init__(self, runner: Runner, gate: OrderGate, board: FreezeBoard, others: Counters) -> None:
        self._runner, self._gate, self._board, self._others = runner, gate, board, others

    def all(self) -> dict[str, float]:
        """Every series as of now, sorted."""
        found, runner = Counters(), self._runner
        board_metrics(self._board, found)
        found.set(BREAKER, self._gate.circuit_breaker_state, kind="api")
        found.set("run_paused", int(bool(runner.pauses)))
        found.set("orders_in_doubt", len(runner.bridge.doubts))
        found.set("limits_share", float(self._board.share(runner.clock.peek())))
        for reason, count in runner.core.denials(0):
            found.set("order_denied_total", count, reason=reason)
        for what, count in runner.counters.items():
            found.set("run_events_total", count, what=what)
        self._risk(found)
        series = self._others.all() | found.all()
        infrastructure = f'{BREAKER}{{kind="infrastructure"}}'
        series[infrastructure] = max(series[infrastructure], self._others.all().get(infrastructure, 0))
        return dict(sorted(series.items()))

    def _risk(self, into: Counters) -> None:
        risk = self._runner.risk
        if risk is None:
            return
        for (control, kind), count in risk.watch.metrics().items():
            into.set("freeze_asked_total", count, control=control, kind=kind)
        into.set("risk_ratio_warns", int(risk.watch.ratio.warns))
        if risk.watch.ratio.p95 is not None:
            into.set("risk_ratio_p95", risk.watch.ratio.p95)
        if risk.boldness is not None:
            into.set("risk_guard_halts_total", risk.boldness.halts)
            for symbol, level in risk.boldness.levels().items():
                into.set("risk_guard_level", level, symbol=symbol)

    async def keep(self, state: AccountState) -> None:
        """Write them for `mmbot status` once a second, as long as this lasts. A full disk leaves the last ones."""
        while True:
            _write(state.metrics, {"ts": self._runner.clock.peek(), "pid": os.getpid(), "metrics": self.all()})
            await asyncio.sleep(WRITE_S)


def _write(path: Path, words: Mapping[str, Any]) -> None:
    """Put it in place whole; it need not survive a power loss."""
    fresh = path.with_name(f".{path.name}")
    try:
        fresh.write_text(json.dumps(words), encoding="utf-8")
        fresh.replace(path)
    except OSError:
        return  # numbers that nobody can read stop no trading; the reader sees that they are old


def read_metrics(state: AccountState) -> dict[str, Any] | None:
    """What the account's last engine wrote last: ts, pid and metrics; None before the first. Raises OSError."""
    try:
        found: dict[str, Any] = json.loads(state.metrics.read_bytes())
        return found if {"ts", "pid", "metrics"} <= set(found) else None
    except (FileNotFoundError, ValueError, TypeError):
        return None
