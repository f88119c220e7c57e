"""Executes firm.md."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from spec_tables import tables
from test_spec_inputs import Stage

from mmbot.ops.account_state import AccountState
from mmbot.ops.firm import Firm, say
from mmbot.risk.firm import Coin, Word

[TABLE] = tables(Path(__file__).with_name("firm.md"))
ORDERS: dict[str, tuple[int | None, int | None]] = {"buy": (1_000, None), "sell": (None, 1_003)}


class Clock:
    """The stage's."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def __call__(self) -> int:
        """A fresh time."""
        return self._stage.clock()

    def peek(self) -> int:
        """The time."""
        return self._stage.now


class Run:
    """As much of a run as the firm's level sees."""

    def __init__(self, stage: Stage) -> None:
        self.core, self.risk, self.clock = stage.core, stage.desk, Clock(stage)
        self.told: Any = [].append
        self.freezing = None


def leave(runs: Path, account: str, words: list[str], now: int) -> None:
    """Make a folder as an account's run leaves it."""
    state = AccountState.of(runs, "simulator", account)
    (state.path / "last-run").write_text("/nowhere\n")
    if "ended" not in words:
        (state.path / "engine").write_text("1 1\n")
    if "silent" in words:
        return
    if "old" in words or "ahead" in words:
        moved = round(Decimal(words[words.index("s") - 1]) * 10**9)
        now += moved if "ahead" in words else -moved
    units = 5 * 10**12 if words[0] in ("torn", "unpriced") else int(Decimal(words[1]) * 10**12)
    high, low = (0 if words[0] == "short" else units), (0 if words[0] == "long" else -units)
    claim = int(Decimal(words[words.index("claims") + 1]) * 10**12) if "claims" in words else None
    say(state, Word(now, None if words[0] == "unpriced" else {"ETH": Coin(units, high, low)}, claim))
    if words[0] == "torn":
        state.holds.write_bytes(state.holds.read_bytes()[:-9])


@pytest.mark.parametrize("row", TABLE.rows, ids=lambda row: f"{row['others'] or 'alone'}: {row['order']}")
def test_an_order_beside_the_firms_other_accounts(row: dict[str, str], tmp_path: Path) -> None:
    """Denied by these codes; none: it leaves."""
    stage = Stage(tmp_path, without="others' holdings")
    for account, said in enumerate(filter(None, row["others"].split(";")), 2):
        leave(tmp_path, str(account), said.split(), stage.now)
    mine = AccountState.of(tmp_path, "simulator", "1")
    Firm(mine, Run(stage), 5_000, 200_000 * 10**12).look()  # type: ignore[arg-type]  as much of a runner as is needed
    assert stage.becomes_of(*ORDERS[row["order"]]) == (row["denied"] or "leaves")
    held = Word.decode(mine.holds.read_bytes()).coins
    assert held is not None
    assert held["BTC"] == Coin(1_001 * 10**9, 1_001 * 10**9, 1_001 * 10**9), "ten lots at the mid"
