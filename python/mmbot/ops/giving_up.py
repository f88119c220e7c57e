"""How a person's word that an order is given up comes to the engine, and what the engine says to it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from mmbot.ops.freeze_latch import read_operators
from mmbot.ops.freeze_tokens import answered
from mmbot.ops.hatch import Hatch
from mmbot.risk.giving_up import GivingUp
from mmbot.risk.override import EXPIRY_MAX_NS
from mmbot.runtime.giving_up import give_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from mmbot.ops.account_state import AccountState
    from mmbot.runtime.runner import Runner

__all__ = ["ask_to_give_up", "hear_giving_up"]


def _hatch(state: AccountState) -> Hatch:
    return Hatch("giving up", state.giving_up, state.giving_up_answer)


async def hear_giving_up(state: AccountState, runner: Runner, wall: Callable[[], int] = time.time_ns) -> None:
    """Judge each signed word that is handed in, as long as the run lasts. `wall`: the clock of who signs."""

    async def judge(raw: bytes) -> dict[str, object]:
        asked = GivingUp.read(raw)
        by = asked.verified(state.name, read_operators(state.operators), wall())
        return {"given_up": give_up(runner, asked, by), "by": by}

    await _hatch(state).hear(judge, runner.told)


async def ask_to_give_up(state: AccountState, order: str, reason: str, key: Ed25519PrivateKey) -> str:
    """Sign for an order, hand that to the engine that runs, and return what it says. Raises TokenError."""
    asked = GivingUp(
        account=state.name, order=order, reason=reason, expiry=time.time_ns() + EXPIRY_MAX_NS - 10_000_000_000
    ).signed(key)
    answer = await answered(state, _hatch(state), json.dumps(asked.words()).encode())
    return f"order {answer['given_up']} is given up by {answer['by']}; a later word of the venue brings it back"
