"""A recorded run done again: everything equal, and every way in which it may not be said by name."""

import json
import shutil
from pathlib import Path

import paper_run
import pytest

from mmbot import _core
from mmbot.research.journal import CodeChangedError, RecordedRun
from mmbot.strategy import Strategy, Wake, quotes


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> paper_run.Recorded:
    """Forty seconds of paper trading with late, doubled and stray facts."""
    return paper_run.record(tmp_path_factory.mktemp("run") / "paper", seconds=40)


@pytest.fixture
def copied(recorded: paper_run.Recorded, tmp_path: Path) -> Path:
    """The journal of that run in a folder of its own, to be harmed."""
    shutil.copytree(recorded.journal.parent, tmp_path / "run")
    return tmp_path / "run" / "journal.mmj"


def rewritten(path: Path, change) -> None:
    """Write the journal anew, sound in every record, with other contents: what an honest chain cannot show."""
    start = next(_core.JournalReader(path))
    path.rename(path.with_suffix(".old"))
    words = json.loads(start[3]["text"])
    change(words)
    _core.Journal.create(path, start[1], json.dumps(words)).flush()


def test_a_run_is_done_again_to_the_last_bit(recorded: paper_run.Recorded):
    """Every wake, intent, command and state hash is equal, the chain's head and the final state as well."""
    run = RecordedRun.open(recorded.journal)
    verified = run.verify()
    counts = dict(verified.compared)
    assert recorded.venue.fills > 20
    assert counts["wake"] == recorded.live.wakes(0)
    assert counts["command"] > 100
    assert counts["state_hash"] >= 2
    assert (verified.head, verified.torn, verified.ended) == (recorded.head, None, True)
    assert verified.quarantined == recorded.venue.quarantined > 0
    again, _ = run.again()
    assert again.state_hash(0) == recorded.live.state_hash(0)
    assert again.commands_hash(0) == recorded.live.commands_hash(0)
    assert again.books(0, 0) == recorded.live.books(0, 0)


def test_the_report_is_that_of_the_run(recorded: paper_run.Recorded, tmp_path: Path):
    """The result made from the journal counts the fills that the venue made, and says that it was on paper."""
    result = RecordedRun.open(recorded.journal).result()
    assert result.run.mode == "paper"
    assert result.fills.height == recorded.venue.fills
    assert result.write(tmp_path)["report.html"].exists()


def test_another_strategy_is_found_at_its_first_wish(recorded: paper_run.Recorded):
    """Other code is refused by its hash; allowed, the first intent that differs is named with entry and time."""

    class Other(Strategy):
        wake = Wake(every_ms=100)

        def decide(self, view):
            return quotes(None, None, 1)

    run = RecordedRun.open(recorded.journal, strategy=Other())
    with pytest.raises(CodeChangedError, match=r"recorded by code [0-9a-f]{16}.*check out"):
        run.verify()
    with pytest.raises(_core.JournalDiffers, match=r"entry \d+ at \d+ ns differs: recorded the intent") as found:
        run.verify(other_code=True)
    seq, time, expected, made = found.value.difference
    assert expected.startswith("the intent for instrument 0 Buy 2 at")
    assert made == "the intent for instrument 0"
    assert next(at for number, at, _, _ in _core.JournalReader(recorded.journal) if number == seq) == time


def test_another_tape_is_found_at_the_first_wake(copied: Path):
    """Where the market is another one, the wake's count of messages heard tells."""
    tape = _core.Tape.open(copied.parent / "tapes" / "btc.tape")
    target = copied.parent / "tapes" / "shorter.tape"
    writer = _core.TapeWriter(target, tape.instrument)
    start = tape.span[0]
    writer.trade(start, start, tape.instrument.price(600_000), tape.instrument.quantity(5), "buy")
    writer.finish()
    target.replace(copied.parent / "tapes" / "btc.tape")
    with pytest.raises(_core.JournalDiffers, match=r"depth messages and .* trades heard; the replay made a wake"):
        RecordedRun.open(copied).verify()


@pytest.mark.parametrize("at", [0.3, 0.9])
def test_a_changed_byte_is_named_with_its_entry(copied: Path, at: float):
    """A flipped bit in the middle is damage, and the first bad entry is named."""
    raw = bytearray(copied.read_bytes())
    raw[int(len(raw) * at)] ^= 1
    copied.write_bytes(raw)
    with pytest.raises(_core.JournalFault, match=r"at entry \d+ \(segment 0, byte \d+\): its checksum does not fit"):
        RecordedRun.open(copied).verify()


def test_a_killed_writer_leaves_a_torn_end_and_nothing_else(copied: Path):
    """A journal cut anywhere is verified up to there; a torn end is told, and what it would have said is not missed."""
    raw = copied.read_bytes()
    for cut in range(len(raw) * 2 // 3, len(raw) * 2 // 3 + 400, 7):
        copied.write_bytes(raw[:cut])
        verified = RecordedRun.open(copied).verify()
        assert not verified.ended
    copied.write_bytes(raw[: len(raw) - 1])
    assert "is torn" in str(RecordedRun.open(copied).verify())


def test_an_entry_taken_out_is_noticed(copied: Path):
    """A journal out of which one whole entry was cut is damaged there, though every record is sound."""
    raw = copied.read_bytes()
    first = 72
    second = first + 64 + int.from_bytes(raw[first : first + 4], "little")
    third = second + 64 + int.from_bytes(raw[second : second + 4], "little")
    copied.write_bytes(raw[:second] + raw[third:])
    with pytest.raises(_core.JournalFault, match=r"damaged at entry 1 .*taken out, put in or swapped"):
        RecordedRun.open(copied).verify()


def test_a_missing_tape_says_where_it_should_be(copied: Path):
    """Without its tape a journal cannot be replayed."""
    (copied.parent / "tapes" / "btc.tape").unlink()
    with pytest.raises(FileNotFoundError, match=r"btc\.tape: no such tape; the journal refers to it"):
        RecordedRun.open(copied)


def test_a_tape_that_a_killed_run_left_is_sealed_first(copied: Path):
    """The directory of a tape that was still being written becomes the tape."""
    sealed = copied.parent / "tapes" / "btc.tape"
    instrument = _core.Tape.open(sealed).instrument
    sealed.unlink()
    left = _core.LiveTape(sealed.with_suffix(".live"), instrument)
    left.trade(5, 5, instrument.price(600_000), instrument.quantity(5), "buy")
    left.sync()
    del left
    assert RecordedRun.open(copied).traded[0].tape.events == 1
    assert sealed.exists()
    assert not sealed.with_suffix(".live").exists()


def test_a_journal_that_says_nothing_of_its_run_is_refused(copied: Path):
    """A start without its parts is answered with what is missing."""
    rewritten(copied, lambda words: words.pop("code_hash"))
    with pytest.raises(ValueError, match=r"start of the run cannot be read .*code_hash: Field required"):
        RecordedRun.open(copied)
    other = copied.with_name("other")
    other.write_bytes(b"something else, and long enough to be looked at: 72 bytes and more" * 2)
    with pytest.raises(_core.JournalFault, match="not a journal"):
        RecordedRun.open(other)


def test_the_tape_of_another_grid_is_refused(copied: Path):
    """Terms in the journal and grid of the tape must be one instrument's."""
    rewritten(copied, lambda words: words["instruments"][0].update(tick="0.5"))
    with pytest.raises(ValueError, match="it is not the tape of this run"):
        RecordedRun.open(copied)
