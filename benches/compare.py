"""mmbot and its peers on one tape, in one run: python -m benches [--rounds 3] [--install] [--only hftbacktest].

Every case is a process of its own that prints one JSON line; a round runs all cases once, so that whatever else the
machine does falls on all engines alike. Figures are medians over rounds (each a median over replays in its process);
the smallest observation is kept beside. Peers live in `.tools/peers/<name>`, made by --install from the pinned
requirements; one that is not there is skipped, and said to be. The rules, and what is counted: rules.md.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benches.peers.tape_to_hft import check_order, to_events
from benches.tapes import to_capture, write_tape
from mmbot._core import Tape

ROOT = Path(__file__).parents[1]
WORK = ROOT / ".benchmarks"
RESULTS = Path(__file__).parent / "results"
ENVIRONMENTS = ROOT / ".tools" / "peers"
PEERS = {"hftbacktest": "3.11", "nautilus": ">=3.12"}  # name of the environment: its Python
COPIES = 12
BUNDLED = ROOT / "python" / "mmbot" / "samples" / "binance-usdm-btcusdt-20240808.tapez"
BASELINE = ("hftbacktest", "mm roi risk", "warm")
MEASURED = ("cpu_s", "cpu_s_min", "wall_s", "wall_s_min", "rss_mb", "load_cpu_s")

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One process of a round: a runner's module, the environment it needs (None: this one), its arguments."""

    module: str
    environment: str | None
    tape: str
    arguments: tuple[str, ...]

    def command(self) -> list[str]:
        """The command line."""
        python = sys.executable if self.environment is None else str(python_of(self.environment))
        return [python, "-W", "ignore", "-m", self.module, *self.arguments]

    def run(self) -> Row:
        """One measured process; RuntimeError with its own words if it fails."""
        ended = subprocess.run(self.command(), cwd=ROOT, capture_output=True, text=True, check=False)
        if ended.returncode != 0:
            raise RuntimeError(f"{' '.join(self.command())} ended with {ended.returncode}:\n{ended.stderr.strip()}")
        return {"tape": self.tape, **json.loads(ended.stdout.splitlines()[-1])}


def python_of(environment: str) -> Path:
    """The interpreter of a peer's environment, whether it exists or not."""
    return ENVIRONMENTS / environment / "bin" / "python"


def install(environment: str) -> None:
    """Make a peer's environment from its pinned requirements, with uv."""
    uv = shutil.which("uv", path=f"{ROOT / '.tools' / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is None:
        raise SystemExit("uv was not found on the path or in .tools/bin; `make setup` installs it")
    target = ENVIRONMENTS / environment
    requirements = Path(__file__).parent / "peers" / f"requirements-{environment}.txt"
    subprocess.run([uv, "venv", "-q", "--clear", "--python", PEERS[environment], str(target)], check=True)
    subprocess.run(
        [uv, "pip", "install", "-q", "--python", str(python_of(environment)), "-r", str(requirements)], check=True
    )


def prepare(source: Tape) -> None:
    """Write the tape, once and tiled, in each engine's form below `.benchmarks`; kept while the tape is the same."""
    WORK.mkdir(exist_ok=True)
    stamp = WORK / "prepared"
    if stamp.exists() and stamp.read_text() == str(source.tape_hash):
        return
    source.save(WORK / "x1.tape")
    tiled = write_tape(to_capture(source).tiled(COPIES), source, WORK / f"x{COPIES}.tape")
    for name, tape in (("x1", source), (f"x{COPIES}", tiled)):
        capture = to_capture(tape)
        capture.save(WORK / f"{name}.npz")
        events = to_events(capture)
        check_order(events)
        np.save(WORK / f"{name}.npy", events)
    stamp.write_text(str(source.tape_hash))


def mmbot_cases() -> list[Case]:
    """The replay alone, the strategy in Rust and in Python, 64 of them in one pass; the short tape warm and cold."""
    long, short = f"x{COPIES}", "x1"
    told = [
        (long, "--mode", "feed"),
        (long, "--mode", "native"),
        (long, "--mode", "mm"),
        (long, "--mode", "mm", "--full-book"),
        (long, "--mode", "sweep"),
        (long, "--mode", "sweep-native"),
        (short, "--mode", "mm", "--log", str(WORK / "mmbot.npz")),
        (short, "--mode", "mm", "--cold"),
    ]
    return [
        Case(
            module="benches.mmbot_run",
            environment=None,
            tape=tape,
            arguments=(str(WORK / f"{tape}.tape"), *rest),
        )
        for tape, *rest in told
    ]


def hftbacktest_cases() -> list[Case]:
    """Feed and strategy on either book, warm on the long tape; the fast book also on the short one, warm and cold."""
    long, short = f"x{COPIES}", "x1"
    told = [
        (long, "--mode", "feed", "--depth", "roi"),
        (long, "--mode", "feed", "--depth", "hash"),
        (long, "--mode", "mm", "--depth", "roi"),
        (long, "--mode", "mm", "--depth", "hash"),
        (short, "--mode", "mm", "--depth", "roi", "--log", str(WORK / "hftbacktest.npz")),
        (short, "--mode", "mm", "--depth", "roi", "--cold"),
    ]
    return [
        Case(
            module="benches.peers.hftbacktest_run",
            environment="hftbacktest",
            tape=tape,
            arguments=(str(WORK / f"{tape}.npy"), *rest),
        )
        for tape, *rest in told
    ]


def nautilus_cases() -> list[Case]:
    """Engine alone, with a listener, with the strategy; the short tape only: its objects take 0.5 kB per level."""
    told = [("--mode", "feed"), ("--mode", "sub"), ("--mode", "mm"), ("--mode", "mm", "--cold")]
    return [
        Case(
            module="benches.peers.nautilus_run",
            environment="nautilus",
            tape="x1",
            arguments=(str(WORK / "x1.npz"), *rest),
        )
        for rest in told
    ]


def merged(rows: list[Row]) -> Row:
    """Medians over the rounds of one case; RuntimeError if the rounds did not end alike."""
    outcomes = {json.dumps({k: v for k, v in row.items() if k not in MEASURED}, sort_keys=True) for row in rows}
    if len(outcomes) != 1:
        raise RuntimeError(f"rounds of one case ended differently: {sorted(outcomes)}")
    least = {name: min(row[name] for row in rows) for name in ("cpu_s_min", "wall_s_min") if name in rows[0]}
    medians = {
        name: statistics.median(row[name] for row in rows) for name in MEASURED if name in rows[0] and name not in least
    }
    return rows[0] | medians | least


def nanoseconds_per_event(row: Row) -> float:
    """CPU cost of one event."""
    return float(row["cpu_s"]) / int(row["events"]) * 1e9


def baseline(rows: list[Row]) -> dict[str, float]:
    """Per tape, what one event costs hftbacktest's fast book with the strategy, warm, in ns."""
    return {
        row["tape"]: nanoseconds_per_event(row)
        for row in rows
        if (row["engine"], row.get("case"), row.get("state")) == BASELINE
    }


def table(rows: list[Row]) -> Table:
    """The result, one line per case; `speed` counts in hftbacktest's vector book with the strategy, warm, same tape."""
    shown = Table(title="CPU time of one replay", caption="speed: events per CPU second, hftbacktest mm roi warm = 1")
    for name in ("engine", "case", "tape", "state"):
        shown.add_column(name, no_wrap=True)
    for name in ("CPU s", "min", "M events/s", "ns/event", "speed", "wall s", "RSS MB", "submits", "cancels", "fills"):
        shown.add_column(name, justify="right")
    costs = baseline(rows)
    for row in rows:
        if "skipped" in row:
            shown.add_row(row["engine"], f"skipped: {row['skipped']}")
            continue
        cost = nanoseconds_per_event(row)
        shown.add_row(
            f"{row['engine']} {row['version']}",
            row["case"],
            row["tape"],
            row["state"],
            f"{row['cpu_s']:.4f}",
            f"{row['cpu_s_min']:.4f}",
            f"{1e3 / cost:.2f}",
            f"{cost:.2f}",
            f"{costs[row['tape']] / cost:.2f}" if row["tape"] in costs else "–",
            f"{row['wall_s']:.4f}",
            f"{row['rss_mb']:.0f}",
            *(str(row.get(name) or "–") for name in ("submits", "cancels", "fills")),
        )
    return shown


def derived(rows: list[Row]) -> dict[str, float]:
    """What follows from differences between cases of mmbot on the long tape, where all were run; ns and s of CPU."""
    mmbot = {row["case"]: row for row in rows if row["engine"] == "mmbot" and row.get("tape") == f"x{COPIES}"}
    if not {"feed", "native risk", "mm risk", "sweep risk", "sweep-native risk"} <= mmbot.keys():
        return {}
    feed, native, mm = mmbot["feed"], mmbot["native risk"], mmbot["mm risk"]
    figures = {
        "a wake with its orders, strategy in Rust, ns": (native["cpu_s"] - feed["cpu_s"]) / native["wakes"] * 1e9,
        "the strategy in Python, added to each wake, ns": (mm["cpu_s"] - native["cpu_s"]) / mm["wakes"] * 1e9,
        "64 configurations in one pass, Rust, s": mmbot["sweep-native risk"]["cpu_s"],
        "64 configurations in one pass, Python, s": mmbot["sweep risk"]["cpu_s"],
        "64 passes of one configuration, Python, s (calculated)": 64 * mm["cpu_s"],
    }
    for row in rows:
        if (row["engine"], row.get("case"), row.get("state")) == BASELINE and row["tape"] == f"x{COPIES}":
            figures["64 passes of hftbacktest mm roi, s (calculated)"] = 64 * row["cpu_s"]
    return figures


def book_alone() -> str:
    """What `cargo bench` says about the books; empty without a Rust toolchain."""
    cargo = shutil.which("cargo")
    if cargo is None:
        return ""
    told = subprocess.run(
        [cargo, "bench", "--quiet", "-p", "mmbot-book"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return told.stdout.strip()


def check_same_end(rows: list[Row]) -> None:
    """RuntimeError unless every engine that keeps a book ends with the same best bid and ask."""
    ends = {(row["bid"], row["ask"]): f"{row['engine']} {row['case']}" for row in rows if "bid" in row}
    if len(ends) > 1:
        raise RuntimeError(f"the engines do not end with the same book: {ends}")


def machine() -> Row:
    """What the figures were taken on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def write(result: Row) -> Path:
    """Keep the run as JSON; returns where."""
    RESULTS.mkdir(exist_ok=True)
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    path = RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps({"at": now.isoformat(), "machine": machine(), **result}, indent=1) + "\n")
    return path


def chosen_cases(only: str | None, *, installs: bool) -> tuple[list[Case], list[Row]]:
    """The cases to run, and a row for each engine that cannot."""
    engines = {"mmbot": mmbot_cases, "hftbacktest": hftbacktest_cases, "nautilus": nautilus_cases}
    cases: list[Case] = []
    skipped: list[Row] = []
    for name, build in engines.items():
        if only not in (None, name):
            continue
        if name in PEERS and installs and not python_of(name).exists():
            install(name)
        if name in PEERS and not python_of(name).exists():
            skipped.append({"engine": name, "skipped": "no environment; run with --install"})
            continue
        cases += build()
    return cases, skipped


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (default 3)")
    parser.add_argument("--install", action="store_true", help="make missing peer environments first (network)")
    parser.add_argument("--only", choices=("mmbot", *PEERS), help="one engine only")
    parser.add_argument("--tape", type=Path, default=BUNDLED, help="another tape than the bundled one")
    parser.add_argument("--book", action="store_true", help="also run the benchmark of the books alone (cargo)")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 160)
    prepare(Tape.open(options.tape))
    cases, rows = chosen_cases(options.only, installs=options.install)
    rounds: list[list[Row]] = [[] for _ in cases]
    for number in range(options.rounds):
        for place, case in enumerate(cases):
            with console.status(
                f"round {number + 1} of {options.rounds}: {case.module} {' '.join(case.arguments[1:])}"
            ):
                rounds[place].append(case.run())
    rows = [*(merged(of_case) for of_case in rounds), *rows]
    check_same_end(rows)
    console.print(table(rows))
    result: Row = {"cases": rows, "derived": derived(rows)}
    for name, figure in result["derived"].items():
        console.print(f"{name}: {figure:.3g}")
    if options.book:
        result["book"] = book_alone()
        console.print(result["book"])
    result["raw"] = [row for of_case in rounds for row in of_case]
    console.print(f"kept in {write(result).relative_to(ROOT)}")


if __name__ == "__main__":
    main()
