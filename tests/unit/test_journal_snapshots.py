"""Segments begin with a snapshot: a start reads from the last one that an anchor vouches for, and finds the same."""

import json
from pathlib import Path

import pytest

from mmbot import _core
from mmbot.strategy import View, quotes

INSTRUMENT = _core.Instrument(venue="test", symbol="XYZ", kind="linear", tick="1", lot="1")
START = json.dumps({"instruments": [{"venue": "test", "symbol": "XYZ", "kind": "linear", "tick": "1", "lot": "1"}]})
SEGMENT, ENTRIES = 2_000, 9_000


class Written:
    """The journal of a run that moved its quotes and was filled now and then, and a head of it every 100 entries."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.mmj"
        journal = _core.Journal.create(self.path, 1, START, segment_records=SEGMENT)
        tape = _core.LiveTape(folder / "tape.live", INSTRUMENT)
        live = _core.Live(
            [tape.tape],
            _core.Seat([_core.Desk(position_max=10**6, order_max=100, requests_per_second_max=10**9)], every_ns=1),
            instruments=[INSTRUMENT],
            queues=[("risk_averse", None)],
            journal=journal,
        )
        windows: list[View] = []
        windows.append(View(live, 0, INSTRUMENT, windows))
        journal.note(2, "chain", "of whom")
        tape.depth(3, 3, "snapshot", [("1000", "5")], [("1002", "7")])
        now, turn = 10, 0
        self.heads: list[tuple[int, str]] = []
        while journal.entries < ENTRIES:
            turn, now = turn + 1, now + 10
            bid = 990 - turn % 3
            for command in live.step(now, lambda view, bid=bid: quotes(bid, 1_010, 10), windows):
                now += 1
                if command[0] == "cancel":
                    live.canceled(now, command[1], 0, now)
                else:
                    live.accepted(now, command[1], now)
            if turn % 50 == 0:
                open_now = live.orders(0)[0]
                now += 1
                live.filled(now, open_now[0], f"x{turn}", open_now[2], 1, True, 3, now)
            if turn % 10 == 0:
                journal.note(now, "custody", str(turn))
                journal.sync()
                self.heads.append(journal.head())
        journal.sync()
        self.live, self.head = live, journal.head()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """One journal for all of them; who changes it changes a copy."""
    return Written(tmp_path_factory.mktemp("written"))


def copied(written: Written, to: Path) -> Path:
    """The same journal, to be changed."""
    for file in written.path.parent.glob("*.mmj"):
        (to / file.name).write_bytes(file.read_bytes())
    return to / "journal.mmj"


def told(left: _core.Recovered) -> tuple[object, ...]:
    """What has to be equal."""
    return left.snapshot, left.state_hash, left.orders, left.gone, left.positions, left.head, left.last_time, left.start


def test_a_start_reads_the_end_alone_and_finds_what_the_whole_says(written: Written) -> None:
    """State, orders, head; of notes the newest of each topic, with the time at which it was said."""
    whole, over = _core.recover(written.path), _core.take_over(written.path, [written.head])
    assert ENTRIES - over.begins < SEGMENT + 1_100
    assert told(over) == told(whole)
    assert over.snapshot == written.live.snapshot()
    for topic in ("chain", "custody"):
        newest = [(at, text) for at, said, text in whole.notes if said == topic][-1]
        assert [(at, text) for at, said, text in over.notes if said == topic][-1] == newest


def test_a_snapshot_that_no_anchor_is_behind_is_not_begun_with(written: Written) -> None:
    """The newest anchor decides which; without any, the last snapshot."""
    last = _core.take_over(written.path, []).begins
    for head in written.heads:
        begins = _core.take_over(written.path, [head]).begins
        assert begins < head[0]
        assert (begins == last) == (head[0] > last)


@pytest.mark.parametrize("cut", [0, 1, 71, 72, 100, 5_000, 60_000])
def test_wherever_the_last_segment_is_cut_the_same_is_found(written: Written, tmp_path: Path, cut: int) -> None:
    """In its head, in its snapshot, behind: one that has no whole snapshot is none to begin with."""
    path = copied(written, tmp_path)
    last = max(tmp_path.glob("journal.*.mmj"), key=lambda file: int(file.name.split(".")[1]))
    last.write_bytes(last.read_bytes()[:cut])
    assert told(_core.take_over(path, [])) == told(_core.recover(path))


def test_an_earlier_segment_that_is_damaged_is_found_by_who_reads_it(written: Written, tmp_path: Path) -> None:
    """A start that begins behind it is not wrong: the anchor vouches for the snapshot. Whoever reads all of it says so,
    and so does a start that has no anchor behind a snapshot.
    """
    path = copied(written, tmp_path)
    octets = bytearray(path.read_bytes())
    octets[5_000] ^= 1
    path.write_bytes(octets)
    assert told(_core.take_over(path, [written.head])) == told(_core.recover(written.path))
    with pytest.raises(_core.JournalFault, match="damaged at entry"):
        _core.recover(path)
    with pytest.raises(_core.JournalFault, match="damaged at entry"):
        _core.take_over(path, [written.heads[0]])


def test_an_anchor_that_does_not_fit_is_met_by_a_start_that_reads_the_end(written: Written) -> None:
    """Another chain value in the last segment, and entries that are not here: named as by who reads all of it."""
    entries, _ = written.head
    with pytest.raises(_core.JournalFault, match="was rewritten") as rewritten:
        _core.take_over(written.path, [written.heads[-2], (entries, "00" * 32)])
    assert rewritten.value.place is not None
    assert rewritten.value.place[0] == written.heads[-2][0]
    with pytest.raises(_core.JournalFault, match="cut short") as short:
        _core.take_over(written.path, [(entries + 1, "00" * 32)])
    assert short.value.short
    assert not rewritten.value.short
