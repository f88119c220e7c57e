"""What is measured beside the replays: the book alone, a cold start, the size of a tape on disk."""

import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benches.cases import BUNDLED, LONG, ONE, SMALL, SMALL_MESSAGES, WORK, CaseFailed, Row, last_line, steps_of
from benches.environments import ROOT
from mmbot._core import Tape

HFT_BOOK = Path(__file__).parent / "peers" / "hft_book"


def _built(arguments: list[str], folder: Path) -> None:
    """Build with cargo. Raises CaseFailed with the compiler's last words, or without a toolchain."""
    cargo = shutil.which("cargo")
    if cargo is None:
        raise CaseFailed("no cargo on the path")
    ended = subprocess.run(
        [cargo, "build", "--quiet", "--release", "--locked", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        raise CaseFailed(f"cargo build {' '.join(arguments)}: {' | '.join(ended.stderr.strip().splitlines()[-3:])}")


def book(*, with_peer: bool) -> Row:
    """Nanoseconds per level of the book alone on the real capture and on small messages, the peer's books beside it.

    Raises CaseFailed when mmbot's cannot be built; a peer that cannot be is said in the result.
    """
    _built(["-p", "mmbot-replay", "--example", "book_alone"], ROOT)
    own = ROOT / "target" / "release" / "examples" / "book_alone"
    figures: Row = {name: last_line([str(own), str(WORK / f"{name}.tape")]) for name in (LONG, SMALL)}
    if with_peer:
        target = ROOT / "target" / "hft_book"
        try:
            _built(["--target-dir", str(target)], HFT_BOOK)
            for name in (LONG, SMALL):
                tick, lot = steps_of(WORK / f"{name}.tape")[1::2]
                peer = last_line([str(target / "release" / "hft-book"), str(WORK / f"{name}.npy"), tick, lot])
                if (peer["bid"], peer["ask"]) != (figures[name]["bid"], figures[name]["ask"]):
                    raise CaseFailed(f"the books end differently: {figures[name]} and {peer}")
                figures[name] |= {"hftbacktest_roi_ns": peer["roi_ns"], "hftbacktest_hash_ns": peer["hash_ns"]}
        except CaseFailed as failed:
            figures["peer"] = f"failed: {failed}"
    return figures


def cold_starts(times: int) -> Row:
    """Median wall seconds from process start to the interpreter, the first decision and the end, in fresh processes.

    Raises CaseFailed.
    """
    found: Row = {}
    for case, argument in (("bare", WORK / f"{ONE}.tape"), ("cli", ROOT / "configs" / "backtest.toml")):
        rows = [
            last_line([sys.executable, "-W", "ignore", "-m", "benches.cold_start", case, str(argument)])
            for _ in range(times)
        ]
        found[case] = {
            name: round(statistics.median(row[name] for row in rows), 3)
            for name in ("python_s", "first_decide_s", "end_s")
        }
    return found


def tape_sizes() -> Row:
    """Bytes per event of the bundled tapes, open and packed."""
    sizes: Row = {}
    for name, packed in (("binance", BUNDLED), ("bybit", SMALL_MESSAGES)):
        tape = Tape.open(packed)
        with tempfile.TemporaryDirectory() as folder:
            opened = Path(folder) / "open.tape"
            tape.save(opened)
            sizes[name] = {
                "events": tape.events,
                "open": round(opened.stat().st_size / tape.events, 2),
                "packed": round(packed.stat().st_size / tape.events, 2),
            }
    return sizes
