"""Whether a run's memory stays flat: `python -m benches.run_soak [SECONDS] [SPEED]`.

`mmbot run configs/paper.toml` as it is typed, with the exchange of its own, for SECONDS at SPEED times the market's
pace: 120 s at 60 are two hours of market. Prints the resident memory of both processes (mapped files apart) every five
seconds, and at the end how the last third compares with the middle one. What a run keeps for its report (fills, orders,
samples) grows with its own doings; market data is on disk. Nothing is asserted.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EVERY_S = 5.0


def resident_mb(pid: int) -> float:
    """Resident memory of a process, MB; 0 once it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    lines = [line for line in status.splitlines() if line.startswith(("RssAnon", "RssShmem"))]
    return sum(int(line.split()[1]) for line in lines) / 1024


def children(pid: int) -> list[int]:
    """Processes that a process started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def main() -> None:
    """Run, look, compare."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 120.0
    speed = float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
    text = Path("configs/paper.toml").read_text(encoding="utf-8").replace("speed = 1\n", f"speed = {speed:g}\n")
    seen: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory(dir=".") as folder:
        config = Path(folder) / "soak.toml"
        config.write_text(text, encoding="utf-8")
        words = [sys.executable, "-m", "mmbot", "run", str(config), "--json", "--duration", str(seconds)]
        with subprocess.Popen([*words, "--out", folder], stdout=(Path(folder) / "events").open("wb")) as bot:
            started = time.monotonic()
            while bot.poll() is None and time.monotonic() < started + seconds:
                time.sleep(EVERY_S)
                (exchange,) = children(bot.pid) or [0]
                seen.append((resident_mb(bot.pid), resident_mb(exchange)))
                row = {"s": round(time.monotonic() - started), "bot_mb": seen[-1][0], "exchange_mb": seen[-1][1]}
                print(json.dumps(row), flush=True)
            code = bot.wait()
        last = json.loads((Path(folder) / "events").read_bytes().splitlines()[-1])
    third = len(seen) // 3
    for index, name in enumerate(("bot", "exchange")):
        middle, end = (statistics.median(row[index] for row in part) for part in (seen[third:-third], seen[-third:]))
        print(json.dumps({"process": name, "middle_mb": middle, "last_mb": end, "grown": round(end / middle - 1, 4)}))
    summary = last["summary"] or {}
    fills = summary.get("total", {}).get("fills", {}).get("count")
    print(json.dumps({"exit_code": code, "failure": last["failure"], "fills": fills}))


if __name__ == "__main__":
    main()
