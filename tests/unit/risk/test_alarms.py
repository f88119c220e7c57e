"""An alarm that nobody acknowledges for a minute stops the account."""

from __future__ import annotations

import pytest

from mmbot.risk import FreezeLevel, Scope
from mmbot.risk.alarms import UNSEEN_NS, AlarmBoard, alarm_of

SECOND = 1_000_000_000
STRAY = {"event": "stray", "why": "it names no order of ours", "correlation_id": ""}


def raised(board: AlarmBoard, event: dict[str, object], now: int) -> str:
    """Raise the alarm that an event is; returns its id."""
    alarm = alarm_of(event, now)
    assert alarm is not None
    assert board.rise(alarm)
    return alarm.alarm_id


def test_a_minute_without_anybody_freezes_the_account_once() -> None:
    """At 59.999 s nothing is asked, at 60 s CANCEL_ALL, and not again for the same alarm."""
    board = AlarmBoard("7")
    name = raised(board, STRAY, SECOND)
    assert board.due(SECOND + UNSEEN_NS - 1) == []
    [asked] = board.due(SECOND + UNSEEN_NS)
    assert (asked.level, asked.scope, asked.control) == (FreezeLevel.CANCEL_ALL, Scope("account", "7"), "alarm")
    assert asked.reason == f"nobody acknowledged stray ({name}) within 60 s: it names no order of ours"
    assert board.due(SECOND + 2 * UNSEEN_NS) == []


def test_one_that_was_acknowledged_freezes_nothing() -> None:
    """By a named person, in time; nobody is no person, and twice is once."""
    board = AlarmBoard("7")
    name = raised(board, STRAY, 0)
    with pytest.raises(ValueError, match="who"):
        board.acknowledge(name, " ")
    assert board.acknowledge(name, "ada")
    assert not board.acknowledge(name, "bob")
    assert not board.acknowledge("unknown", "ada")
    assert (board.due(2 * UNSEEN_NS), board.open) == ([], [])


def test_one_of_a_kind_is_open_at_a_time_and_comes_again_after_it_was_seen() -> None:
    """A person gets one alarm, not ninety-seven."""
    board = AlarmBoard("7")
    name = raised(board, STRAY, 0)
    again = alarm_of(STRAY, 1)
    assert again is not None
    assert not board.rise(again)
    board.acknowledge(name, "ada")
    assert board.rise(again)


def test_an_alarm_of_before_the_start_has_its_minute_from_there() -> None:
    """Whoever starts a run has time to look at what the last one left."""
    board = AlarmBoard("7", began=10 * UNSEEN_NS)
    raised(board, STRAY, 0)
    assert board.due(11 * UNSEEN_NS - 1) == []
    assert len(board.due(11 * UNSEEN_NS)) == 1


@pytest.mark.parametrize(
    ("event", "name"),
    [
        ({"event": "cancel_all_alarm", "open": ["a"]}, "cancel_all_alarm"),
        ({"event": "freeze", "change": "raised", "control": "position_moved", "why": "x"}, "position_moved"),
        ({"event": "freeze", "change": "noted", "control": "guardian_lost", "why": "x"}, "guardian_lost"),
        ({"event": "freeze", "change": "lowered", "control": "guardian_lost", "why": "x"}, None),
        ({"event": "freeze", "change": "raised", "control": "operator", "why": "x"}, None),
        ({"event": "freeze", "change": "raised", "control": "edge", "why": "x"}, None),
        ({"event": "fill"}, None),
    ],
)
def test_what_is_an_alarm(event: dict[str, object], name: str | None) -> None:
    """What needs eyes now; what a control decided, or a person, does not."""
    alarm = alarm_of(event, 1)
    assert (None if alarm is None else alarm.name) == name


def test_a_leg_that_stands_alone_is_an_alarm() -> None:
    """C-012: a failure of one leg does not stay between the run and its freeze board."""
    change = {"event": "freeze", "change": "raised", "control": "unhedged", "why": "unhedged for 100 dollar-seconds"}
    alarm = alarm_of(change, 7)
    assert alarm is not None
    assert (alarm.name, alarm.since) == ("unhedged", 7)
    assert alarm_of({**change, "control": "loss_day"}, 7) is None
