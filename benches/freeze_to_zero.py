"""How long from a freeze to zero open orders, proven, on the exchange server over real sockets.

    python -m benches.freeze_to_zero [RUNS]

The measurement is `mmbot.ops.cancel_proof`, which the launch gate asks for as well.
"""

from __future__ import annotations

import asyncio
import sys

from mmbot.ops.cancel_proof import cancelled


def main() -> None:
    """Print p50 and the largest of each."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    for name, blackholed in (("healthy", False), ("rest blackholed", True)):
        took = asyncio.run(cancelled(runs, blackholed=blackholed))
        for what in ("gone", "proven"):
            seconds = sorted(getattr(one, what) for one in took)
            print(f"{name:16} {what:7} p50 {seconds[len(seconds) // 2]:.3f} s  max {seconds[-1]:.3f} s  ({runs} runs)")


if __name__ == "__main__":
    main()
