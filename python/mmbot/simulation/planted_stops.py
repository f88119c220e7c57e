"""Bugs planted into what stops a run: see `mmbot.simulation.planted`."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

from mmbot.ops import freeze_latch
from mmbot.risk import freeze_log, override
from mmbot.risk.levels import FreezeAsked
from mmbot.runtime.runner import Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mmbot.risk.freeze import FreezeInput
    from mmbot.risk.levels import FreezeLevel
    from mmbot.risk.override import Override
    from mmbot.runtime.freezing import Obeying
    from mmbot.simulation.engine import Life

__all__ = ["STOP_BUGS"]


def _instead(life: Life, place: object, name: str, value: object) -> None:
    """Change something that is not of this scene alone, until it is over."""
    if life.number > 1:
        return  # the scene's first life has done it
    life.scene.undo.callback(setattr, place, name, getattr(place, name))
    setattr(place, name, value)


class _Deafened:
    """Who obeys, but for some of it."""

    def __init__(self, run: Obeying, *deaf: str) -> None:
        self._run, self._deaf = run, deaf

    def __getattr__(self, name: str) -> object:
        return (lambda *_: None) if name in self._deaf else getattr(self._run, name)


def _obeys_but_for(life: Life, *deaf: str) -> None:
    obey = life.freezing._obey
    life.freezing._obey = lambda run: obey(_Deafened(run, *deaf))  # type: ignore[method-assign,arg-type]


def _forgets(life: Life) -> None:
    if life.number > 1:
        life.latch.board._forget()


def _cancels_nothing(life: Life) -> None:
    def hold(why: str) -> None:
        life.runner.pauses["freeze"] = why

    obey = life.freezing._obey

    def deafened(run: Obeying) -> None:
        deaf: Any = _Deafened(run, "pull")
        deaf.hold = hold
        obey(deaf)

    life.freezing._obey = deafened  # type: ignore[method-assign]
    life.freezing._to_cancel = list  # type: ignore[method-assign]


def _one_is_enough(life: Life) -> None:
    _instead(life, override, "_TWO_PEOPLE", 99)


def _expired_counts(life: Life) -> None:
    check = override._check_words

    def patient(token: Override, now: int, head: str) -> None:
        check(replace(token, expiry=now + 1), now, head)

    _instead(life, override, "_check_words", patient)


def _old_looks_count(life: Life) -> None:
    check = override._check_words

    def careless(token: Override, now: int, _head: str) -> None:
        check(token, now, token.head_hash)

    _instead(life, override, "_check_words", careless)


def _half_a_line_is_nothing(life: Life) -> None:
    read = freeze_log.read

    def lenient(raw: bytes) -> tuple[list[FreezeInput], str]:
        inputs, head = read(raw)
        return [each for each in inputs if not (isinstance(each, FreezeAsked) and each.control == "latch")], head

    _instead(life, freeze_latch, "read", lenient)


def _nobody_asks(life: Life) -> None:
    """Neither gate nor core nor quotes: each of the three is enough by itself."""
    life.gate.frozen = lambda _: ""
    life.freezing.looked = lambda _: None
    life.latch.level = partial(_normal, life)  # type: ignore[method-assign]
    _obeys_but_for(life, "hold", "pull")


def _normal(life: Life, _scope: object) -> FreezeLevel:
    return type(life.latch.board.highest).NORMAL


def _killed_starts(life: Life) -> None:
    life._node._is_killed = lambda: False  # type: ignore[method-assign]


def _no_canary(life: Life) -> None:
    life.latch.share = lambda now: Fraction(1)  # type: ignore[method-assign]


def _never_lets_go(life: Life) -> None:
    _obeys_but_for(life, "go_on")


def _trusts_its_last_look(life: Life) -> None:
    life.freezing._look_if_stale = lambda: None  # type: ignore[method-assign]


def _zero_too_early(life: Life) -> None:
    life.runner.bridge.last_unanswered_place = lambda markets: None  # type: ignore[method-assign]


def _taken_over_is_answered(life: Life) -> None:
    if life.left is not None:
        for held in life.left.estate.orders:
            life.runner.bridge._sent[held.number].asked_at.clear()
        life.runner.__class__ = _Forgetful


class _Forgetful(Runner):
    """A run that knows nothing of what a dead one may have sent."""

    strangers_until = property(lambda _: 0, lambda _, until: None)


def _cancels_wait(life: Life) -> None:
    written = life.runner._written
    life.runner._written = lambda *, synced: written(synced=True)  # type: ignore[method-assign]


def _alarms_are_patient(life: Life) -> None:
    life.alarms.board.due = lambda now: []  # type: ignore[method-assign]


STOP_BUGS: Mapping[str, tuple[str, str, int, Callable[[Life], None]]] = {
    "latch forgotten": ("a restart forgets what is frozen", "operators", 200, _forgets),
    "freeze cancels nothing": ("a freeze stops the quoting and cancels nothing", "operators", 200, _cancels_nothing),
    "one is enough": ("one signature lifts what takes two", "operators", 200, _one_is_enough),
    "expired counts": ("a token that ended counts", "operators", 200, _expired_counts),
    "old looks count": ("a token for an older state of the log counts", "operators", 200, _old_looks_count),
    "half a line is nothing": (
        "a torn line of the freeze log is passed over",
        "operators",
        200,
        _half_a_line_is_nothing,
    ),
    "nobody asks the board": ("neither gate, core nor quotes ask the board", "operators", 200, _nobody_asks),
    "killed starts": ("an engine starts although a kill holds", "operators", 200, _killed_starts),
    "no canary": ("after a lift the whole limits hold", "operators", 200, _no_canary),
    "never lets go": ("a run does not go on after a lift", "operators", 200, _never_lets_go),
    "trusts its last look": (
        "who was stopped sends before it looks at the board",
        "operators",
        1_000,
        _trusts_its_last_look,
    ),
    "zero too early": ("zero is proven before the last order can have arrived", "operators", 1_000, _zero_too_early),
    "taken over is answered": (
        "zero is proven without the orders of a killed run",
        "guardian",
        200,
        _taken_over_is_answered,
    ),
    "cancels wait": ("cancels wait for a disk that takes its time", "operators", 200, _cancels_wait),
    "patient alarms": ("an alarm that nobody looks at stops nothing", "operators", 200, _alarms_are_patient),
}
"""What it is, the faults that show it, in how many seeds it has to be caught, and how it is planted."""
