"""What a journal says of decisions and latencies, as a backtest needs it."""

import json
from pathlib import Path

import pytest

from mmbot import _core
from mmbot.research.heard import HeardRun
from mmbot.research.own_orders import own_orders, told_first
from mmbot.strategy import View, quotes

MS = 1_000_000
INSTRUMENT = _core.Instrument(venue="test", symbol="XYZ", kind="linear", tick="1", lot="1")


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, _core.Tape]:
    """Half a second: two quotes at 100 ms; the bid is filled in two parts while the ask is cancelled.

    The venue has them at 102 ms and says so at 104. At 200 ms the ask shall leave; at 203, all within that millisecond,
    the ask goes and the bid trades. It is told at 206 and 207: cancel, fill, fill, and the second fill again at 350.
    """
    tape = _core.LiveTape(tmp_path / "tape.live", INSTRUMENT)
    tape.depth(1, 1, "snapshot", [("1000", "5")], [("1002", "7")])
    path = tmp_path / "journal.mmj"
    journal = _core.Journal.create(path, 0, json.dumps({"mode": "test"}))
    desk = _core.Desk(position_max=100, order_max=50)
    live = _core.Live(
        [tape.tape],
        _core.Seat([desk], every_ns=100 * MS, fill=True),
        instruments=[INSTRUMENT],
        queues=[("risk_averse", None)],
        journal=journal,
        sample_ns=1000 * MS,
    )
    windows: list[View] = []
    windows.append(View(live, 0, INSTRUMENT, windows))
    wanted = quotes(1000, 1002, 10)
    live.step(2, lambda view: wanted, windows)
    live.step(100 * MS + 1, lambda view: wanted, windows)
    for number in (1, 2):
        live.accepted(104 * MS + number, number, 102 * MS)
    wanted = quotes(1000, None, 10)
    live.step(200 * MS + 57_000, lambda view: wanted, windows)  # the loop was late for its timer
    live.canceled(206 * MS, 2, 0, 203 * MS)
    live.filled(206 * MS + 1, 1, "first", 1000, 4, True, 0, 203 * MS)
    live.filled(206 * MS + 2, 1, "second", 1000, 6, True, 0, 203 * MS)
    live.accepted(206 * MS + 3, 1, 203 * MS)  # what it was after its fills
    live.step(207 * MS, lambda view: wanted, windows)
    live.filled(350 * MS, 1, "second", 1000, 6, True, 0, 203 * MS)
    journal.end(500 * MS, "{}")
    windows.clear()
    return path, tape.tape


def test_what_was_told_first_was_first(run: tuple[Path, _core.Tape]):
    """The cancel was told before the fills of its millisecond, so it comes a nanosecond before them."""
    path, _ = run
    bid, ask, *_ = own_orders(path)
    assert len(told_first(path)) == 1
    assert ask.gone == 203 * MS - 1
    assert [(fill.ts, fill.lots) for fill in bid.fills] == [(203 * MS, 4), (203 * MS, 6)]
    assert bid.arrived == 102 * MS


def test_latencies_are_those_of_the_messages_one_by_one(run: tuple[Path, _core.Tape]):
    """Two quotes of one time have two rows; fills count as heard when the strategy was asked, and once."""
    path, tape = run
    heard = HeardRun(path, [tape], 100 * MS)
    asked, later = 100 * MS + 1, 200 * MS + 1
    places = [row for row in heard.latencies.entry if row[0] == asked]
    assert places == [(asked, 102 * MS - asked)] * 2
    assert (later, 203 * MS - 1 - later) in heard.latencies.entry
    assert heard.latencies.response == (
        (102 * MS, 2 * MS + 1),
        (102 * MS, 2 * MS + 2),
        (203 * MS - 1, 3 * MS + 1),
        (203 * MS, 4 * MS),
        (203 * MS, 4 * MS),
    )


def test_decisions_are_changes_of_mind(run: tuple[Path, _core.Tape]):
    """Asked again and wanting the same is no decision."""
    path, tape = run
    heard = HeardRun(path, [tape], 100 * MS)
    assert [len(each.quotes) for each in heard.decisions] == [2, 1]
    assert heard.until == 207 * MS
    assert heard.end == 500 * MS
    assert heard.asked_near(207 * MS)
    assert not heard.asked_near(5_000 * MS)
