"""The freeze board of an account on disk: what stops one process stops all of them, and still does after a restart.

    ask ──▶ board in memory, at once ──▶ remembered ──▶ line appended, fsynced ──▶ the others read it within 25 ms

Every process keeps the whole board in memory and appends its own lines; no lock is taken, so a process that was stopped
in the middle of anything holds nobody up. What cannot be read means frozen; what cannot be written freezes this process
all the same, says so (`trouble`), and is written as soon as it can be. A log that is shorter than, or not, what is
remembered of it (`mmbot.risk.freeze_memory`) freezes the firm, and lifts nothing that stood.
"""

from __future__ import annotations

import os
import tomllib
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from mmbot.ops.account_state import append_line, made, sync_folder, write_durably
from mmbot.risk.freeze import FreezeBoard, Lowering, changed_above
from mmbot.risk.freeze_join import joined
from mmbot.risk.freeze_log import encode, read
from mmbot.risk.freeze_memory import Remembered, higher, standing
from mmbot.risk.levels import FIRM, FreezeAsked, FreezeLevel
from mmbot.risk.override import NEVER, Operator, Operators, OverrideRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from fractions import Fraction
    from pathlib import Path

    from mmbot.ops.account_state import AccountState, FirmState
    from mmbot.risk.freeze import FreezeChange, FreezePolicy
    from mmbot.risk.levels import Scope
    from mmbot.risk.override import Override, Reconciled

__all__ = ["FreezeLatch", "board_of", "board_reader", "operators_in", "read_operators"]

_MODE = 0o640
"""Reasons hold numbers of positions. A gateway that is another user reads them, as one of the folder's group."""


class FreezeLatch:
    """The board of one account, kept on disk. Has what a `FreezeBoard` has, and the same `board` for good."""

    def __init__(
        self,
        state: AccountState,
        clock: Callable[[], int],
        policy: FreezePolicy | None = None,
        *,
        writes: bool = True,
    ) -> None:
        """writes: False for who only looks: nothing on the disk changes, and what it finds wrong holds here alone."""
        self._state, self._clock, self._writes = state, clock, writes
        self._path = state.freeze
        self.board = FreezeBoard(policy=policy)
        self.head = ""
        """Head of the log as it was read last."""
        self._troubles: dict[str, str] = {}
        self._unwritten: list[FreezeAsked] = []
        self._raw = self._had = b""
        """The log as the board is made of it, and as it was seen last: what was in it stays in it."""
        self._stamp: tuple[int, ...] | None = None
        self._memory: Remembered | None = None
        self._behind = False
        """What is remembered is not of the log as it is."""
        self._known: set[FreezeChange] = set()
        self._above = None if state.firm is None else board_reader(state.firm, policy)
        if writes:
            self._begin()
        self.refresh(clock())

    @property
    def trouble(self) -> str:
        """Why the latch cannot be read or written, here or where else it has to be; "" while it can."""
        return "; ".join(self._troubles.values())

    def of_firm(self, freeze_id: str) -> bool:
        """Whether this freeze is the whole firm's, so that it is lowered in the firm's log."""
        return freeze_id not in {one.freeze_id for one in self.board.own} and freeze_id in {
            one.freeze_id for one in self.board.frozen
        }

    def elsewhere(self, trouble: str) -> None:
        """Say why the log is not where else it has to be; "" where it is. Nothing is lowered before that."""
        if trouble:
            self._troubles["elsewhere"] = trouble
        else:
            self._troubles.pop("elsewhere", None)

    @property
    def raw(self) -> bytes:
        """The log as it was read last."""
        return self._raw

    @property
    def unwritten(self) -> tuple[FreezeAsked, ...]:
        """What holds in this process alone, for it could not be written."""
        return tuple(self._unwritten)

    def _begin(self) -> None:
        """Make the log of an account that has none yet: from here on its absence means something."""
        try:
            if _is_new(self._state):
                with suppress(FileExistsError):
                    os.close(made(self._path, _MODE))
                self._remember()
        except (OSError, ValueError) as error:
            self._troubles["log"] = f"the freeze log cannot be written, a freeze would hold here alone: {error}"
        firm = self._state.firm
        try:
            if firm is not None:
                self._begin_firm(firm)
        except OSError as error:
            self._troubles["firm"] = f"the firm's freeze log cannot be made: {error}"

    def _begin_firm(self, firm: FirmState) -> None:
        """Make the firm's log where it has none yet: for this account its absence means something from here on."""
        firm.path.mkdir(parents=True, exist_ok=True)
        FreezeLatch(firm, self._clock)
        here, mark = os.fsencode(firm.path), self._state.firm_known
        if firm.freeze_head.exists() and not (mark.exists() and mark.read_bytes() == here):
            write_durably(mark, here, _MODE)

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
            if self._writes:
                self._write()
        return changes

    def _write(self) -> None:
        """Foretell what is to be written, write it, and remember the log as it is then; each is tried."""
        try:
            if self._memory is not None:
                foretold = Remembered(self._memory.size, self._memory.log, standing(self.board.own))
                write_durably(self._state.freeze_head, foretold.encode(), _MODE)
                self._memory = foretold
            self._troubles.pop("memory", None)
        except OSError as error:
            self._troubles["memory"] = f"what remembers the freeze log cannot be written: {error}"
        try:
            while self._unwritten:
                self._append(encode(self._unwritten[0]))
                del self._unwritten[0]
            self._troubles.pop("log", None)
        except OSError as error:
            self._troubles["log"] = f"the freeze log cannot be written, the freeze holds in this process alone: {error}"
            return
        self._catch_up()

    def _append(self, line: bytes) -> None:
        """Append a line for good; once more where another process put a joined log in its place meanwhile."""
        while not self._appended(line):
            pass

    def _appended(self, line: bytes) -> bool:
        path = self._path
        fresh = not path.exists()
        if fresh:
            with suppress(FileExistsError):
                os.close(made(path, _MODE))
        file = os.open(path, os.O_RDWR | os.O_APPEND)
        try:
            append_line(file, path, line)
            there = _stamp(path)[:1] in ((), (os.fstat(file).st_ino,))  # (): taken away, which the next look judges
        finally:
            os.close(file)
        if fresh:
            sync_folder(path.parent)
        self._behind = True
        return there

    def _catch_up(self) -> None:
        """Remember the log as it is, where that is not so, and all of ours is in it."""
        if self._writes and self._behind and not self._unwritten:
            try:
                self._remember()
                self._troubles.pop("memory", None)
            except (OSError, ValueError) as error:
                self._troubles["memory"] = f"what remembers the freeze log cannot be written: {error}"

    def _remember(self) -> None:
        with self._path.open("rb") as file:
            raw = file.read()
            os.fsync(file.fileno())  # whoever wrote it may not have come to that
        if not raw.startswith(self._had):
            return  # it was cut since it was seen: the next look judges that
        board = FreezeBoard(read_operators(self._state.operators))
        board.rebuild(read(raw)[0])
        memory = Remembered.of(raw, board)
        if memory != self._memory:
            write_durably(self._state.freeze_head, memory.encode(), _MODE)
        self._memory, self._behind, self._had = memory, False, raw

    # ---- what others wrote

    def refresh(self, now: int) -> list[FreezeChange]:
        """Take in what others wrote, and write what could not be written; returns what is new."""
        changes: list[FreezeChange] = []
        try:
            changes += self._read()
            self._troubles.pop("read", None)
        except Exception as error:  # noqa: BLE001  a latch that cannot be read means frozen, whatever the reason
            self._troubles["read"] = f"the freeze log cannot be read: {type(error).__name__}: {error}"
            changes += self.board.ask(_fault(self._troubles["read"], self._clock()))
            if not self._writes:
                self._stamp = None  # as long as it cannot be read, and no longer
        if self._unwritten and self._writes:
            self._write()
        self._catch_up()
        changes += self._looked_above(now)
        new = [one for one in changes if one not in self._known]
        self._known.update(new)
        return new

    def _looked_above(self, now: int) -> list[FreezeChange]:
        """Let what the firm's log says hold here; frozen as long as that cannot be read."""
        if self._above is None:
            return []
        before = self.board.above
        try:
            above = self._above(now)
            self._troubles.pop("firm", None)
        except Exception as error:  # noqa: BLE001  as of our own log
            why = f"the firm's freeze log cannot be read: {type(error).__name__}: {error}"
            if self._troubles.get("firm") == why:
                return []
            self._troubles["firm"] = why
            above = FreezeBoard(policy=self.board.policy)
            above.ask(_fault(why, now))
        self.board.above = above
        return [] if above is before else changed_above(before, above, now)

    def _read(self) -> list[FreezeChange]:
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return []
        memory, unread = _recalled(self._state)  # before the log, which may go on meanwhile
        raw = self._path.read_bytes() if stamp else b""
        operators = read_operators(self._state.operators)
        stood, whole = standing(self.board.own), raw.startswith(self._had)
        inputs, self.head = read(raw)
        self.board.operators = operators
        changes = self.board.rebuild(inputs)
        asks = _unlifted(self._state, self.board, raw, memory, unread, gone=not stamp, now=self._clock())
        if not whole:
            cut = _fault("what had been read of the freeze log is not in it any more", self._clock())
            asks += [*higher(stood, self.board), cut]
        self._behind = self._behind or bool(asks) or memory is None or memory.size < len(raw)
        self._unwritten += asks
        for asked in self._unwritten:
            changes += self.board.ask(asked)
        self._raw, self._had, self._stamp, self._memory = raw, raw, stamp, memory
        return changes

    # ---- another machine's log

    def join(self, theirs: bytes) -> None:
        """Take in what the log of another machine says of this account (`mmbot.risk.freeze_join`). Raises OSError.

        A crash in the middle, where neither log begins with the other, leaves what stood, and the firm at CANCEL_ALL.
        """
        assert self._writes, "a latch that only looks joins nothing"
        self.refresh(self._clock())
        if self._unwritten or self.trouble:
            raise OSError(self.trouble or "a freeze is not written yet")
        log = joined(self._raw, theirs, self.board.operators)
        if log == self._raw:
            return
        with self._path.open("rb") as before:
            board = FreezeBoard(self.board.operators)
            board.rebuild(read(log)[0])
            asked = [*standing(board.own), *higher(standing(self.board.own), board)]
            if self._memory is not None:
                foretold = Remembered(self._memory.size, self._memory.log, tuple(asked))
                write_durably(self._state.freeze_head, foretold.encode(), _MODE)
            write_durably(self._path, log, _MODE)
            self._had, since = log, before.read()[len(self._raw) :]
        for line in since.splitlines(keepends=True):  # appended by another process while this one wrote
            self._append(line)
        self._remember()
        self.refresh(self._clock())
        if self.trouble:
            raise OSError(self.trouble)

    # ---- down

    def lower(self, override: Override, now: int, reconciled: Reconciled) -> FreezeChange:
        """Lower a freeze as people signed for, in the log first. Raises OverrideRefusedError, OSError."""
        assert self._writes, "a latch that only looks lowers nothing"
        self.refresh(now)
        if self._unwritten or self.trouble:
            raise OverrideRefusedError("wrong_head", self.trouble or "a freeze is not written yet")
        lowering = Lowering(override=override, ts=now, reconciled=reconciled, head=self.head)
        trial = FreezeBoard(self.board.operators, self.board.policy)
        trial.rebuild(read(self._raw)[0])
        change = trial.lower(override, now, reconciled=reconciled, head=self.head)
        try:
            self._append(encode(lowering))
        except OSError as error:  # it may be there, and gone after a power loss: then it is not lowered
            self.refresh(now)
            why = f"a lowering could not be written down for good: {error}"
            self.ask(FreezeAsked(override.from_level, override.scope, "latch", why, now))
            raise
        self.refresh(now)
        if self.board.own_level(override.scope) > override.to:
            raise OverrideRefusedError(
                "wrong_head", "something else was frozen at the same moment; look, and sign anew"
            )
        return change


def board_reader(state: AccountState, policy: FreezePolicy | None = None) -> Callable[[int], FreezeBoard]:
    """Return what reads the board of an account, at a time, for who only looks, and looks often: anew where a file of
    it changed. It raises OSError, ValueError as `board_of` does, each time as long as it cannot be read.
    """
    known: list[tuple[int, ...]] = []
    board = FreezeBoard()
    paths = [path for one in (state, state.firm) if one for path in (one.freeze_head, one.freeze, one.operators)]

    def look(now: int) -> FreezeBoard:
        nonlocal known, board
        stamps = [_stamp(path) for path in paths]
        if stamps != known:
            board = board_of(state, now, policy)
            known = stamps
        return board

    return look


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when a file does; () for none. Asked forty times a second: without the way through pathlib."""
    try:
        about = os.stat(path)
    except FileNotFoundError:
        return ()
    return about.st_ino, about.st_size, about.st_mtime_ns


def board_of(state: AccountState, now: int, policy: FreezePolicy | None = None) -> FreezeBoard:
    """Read what is frozen on an account, its firm's board above it, and write nothing. Raises OSError, ValueError."""
    memory, unread = _recalled(state)
    gone = not state.freeze.exists()
    raw = b"" if gone else state.freeze.read_bytes()
    board = FreezeBoard(read_operators(state.operators), policy)
    board.rebuild(read(raw)[0])
    for asked in _unlifted(state, board, raw, memory, unread, gone=gone, now=now):
        board.ask(asked)
    if state.firm is not None:
        board.above = board_of(state.firm, now, policy)
    return board


def _is_new(state: AccountState) -> bool:
    """Whether nothing was ever frozen, remembered or traded on an account; torn beginnings included."""
    empty = not state.freeze.exists() or state.freeze.stat().st_size == 0
    return empty and not state.freeze_head.exists() and not state.has_run


def _fault(why: str, now: int) -> FreezeAsked:
    return FreezeAsked(FreezeLevel.CANCEL_ALL, FIRM, "latch", why, now)


def _recalled(state: AccountState) -> tuple[Remembered | None, str]:
    """What is remembered of the log; None where nothing can be read, and why. Raises OSError."""
    try:
        return Remembered.decode(state.freeze_head.read_bytes()), ""
    except FileNotFoundError:
        return None, "is gone; was the account last run by an older version?"
    except (ValueError, KeyError, TypeError) as error:
        return None, f"cannot be read: {type(error).__name__}: {error}"


def _unlifted(
    state: AccountState,
    board: FreezeBoard,
    raw: bytes,
    memory: Remembered | None,
    unread: str,
    *,
    gone: bool,
    now: int,
) -> list[FreezeAsked]:
    """What stands although the log does not say so, and the freeze for a log that is not the one that it was."""
    if memory is None:
        known = bool(raw) or state.has_run or state.freeze_head.exists()
        return [_fault(f"{state.freeze_head.name}, which remembers the freeze log, {unread}", now)] if known else []
    why = "the account's freeze log is gone" if gone else memory.why_not(raw)
    return [*memory.unsaid(raw, board), *([_fault(why, now)] if why else [])]


def read_operators(path: Path) -> Operators:
    """Read who may lower a freeze; nobody where the file is missing. Raises OSError, ValueError."""
    try:
        return operators_in(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


@lru_cache(maxsize=16)
def operators_in(text: str) -> Operators:
    """What a file of operators says. Remembered, for it is read again whenever the log grew. Raises ValueError."""
    operators = []
    try:
        for one in tomllib.loads(text).get("operator", []):
            key = bytes.fromhex(one["key"])
            if len(key) != 32:
                raise ValueError(f"the key of {one['identity']} has {len(key)} bytes; expected 32")
            operators.append(Operator(str(one["identity"]), str(one["device"]), key, int(one.get("retired", NEVER))))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{error}; expected [[operator]] entries as `mmbot keys enrol` writes them") from error
    return tuple(operators)
