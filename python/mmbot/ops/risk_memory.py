"""What the controls must not forget, on disk, and what is remembered of it: that a file is gone or older is seen.

    risk.json   what the account lost (`RiskDesk`)
    risk.head   {"sums": [of the risk.json before, of the one that is written now]}, written first

A crash between the two leaves the one before, which is known too: no more than ten seconds old. Anything else in its
place is not what was kept, and neither is nothing, where a run ever began or a head is there.

Not handled: both put back together to an older pair, as by a copy of the whole folder; one without a head, which an
earlier version leaves, is believed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from mmbot.ops.account_state import write_durably
from mmbot.risk.levels import FreezeAsked, FreezeLevel, Scope

if TYPE_CHECKING:
    from mmbot.ops.account_state import AccountState

__all__ = ["RiskMemory"]


@dataclass(frozen=True, slots=True)
class Found:
    """What is there of an earlier run."""

    state: dict[str, Any] | None
    differs: str
    """Why it is not what was kept last; "" where it is."""

    def asked(self, account: str, now: int) -> FreezeAsked | None:
        """Ask for a freeze where it is not: losses that are forgotten are no limit."""
        if not self.differs:
            return None
        reason = f"{self.differs}: what was lost is not known; put it back, or sign for a start from what is there"
        return FreezeAsked(FreezeLevel.CANCEL_ALL, Scope("account", account), "risk_state", reason, now)


class RiskMemory:
    """The two files of one account."""

    def __init__(self, state: AccountState) -> None:
        self._head, self._account = state.path / "risk.head", state
        self.path = state.risk
        """Of risk.json."""
        self._sum = ""

    def read(self) -> Found:
        """Look at what is there. Raises OSError, and ValueError for a risk.json that holds no state."""
        known = self._known()
        if not self.path.exists():
            kept = known is not None or self._account.has_run
            return Found(None, f"{self.path} is gone" if kept else "")
        raw = self.path.read_bytes()
        self._sum = sha256(raw).hexdigest()
        state = json.loads(raw)
        if not isinstance(state, dict):
            raise ValueError(f"holds {type(state).__name__}; expected an object")
        fits = known is None or self._sum in known
        return Found(state, "" if fits else f"{self.path} is not the one that was kept last")

    def _known(self) -> list[str] | None:
        """The sums that may be; None where none were remembered, and no sum at all where they cannot be read."""
        try:
            sums = json.loads(self._head.read_bytes())["sums"]
            return [str(one) for one in sums]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            return []

    def keep(self, state: str) -> None:
        """Put a state in place of the one before: on the disk when this returns. Raises OSError."""
        raw = state.encode()
        before, self._sum = self._sum, sha256(raw).hexdigest()
        write_durably(self._head, json.dumps({"sums": [before, self._sum]}).encode())
        write_durably(self.path, raw)
