"""From a plan of many faults that breaks a promise to the few that are needed, and a story that a person can read.

A case is a file of JSON lines: what is played, then one line for each fault, with `ts_ms`, `symbol` and `type`. The
same file is a regression test, an attachment of a bug report, and what `mmbot debug repro` takes.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmbot.simulation.drill import cast_of_file
from mmbot.simulation.faults import KINDS, PROFILES, Fault, PlanError
from mmbot.simulation.planted import BUGS
from mmbot.simulation.scene import Outcome, play

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from mmbot.simulation.cast import Cast

__all__ = ["CaseError", "Shrinking", "load_case", "play_case", "run_case", "story", "write_case"]

TRIES_MAX = 400


class CaseError(ValueError):
    """A file that is no case of the simulator. The message says which line, and what was expected."""


class Shrinking:
    """Takes out and shortens faults as long as the same promise breaks; the order of the steps is fixed.

    The time window first, then symbols, kinds, halves and quarters of what is left, single faults, and their lengths.
    Raises ValueError for an outcome without a violation.
    """

    def __init__(
        self, failing: Outcome, *, tries: int = TRIES_MAX, heard: Callable[[str], object] = lambda _: None
    ) -> None:
        if failing.violation is None:
            raise ValueError(f"seed {failing.seed} broke no promise; there is nothing to shrink")
        self.best = failing
        self.steps: list[str] = []
        """What was left out, in order."""
        self._promise = failing.violation.promise
        self._left, self._heard = tries, heard

    def run(self) -> Outcome:
        """Shrink as far as it goes."""
        self._window()
        for symbol in sorted({fault.symbol for fault in self.best.plan if fault.symbol}):
            self._try([fault for fault in self.best.plan if fault.symbol != symbol], f"without {symbol}")
        for kind in sorted({fault.kind for fault in self.best.plan}):
            self._try([fault for fault in self.best.plan if fault.kind != kind], f"without {kind}")
        self._parts()
        self._lengths()
        return self.best

    def _try(self, plan: Sequence[Fault], step: str) -> bool:
        if self._left <= 0 or tuple(plan) == self.best.plan:
            return False
        self._left -= 1
        best = self.best
        outcome = play(best.seed, plan=plan, bugs=best.bugs, profile=best.profile, cast=best.cast)
        if outcome.violation is None or outcome.violation.promise != self._promise:
            return False
        self.best = outcome
        self.steps.append(step)
        self._heard(f"{step}: {len(plan)} faults left")
        return True

    def _window(self) -> None:
        """Cut what comes after the break, then halve the window from the left."""
        assert self.best.violation is not None  # kept by every step
        broke = self.best.violation.at // 1_000_000
        self._try([fault for fault in self.best.plan if fault.at_ms <= broke], f"nothing after {broke} ms")
        first = 0
        while len(self.best.plan) > 1:
            plan = self.best.plan
            first = plan[len(plan) // 2].at_ms
            if not self._try([fault for fault in plan if fault.at_ms >= first], f"nothing before {first} ms"):
                return

    def _parts(self) -> None:
        size = max(1, len(self.best.plan) // 2)
        while True:
            start = 0
            while start < len(self.best.plan):
                plan = self.best.plan
                if not self._try([*plan[:start], *plan[start + size :]], f"without {size} from number {start}"):
                    start += size
            if size == 1:
                return
            size //= 2

    def _lengths(self) -> None:
        for index in range(len(self.best.plan)):
            for divisor in (4, 2):
                plan = self.best.plan
                less = replace(plan[index], for_ms=max(1, plan[index].for_ms // divisor))
                self._try([*plan[:index], less, *plan[index + 1 :]], f"{less.kind} for {less.for_ms} ms")


def story(outcome: Outcome) -> str:
    """Tell a case to a person: what was played, what went wrong in which order, what broke."""
    lines = [f"# {outcome.violation or 'no promise broke'}", ""]
    planted = f", planted: {', '.join(outcome.bugs)}" if outcome.bugs else ""
    lines.append(f"Seed {outcome.seed}, profile {outcome.profile}{planted}.")
    lines += ["", "What goes wrong:", ""]
    lines += [f"{number}. {KINDS[fault.kind].said} ({fault})" for number, fault in enumerate(outcome.plan, 1)]
    lines += ["", "What was said:", "", "```", *outcome.log[-60:], "```", ""]
    return "\n".join(lines)


def write_case(outcome: Outcome, path: Path) -> Path:
    """Write a case that `play_case` plays. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {
        "type": "case",
        "seed": outcome.seed,
        "profile": outcome.profile,
        "bugs": list(outcome.bugs),
        "promise": outcome.violation.promise if outcome.violation else "",
        "config": "" if outcome.cast is None else outcome.cast.config,
    }
    faults = [
        {
            "ts_ms": fault.at_ms,
            "symbol": fault.symbol,
            "type": fault.kind,
            "for_ms": fault.for_ms,
            "size": fault.size,
            "number": fault.number,
            "said": KINDS[fault.kind].said,
        }
        for fault in outcome.plan
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in (head, *faults)), encoding="utf-8")
    return path


def _head(told: Mapping[str, Any]) -> dict[str, Any]:
    head = {name: told[name] for name in ("seed", "profile", "bugs", "promise")} | {"config": told.get("config", "")}
    if type(head["seed"]) is not int:
        raise ValueError(f"seed {head['seed']!r}; expected a whole number")
    _known("profile", head["profile"], PROFILES)
    for bug in head["bugs"]:
        _known("planted bug", bug, BUGS)
    return head


def _fault(told: Mapping[str, Any]) -> Fault:
    _known("fault", told["type"], KINDS)
    fault = Fault(
        kind=told["type"],
        at_ms=int(told["ts_ms"]),
        for_ms=int(told["for_ms"]),
        size=float(told["size"]),
        number=int(told["number"]),
        symbol=str(told["symbol"]),
    )
    if fault.at_ms < 0 or fault.for_ms < 0 or not 0 <= fault.size < math.inf:
        raise ValueError(f"ts_ms {fault.at_ms}, for_ms {fault.for_ms}, size {fault.size}; expected none below zero")
    return fault


def _known(what: str, word: object, known: Collection[str]) -> None:
    if word not in known:
        raise ValueError(f"unknown {what} {word!r}; expected one of {', '.join(known)}")


def load_case(path: Path) -> tuple[dict[str, Any], list[Fault]]:
    """Read a case: what is played, and the plan. Raises OSError, CaseError."""
    head: dict[str, Any] | None = None
    plan: list[Fault] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            told = json.loads(line)
            if told["type"] == "case":
                head = _head(told)
            else:
                plan.append(_fault(told))
        except (ValueError, KeyError, TypeError) as error:
            raise CaseError(f"{path}, line {number}: {type(error).__name__}: {error}") from None
    if head is None:
        raise CaseError(f'{path}: no line of type "case" with seed, profile, bugs and promise')
    return head, plan


def play_case(path: Path, cast: Cast | None = None) -> Outcome:
    """Play a recorded case again, with the strategy and limits that it was recorded with, or with others. Raises
    OSError, CaseError, and ConfigError for a configuration that cannot be used any more.
    """
    case, plan = load_case(path)
    if cast is None and case["config"]:
        cast = cast_of_file(Path(case["config"]))
    try:
        return play(case["seed"], plan=plan, bugs=case["bugs"], profile=case["profile"], cast=cast)
    except PlanError as error:
        raise CaseError(f"{path}: {error}") from None


def run_case(path: Path) -> dict[str, object]:
    """Play a case and say in two words what came of it: whether a promise broke, and which. Raises as `play_case`."""
    violation = play_case(path).violation
    return {"fail": violation is not None, "reason": violation.promise if violation else ""}
