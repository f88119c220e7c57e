"""An alarm that nobody acknowledges for a minute stops the account."""

from __future__ import annotations

import pytest

from mmbot.risk import CONTROLS, FreezeAsked, FreezeLevel, Scope
from mmbot.risk.alarms import P1_CONTROLS, UNSEEN_NS, Alarm, AlarmBoard, alarm_of, alarms_of
from mmbot.risk.controls import asked as asked_by
from mmbot.risk.freeze import FreezeBoard

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


SYMBOL, ACCOUNT = Scope("symbol", "linear BTCUSDT"), Scope("account", "7")


def alarm_for(asked: FreezeAsked, board: FreezeBoard | None = None) -> Alarm | None:
    """The alarm that a freeze is, on a board of its own unless one is given."""
    [change] = (board or FreezeBoard()).ask(asked)
    return alarm_of(change.as_event(), asked.ts)


@pytest.mark.parametrize("control", CONTROLS)
def test_every_control_that_freezes_is_an_alarm(control: str) -> None:
    """A-046: what a control stops, somebody hears of, with the scope and the reason."""
    alarm = alarm_for(asked_by(control, ACCOUNT, "beyond its limit", 7))
    assert alarm is not None
    assert (alarm.name, alarm.since) == (control, 7)
    assert alarm.said == f"{CONTROLS[control].level.name} of account 7: beyond its limit"


@pytest.mark.parametrize(
    ("level", "scope", "control", "expected"),
    [
        (FreezeLevel.NO_NEW, ACCOUNT, "fee", "P2"),
        (FreezeLevel.CANCEL_ALL, ACCOUNT, "loss_day", "P1"),
        (FreezeLevel.CANCEL_ALL, Scope("firm"), "latch", "P1"),
        (FreezeLevel.CANCEL_ALL, ACCOUNT, "crash_loop", "P1"),
        (FreezeLevel.CANCEL_ALL, Scope("strategy", "s"), "anything", "P1"),
        (FreezeLevel.CANCEL_ALL, SYMBOL, "anything", "P2"),
        (FreezeLevel.FLATTEN, SYMBOL, "stop_loss", "P2"),
        (FreezeLevel.NO_NEW, SYMBOL, "reconcile", "P1"),
        (FreezeLevel.REDUCE_ONLY, Scope("strategy", "s"), "unhedged", "P1"),
        (FreezeLevel.NO_NEW, ACCOUNT, "guardian_blind", "P1"),
        (FreezeLevel.CANCEL_ALL, ACCOUNT, "guardian_lost", "P1"),
        (FreezeLevel.KILL, Scope("firm"), "operator", None),
        (FreezeLevel.CANCEL_ALL, ACCOUNT, "alarm", None),
    ],
)
def test_the_level_is_by_severity(level: FreezeLevel, scope: Scope, control: str, expected: str | None) -> None:
    """Cancelled beyond one symbol, or nobody's decision: P1; a person's own freeze is none."""
    alarm = alarm_for(FreezeAsked(level, scope, control, "x", 1))
    assert (None if alarm is None else alarm.level) == expected


@pytest.mark.parametrize(
    ("event", "name"),
    [
        ({"event": "cancel_all_alarm", "open": ["a"]}, "cancel_all_alarm"),
        ({"event": "freeze", "change": "lowered", "control": "guardian_lost", "why": "x"}, None),
        ({"event": "fill"}, None),
    ],
)
def test_what_else_is_an_alarm(event: dict[str, object], name: str | None) -> None:
    """What a cancel-all could not prove is; what was lowered is not."""
    alarm = alarm_of(event, 1)
    assert (None if alarm is None else alarm.name) == name


def test_each_freeze_is_one_alarm_for_each_control() -> None:
    """Two symbols are two, a second control is one more; asked again, or found again at a start, none is added."""
    freezes, alarms = FreezeBoard(), AlarmBoard("7")
    other = Scope("symbol", "linear ETHUSDT")
    for asked in (
        FreezeAsked(FreezeLevel.NO_NEW, SYMBOL, "edge", "low", 1),
        FreezeAsked(FreezeLevel.NO_NEW, other, "edge", "low", 2),
        FreezeAsked(FreezeLevel.NO_NEW, SYMBOL, "fee", "high", 3),
    ):
        alarm = alarm_for(asked, freezes)
        assert alarm is not None
        assert alarms.rise(alarm)
    assert freezes.ask(FreezeAsked(FreezeLevel.NO_NEW, SYMBOL, "edge", "lower", 4)) == []
    assert [alarms.rise(alarm) for alarm in alarms_of(freezes.frozen, 5)] == [False] * 3
    for alarm in alarms.open:
        alarms.acknowledge(alarm.alarm_id, "ada")
    assert [alarms.rise(alarm) for alarm in alarms_of(freezes.frozen, 6)] == [False] * 3
    again = AlarmBoard("7")
    assert [again.rise(alarm) for alarm in alarms_of(freezes.frozen, 7)] == [True] * 3, "where nobody was told"


def test_what_a_person_froze_is_no_alarm_at_a_start_either() -> None:
    """But what a control noted on the same scope is."""
    freezes = FreezeBoard()
    freezes.ask(FreezeAsked(FreezeLevel.CANCEL_ALL, ACCOUNT, "operator", "wrong", 1))
    assert alarms_of(freezes.frozen, 2) == []
    freezes.ask(asked_by("drawdown", ACCOUNT, "deep", 3))
    assert [alarm.name for alarm in alarms_of(freezes.frozen, 4)] == ["drawdown"]


def test_only_p1_stops_the_account() -> None:
    """P2 stays open until somebody has seen it, and stops nothing more."""
    board = AlarmBoard("7")
    alarm = alarm_for(asked_by("edge", SYMBOL, "low", 0))
    assert alarm is not None
    assert board.rise(alarm)
    assert board.due(10 * UNSEEN_NS) == []
    assert board.open == [alarm]


def test_a_level_that_is_none_is_refused() -> None:
    """It could not be told whether it freezes."""
    with pytest.raises(ValueError, match="P1 or P2"):
        Alarm.raised("x", "y", 1, level="P3")  # type: ignore[arg-type]


def test_a_leg_that_stands_alone_needs_eyes_now() -> None:
    """C-012: a failure of one leg does not stay between the run and its freeze board."""
    assert "unhedged" in P1_CONTROLS
