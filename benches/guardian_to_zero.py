"""`python -m benches.guardian_to_zero [ROUNDS]`: from a killed and from a stopped engine to no order at the exchange.

Real processes on an exchange of this machine, whose own account of open orders is asked every 20 ms. Prints p50 and the
largest, and what the guardian takes of memory and processor while it watches.
"""

import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "integration"))
from exchange_server import running
from watched_run import until, watched

WATCHED_S = 10.0
TICKS = os.sysconf("SC_CLK_TCK")


def spent(pid: int) -> float:
    """Processor seconds of a process so far."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS


def resident(pid: int) -> float:
    """MB in memory."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1_000


def measured(how: signal.Signals, rounds: int) -> None:
    """One way to lose an engine, so many times."""
    took, memory, load = [], 0.0, 0.0
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with running(folder / "exchange.log", "--tape", "sample:btcusdt", "--speed", "5") as exchange:
                account = exchange.new_account(tier="pro3")
                keys = {"MMBOT_BYBIT_API_KEY": account.key, "MMBOT_BYBIT_API_SECRET": account.secret}
                with watched(exchange, folder, keys) as run:
                    engine = run.quoting()
                    if not memory:
                        before = spent(run.guardian_pid)
                        time.sleep(WATCHED_S)
                        load = (spent(run.guardian_pid) - before) / WATCHED_S
                        memory = resident(run.guardian_pid)
                        until(lambda run=run: run.open_orders() > 0, 10, "orders at the venue")
                    engine.send_signal(how)
                    took.append(until(lambda run=run: run.open_orders() == 0, 10, "no order at the venue"))
    print(
        f"{how.name}: p50 {statistics.median(took):.2f} s, max {max(took):.2f} s of {rounds}; "
        f"guardian {memory:.0f} MB, {load:.1%} of a core"
    )


if __name__ == "__main__":
    for each in (signal.SIGKILL, signal.SIGSTOP):
        measured(each, int(sys.argv[1]) if len(sys.argv) > 1 else 10)
