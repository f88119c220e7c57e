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

from mmbot.ops.account_state import write_durably
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
    "read_markets",
    "read_strategy",
    "write_session",
]

LOOK_S = 0.1
COMPARED_S = 20.0
"""How long a comparison with the venue may take."""


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
    """Judge the signed lowering that is handed in, if there is one, and leave the answer beside it.

    An answer that cannot be written is told to the run's log alone, and whoever waits for it hears nothing. A token
    that cannot be taken away is judged again, and refused: what it was for is lowered, or its nonce is spent.
    """
    if not state.override.exists():
        return
    answer = await _judged(state, latch, runner, clock)
    try:
        write_durably(state.override_answer, json.dumps(answer).encode())
    except OSError as error:
        runner.told({**answer, "event": "override", "trouble": f"the answer cannot be written: {error}"})
    try:
        state.override.unlink(missing_ok=True)
    except OSError as error:
        runner.told({"event": "override", "trouble": f"the token cannot be taken away: {error}"})


async def _judged(
    state: AccountState, latch: FreezeLatch, runner: Runner, clock: Callable[[], int]
) -> dict[str, object]:
    try:
        override = override_from(json.loads(state.override.read_bytes()))
        reconciled = await _reconciled(runner, clock)
        if latch.of_firm(override.freeze_id):  # lowered there, once every engine of the firm agrees
            reconciled.check(since=0, now=clock())
            return {"lowered": False, "agrees": True, "ts": reconciled.ts, "why": "it is the firm's to lower"}
        change = latch.lower(override, clock(), reconciled)
        if runner.freezing is not None:
            runner.freezing.show([change])
    except (OverrideRefusedError, OSError, ValueError, KeyError, TypeError) as error:
        return {"lowered": False, "why": str(error)}
    return {"lowered": True, **change.as_event()}


async def _reconciled(runner: Runner, clock: Callable[[], int]) -> Reconciled:
    """Compare with the venue now."""
    asked = clock()
    runner.compare_soon()
    with suppress(TimeoutError):
        async with asyncio.timeout(COMPARED_S):
            while runner.reconciled is None or runner.reconciled.ts < asked:
                await asyncio.sleep(LOOK_S)
    return runner.reconciled or Reconciled(clean=False, ts=asked, said="the venue was not compared with")


async def ask_engine(state: AccountState, override: Override) -> dict[str, Any]:
    """Hand a signed lowering to the engine that runs; returns what it says. Raises OSError, TimeoutError."""
    state.override_answer.unlink(missing_ok=True)
    write_durably(state.override, json.dumps(override_words(override)).encode())
    async with asyncio.timeout(COMPARED_S + 10):
        while not state.override_answer.exists():
            await asyncio.sleep(LOOK_S)
    answer: dict[str, Any] = json.loads(state.override_answer.read_bytes())
    return answer


def describe(change: FreezeChange) -> str:
    """A change in a line."""
    return f"{change.scope}: {change.before.name} → {change.after.name} ({change.control}: {change.reason})"
