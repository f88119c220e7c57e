"""The live engine by its Python face: commands out, facts in, and what may not kill it."""

import json
import resource
from pathlib import Path

import pytest

from mmbot import _core
from mmbot.strategy import View, quotes

INSTRUMENT = _core.Instrument(venue="test", symbol="XYZ", kind="linear", tick="1", lot="1")
BID, ASK = 1_000, 1_002
MS = 1_000_000


class Venue:
    """A live engine on a growing tape with one book on it, woken every 100 ms, that wants a bid and an ask."""

    def __init__(self, folder: Path, *, amend: bool = False, journal: _core.Journal | None = None) -> None:
        self.tape = _core.LiveTape(folder / "tape.live", INSTRUMENT)
        self.tape.depth(1, 1, "snapshot", [(str(BID), "5")], [(str(ASK), "7")])
        desk = _core.Desk(position_max=100, order_max=50, amend=amend)
        seat = _core.Seat([desk], every_ns=100 * MS, fill=True)
        self.live = _core.Live(
            [self.tape.tape],
            seat,
            instruments=[INSTRUMENT],
            queues=[("risk_averse", None)],
            journal=journal,
            sample_ns=1000 * MS,
        )
        self.windows: list[View] = []
        self.windows.append(View(self.live, 0, INSTRUMENT, self.windows))
        self.wanted = quotes(BID, ASK, 10)
        self.now = 1

    def tick(self, ms: int = 0) -> int:
        """Let time pass; every input has a time of its own."""
        self.now += max(ms * MS, 1)
        return self.now

    def step(self, ms: int = 100):
        """Let the strategy look."""
        return self.live.step(self.tick(ms), lambda view: self.wanted, self.windows)


@pytest.fixture
def venue(tmp_path: Path) -> Venue:
    """A venue with nothing said yet."""
    return Venue(tmp_path)


def test_a_strategy_is_asked_by_its_timer_and_its_wish_becomes_commands(venue: Venue):
    """Timers count from the first message; what is wanted is placed once, and stands when it was accepted."""
    assert venue.live.next_timer() is None
    assert venue.step(1) == []
    assert venue.live.next_timer() == 1 + 100 * MS
    assert venue.step(100) == [
        ("place", 1, 0, "buy", BID, 10, "gtc", True, False),
        ("place", 2, 0, "sell", ASK, 10, "gtc", True, False),
    ]
    venue.live.acked(venue.tick(), 1, venue.now)
    venue.live.accepted(venue.tick(), 1, venue.now)
    states = {order[0]: (order[4], order[5]) for order in venue.live.orders(0)}
    assert states[1] == ("live", 5.0)
    assert states[2][0] == "sent"
    assert venue.step() == []
    assert venue.live.next_timer() == 1 + 300 * MS


def test_a_late_process_is_woken_once(venue: Venue):
    """A timer that was missed ten times is one wake, and the next one is in the future."""
    venue.step(1)
    venue.step(1_050)
    assert venue.live.wakes(0) == 1
    assert venue.live.next_timer() == 1 + 1_100 * MS


def test_an_execution_is_booked_once_by_its_text(venue: Venue):
    """The same execution twice changes nothing; another id with the same terms is another execution."""
    venue.step(100)
    told = (1, "e0b1-77", BID, 3, True, -30, 50)
    assert venue.live.filled(venue.tick(), *told)
    assert not venue.live.filled(venue.tick(), *told)
    assert venue.live.filled(venue.tick(), 1, "e0b1-78", *told[2:])
    books = venue.live.books(0, 0)
    assert (books["position_lots"], books["fee_units"], books["maker_fills"]) == (6, -60, 2)
    assert venue.live.fills(0)["execution"].tolist() == [1, 2]
    assert len(venue.live.new_fills()) == 2


def test_a_fill_carries_the_touch_heard_just_before_it(venue: Venue):
    """A book message of the execution's own venue time is its effect, not what it met."""
    venue.step(100)
    later = venue.tick()
    venue.tape.depth(later, later, "delta", [(str(BID), "0"), (str(BID - 1), "4")], [])
    venue.live.filled(venue.tick(), 1, "a", BID, 1, True, 0, later)
    venue.live.filled(venue.tick(), 1, "b", BID, 1, True, 0, later + 1)
    assert venue.live.fills(0)["touch_bid"].tolist() == [BID, BID - 1]


def test_what_the_books_cannot_take_is_quarantined(venue: Venue):
    """Facts about orders that were never sent, and impossible numbers, change nothing and kill nothing."""
    venue.step(100)
    before = venue.live.books(0, 0), repr(venue.live.orders(0))
    with pytest.raises(_core.Quarantine, match="order OrderId\\(99\\), which this engine never sent"):
        venue.live.accepted(venue.tick(), 99, 1)
    with pytest.raises(_core.Quarantine, match="never sent"):
        venue.live.filled(venue.tick(), 0, "x", 1, 1, True, 0, 1)
    with pytest.raises(_core.Quarantine, match="qty must be positive, got 0"):
        venue.live.filled(venue.tick(), 1, "y", BID, 0, True, 0, 1)
    assert (venue.live.books(0, 0), repr(venue.live.orders(0)), venue.live.quarantined) == (*before, 3)
    assert venue.live.filled(venue.tick(), 1, "y", BID, 1, True, 0, 1)


def test_a_fill_after_the_end_is_booked(venue: Venue):
    """The execution of an order that was said to be canceled moves the position all the same."""
    venue.step(100)
    venue.live.canceled(venue.tick(), 1, 0, 5)
    assert venue.live.filled(venue.tick(), 1, "late", BID, 4, True, 0, 4)
    assert venue.live.books(0, 0)["position_lots"] == 4
    assert venue.live.fills(0)["order_id"].tolist() == [1]


def test_a_booked_execution_is_known_after_its_order_is_forgotten(venue: Venue):
    """Told again after thousands of later orders it changes nothing; another one of that order is quarantined."""
    told = (BID, 1, True, 0, 4)
    venue.step(100)
    assert venue.live.filled(venue.tick(), 1, "early", *told)
    venue.live.canceled(venue.tick(), 1, 1, 5)
    venue.live.canceled(venue.tick(), 2, 0, 5)
    venue.wanted = quotes(BID, None, 1)
    while venue.live.orders_named(0) < 4_200:
        [placed] = venue.step(100)
        venue.live.canceled(venue.tick(), placed[1], 0, 5)
    assert not venue.live.filled(venue.tick(), 1, "early", *told)
    with pytest.raises(_core.Quarantine, match="OrderId\\(2\\)"):
        venue.live.filled(venue.tick(), 2, "early", *told)
    with pytest.raises(_core.Quarantine, match="OrderId\\(1\\)"):
        venue.live.filled(venue.tick(), 1, "other", *told)
    assert venue.live.books(0, 0)["position_lots"] == 1


def test_a_leap_of_the_clock_takes_bounded_samples(venue: Venue):
    """After years of silence only the last samples are taken, on their grid; what is no time at all is refused."""
    venue.step(100)
    venue.now = 10**18
    venue.step()
    times = venue.live.samples(0)["ts"]
    assert len(times) == 100_000
    assert set((times[1:] - times[:-1]).tolist()) == {1000 * MS}
    assert venue.now - 1000 * MS < times[-1] <= venue.now
    with pytest.raises(RuntimeError, match="later than any clock of ours shows"):
        venue.live.step(2**63 - 1, lambda view: venue.wanted, venue.windows)
    venue.step()


def test_an_unanswered_cancel_is_said_again(venue: Venue):
    """After `unknown` the next wish cancels again; `cancel` does so at once, as often as it is called."""
    venue.step(100)
    venue.live.accepted(venue.tick(), 1, 5)
    venue.wanted = quotes(None, ASK, 10)
    assert venue.step() == [("cancel", 1, 0)]
    assert venue.step() == []
    venue.live.unknown(venue.tick(), 1)
    assert venue.step() == [("cancel", 1, 0)]
    assert venue.live.cancel(venue.tick(), 1) == [("cancel", 1, 0)]
    assert venue.live.cancel(venue.tick(), 1) == [("cancel", 1, 0)]
    venue.live.canceled(venue.tick(), 1, 0, 9)
    assert venue.live.cancel(venue.tick(), 1) == []
    assert venue.live.cancel(venue.tick(), 77) == []


def test_an_unanswered_amend_is_said_again_and_counts_by_the_worse_terms(tmp_path: Path):
    """Whatever is wanted of an order whose terms are uncertain is said again, within limits that count both."""
    venue = Venue(tmp_path, amend=True)
    venue.wanted = quotes(BID, None, 10)
    venue.step(100)
    venue.live.accepted(venue.tick(), 1, 5)
    venue.wanted = quotes(BID - 1, None, 40)
    assert venue.step() == [("amend", 1, 0, BID - 1, 40)]
    venue.live.unknown(venue.tick(), 1)
    assert venue.step() == [("amend", 1, 0, BID - 1, 40)]
    venue.live.amended(venue.tick(), 1, BID - 1, 40, 9)
    assert venue.step() == []
    assert venue.live.orders(0)[0][:4] == (1, "buy", BID - 1, 40)


def test_a_refusal_says_which_request_it_answers(tmp_path: Path):
    """A refused cancel leaves an amend in the exposure that may have been taken; the amend's own refusal frees it."""
    venue = Venue(tmp_path, amend=True)
    venue.wanted = quotes(BID, None, 10)
    venue.step(100)
    venue.live.accepted(venue.tick(), 1, 5)
    venue.wanted = quotes(BID - 1, None, 40)
    assert venue.step() == [("amend", 1, 0, BID - 1, 40)]
    assert venue.live.cancel(venue.tick(), 1) == [("cancel", 1, 0)]
    venue.live.refused(venue.tick(), 1, "cancel", "busy", 6)
    assert [row[6] for row in venue.live.order_rows(0)] == [40]
    venue.live.refused(venue.tick(), 1, "amend", "busy", 7)
    assert [row[6] for row in venue.live.order_rows(0)] == [10]
    with pytest.raises(ValueError, match='expected "amend" or "cancel"'):
        venue.live.refused(venue.tick(), 1, "place", "busy", 8)


def test_the_venues_word_holds_until_the_execution_comes(venue: Venue):
    """An order that was executed whole by the venue's word is not settled before the execution is booked."""
    venue.step(100)
    venue.live.executed(venue.tick(), 1, 10, 5)
    assert [(order[0], order[4]) for order in venue.live.orders(0)] == [(1, "filled"), (2, "sent")]
    venue.live.filled(venue.tick(), 1, "e", BID, 10, True, 0, 5)
    assert [order[0] for order in venue.live.orders(0)] == [2]


def test_a_halt_asks_everything_to_leave_and_nobody_to_speak(venue: Venue):
    """After a halt no strategy is asked; said again, it cancels what is still open again."""
    venue.step(100)
    assert venue.live.halt(venue.tick()) == [("cancel", 1, 0), ("cancel", 2, 0)]
    venue.live.canceled(venue.tick(), 2, 0, 9)
    assert venue.live.halt(venue.tick()) == [("cancel", 1, 0)]
    assert venue.step(500) == []
    assert venue.live.halted
    assert venue.live.next_timer() is None


def test_a_reason_without_a_name_is_kept_in_the_venues_words(tmp_path: Path):
    """What the venue said stands in the journal; the order log has our name for it."""
    journal = _core.Journal.create(tmp_path / "j", 0, "{}")
    venue = Venue(tmp_path, journal=journal)
    venue.step(100)
    venue.live.rejected(venue.tick(), 1, "EC_NoEnoughBalance", 5)
    venue.live.rejected(venue.tick(), 2, "post_only_would_cross", 6)
    journal.flush()
    said = [fields["words"] for _, _, kind, fields in _core.JournalReader(tmp_path / "j") if kind == "event"]
    assert said == ["EC_NoEnoughBalance", "post_only_would_cross"]
    assert venue.live.order_log(0)["reason"] == ["other", "post_only_would_cross"]


def test_time_must_rise_and_tapes_must_not_be_written_behind_it(venue: Venue):
    """An input that is not later, and a message stamped before what was heard, are the caller's mistakes."""
    venue.step(100)
    with pytest.raises(RuntimeError, match="not after the one before"):
        venue.live.step(venue.now, lambda view: None, venue.windows)
    venue.tape.depth(venue.now, venue.now, "delta", [], [])
    with pytest.raises(RuntimeError, match="stamp frames before the next input's time"):
        venue.step()
    assert venue.live.halt(venue.tick()) == [("cancel", 1, 0), ("cancel", 2, 0)]


def test_a_journal_knows_every_input_and_what_it_led_to(tmp_path: Path):
    """In order: what was heard, what is wanted, what is asked; written when flushed."""
    path = tmp_path / "run.mmj"
    journal = _core.Journal.create(path, 0, json.dumps({"run": 1}))
    venue = Venue(tmp_path, journal=journal)
    venue.wanted = quotes(BID, ASK, 60)  # more than an order may have
    venue.step(100)
    venue.wanted = quotes(BID, None, 10)
    venue.step()
    assert sum(1 for _ in _core.JournalReader(path)) == 1
    journal.note(venue.tick(), "link", '{"up": true}')
    venue.live.finish(venue.tick())
    journal.end(venue.tick(), "{}")
    kinds = [kind for _, _, kind, _ in _core.JournalReader(path)]
    denied = ["wake", "intent", "denied", "denied"]
    assert kinds == ["run_start", *denied, "wake", "intent", "command", "note", "state_hash", "run_end"]
    assert journal.entries == len(kinds)
    with pytest.raises(OSError, match="exists"):
        _core.Journal.create(path, 0, "{}")


def test_a_full_disk_kills_the_journal_and_never_a_cancel(tmp_path: Path):
    """Once the disk refused, no order leaves any more, for good; cancels still do."""
    path = tmp_path / "journal"
    journal = _core.Journal.create(path, 0, "{}")
    venue = Venue(tmp_path, journal=journal)
    assert len(venue.step(100)) == 2
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, hard))
    try:
        with pytest.raises(_core.JournalDead, match="a write failed: File too large"):
            journal.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "a write failed" in str(journal.dead)
    venue.wanted = quotes(BID - 1, ASK, 10)
    for again in (venue.step, journal.flush, journal.sync):
        with pytest.raises(_core.JournalDead, match="cancel, and start a new run"):
            again()
    assert venue.live.halt(venue.tick()) == [("cancel", 1, 0), ("cancel", 2, 0)]
    assert venue.live.cancel(venue.tick(), 2) == [("cancel", 2, 0)]
    assert [kind for _, _, kind, _ in _core.JournalReader(path)] == ["run_start"]


def test_parts_that_do_not_fit_are_refused():
    """As many tapes, instruments and queues; a queue law that a feed by level can serve."""
    seat = _core.Seat([_core.Desk(position_max=1, order_max=1)], every_ns=1)
    with pytest.raises(ValueError, match="0 tapes, 1 instruments and 0 queues"):
        _core.Live([], seat, instruments=[INSTRUMENT], queues=[])
    with pytest.raises(ValueError, match="limits for 1 of 0 instruments"):
        _core.Live([], seat, instruments=[], queues=[])
