"""mmbot and its peers on one tape, in one run: python -m benches [--quick] [--rounds 3] [--only hftbacktest].

Every case is a process of its own that prints one JSON line; a round runs all cases once, so that whatever else the
machine does falls on all engines alike. Figures are medians over rounds (each a median over replays in its process);
the smallest observation is kept beside. Peers live in `.tools/peers/<name>`, made from pinned requirements when they
are missing; one that cannot be made is skipped, and a case that fails is left out, both said with the reason.
The rules, and what is counted: rules.md.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benches.alone import book, cold_starts, tape_sizes
from benches.cases import BUNDLED, ENGINES, LONG, SMALL, SMALL_MESSAGES, Case, CaseFailed, Row, prepare
from benches.environments import PEERS, ROOT, PeerMissing
from mmbot import _core
from mmbot._core import Tape

RESULTS = Path(__file__).parent / "results"
BASELINE = ("hftbacktest", "mm roi risk", "warm")
MEASURED = ("cpu_s", "cpu_s_min", "wall_s", "wall_s_min", "rss_mb", "mapped_mb", "load_cpu_s", "load")


def merged(rows: list[Row]) -> Row:
    """Medians over the rounds of one case. Raises CaseFailed if there are none, or if they did not end alike."""
    if not rows:
        raise CaseFailed("not measured")
    outcomes = {
        json.dumps({k: v for k, v in row.items() if k not in (*MEASURED, "load")}, sort_keys=True) for row in rows
    }
    if len(outcomes) != 1:
        raise CaseFailed(f"rounds of one case ended differently: {sorted(outcomes)}")
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
        if "cpu_s" not in row:
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


def _cost_of_python(mmbot: dict[str, Row], rule: str) -> float:
    """What the strategy in Python adds to each wake of one rule, in ns."""
    native, python = mmbot["native risk" + rule], mmbot["mm risk" + rule]
    return float((python["cpu_s"] - native["cpu_s"]) / python["wakes"] * 1e9)


def derived(rows: list[Row]) -> dict[str, float]:
    """What follows from cases taken together, where all that it takes were run; the units are in the names."""
    figures: dict[str, float] = {}
    for tape in (LONG, SMALL):
        of = {
            (row["engine"], row["case"]): row for row in rows if row.get("tape") == tape and row.get("state") == "warm"
        }
        mmbot = {case: row for (engine, case), row in of.items() if engine == "mmbot"}
        found = {
            **_times_faster(mmbot, of.get((BASELINE[0], BASELINE[1])), of.get(("hftbacktest", "feed roi"))),
            **_cost_of_wakes(mmbot),
            **_cost_of_many(mmbot, of.get((BASELINE[0], BASELINE[1]))),
        }
        figures |= {f"{tape}: {name}": figure for name, figure in found.items()}
    return figures


def _times_faster(mmbot: dict[str, Row], peer: Row | None, peer_feed: Row | None) -> dict[str, float]:
    """How many times less CPU time than hftbacktest."""
    pairs = (
        ("replay with the strategy in Python, times hftbacktest", peer, "mm risk"),
        ("the same under mmbot's own laws, recorded, times hftbacktest", peer, "mm own laws"),
        ("feed alone, times hftbacktest", peer_feed, "feed"),
    )
    return {name: theirs["cpu_s"] / mmbot[case]["cpu_s"] for name, theirs, case in pairs if theirs and case in mmbot}


def _cost_of_wakes(mmbot: dict[str, Row]) -> dict[str, float]:
    """What a wake costs: with a strategy in Rust, and how much Python adds under each rule."""
    figures: dict[str, float] = {}
    if {"feed", "native risk"} <= mmbot.keys():
        native = mmbot["native risk"]
        spent = native["cpu_s"] - mmbot["feed"]["cpu_s"]
        figures["a wake with its orders, strategy in Rust, ns"] = spent / native["wakes"] * 1e9
    for rule in ("", " by touch", " by message"):
        if {"native risk" + rule, "mm risk" + rule} <= mmbot.keys():
            name = rule or " every 100 ms"
            figures[f"Python added to a wake{name}, ns"] = _cost_of_python(mmbot, rule)
    return figures


def _cost_of_many(mmbot: dict[str, Row], peer: Row | None) -> dict[str, float]:
    """What 64 configurations in one pass cost."""
    figures: dict[str, float] = {}
    for case, words in (("sweep-native risk", "Rust"), ("sweep risk", "Python")):
        if case in mmbot:
            figures[f"64 configurations in one pass, {words}, s"] = mmbot[case]["cpu_s"]
            if peer:
                share = mmbot[case]["cpu_s"] / (64 * peer["cpu_s"])
                figures[f"64 in one pass, {words}, % of 64 runs of hftbacktest"] = 100 * share
    return figures


def check_same_end(rows: list[Row]) -> list[str]:
    """Complaints about tapes at whose end the engines that keep a book do not all see the same best bid and ask."""
    ends: dict[str, dict[tuple[float, float], str]] = {}
    for row in rows:
        if "bid" in row:
            ends.setdefault(row["tape"], {})[row["bid"], row["ask"]] = f"{row['engine']} {row['case']}"
    return [f"{tape}: the engines do not end with the same book: {of}" for tape, of in ends.items() if len(of) > 1]


def git(*arguments: str) -> str:
    """What git says about this checkout; "unknown" outside of one."""
    try:
        told = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return told.stdout.strip()


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
        "commit": git("rev-parse", "HEAD"),
        "changed": git("status", "--porcelain", "--untracked-files=no").splitlines(),
        "core": _core.SOURCE_HASH,
    }


def write(result: Row) -> Path:
    """Keep the run as JSON; returns where."""
    RESULTS.mkdir(exist_ok=True)
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    path = RESULTS / f"{now:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps({"at": now.isoformat(), **result}, indent=1) + "\n")
    return path


def chosen_cases(only: str | None, *, quick: bool, console: Console) -> tuple[list[Case], list[Row]]:
    """The cases to run, and a row for each engine that cannot."""
    cases: list[Case] = []
    skipped: list[Row] = []
    for name, build in ENGINES.items():
        if only not in (None, name):
            continue
        if name in PEERS:
            try:
                with console.status(f"the environment of {name}"):
                    PEERS[name].ensure()
            except PeerMissing as missing:
                skipped.append({"engine": name, "skipped": str(missing)})
                continue
        replays = {True: 2, False: 5}[quick] if name != "nautilus" else {True: 1, False: 2}[quick]
        cases += [case for case in build(replays) if case.quick or not quick]
    return cases, skipped


def measured(cases: list[Case], rounds: int, console: Console) -> tuple[list[Row], list[Row]]:
    """All cases, round by round: one row per case, and every single observation.

    A case that fails once is left out of the next rounds. An interrupt (Ctrl-C) ends the rounds, and what was measured
    until then counts.
    """
    observed: list[list[Row]] = [[] for _ in cases]
    failed: dict[int, str] = {}
    try:
        for number, (place, case) in product(range(rounds), enumerate(cases)):
            if place in failed:
                continue
            with console.status(f"round {number + 1} of {rounds}: {case}"):
                try:
                    observed[place].append(case.run() | {"load": os.getloadavg()[0]})
                except CaseFailed as failure:
                    failed[place] = str(failure)
    except KeyboardInterrupt:
        console.print(f"interrupted in round {number + 1} of {rounds}: the figures are of what was measured until then")
    rows = []
    for place, (case, of_case) in enumerate(zip(cases, observed, strict=True)):
        try:
            rows.append(merged(of_case) if place not in failed else {"failed": failed[place]})
        except CaseFailed as failure:
            rows.append({"failed": str(failure)})
        rows[-1] = {"engine": str(case), "tape": case.tape} | rows[-1]
    return rows, [row for of_case in observed for row in of_case]


def attempted(what: Callable[[], Row]) -> Row:
    """The figures, or why there are none."""
    try:
        return what()
    except CaseFailed as failure:
        return {"failed": str(failure)}


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round of the main cases: under two minutes")
    parser.add_argument("--rounds", type=int, help="interleaved rounds (default 3; 1 with --quick)")
    parser.add_argument("--only", choices=tuple(ENGINES), help="one engine only")
    parser.add_argument("--tape", type=Path, default=BUNDLED, help="another tape than the bundled one")
    options = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 160)
    before = os.getloadavg()
    with console.status("tapes"):
        prepare(Tape.open(options.tape), Tape.open(SMALL_MESSAGES))
    cases, skipped = chosen_cases(options.only, quick=options.quick, console=console)
    rows, raw = measured(cases, options.rounds or (1 if options.quick else 3), console)
    rows += skipped
    result: Row = {"machine": machine() | {"load_before": before}, "cases": rows, "derived": derived(rows)}
    console.print(table(rows))
    for row in rows:
        for outcome in {"skipped", "failed"} & row.keys():
            console.print(f"{row['engine']} {outcome}: {row[outcome]}", highlight=False, markup=False)
    if options.only in (None, "mmbot"):
        with console.status("the book alone, cold starts, tape sizes"):
            result["book_ns_per_level"] = attempted(lambda: book(with_peer=not options.quick and not options.only))
            result["cold_start_s"] = attempted(lambda: cold_starts(1 if options.quick else 5))
            result["tape_bytes_per_event"] = attempted(tape_sizes)
    for name, figure in result["derived"].items():
        console.print(f"{name}: {figure:.3g}", highlight=False)
    for name in ("book_ns_per_level", "cold_start_s", "tape_bytes_per_event"):
        for on, figures in result.get(name, {}).items():
            console.print(f"{name} {on}: {figures}", highlight=False, markup=False)
    complaints = check_same_end(rows)
    result |= {"complaints": complaints, "raw": raw}
    console.print(f"kept in {write(result).relative_to(ROOT)}")
    if complaints:
        raise SystemExit("\n".join(complaints))


if __name__ == "__main__":
    main()
