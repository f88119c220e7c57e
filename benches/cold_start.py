"""From the start of a process to its first decision and to its end: python -m benches.cold_start bare X1.tape.

    bare PATH     import the core, open the tape, replay it with the strategy of rules.md
    cli CONFIG    the command `mmbot backtest CONFIG`, to the written report

Each must be a fresh process. Prints one JSON line: wall seconds since the kernel made the process (10 ms resolution).
"""

import json
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from benches.peers.measure import process_age_s


def noting(decide: Callable[..., Any], ages: list[float]) -> Callable[..., Any]:
    """`decide`, noting the age of the process when it is first called."""

    def first(*arguments: Any) -> Any:
        if not ages:
            ages.append(process_age_s())
        return decide(*arguments)

    return first


def bare(path: str, ages: list[float]) -> None:
    """The core alone, under the laws of the comparison."""
    from benches import mmbot_run as runner  # noqa: PLC0415  what is imported is part of the cold start

    tape = runner.Tape.open(path)
    laws = Namespace(mode="mm", queue="risk", laws="parity", wake="interval", full_book=False)
    runner.JoinTheTouch.decide = noting(runner.JoinTheTouch.decide, ages)  # type: ignore[method-assign]
    runner.run(runner.replay_of(tape, laws), tape, "mm")


def cli(config: str, ages: list[float]) -> None:
    """The whole command, its report written into a directory that is thrown away."""
    from mmbot.cli import main as command  # noqa: PLC0415
    from mmbot.strategies.market_maker import MarketMaker  # noqa: PLC0415

    MarketMaker.decide = noting(MarketMaker.decide, ages)  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        sys.argv = ["mmbot", "backtest", config, "--quiet", "--out", folder]
        try:
            command()
        except SystemExit as ended:
            if ended.code:
                raise


def main() -> None:
    """Start cold, once."""
    start = {"bare": bare, "cli": cli}[sys.argv[1]]
    python_s, ages = process_age_s(), []
    start(str(Path(sys.argv[2])), ages)
    if not ages:
        raise SystemExit("the strategy was never asked: nothing was measured")
    row = {
        "case": sys.argv[1],
        "python_s": round(python_s, 3),
        "first_decide_s": round(ages[0], 3),
        "end_s": round(process_age_s(), 3),
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
