"""Alarms on disk: raised by the engine, acknowledged from another terminal, and a freeze where nobody does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from mmbot.ops.account_state import AccountState
from mmbot.ops.alarm_log import Alarmed, AlarmLog
from mmbot.risk import FreezeAsked, FreezeLevel, Scope
from mmbot.risk.alarms import alarm_of
from mmbot.risk.freeze import FreezeBoard

if TYPE_CHECKING:
    from pathlib import Path


SECOND = 1_000_000_000
STRAY = {"event": "stray", "why": "it names no order of ours"}


class Watcher:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.seen: list[str] = []

    def told(self, event: dict[str, Any]) -> None:
        """Keep it."""
        self.events.append(event)

    def watch(self, board: object) -> None:
        """Note it."""
        self.seen.append("watch")

    def leave(self) -> None:
        """Note it."""
        self.seen.append("leave")

    def ended(self, ended: object) -> None:
        """Note it."""
        self.seen.append("ended")


def played(log: AlarmLog, now: int) -> list[FreezeAsked]:
    """What one look of the watch asks for at a time."""
    asked: list[FreezeAsked] = []

    async def once() -> None:
        watching = asyncio.create_task(log.watch(asked.append, lambda: now))
        await asyncio.sleep(0)
        watching.cancel()

    asyncio.run(once())
    return asked


def test_an_event_becomes_an_alarm_that_another_process_acknowledges(tmp_path: Path) -> None:
    """The engine raises it once and tells how to acknowledge it; a terminal does; the minute passes in peace."""
    state = AccountState.of(tmp_path, "demo", "7")
    engine, watcher = AlarmLog(state, "7"), Watcher()
    alarmed = Alarmed(watcher, engine, lambda: SECOND)  # type: ignore[arg-type]
    for event in (STRAY, STRAY, {"event": "fill"}):
        alarmed.told(dict(event))
    assert [event["event"] for event in watcher.events] == ["stray", "alarm", "stray", "fill"]
    alarm = watcher.events[1]
    assert (alarm["level"], alarm["name"], alarm["ack"]) == ("P1", "stray", f"mmbot status --ack {alarm['id']}")
    terminal = AlarmLog(state)
    assert [one.name for one in terminal.acknowledge(alarm["id"], "ada")] == ["stray"]
    assert terminal.acknowledge("all", "ada") == []
    assert played(engine, 100 * SECOND) == []


def test_a_cancel_all_that_is_not_proven_calls_again_until_somebody_acknowledges_it(tmp_path: Path) -> None:
    """A-035: at each step the same alarm is told once more, louder; acknowledged, what is open still is a new one."""
    log, watcher = AlarmLog(AccountState.of(tmp_path, "demo", "7"), "7"), Watcher()
    alarmed = Alarmed(watcher, log, lambda: SECOND)  # type: ignore[arg-type]
    for step in (1, 2, 3):
        alarmed.told({"event": "cancel_all_alarm", "step": step, "open": ["a"]})
    alarms = [event for event in watcher.events if event["event"] == "alarm"]
    assert [event["times"] for event in alarms] == [1, 2, 3]
    assert len({event["id"] for event in alarms}) == 1
    log.acknowledge("all", "ada")
    alarmed.told({"event": "cancel_all_alarm", "step": 4, "open": ["b"]})
    assert (watcher.events[-1]["times"], watcher.events[-1]["id"] != alarms[0]["id"]) == (1, True)


def test_an_alarm_that_nobody_acknowledges_freezes_after_a_minute(tmp_path: Path) -> None:
    """By a clock that the test moves: nothing at 60.9 s after the start of time, a freeze at 61."""
    state = AccountState.of(tmp_path, "demo", "7")
    log = AlarmLog(state, "7")
    Alarmed(Watcher(), log, lambda: SECOND).told(dict(STRAY))  # type: ignore[arg-type]
    assert played(log, 60_900_000_000) == []
    assert [asked.control for asked in played(log, 61 * SECOND)] == ["alarm"]
    assert played(log, 62 * SECOND) == []


def test_a_freeze_that_nobody_was_told_of_is_told_at_the_next_start(tmp_path: Path) -> None:
    """Once, with its level, over any number of starts; acknowledged or not."""
    state = AccountState.of(tmp_path, "demo", "7")
    freezes = FreezeBoard()
    freezes.ask(FreezeAsked(FreezeLevel.NO_NEW, Scope("account", "7"), "fee", "taker for maker", SECOND))
    watcher = Watcher()
    for _ in range(2):
        log = AlarmLog(state, "7")
        Alarmed(watcher, log, lambda: SECOND).stands(freezes.frozen)  # type: ignore[arg-type]
        assert [(one.name, one.level) for one in log.board.every] == [("fee", "P2")]
    log.acknowledge("all", "ada")
    Alarmed(watcher, AlarmLog(state, "7"), lambda: SECOND).stands(freezes.frozen)  # type: ignore[arg-type]
    assert [(event["event"], event["level"]) for event in watcher.events] == [("alarm", "P2")]


def test_a_restart_remembers_what_is_open(tmp_path: Path) -> None:
    """The next engine reads the log; a line that is none, or half of one, acknowledges nothing."""
    state = AccountState.of(tmp_path, "demo", "7")
    log = AlarmLog(state, "7")
    Alarmed(Watcher(), log, lambda: SECOND).told(dict(STRAY))  # type: ignore[arg-type]
    [alarm] = log.board.open
    with state.alarms.open("ab") as file:
        file.write(b'{"ack": 7}\nno line\n{"alarm_id": 1}\n{"ack": "' + alarm.alarm_id.encode())
    again = AlarmLog(state, "7")
    again.refresh()
    assert [one.alarm_id for one in again.board.open] == [alarm.alarm_id]
    assert "cannot be read" in again.trouble


def test_a_line_that_somebody_died_in_takes_no_other_with_it(tmp_path: Path) -> None:
    """What is raised and acknowledged after half a line is read as what it is."""
    state = AccountState(tmp_path)
    state.alarms.write_bytes(b'{"alarm_id": "ha')
    log = AlarmLog(state, "7", 0)
    alarm = alarm_of(STRAY, 5 * SECOND)
    assert alarm is not None
    log.raise_alarm(alarm)
    assert AlarmLog(state, "7", 0).acknowledge("all", "ada") == [alarm]
    log.refresh()
    assert log.board.open == []


def test_what_cannot_be_written_is_not_acknowledged(tmp_path: Path) -> None:
    """The log is a folder: the alarm holds in the engine, and a terminal says that nobody heard it."""
    state = AccountState.of(tmp_path, "demo", "7")
    state.alarms.mkdir()
    log = AlarmLog(state, "7")
    Alarmed(Watcher(), log, lambda: SECOND).told(dict(STRAY))  # type: ignore[arg-type]
    assert "cannot be" in log.trouble
    assert [asked.control for asked in played(log, 100 * SECOND)] == ["alarm"]
    with pytest.raises(OSError, match="cannot be"):
        log.acknowledge("all", "ada")


def test_a_watcher_hears_all_the_rest_as_well() -> None:
    """The view is the same as without alarms."""
    watcher = Watcher()
    alarmed = Alarmed(watcher, None, lambda: 1)  # type: ignore[arg-type]
    alarmed.watch(None)  # type: ignore[arg-type]
    alarmed.leave()
    alarmed.ended(None)  # type: ignore[arg-type]
    assert watcher.seen == ["watch", "leave", "ended"]
