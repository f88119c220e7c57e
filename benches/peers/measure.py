"""CPU and wall time of repeated runs, and peak memory; standard library only."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds of process CPU and wall time over the measured rounds, and what the last round returned."""

    cpu_s: float
    cpu_s_min: float
    wall_s: float
    wall_s_min: float
    rounds: int
    outcome: dict[str, Any]

    def as_row(self) -> dict[str, Any]:
        """One flat dict: the timing, the peak memory, the outcome."""
        return {
            "rounds": self.rounds,
            "cpu_s": round(self.cpu_s, 6),
            "cpu_s_min": round(self.cpu_s_min, 6),
            "wall_s": round(self.wall_s, 6),
            "wall_s_min": round(self.wall_s_min, 6),
            "rss_mb": peak_rss_mb(),
            **self.outcome,
        }


def peak_rss_mb() -> int:
    """Largest resident set of this process so far, in MiB (Linux only).

    Not `ru_maxrss`: that one starts at what the parent had when it forked.
    """
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) // 1024


def mapped_mb(path: Path) -> float:
    """MiB of a file that this process maps and that are resident now (Linux only): shared, and the kernel's to drop."""
    name, total_kb, inside = str(path.resolve()), 0, False
    with open("/proc/self/smaps") as maps:
        for line in maps:
            if line[0] in "0123456789abcdef":  # a mapping begins; its attributes begin with a capital
                inside = line.rstrip("\n").endswith(name)
            elif inside and line.startswith("Rss:"):
                total_kb += int(line.split()[1])
    return round(total_kb / 1024, 1)


def warm(prepare: Callable[[], T], run: Callable[[T], dict[str, Any]], rounds: int) -> Timing:
    """Median over `rounds` runs after one unmeasured run; each gets a fresh, unmeasured `prepare()`.

    Raises RuntimeError if two runs over the same tape end differently.
    """
    if rounds < 1:
        raise ValueError(f"a warm measurement needs at least one round, got {rounds}")
    expected = run(prepare())
    cpu, wall = [], []
    for _ in range(rounds):
        engine = prepare()
        cpu_from, wall_from = time.process_time(), time.perf_counter()
        outcome = run(engine)
        cpu.append(time.process_time() - cpu_from)
        wall.append(time.perf_counter() - wall_from)
        if outcome != expected:
            raise RuntimeError(f"two replays of one tape differ: {expected} then {outcome}")
    return Timing(
        cpu_s=statistics.median(cpu),
        cpu_s_min=min(cpu),
        wall_s=statistics.median(wall),
        wall_s_min=min(wall),
        rounds=rounds,
        outcome=expected,
    )


def process_age_s() -> float:
    """Wall seconds since this process was started, from the kernel's own record (Linux only; 10 ms resolution)."""
    with open("/proc/self/stat") as stat:
        started_ticks = int(stat.read().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started_ticks / 100


def cold(prepare: Callable[[], T], run: Callable[[T], dict[str, Any]], load_cpu_s: float, load_wall_s: float) -> Timing:
    """The first run of this process, with everything since the process began except the loading of the data."""
    outcome = run(prepare())
    cpu_s, wall_s = time.process_time() - load_cpu_s, process_age_s() - load_wall_s
    return Timing(cpu_s=cpu_s, cpu_s_min=cpu_s, wall_s=wall_s, wall_s_min=wall_s, rounds=1, outcome=outcome)
