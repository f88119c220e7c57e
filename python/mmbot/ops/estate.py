"""Reads what an earlier run on the account left, from its journal."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmbot import _core
from mmbot.config import ConfigError
from mmbot.execution.client_ids import ClientIds
from mmbot.execution.recovery import CRASH_LOOP, Chain, Estate, HeldOrder, crash_loop
from mmbot.ops.account_state import AccountState, write_durably
from mmbot.ops.evidence import believed, is_missing, quarantine
from mmbot.ops.restoring import marked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mmbot.runtime.bridge import Listed
    from mmbot.runtime.clock import RunClock

__all__ = ["Left", "left_on"]

EXISTS = {"live", "partial", "filled", "canceled", "rejected", "expired"}
"""Stages that only the venue's word leads to."""


@dataclass(frozen=True, kw_only=True)
class Left:
    """What a run that takes over begins with."""

    snapshot: bytes
    names: list[tuple[int, str]]
    estate: Estate
    last: int
    """Time of the last entry of the earlier journal, ns since epoch."""

    def open(self, core: _core.Live, clock: RunClock) -> None:
        """Begin with it. A wall clock that was set back since is not followed: time goes on from the earlier run."""
        clock.at_least(self.last)
        core.open(clock(), self.snapshot, self.names)


def left_on(state: AccountState, listed: Sequence[Listed], now: int, account: str) -> Left | None:
    """Return what the newest run on the account left; None where it left nothing, or there was none.

    Raises ConfigError for a run of other instruments that left something, and for a journal that is gone although
    anchors of it were kept; OSError, JournalFault or ValueError for one of which nothing can be believed.
    """
    folder = state.newest_run()
    if folder is None or is_missing(state, folder):
        return None
    found = marked(state, folder, believed(state, folder))
    recovered = found.recovered
    if found.whole and recovered.ended and not recovered.orders and not any(recovered.positions):
        return None
    traded = [(each.instrument.venue, each.instrument.symbol) for each in listed]
    if recovered.instruments != traded:
        raise ConfigError(
            f"{folder}: the run before traded {recovered.instruments} and left orders or a position; this one trades "
            f"{traded}. Run its configuration again until it has left, then this one"
        )
    chain, began = _chain(recovered)
    orders = tuple(_held(row, chain) for row in recovered.orders)
    reasons = (crash_loop(_recoveries(state, now), now, account), quarantine(found, now, account))
    estate = Estate(
        journal=str(folder),
        chain=chain,
        next_number=recovered.orders_named + 1,
        began=began,
        since=_agreed(recovered) or began,
        orders=orders,
        custody=_newest(recovered, "custody"),
        left_at=recovered.last_time,
        ended=recovered.ended,
        lost=found.lost,
        frozen=tuple(asked for asked in reasons if asked is not None),
    )
    return Left(
        snapshot=recovered.snapshot,
        names=[(one.number, one.client_id) for one in orders],
        estate=estate,
        last=recovered.last_time,
    )


def _held(row: tuple[Any, ...], chain: Chain) -> HeldOrder:
    number, client_id, instrument, _, tick, lots, _, cum, life, _, _, owner, _, venue_id, decided = row
    named = client_id or (chain.name(number) if owner == "strategy" else "")
    return HeldOrder(
        number=number,
        instrument=instrument,
        client_id=named,
        venue_id=venue_id,
        tick=tick,
        lots=lots,
        exists=life in EXISTS or cum > 0 or owner != "strategy",
        decided=decided,
    )


def _chain(recovered: _core.Recovered) -> tuple[Chain, int]:
    """The runs whose numbers the engine gave, and when the first of them began."""
    words = _newest(recovered, "chain")
    if words is not None:
        return Chain.read(words["runs"]), int(words["began"])
    start = json.loads(recovered.start)
    ids = ClientIds(env=start["client_ids"]["env"], epoch_s=start["epoch_s"], strategy=start["client_ids"]["strategy"])
    return Chain.of(ids), int(start["epoch_s"]) * 10**9


def _newest(recovered: _core.Recovered, topic: str) -> dict[str, Any] | None:
    return next((json.loads(text) for _, said, text in reversed(recovered.notes) if said == topic), None)


def _agreed(recovered: _core.Recovered) -> int:
    """When the books agreed with the venue's last; 0 where no look did."""
    for ts, topic, text in reversed(recovered.notes):
        if topic == "reconcile":
            report = json.loads(text)
            if not report["breaks"] and not report["deferred"]:
                return ts
    return 0


def _recoveries(state: AccountState, now: int) -> list[int]:
    """Write down that a recovery begins, before it can fail; return the latest ones."""
    path = state.path / "recoveries"
    known = [int(word) for word in path.read_text(encoding="ascii").split()] if path.exists() else []
    times = [*known, now][-2 * CRASH_LOOP[0] :]
    write_durably(path, "".join(f"{at}\n" for at in times).encode())
    return times
