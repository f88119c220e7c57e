"""What is run: every case of the comparison, each a process of its own that ends by printing one JSON line."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benches.environments import PEERS, ROOT
from benches.peers.tape_to_hft import check_order, to_events
from benches.tapes import to_capture, write_tape
from mmbot._core import Tape

WORK = ROOT / ".benchmarks"
SAMPLES = ROOT / "python" / "mmbot" / "samples"
BUNDLED = SAMPLES / "binance-usdm-btcusdt-20240808.tapez"
SMALL_MESSAGES = SAMPLES / "bybit-linear-btcusdt-20260809.tapez"
COPIES = 12
SMALL_EVENTS_MIN = 2_000_000
ONE, LONG, SMALL = "x1", f"x{COPIES}", "small"

Row = dict[str, Any]


class CaseFailed(Exception):  # noqa: N818 (an answer, kept in the result)
    """A case's process did not end well; the message holds its own last words."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One process of a round: a runner's module, the environment it needs (None: this one), its arguments."""

    module: str
    environment: str | None
    tape: str
    arguments: tuple[str, ...]
    quick: bool = False

    def __str__(self) -> str:
        """Name it as a person would type it."""
        return f"{self.module.rpartition('.')[2]} {' '.join((self.tape, *self.arguments[1:]))}"

    def command(self) -> list[str]:
        """The command line."""
        python = sys.executable if self.environment is None else str(PEERS[self.environment].python)
        return [python, "-W", "ignore", "-m", self.module, *self.arguments]

    def run(self) -> Row:
        """One measured process. Raises CaseFailed."""
        return {"tape": self.tape, **last_line(self.command())}


def last_line(command: list[str], timeout_s: float = 300) -> Row:
    """Run a command and read the JSON it ends with. Raises CaseFailed with its own words if there is none."""
    try:
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise CaseFailed(f"{' '.join(command)} took longer than {timeout_s:.0f} s") from None
    if ended.returncode != 0:
        words = ended.stderr.strip().splitlines()[-3:]
        raise CaseFailed(f"{' '.join(command)} ended with {ended.returncode}: {' | '.join(words)}")
    try:
        return dict(json.loads(ended.stdout.splitlines()[-1]))
    except (IndexError, ValueError) as error:
        raise CaseFailed(f"{' '.join(command)} did not end with a line of JSON: {error}") from None


def prepare(source: Tape, small: Tape) -> None:
    """Write each tape in each engine's form below `.benchmarks`; kept while the sources are the same."""
    WORK.mkdir(exist_ok=True)
    stamp, sources = WORK / "prepared", f"{source.tape_hash} {small.tape_hash} {COPIES} {SMALL_EVENTS_MIN}"
    if stamp.exists() and stamp.read_text() == sources:
        return
    stamp.unlink(missing_ok=True)
    source.save(WORK / f"{ONE}.tape")
    small_copies = -(-SMALL_EVENTS_MIN // small.events)
    tapes = {
        ONE: source,
        LONG: write_tape(to_capture(source).tiled(COPIES), source, WORK / f"{LONG}.tape"),
        SMALL: write_tape(to_capture(small).tiled(small_copies), small, WORK / f"{SMALL}.tape"),
    }
    for name, tape in tapes.items():
        capture = to_capture(tape)
        events = to_events(capture)
        check_order(events)
        np.save(WORK / f"{name}.npy", events)
        if name == ONE:
            capture.save(WORK / f"{name}.npz")
    stamp.write_text(sources)


def steps_of(tape: Path) -> tuple[str, ...]:
    """The price and size steps of a tape, as arguments for a peer."""
    instrument = Tape.open(tape).instrument
    return ("--tick", instrument.tick, "--lot", instrument.lot)


def mmbot_cases(replays: int) -> list[Case]:
    """The replay alone, in Rust and in Python, by each wake rule, with its own laws, 64 in one pass, small messages."""
    log = str(WORK / "mmbot.npz")
    told = [
        (True, LONG, "--mode", "feed"),
        (True, LONG, "--mode", "native"),
        (True, LONG, "--mode", "mm"),
        (False, LONG, "--mode", "mm", "--full-book"),
        (True, LONG, "--mode", "mm", "--laws", "own"),
        (False, LONG, "--mode", "native", "--wake", "touch"),
        (False, LONG, "--mode", "mm", "--wake", "touch"),
        (False, LONG, "--mode", "native", "--wake", "message"),
        (False, LONG, "--mode", "mm", "--wake", "message"),
        (True, LONG, "--mode", "sweep"),
        (True, LONG, "--mode", "sweep-native"),
        (True, ONE, "--mode", "mm", "--log", log),
        (False, ONE, "--mode", "mm", "--cold"),
        (True, SMALL, "--mode", "feed"),
        (True, SMALL, "--mode", "native"),
        (True, SMALL, "--mode", "mm"),
        (False, SMALL, "--mode", "mm", "--laws", "own"),
    ]
    public = Case(
        module="benches.public_run",
        environment=None,
        tape=LONG,
        arguments=(str(WORK / f"{LONG}.tape"), "--rounds", str(replays)),
        quick=True,
    )
    cases = [
        Case(
            module="benches.mmbot_run",
            environment=None,
            tape=tape,
            arguments=(str(WORK / f"{tape}.tape"), *rest, "--rounds", str(replays)),
            quick=quick,
        )
        for quick, tape, *rest in told
    ]
    return [*cases, public]


def hftbacktest_cases(replays: int) -> list[Case]:
    """Feed and strategy on the fast book, the strategy on the other one too; the short tape warm and cold."""
    log = str(WORK / "hftbacktest.npz")
    told = [
        (True, LONG, "--mode", "feed", "--depth", "roi"),
        (True, LONG, "--mode", "mm", "--depth", "roi"),
        (False, LONG, "--mode", "mm", "--depth", "hash"),
        (False, ONE, "--mode", "mm", "--depth", "roi", "--log", log),
        (False, ONE, "--mode", "mm", "--depth", "roi", "--cold"),
        (False, SMALL, "--mode", "feed", "--depth", "roi"),
        (False, SMALL, "--mode", "mm", "--depth", "roi"),
    ]
    return [
        Case(
            module="benches.peers.hftbacktest_run",
            environment="hftbacktest",
            tape=tape,
            arguments=(
                str(WORK / f"{tape}.npy"),
                *rest,
                *steps_of(WORK / f"{tape}.tape"),
                "--rounds",
                str(replays),
            ),
            quick=quick,
        )
        for quick, tape, *rest in told
    ]


def nautilus_cases(replays: int) -> list[Case]:
    """Engine alone, and with the strategy; the short tape only: its objects take 0.5 kB per level."""
    told = [
        (False, "--mode", "feed"),
        (True, "--mode", "mm"),
        (False, "--mode", "mm", "--cold"),
    ]
    return [
        Case(
            module="benches.peers.nautilus_run",
            environment="nautilus",
            tape=ONE,
            arguments=(str(WORK / f"{ONE}.npz"), *rest, "--rounds", str(replays)),
            quick=quick,
        )
        for quick, *rest in told
    ]


ENGINES = {"mmbot": mmbot_cases, "hftbacktest": hftbacktest_cases, "nautilus": nautilus_cases}
