"""Levels that the core took over from an earlier run hold as long as the freeze board holds them, and no longer."""

from mmbot.risk.levels import FIRM, FreezeLevel, Scope
from mmbot.risk.watch import RiskWatch
from mmbot.runtime.risk import RiskDesk

SYMBOL, STRATEGY = Scope("symbol", "linear BTCUSDT"), Scope("strategy", "Quoter")
SECOND = 1_000_000_000


class Core:
    """Hears what is restricted; it has no books."""

    def __init__(self) -> None:
        self.levels: dict[str, int] = {}

    def restrict(self, _: int, scope: str, level: int, instrument: int | None) -> None:
        """Note it."""
        self.levels[scope if instrument is None else f"{scope} {instrument}"] = level

    def books(self, *_: int) -> dict[str, int | None]:
        """Nothing is held."""
        return {"position_lots": 0, "cash_units": 0, "bid": None, "ask": None}


class Listed:
    """One instrument."""

    category, symbol = "linear", "BTCUSDT"


def test_what_the_board_lifts_is_lifted_in_the_core_and_nothing_else():
    """At the start and once a second; a level that a watch of this run found stays."""
    core, board, now = Core(), {SYMBOL: FreezeLevel.NO_NEW, STRATEGY: FreezeLevel.REDUCE_ONLY}, [1]

    def clock() -> int:
        now[0] += SECOND
        return now[0]

    desk = RiskDesk(RiskWatch(strategy="Quoter", account="main"), core, [Listed()])  # type: ignore[arg-type, list-item]
    desk.obey(lambda scope: board.get(scope, FreezeLevel.NORMAL), clock)
    assert core.levels == {"firm": 0, "account": 0, "strategy": 1, "symbol 0": 2}
    desk.tick(clock)
    assert core.levels["symbol 0"] == FreezeLevel.NO_NEW
    for _ in range(desk.watch.config.rejects_in_a_row):
        desk._found += desk.watch.refused(clock())
    assert desk.tick(clock) > FreezeLevel.NORMAL
    found = core.levels["strategy"]
    assert found > FreezeLevel.NORMAL
    board.clear()
    desk.tick(clock)
    assert core.levels == {"firm": 0, "account": 0, "strategy": found, "symbol 0": 0}
    board[FIRM] = FreezeLevel.NO_NEW
    desk.tick(clock)
    assert core.levels["firm"] == 0, "a raise is the gate's to hold"
