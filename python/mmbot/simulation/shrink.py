"""From a plan of many faults that breaks a promise to the few that are needed, and a story that a person can read."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmbot.simulation.faults import KINDS, Fault
from mmbot.simulation.scene import Outcome, play

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["load_case", "minimise", "play_case", "write_case"]

TRIES_MAX = 400


def minimise(failing: Outcome, *, tries: int = TRIES_MAX, heard: Callable[[str], object] = lambda _: None) -> Outcome:
    """Take out and shorten faults as long as the same promise breaks. The order of the steps is fixed.

    Whole kinds first, then halves, quarters … of the faults, then each fault's length and size. Raises ValueError for
    an outcome without a violation.
    """
    if failing.violation is None:
        raise ValueError(f"seed {failing.seed} broke no promise; there is nothing to shrink")
    best, left = failing, tries

    def attempt(plan: Sequence[Fault], step: str) -> bool:
        nonlocal best, left
        if left <= 0 or len(plan) == len(best.plan) and list(plan) == list(best.plan):
            return False
        left -= 1
        outcome = play(failing.seed, plan=plan, bugs=failing.bugs, profile=failing.profile)
        if outcome.violation is None or outcome.violation.promise != best.violation.promise:  # type: ignore[union-attr]
            return False
        best = outcome
        heard(f"{step}: {len(best.plan)} faults left")
        return True

    for kind in sorted({fault.kind for fault in best.plan}):
        attempt([fault for fault in best.plan if fault.kind != kind], f"without {kind}")
    size = max(1, len(best.plan) // 2)
    while True:
        start = 0
        while start < len(best.plan):
            if not attempt([*best.plan[:start], *best.plan[start + size :]], f"without {size} from {start}"):
                start += size
        if size == 1:
            break
        size //= 2
    for index in range(len(best.plan)):
        for shorter in (4, 2):
            fault = best.plan[index]
            less = replace(fault, for_ms=max(1, fault.for_ms // shorter))
            attempt([*best.plan[:index], less, *best.plan[index + 1 :]], f"{fault.kind} shorter")
    return best


def write_case(outcome: Outcome, folder: Path) -> Path:
    """Write a case that breaks a promise as a file that a person can read and `play_case` can play."""
    folder.mkdir(parents=True, exist_ok=True)
    assert outcome.violation is not None  # only what broke one is a case
    path = folder / f"{outcome.violation.promise.lower()}-seed{outcome.seed}.toml"
    lines = [f"# {outcome.violation}"]
    lines += [f"#   {KINDS[fault.kind].said}: {fault}" for fault in outcome.plan]
    lines += [f"seed = {outcome.seed}", f'profile = "{outcome.profile}"', f"bugs = {list(outcome.bugs)!r}".replace("'", '"')]
    lines.append(f'promise = "{outcome.violation.promise}"')
    for fault in outcome.plan:
        lines += ["", "[[fault]]", f'kind = "{fault.kind}"', f"at_ms = {fault.at_ms}", f"for_ms = {fault.for_ms}"]
        lines += [f"size = {fault.size}", f"number = {fault.number}"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def load_case(path: Path) -> tuple[dict[str, Any], list[Fault]]:
    """Read a case. Raises OSError, and ValueError for a file that is none."""
    try:
        case = tomllib.loads(path.read_text(encoding="utf-8"))
        plan = [Fault(**fault) for fault in case.pop("fault", [])]
        unknown = {fault.kind for fault in plan} - set(KINDS)
        if unknown:
            raise ValueError(f"unknown faults {sorted(unknown)}")
        return {name: case[name] for name in ("seed", "profile", "bugs", "promise")}, plan
    except (tomllib.TOMLDecodeError, TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{path}: no case of the simulator ({error}); expected seed, profile, bugs, promise, [[fault]]") from None


def play_case(path: Path) -> Outcome:
    """Play a recorded case again."""
    case, plan = load_case(path)
    return play(case["seed"], plan=plan, bugs=case["bugs"], profile=case["profile"])
