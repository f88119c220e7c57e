"""The freeze board of an account on disk: what stops one process stops all of them, and still does after a restart.

    ask ──▶ board in memory, at once ──▶ line appended, fsynced ──▶ the others read it within 25 ms

Every process keeps the whole board in memory and appends its own lines; no lock is taken, so a process that was stopped
in the middle of anything holds nobody up. What cannot be read means frozen; what cannot be written freezes this process
all the same, says so (`trouble`), and is written as soon as it can be.
"""

from __future__ import annotations

import os
import tomllib
from functools import lru_cache
from typing import TYPE_CHECKING

from mmbot.ops.account_state import sync_folder
from mmbot.risk.freeze import FreezeBoard, FreezePolicy, Lowering
from mmbot.risk.freeze_log import encode, read
from mmbot.risk.levels import FIRM, FreezeAsked, FreezeLevel
from mmbot.risk.override import NEVER, Operator, Operators, OverrideRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from fractions import Fraction
    from pathlib import Path

    from mmbot.ops.account_state import AccountState
    from mmbot.risk.freeze import FreezeChange, FreezeInput
    from mmbot.risk.levels import Scope
    from mmbot.risk.override import Override, Reconciled

__all__ = ["FreezeLatch", "read_operators"]


class FreezeLatch:
    """The board of one account, kept on disk. Has what a `FreezeBoard` has, and the same `board` for good."""

    def __init__(self, state: AccountState, clock: Callable[[], int], policy: FreezePolicy | None = None) -> None:
        self._state, self._clock = state, clock
        self._path = state.freeze
        self.board = FreezeBoard(policy=policy)
        self.head = ""
        """Head of the log as it was read last."""
        self.trouble = ""
        """Why the latch cannot be read or written; "" while it can."""
        self._unwritten: list[FreezeAsked] = []
        self._raw = b""
        self._stamp: tuple[int, int, int] | None = None
        self._known: set[FreezeChange] = set()
        missing = not self._path.exists()
        self.refresh(clock())
        if missing and not self._path.exists():
            if state.newest_run() is not None:
                self.ask(self._fault("the account has traded, and its freeze log is gone"))
            else:  # from here on its absence means something
                self._begin()

    def _begin(self) -> None:
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            os.fsync(file)
            os.close(file)
            sync_folder(self._path.parent)
        except OSError as error:
            self.trouble = f"the freeze log cannot be written, a freeze would hold in this process alone: {error}"

    def _fault(self, why: str) -> FreezeAsked:
        return FreezeAsked(FreezeLevel.CANCEL_ALL, FIRM, "latch", why, self._clock())

    def level_of(self, symbol: str, strategy: str, account: str) -> FreezeLevel:
        """Return what holds for an order; see `FreezeBoard.level_of`."""
        return self.board.level_of(symbol, strategy, account)

    def level(self, scope: Scope) -> FreezeLevel:
        """Return the level of one scope by itself."""
        return self.board.level(scope)

    def share(self, now: int) -> Fraction:
        """Return the share of the limits that holds; see `FreezeBoard.share`."""
        return self.board.share(now)

    @property
    def lowered_at(self) -> Mapping[Scope, int]:
        """When people lowered a scope last, ns since epoch."""
        return self.board.lowered_at

    # ---- up

    def ask(self, asked: FreezeAsked) -> list[FreezeChange]:
        """Freeze here and now, then on the disk, where the others see it."""
        changes = self.board.ask(asked)
        self._known.update(changes)
        if changes:
            self._unwritten.append(asked)
            self._write()
        return changes

    def _write(self) -> None:
        try:
            while self._unwritten:
                self._append(self._unwritten[0])
                del self._unwritten[0]
            self.trouble = ""
        except OSError as error:
            self.trouble = f"the freeze log cannot be written, the freeze holds in this process alone: {error}"

    def _append(self, said: FreezeInput) -> None:
        path = self._path
        fresh = not path.exists()
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(file).st_size
            torn = size and os.pread(file, 1, size - 1) != b"\n"
            line = (b"\n" if torn else b"") + encode(said)
            if os.write(file, line) != len(line):
                raise OSError(f"{path}: only a part of a line was written; is the disk full?")
            os.fsync(file)
        finally:
            os.close(file)
        if fresh:
            sync_folder(path.parent)

    # ---- what others wrote

    def refresh(self, now: int) -> list[FreezeChange]:
        """Take in what others wrote, write what could not be written, and let end what may; returns what is new."""
        changes: list[FreezeChange] = []
        try:
            changes += self._read()
        except Exception as error:  # noqa: BLE001  a latch that cannot be read means frozen, whatever the reason
            self.trouble = f"the freeze log cannot be read: {type(error).__name__}: {error}"
            changes += self.board.ask(self._fault(self.trouble))
        if self._unwritten:
            self._write()
        for lapsed in self.board.due(now):
            self._append(lapsed)
            changes += self.board.lapse(lapsed)
        new = [one for one in changes if one not in self._known]
        self._known.update(new)
        return new

    def _read(self) -> list[FreezeChange]:
        path = self._path
        try:
            about = os.stat(path)  # forty times a second: without the way through pathlib
        except FileNotFoundError:
            if self._raw:
                self._raw, self._stamp = b"", None
                return self._shorter()
            return []
        stamp = (about.st_ino, about.st_size, about.st_mtime_ns)
        if stamp == self._stamp:
            return []
        raw = path.read_bytes()
        whole = raw.startswith(self._raw)
        self._raw, self._stamp = raw, stamp
        changes = self._take(raw)
        return changes if whole else changes + self._shorter()

    def _take(self, raw: bytes) -> list[FreezeChange]:
        inputs, self.head = read(raw)
        self.board.operators = read_operators(self._state.operators)
        changes = self.board.rebuild(inputs)
        for asked in self._unwritten:
            changes += self.board.ask(asked)
        return changes

    def _shorter(self) -> list[FreezeChange]:
        asked = self._fault("what had been read of the freeze log is not in it any more")
        self._unwritten.append(asked)
        return self.board.ask(asked)

    # ---- down

    def lower(self, override: Override, now: int, reconciled: Reconciled) -> FreezeChange:
        """Lower a freeze as people signed for, in the log first. Raises OverrideRefusedError, OSError."""
        self.refresh(now)
        if self._unwritten or self.trouble:
            raise OverrideRefusedError("wrong_head", self.trouble or "a freeze is not written yet")
        lowering = Lowering(override=override, ts=now, reconciled=reconciled, head=self.head)
        trial = FreezeBoard(self.board.operators, self.board.policy)
        trial.rebuild(read(self._raw)[0])
        change = trial.lower(override, now, reconciled=reconciled, head=self.head)
        self._append(lowering)
        self.refresh(now)
        if self.board.level(override.scope) > override.to:
            raise OverrideRefusedError(
                "wrong_head", "something else was frozen at the same moment; look, and sign anew"
            )
        return change


def read_operators(path: Path) -> Operators:
    """Read who may lower a freeze; nobody where the file is missing. Raises OSError, ValueError."""
    try:
        return _operators(path, path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()


@lru_cache(maxsize=16)
def _operators(path: Path, text: str) -> Operators:
    """Remembered, because they are read again whenever the log grew."""
    operators = []
    for one in tomllib.loads(text).get("operator", []):
        key = bytes.fromhex(one["key"])
        if len(key) != 32:
            raise ValueError(f"{path}: the key of {one['identity']} has {len(key)} bytes; expected 32")
        operators.append(Operator(str(one["identity"]), str(one["device"]), key, int(one.get("retired", NEVER))))
    return tuple(operators)
