"""The alarms of an account on disk: the engine raises them there, a person acknowledges them from any terminal.

    engine ─▶ alarms.jsonl ◀─ mmbot status --ack         each line is appended whole and synced

A log that cannot be read or written acknowledges nothing: the alarms that this process knows go on, and freeze.
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mmbot.ops.account_state import append_line
from mmbot.risk.alarms import LOUDER, Alarm, AlarmBoard, alarm_of, alarms_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mmbot.ops.account_state import AccountState
    from mmbot.risk.freeze import Frozen
    from mmbot.risk.levels import FreezeAsked
    from mmbot.runtime.audience import Watcher
    from mmbot.runtime.board import Board
    from mmbot.runtime.ended import Ended

__all__ = ["AlarmLog", "Alarmed"]

LOOK_S = 0.5


class AlarmLog:
    """One account's alarms as one process sees them. `account`: whom to freeze; `began`: see `AlarmBoard`."""

    def __init__(self, state: AccountState, account: str = "", began: int = 0) -> None:
        self._path = state.alarms
        self.board = AlarmBoard(account, began)
        self._read = 0
        self.trouble = ""
        """Why the log cannot be read or written; "" while it can."""
        self.torn = False
        """It ends within a line: somebody writes at this moment, or died of it, or it is no log."""

    def refresh(self) -> None:
        """Take in what was written since. What is no line of this log is passed over: it acknowledges nothing."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                fresh = file.read()
        except FileNotFoundError:
            return
        except OSError as error:
            self.trouble = f"the alarms cannot be read: {error}"
            return
        whole = fresh.rfind(b"\n") + 1
        self.torn = whole < len(fresh)
        self._read += whole
        for line in fresh[:whole].splitlines():
            self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            words: dict[str, Any] = json.loads(line)
            if "ack" in words:
                self.board.acknowledge(str(words["ack"]), str(words["by"]))
            else:
                self.board.rise(Alarm(**words))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            self.trouble = f"a line of the alarms cannot be read: {error!r}"

    def raise_alarm(self, alarm: Alarm) -> bool:
        """Raise it here and on the disk; False where it was raised (`AlarmBoard.rise`)."""
        self.refresh()
        fresh = self.board.rise(alarm)
        if fresh:
            words = {name: word for name, word in asdict(alarm).items() if word}
            self._append(words)
        return fresh

    def acknowledge(self, alarm_id: str, by: str) -> list[Alarm]:
        """Acknowledge one alarm, or all that are open by "all"; returns them. Raises OSError: then nobody heard it."""
        self.refresh()
        seen = [alarm for alarm in self.board.open if alarm_id in ("all", alarm.alarm_id)]
        for alarm in seen:
            self.board.acknowledge(alarm.alarm_id, by)
            if not self._append({"ack": alarm.alarm_id, "by": by}):
                raise OSError(self.trouble)
        return seen

    def _append(self, words: Mapping[str, object]) -> bool:
        """Whether it is on the disk."""
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                append_line(file, self._path, json.dumps(words).encode() + b"\n")
            finally:
                os.close(file)
        except OSError as error:
            self.trouble = f"the alarms cannot be written: {error}"
            return False
        return True

    async def watch(
        self, freeze: Callable[[FreezeAsked], object], clock: Callable[[], int], look_s: float = LOOK_S
    ) -> None:
        """Freeze for what nobody acknowledges, as long as this lasts; looked at every `look_s`."""
        while True:
            self.refresh()
            for asked in self.board.due(clock()):
                freeze(asked)
            await asyncio.sleep(look_s)


class Alarmed:
    """A watcher that hears everything first for the alarms in it."""

    def __init__(self, watcher: Watcher, log: AlarmLog, clock: Callable[[], int]) -> None:
        self._watcher, self._log, self._clock = watcher, log, clock

    def told(self, event: dict[str, Any]) -> None:
        """Tell of an event, and of the alarm that it is."""
        self._watcher.told(event)
        alarm = alarm_of(event, self._clock())
        if alarm is None or self._raise(alarm):
            return
        if alarm.name in LOUDER:
            [still] = [one for one in self._log.board.open if one.name == alarm.name]
            self._tell(still, times=int(event[LOUDER[alarm.name]]))

    def stands(self, frozen: Iterable[Frozen]) -> None:
        """Tell of what froze while nobody listened, or what a run that died had no time to tell of."""
        for alarm in alarms_of(frozen, self._clock()):
            self._raise(alarm)

    def _raise(self, alarm: Alarm) -> bool:
        fresh = self._log.raise_alarm(alarm)
        if fresh:
            self._tell(alarm, times=1)
        return fresh

    def _tell(self, alarm: Alarm, times: int) -> None:
        words = {"id": alarm.alarm_id, "level": alarm.level, "name": alarm.name, "why": alarm.said, "times": times}
        self._watcher.told({"event": "alarm", **words, "ack": f"mmbot status --ack {alarm.alarm_id}"})

    def watch(self, board: Board) -> None:
        """Begin to look."""
        self._watcher.watch(board)

    def leave(self) -> None:
        """Look no more."""
        self._watcher.leave()

    def ended(self, ended: Ended) -> None:
        """Tell of the end."""
        self._watcher.ended(ended)
