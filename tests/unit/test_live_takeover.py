"""What the live engine takes over, adopts and concludes, by its Python face; and what its journal leaves."""

import json
from pathlib import Path

import pytest

from mmbot import _core
from mmbot.strategy import View, quotes

INSTRUMENT = _core.Instrument(venue="test", symbol="XYZ", kind="linear", tick="1", lot="1")
BID, ASK, MS = 1_000, 1_002, 1_000_000
START = json.dumps({"instruments": [{"venue": "test", "symbol": "XYZ", "kind": "linear", "tick": "1", "lot": "1"}]})
LIFE, EXPOSURE, OWNER = 7, 6, 9


class Run:
    """A live engine with a journal on a disk in memory; it wants a bid and an ask."""

    def __init__(self, folder: Path, now: int = 1, opening: bytes | None = None) -> None:
        self.tape = _core.LiveTape(folder / f"{now}.live", INSTRUMENT)
        self.disk = _core.SimDisk()
        self.journal = _core.Journal.on(self.disk, now, START)
        desk = _core.Desk(position_max=100, order_max=50)
        self.live = _core.Live(
            [self.tape.tape],
            _core.Seat([desk], every_ns=100 * MS),
            instruments=[INSTRUMENT],
            queues=[("risk_averse", None)],
            journal=self.journal,
        )
        self.windows: list[View] = []
        self.windows.append(View(self.live, 0, INSTRUMENT, self.windows))
        self.now = now
        if opening is not None:
            self.live.open(self.tick(), opening)
        self.tape.depth(self.now + 1, self.now + 1, "snapshot", [(str(BID), "5")], [(str(ASK), "7")])
        self.step(1)

    def tick(self, ms: int = 0) -> int:
        """Let time pass."""
        self.now += max(ms * MS, 1)
        return self.now

    def step(self, ms: int = 100) -> list:
        """Let the strategy look."""
        return self.live.step(self.tick(ms), lambda view: quotes(BID, ASK, 10), self.windows)

    def killed(self) -> _core.Recovered:
        """What its journal leaves."""
        self.journal.flush()
        return _core.recover(self.disk.written())

    def rows(self) -> dict[int, tuple]:
        """Every order, by number."""
        return {row[0]: row for row in self.live.order_rows(0)}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """With two orders sent, 1 bought and 2 sold."""
    run = Run(tmp_path)
    assert [command[:2] for command in run.step()] == [("place", 1), ("place", 2)]
    return run


def test_a_killed_run_goes_on_in_another(run: Run, tmp_path: Path):
    """Orders on their way are unknown and count, numbers go on, and an execution that was booked stays booked."""
    assert run.live.filled(run.tick(), 1, "exec-1", BID, 4, True, 0, 5)
    left = run.killed()
    assert (left.positions, left.orders_named, left.ended) == ([4], 2, False)
    assert [(row[0], row[3], row[6], row[8]) for row in left.orders] == [
        (1, "buy", 4, "partial"),
        (2, "sell", 0, "sent"),
    ]
    later = Run(tmp_path, run.now + 1_000, left.snapshot)
    rows = later.rows()
    assert (rows[1][LIFE], rows[1][EXPOSURE], rows[2][LIFE], rows[2][EXPOSURE]) == ("partial", 6, "unknown", 10)
    assert not later.live.filled(later.tick(), 1, "exec-1", BID, 4, True, 0, 5)
    assert later.live.filled(later.tick(), 1, "exec-2", BID, 6, True, 0, 6)
    assert later.live.books(0, 0)["position_lots"] == 10
    commands = later.step()
    assert [command[1] for command in commands if command[0] == "place"] == [3]
    assert later.killed().snapshot == later.live.snapshot()


def test_adopted_orders_count_and_only_orphans_leave(run: Run):
    """The strategy does not see them, a halt takes out the orphan and not the stranger, and fills are booked."""
    orphan = run.live.adopt(run.tick(), "ours", "v1", 0, "buy", BID, 20, 0, False, "orphan")
    foreign = run.live.adopt(run.tick(), "", "v2", 0, "buy", BID, 30, 5, False, "foreign", booked=5)
    assert run.live.adopt(run.tick(), "", "v1", 0, "buy", BID, 20, 0, False, "orphan") == orphan == 3
    assert [order[0] for order in run.live.orders(0)] == [1, 2]
    rows = run.rows()
    assert [(rows[n][EXPOSURE], rows[n][OWNER]) for n in (orphan, foreign)] == [(20, "orphan"), (25, "foreign")]
    assert run.step() == []
    assert run.live.cancel(run.tick(), foreign) == []
    assert sorted(command[1] for command in run.live.halt(run.tick())) == [1, 2, orphan]
    assert run.live.filled(run.tick(), foreign, "theirs", BID, 25, True, 0, 9)
    assert run.live.books(0, 0)["position_lots"] == 25
    assert foreign not in run.rows()
    with pytest.raises(_core.Quarantine, match="expected 0 <= booked <= cum < lots"):
        run.live.adopt(run.tick(), "", "v3", 0, "buy", BID, 0, 0, False, "foreign")
    with pytest.raises(ValueError, match="orphan or foreign"):
        run.live.adopt(run.tick(), "", "v3", 0, "buy", BID, 1, 0, False, "ours")


@pytest.mark.parametrize("verdict", ["never_placed", "expired_unproven", "turned_away", "held_back"])
def test_an_order_declared_dead_rises_when_the_venue_speaks_of_it(run: Run, verdict: str):
    """The verdict frees its exposure; a word of the venue brings it back, and says so once."""
    match verdict:
        case "turned_away":
            run.live.turned_away(run.tick(), 1, "rate_limited", 3)
        case "held_back":
            run.live.rejected(run.tick(), 1, "held_back", 3)
        case _:
            getattr(run.live, verdict)(run.tick(), 1)
    assert 1 not in run.rows()
    assert run.live.take_risen() == []
    run.live.accepted(run.tick(), 1, 7)
    assert (run.rows()[1][LIFE], run.rows()[1][EXPOSURE]) == ("live", 10)
    assert run.live.take_risen() == [1]
    assert run.live.take_risen() == []
    assert run.live.order_log(0)["order_id"].tolist().count(1) == 1
    assert run.killed().snapshot == run.live.snapshot()


def test_an_execution_told_after_the_end_counts_until_it_is_booked(run: Run):
    """A canceled order of which the venue later says that more was executed is exposure again."""
    run.live.canceled(run.tick(), 1, 0, 5)
    assert 1 not in run.rows()
    run.live.executed(run.tick(), 1, 4, 6)
    assert run.rows()[1][EXPOSURE] == 4
    assert run.live.filled(run.tick(), 1, "late", BID, 4, True, 0, 6)
    assert 1 not in run.rows()
    log = run.live.order_log(0)
    assert dict(zip(log["order_id"].tolist(), log["cum_lots"].tolist(), strict=True))[1] == 4
    assert run.live.take_risen() == []


def test_the_position_moves_without_an_order_once(run: Run):
    """A deleveraging is booked by its id, and stands among the fills with order 0."""
    told = (0, "adl-1", "AdlTrade", "sell", BID, 7, 3, 9)
    assert run.live.moved(run.tick(), *told)
    assert not run.live.moved(run.tick(), *told)
    assert run.live.books(0, 0)["position_lots"] == -7
    assert run.live.fills(0)["order_id"].tolist() == [0]
    with pytest.raises(_core.Quarantine, match="instrument 9 is unknown"):
        run.live.moved(run.tick(), 9, *told[1:])
    with pytest.raises(ValueError, match="one word"):
        run.live.moved(run.tick(), 0, "x", "two words", *told[3:])
    assert run.killed().snapshot == run.live.snapshot()


def test_what_cannot_be_recovered_names_itself(run: Run):
    """Books by other steps do not end in the recorded state; a journal without a start does not say what was traded."""
    run.live.filled(run.tick(), 1, "exec", BID, 4, True, 0, 5)
    run.live.finish(run.tick())
    run.journal.flush()
    other = _core.Instrument(venue="test", symbol="XYZ", kind="linear", tick="1", lot="0.1")
    with pytest.raises(_core.JournalDiffers, match="differs: recorded state"):
        _core.recover(run.disk.written(), [other])
    with pytest.raises(ValueError, match="does not say what was traded"):
        _core.recover(_without_start())
    with pytest.raises(ValueError, match="this one has begun"):
        run.live.open(run.tick(), run.live.snapshot())


def _without_start() -> bytes:
    disk = _core.SimDisk()
    journal = _core.Journal.on(disk)
    journal.note(1, "x", "{}")
    journal.flush()
    return disk.written()


def test_a_freeze_and_the_counts_of_the_limits_survive_a_restart(tmp_path: Path):
    """What the next run takes over from the journal alone still stops what was stopped."""
    first = Run(tmp_path)
    first.live.restrict(first.tick(), "strategy", 2)
    left = first.killed()
    again = Run(tmp_path, first.now + MS, left.snapshot)
    assert again.step() == []
    assert dict(again.live.denials(0))["frozen_strategy"] > 0
    again.live.restrict(again.tick(), "strategy", 0)
    assert [command[0] for command in again.step()] == ["place", "place"]
