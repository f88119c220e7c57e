"""A process that trades on an account, loses, and is killed at it: python losing_process.py FOLDER LOSS."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from trading_desk import Desk

from mmbot.config import RiskConfig
from mmbot.ops.account_state import AccountState
from mmbot.ops.controls import risk_desk


def main() -> None:
    """Print which controls asked for a freeze, one line for each, and die."""
    folder, loss = Path(sys.argv[1]), float(sys.argv[2])
    run = folder / str(os.getpid())
    run.mkdir()
    desk = Desk(run)
    state = AccountState.of(folder, "demo", "7")
    config = RiskConfig(capital_usd="3", guards=False)
    risk = risk_desk(config, desk.runner, [100], strategy="quoter", account="7", folder=state)
    asyncio.run(desk.open())
    desk.book()
    risk.tick(desk.clock)
    price = round(1_000 + loss * 1_000)
    desk.core.moved(now := desk.clock(), 0, "buy", "adopted", "buy", price, 10, 0, now)
    desk.core.moved(now := desk.clock(), 0, "sell", "adopted", "sell", 1_000, 10, 0, now)
    risk._due = 0
    risk.tick(desk.clock)
    for event in desk.told("freeze asked"):
        sys.stdout.write(f"{event['control']}\n")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
