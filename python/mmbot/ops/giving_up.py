"""How a person's word that an order is given up comes to the engine, and what the engine says to it."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from mmbot.ops.account_state import write_durably
from mmbot.ops.freeze_latch import read_operators
from mmbot.ops.freeze_tokens import TokenError
from mmbot.risk.giving_up import GivingUp
from mmbot.risk.override import EXPIRY_MAX_NS, OverrideRefusedError
from mmbot.runtime.giving_up import give_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from mmbot.ops.account_state import AccountState
    from mmbot.runtime.runner import Runner

__all__ = ["ask_to_give_up", "hear_giving_up"]

LOOK_S = 0.1
ANSWER_S = 10.0


async def hear_giving_up(state: AccountState, runner: Runner, wall: Callable[[], int] = time.time_ns) -> None:
    """Judge each signed word that is handed in, as long as the run lasts. `wall`: the clock of who signs."""
    while True:
        await asyncio.sleep(LOOK_S)
        if not state.giving_up.exists():
            continue
        try:
            asked = GivingUp.read(state.giving_up.read_bytes())
            by = asked.verified(state.name, read_operators(state.operators), wall())
            answer = {"given_up": give_up(runner, asked, by), "by": by}
        except (OverrideRefusedError, OSError, ValueError, KeyError, TypeError) as error:
            answer = {"given_up": None, "why": str(error)}
        try:
            write_durably(state.giving_up_answer, json.dumps(answer).encode())
            state.giving_up.unlink()
        except OSError as error:  # asked again, it is refused: what is given up is in doubt no more
            runner.told({"event": "giving up", "trouble": f"the answer cannot be written: {error}", **answer})


async def ask_to_give_up(state: AccountState, order: str, reason: str, key: Ed25519PrivateKey) -> str:
    """Sign for an order, hand that to the engine that runs, and return what it says. Raises TokenError."""
    if state.engine() is None:
        raise TokenError(f"no engine runs on {state.name}: start it first, it has the books and asks the venue")
    asked = GivingUp(
        account=state.name, order=order, reason=reason, expiry=time.time_ns() + EXPIRY_MAX_NS - 10_000_000_000
    ).signed(key)
    state.giving_up_answer.unlink(missing_ok=True)
    write_durably(state.giving_up, json.dumps(asked.words()).encode())
    with suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_S):
            while not state.giving_up_answer.exists():
                await asyncio.sleep(LOOK_S)
    if not state.giving_up_answer.exists():
        state.giving_up.unlink(missing_ok=True)
        raise TokenError("the engine does not answer; the order stays in doubt")
    answer = json.loads(state.giving_up_answer.read_bytes())
    if answer["given_up"] is None:
        raise TokenError(f"the engine refuses: {answer['why']}")
    return f"order {answer['given_up']} is given up by {answer['by']}; a later word of the venue brings it back"
