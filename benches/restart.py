"""`python -m benches.restart [FOLDER]`: how long a start reads the journal of a run of 10,000 to 1,000,000 entries:
taken over from the last snapshot, and, for comparison, from its first entry.
"""

import sys
import tempfile
import time
from pathlib import Path

from benches.live_step import Engine
from mmbot import _core
from mmbot.strategy import quotes

SIZES = (10_000, 100_000, 1_000_000)
START = '{"instruments": [{"venue": "binance-usdm", "symbol": "%s", "kind": "linear", "tick": "%s", "lot": "%s"}]}'


def written(path: Path, entries: int) -> tuple[int, str]:
    """A journal of a run that moves its quotes until there are so many entries; its head."""
    instrument = Engine(None, 1).windows[0].instrument
    journal = _core.Journal.create(path, 0, START % (instrument.symbol, instrument.tick, instrument.lot))
    engine = Engine(journal, 1)
    bid, ask = engine.windows[0].bid, engine.windows[0].ask
    assert bid is not None
    assert ask is not None
    turn = 0
    while journal.entries < entries:
        turn += 1
        engine.wanted = quotes(bid - turn % 5, ask + turn % 5, 1)
        engine.now += 10
        engine.answer(engine.live.step(engine.now, engine.decide, engine.windows))
    journal.sync()
    return journal.head()


def main(parent: str | None) -> None:
    """Print the table."""
    print(f"{'entries':>10} {'MiB':>8} {'begins at':>10} {'taken over, ms':>15} {'read whole, ms':>15}")
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        for entries in SIZES:
            run = Path(folder) / str(entries)
            run.mkdir()
            head = written(run / "journal.mmj", entries)
            size = sum(file.stat().st_size for file in run.iterdir()) / 2**20
            start = time.perf_counter()
            over = _core.take_over(run / "journal.mmj", [head])
            taken = time.perf_counter() - start
            start = time.perf_counter()
            whole = _core.recover(run / "journal.mmj")
            read = time.perf_counter() - start
            assert over.snapshot == whole.snapshot
            print(f"{head[0]:>10,} {size:>8.1f} {over.begins:>10,} {taken * 1e3:>15.1f} {read * 1e3:>15.1f}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
