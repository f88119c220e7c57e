"""Where the breaker of the venue's API stands, over a restart: who was told to wait does not ask anew by dying."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from mmbot.execution import BreakerState
from mmbot.ops.account_state import write_durably

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mmbot.execution import Breaker

__all__ = ["breaker_left", "breaker_writer"]

_NS_PER_SECOND = 1_000_000_000


def breaker_left(path: Path, breaker: Breaker, now: int) -> BreakerState:
    """Return what an earlier run left. What cannot be read counts as trouble just now: open for as long as that is.

    An end further off than any trouble sets it is no end, but a clock that was set: it is the longest from now.
    """
    try:
        left = msgspec.json.decode(path.read_bytes(), type=BreakerState)
    except FileNotFoundError:
        return BreakerState()
    except (OSError, msgspec.DecodeError):  # DecodeError: ValidationError as well
        return BreakerState(open_until_ns=now + round(breaker.open_s * _NS_PER_SECOND))
    if left.open_until_ns is None:
        return left
    latest = now + round(max(breaker.open_s, breaker.banned_s) * _NS_PER_SECOND)
    return replace(left, open_until_ns=min(left.open_until_ns, latest), probe_ns=None)


def breaker_writer(path: Path, told: Callable[[dict[str, object]], None]) -> Callable[[BreakerState], None]:
    """Return what writes a state down. One that cannot be written is told, and holds as long as this process."""

    def write(state: BreakerState) -> None:
        try:
            write_durably(path, msgspec.json.encode(state))
        except OSError as error:
            told({"event": "breaker", "why": f"where it stands cannot be written, a restart would forget it: {error}"})

    return write
