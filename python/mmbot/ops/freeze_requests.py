"""What a running engine hears about freezing from outside, beside the latch itself: signals, and signed lowerings.

    SIGUSR1   CANCEL_ALL of everything on the account        SIGUSR2   prints what is frozen, to the error output

A lowering is a file that the engine judges: it has the books, so it says whether they agree with the venue's.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from mmbot.ops.account_state import UNREADABLE, write_durably
from mmbot.ops.hatch import Hatch
from mmbot.ops.status import board_lines
from mmbot.risk.freeze import FreezePolicy
from mmbot.risk.freeze_log import override_from, override_words
from mmbot.risk.levels import FIRM, FreezeAsked, FreezeLevel
from mmbot.risk.override import OverrideRefusedError, Reconciled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mmbot.config import SessionConfig
    from mmbot.ops.account_state import AccountState
    from mmbot.ops.freeze_latch import FreezeLatch
    from mmbot.risk.freeze import FreezeChange
    from mmbot.risk.override import Override
    from mmbot.runtime.runner import Runner

__all__ = [
    "apply_override",
    "apply_overrides",
    "ask_engine",
    "freeze_signals",
    "override_hatch",
    "read_markets",
    "read_strategy",
    "write_session",
]

LOOK_S = 0.1
COMPARED_S = 20.0
"""How long a comparison with the venue may take."""
AGAIN_NS = 3_000_000_000
"""What had moved a moment before rests by then."""


def write_session(
    state: AccountState,
    session: SessionConfig,
    account: str,
    markets: Sequence[tuple[str, str]],
    *,
    strategy: str,
    embedded: bool,
    off: Sequence[str] = (),
    loose: Mapping[str, str] | None = None,
    policy: FreezePolicy | None = None,
) -> None:
    """Leave behind where the account trades: names of the key's variables, never the key. off: the keys of the
    controls that are switched off. loose: of those that can never act, and why. policy: what holds after a lift, None
    for the defaults. Raises OSError.
    """
    lift = policy or FreezePolicy()
    words = {
        "environment": session.environment,
        "url": session.url,
        "account": account,
        "strategy": strategy,
        "embedded": embedded,
        "markets": [list(market) for market in markets],
        "key_variable": session.key_variable,
        "secret_variable": session.secret_variable,
        "controls_off": list(off),
        "controls_loose": dict(loose or {}),
        "lift_s": [lift.shadow_s, lift.canary_s],
    }
    write_durably(state.session, json.dumps(words, indent=1).encode())


def read_markets(state: AccountState) -> list[str] | None:
    """Return what the account trades, or traded last, as "category symbol"; None where no run has said it."""
    try:
        return [f"{category} {symbol}" for category, symbol in json.loads(state.session.read_bytes())["markets"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_strategy(state: AccountState) -> str | None:
    """Return the name of the strategy that trades there, or traded last; None where no run has said it."""
    try:
        return str(json.loads(state.session.read_bytes())["strategy"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def freeze_signals(
    runner: Runner, latch: FreezeLatch, clock: Callable[[], int], early: asyncio.Event | None = None
) -> Iterator[None]:
    """Listen to SIGUSR1 and SIGUSR2; only the main thread of a program may. early: set where SIGUSR1 came before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def freeze() -> None:
        runner.freeze(FreezeAsked(FreezeLevel.CANCEL_ALL, FIRM, "operator", "SIGUSR1", clock()))

    def show() -> None:
        sys.stderr.write("\n".join(board_lines("freeze", latch, clock())) + "\n")

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, freeze)
    loop.add_signal_handler(signal.SIGUSR2, show)
    if early is not None and early.is_set():
        freeze()
    try:
        yield
    finally:
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            loop.remove_signal_handler(number)


async def apply_overrides(state: AccountState, latch: FreezeLatch, runner: Runner, clock: Callable[[], int]) -> None:
    """Judge each signed lowering that is handed in, as long as the run lasts; whatever the disk does."""
    while True:
        await asyncio.sleep(LOOK_S)
        await apply_override(state, latch, runner, clock)


async def apply_override(state: AccountState, latch: FreezeLatch, runner: Runner, clock: Callable[[], int]) -> None:
    """Judge the signed lowering that is handed in, if there is one, and leave the answer beside it (`Hatch.hear_one`).

    What is asked again is refused: what it was for is lowered, or its nonce is spent.
    """
    await override_hatch(state).hear_one(lambda raw: _judged(raw, latch, runner, clock), runner.told)


def override_hatch(state: AccountState) -> Hatch:
    """Where signed lowerings are handed in, and answered."""
    return Hatch("override", state.override, state.override_answer)


async def _judged(raw: bytes, latch: FreezeLatch, runner: Runner, clock: Callable[[], int]) -> dict[str, object]:
    try:
        override = override_from(json.loads(raw))
        reconciled = await _reconciled(runner, clock)
        if latch.of_firm(override.freeze_id):  # lowered there, once every engine of the firm agrees
            reconciled.check(since=0, now=clock())
            return {"lowered": False, "agrees": True, "ts": reconciled.ts, "why": "it is the firm's to lower"}
        change = latch.lower(override, clock(), reconciled)
        if runner.freezing is not None:
            runner.freezing.show([change])
    except (OverrideRefusedError, OSError, *UNREADABLE) as error:
        return {"lowered": False, "why": str(error) or type(error).__name__}
    return {"lowered": True, **change.as_event()}


async def _reconciled(runner: Runner, clock: Callable[[], int]) -> Reconciled:
    """Compare with the venue now; what moved a moment ago is looked at again, until all agrees or something differs."""
    asked = again = clock()
    with suppress(TimeoutError):
        async with asyncio.timeout(COMPARED_S):
            while runner.reconciled is None or runner.reconciled.ts < asked:
                if clock() >= again:
                    runner.compare_soon()
                    again = clock() + AGAIN_NS
                await asyncio.sleep(LOOK_S)
            return runner.reconciled
    why = f"no whole look at the venue came to an end in {COMPARED_S:g} s, or what it found was still moving"
    return Reconciled(clean=False, ts=asked, said=why)


async def ask_engine(state: AccountState, override: Override) -> dict[str, Any]:
    """Hand a signed lowering to the engine that runs; returns what it says. Raises OSError, TimeoutError."""
    return await override_hatch(state).ask(json.dumps(override_words(override)).encode(), COMPARED_S + 10)


def describe(change: FreezeChange) -> str:
    """A change in a line."""
    return f"{change.scope}: {change.before.name} → {change.after.name} ({change.control}: {change.reason})"
