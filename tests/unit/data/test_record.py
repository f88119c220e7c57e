"""The recorder: what it writes, that it can be imported again, and what is left when it is killed."""

import random
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path

import bybit_session
import pytest
import zstandard
from bybit_session import FEES, MARKETS, STEP, endless, frames, recorder, tell

from mmbot._core import Tape
from mmbot.data import ClockPolicy, import_bybit
from mmbot.data import tape as frames_of
from mmbot.data.record import RecorderError, Rotation, recover
from mmbot.venues.bybit import wire
from mmbot.venues.port import LinkEvent
from mmbot.venues.records import BookLost, BookUpdate

KEEP = ClockPolicy(mode="keep")
KILLS = 6


def files(folder: Path, pattern: str) -> list[Path]:
    """The files of a kind, oldest first."""
    return sorted(folder.glob(pattern))


def imported(raw: Path, out: Path) -> dict[str, bytes]:
    """The tapes that importing a raw file makes, by instrument."""
    return {
        f"{report.venue}-{report.symbol}": (out / report.tape).read_bytes()
        for report in import_bybit(raw, out, fees=FEES, clock=KEEP)
    }


def lines_of(raw: Path) -> list[bytes]:
    """The lines of a raw file."""
    with zstandard.ZstdDecompressor().stream_reader(raw.read_bytes(), read_across_frames=True) as stream:
        return stream.readall().splitlines()


def check_no_leftovers(folder: Path) -> None:
    """Only finished files are there, and all of them are sound."""
    assert not [*folder.glob("*.live"), *folder.glob("*.partial"), *folder.glob(".mmbot*")]
    for path in files(folder, "*.tape"):
        Tape.open(path).check()


def test_a_raw_file_imports_to_the_very_tapes(tmp_path: Path) -> None:
    """What was recorded as tapes and what importing the raw frames makes are the same bytes."""
    one = recorder(tmp_path / "rec")
    tell(one, frames())
    one.close()
    [raw] = files(tmp_path / "rec", "*.jsonl.zst")
    tapes = imported(raw, tmp_path / "out")
    for category, symbol in MARKETS:
        [path] = files(tmp_path / "rec", f"bybit-{category}-{symbol}-*.tape")
        assert path.read_bytes() == tapes[f"bybit-{category}-{symbol}"]
    assert one.recorded.frames == len(frames())
    assert one.recorded.files == sorted([raw.name, *(path.name for path in files(tmp_path / "rec", "*.tape"))])
    check_no_leftovers(tmp_path / "rec")


def test_each_file_after_a_rotation_can_be_read_alone(tmp_path: Path) -> None:
    """Files end at multiples of five seconds; each raw file imports to its tapes, which start with the whole book."""
    whole, parts = recorder(tmp_path / "whole"), recorder(tmp_path / "parts", every_s=5)
    for one in (whole, parts):
        tell(one, frames())
        one.close()
    raws = files(tmp_path / "parts", "*.jsonl.zst")
    assert len(raws) == parts.recorded.rotations + 1 > 5
    for raw in raws:
        stamp = raw.name.removeprefix("bybit-").removesuffix(".jsonl.zst")
        tapes = imported(raw, tmp_path / stamp)
        for name, tape in tapes.items():
            path = tmp_path / "parts" / f"{name}-{stamp}.tape"
            if path.exists():  # others are in the raw frames only
                assert path.read_bytes() == tape
    [last, *_] = reversed(files(tmp_path / "parts", "bybit-linear-BTCUSDT-*.tape"))
    [all_of_it] = files(tmp_path / "whole", "bybit-linear-BTCUSDT-*.tape")
    assert books(last) == books(all_of_it)
    check_no_leftovers(tmp_path / "parts")


def books(path: Path) -> tuple[list[tuple[int, int]], ...]:
    """The book at the end of a tape."""
    tape = Tape.open(path)
    sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
    levels = frames_of.records(tape, "levels")
    for message in frames_of.records(tape, "depth"):
        first = int(message["span"]) & ((1 << 56) - 1)
        if int(message["span"]) >> 56:
            sides = ({}, {})
        for at in range(int(message["n_bid"]) + int(message["n_ask"])):
            tick, lots = levels[first + at].tolist()
            sides[at >= int(message["n_bid"])][tick] = lots
    return tuple(sorted((tick, lots) for tick, lots in side.items() if lots) for side in sides)


def kinds(path: Path) -> list[int]:
    """What each depth message of a tape is: 0 delta, 1 snapshot, 2 gap."""
    return (frames_of.records(Tape.open(path), "depth")["span"] >> 56).tolist()


def killed_after(folder: Path, says: int) -> int:
    """Runs a recorder until it has spoken so often, kills it, and returns which frame it had recorded for sure."""
    command = [sys.executable, bybit_session.__file__, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = list(islice(writer.stdout, says))
        writer.send_signal(signal.SIGKILL)
        return int((said + list(writer.stdout))[-1])


def check_prefix(folder: Path, heard: int) -> None:
    """The updates on the tapes are the first of those that were told, up to frame `heard` at least."""
    told = list(islice(endless(), heard + 1 + STEP))
    updates = [
        (at, one.ts_venue) for at, frame in enumerate(told) for one in wire.decode(frame[1]) if is_btc_delta(frame, one)
    ]
    kept = [ts for path in files(folder, "bybit-linear-BTCUSDT-*.tape") for ts in deltas(path)]
    assert len(kept) >= sum(at <= heard for at, _ in updates)
    assert kept == [ts for _, ts in updates[: len(kept)]]


@pytest.mark.slow
def test_a_killed_recorder_is_finished_by_the_next_one(tmp_path: Path) -> None:
    """SIGKILL at any moment, rotations included: tapes lose nothing that was heard, raw files end at a whole piece."""
    moments = random.Random(3)
    for kill in range(KILLS):
        folder = tmp_path / str(kill)
        heard = killed_after(folder, moments.choice([1, 40, 70, 80, 90, 120]))
        if kill % 2:
            found = recover(folder)
        else:
            one = recorder(folder)
            found = one.recovered
            one.close()
        assert found
        assert not any(one.fault or (one.lost and one.left.endswith(".live")) for one in found)
        check_no_leftovers(folder)
        check_prefix(folder, heard)
        lines = [line for raw in files(folder, "*.jsonl.zst") for line in lines_of(raw)]
        assert all(line.endswith(b"}") for line in lines)


def is_btc_delta(frame: tuple[str, bytes, int], record: object) -> bool:
    """Whether it is an update of the book that is heard for ever."""
    is_delta = isinstance(record, BookUpdate) and record.kind == "delta"
    return is_delta and frame[0] == "linear" and b'"orderbook.200.BTCUSDT"' in frame[1]


def deltas(path: Path) -> list[int]:
    """Venue times of the updates on a tape."""
    rows = frames_of.records(Tape.open(path), "depth")
    return rows["ts_venue"][rows["span"] >> 56 == 0].tolist()


def test_one_recorder_has_its_folder(tmp_path: Path) -> None:
    """Neither a second recorder nor `recover` may touch files that are being written."""
    one = recorder(tmp_path)
    for act in (recorder, recover):
        with pytest.raises(RecorderError, match="stop it first"):
            act(tmp_path)
    one.close()
    assert recover(tmp_path) == []
    assert not files(tmp_path, "*.tape"), "where nothing came there is no tape"


def test_a_full_disk_ends_the_recording_and_leaves_it_sound(tmp_path: Path) -> None:
    """The error says what to do; what was recorded until then is sealed once there is room."""
    command = [sys.executable, bybit_session.__file__, str(tmp_path), str(1 << 18)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "File too large" in ended.stderr
    assert f"mmbot record --recover {tmp_path}" in ended.stderr
    found = recover(tmp_path)
    assert any(one.file and "linear-BTCUSDT" in one.file for one in found)
    assert not any(one.fault for one in found)
    check_no_leftovers(tmp_path)


def test_what_the_disk_is_too_slow_for_is_dropped_and_counted(tmp_path: Path) -> None:
    """No frame waits where none may: the tapes have all of them, and the raw file says how many it has not."""
    one = recorder(tmp_path, waiting_bytes_max=0)
    tell(one, frames())
    one.close()
    assert (one.recorded.frames, one.recorded.frames_dropped) == (0, len(frames()))
    [path] = files(tmp_path, "bybit-linear-BTCUSDT-*.tape")
    assert Tape.open(path).events > 1_000


def test_a_lost_book_is_a_gap_and_a_refused_update_is_asked_for_again(tmp_path: Path) -> None:
    """The tape forgets the book when the feed does, and when an update is off the grid, which the feed must hear of."""
    one, asked = recorder(tmp_path), list[tuple[str, str]]()
    one.resync = lambda category, symbol, _why: asked.append((category, symbol))
    book = [frame for frame in frames() if b'"orderbook.200.BTCUSDT"' in frame[1] and frame[0] == "linear"]
    tell(one, book[:3])
    one.on_records("linear", [BookLost(symbol="BTCUSDT", why="a gap")], book[3][2])
    tell(one, book[3:5])  # they wait for a snapshot
    tell(one, book[:1])
    [update] = wire.decode(book[1][1])
    assert isinstance(update, BookUpdate)
    off_grid = BookUpdate(
        symbol="BTCUSDT", kind="delta", ts_venue=update.ts_venue, previous_id=update.previous_id,
        last_id=update.last_id, bids=[("65000.123456", "1")], asks=[],
    )  # fmt: skip
    one.on_records("linear", [off_grid], book[5][2])
    one.on_link(LinkEvent(link="public", state="down", why="test", conn="linear"))
    one.close()
    [path] = files(tmp_path, "*.tape")
    assert (kinds(path), asked) == ([1, 0, 0, 2, 1, 2], [("linear", "BTCUSDT")])
    assert one.recorded.markets["linear BTCUSDT"].quarantined == {"unusable number": 1}
    [raw] = files(tmp_path, "*.jsonl.zst")
    assert b'"state":"down"' in lines_of(raw)[-1]


def test_a_raw_file_is_cut_after_its_last_whole_piece(tmp_path: Path) -> None:
    """A flipped bit or a cut end costs what comes from there; without a whole piece there is no file."""
    one = recorder(tmp_path / "rec")
    tell(one, frames())
    one.close()
    [raw] = files(tmp_path / "rec", "*.jsonl.zst")
    good = raw.read_bytes()
    head = len(zstandard.ZstdDecompressor().decompressobj().decompress(good))
    assert head > 0
    for at, change in ((-1, good[:-1]), (len(good) - 9, good[:-9] + b"\0" + good[-8:]), (3, good[:3])):
        damaged = tmp_path / f"x{at}.jsonl.zst.partial"
        damaged.write_bytes(change)
        [found] = recover(tmp_path)
        if at == 3:
            assert (found.file, found.lost) == (None, "3 bytes that were half written")
        else:
            assert good.startswith((tmp_path / str(found.file)).read_bytes())


@pytest.mark.parametrize(("every_s", "bytes_max"), [(0, None), (None, 5), (-1, 1 << 30)])
def test_a_rotation_without_end_is_refused(every_s: int | None, bytes_max: int | None) -> None:
    """Files of less than a second or a mebibyte are a mistake."""
    with pytest.raises(ValueError, match="expected 1 s"):
        Rotation(every_s=every_s, bytes_max=bytes_max)


def test_a_full_file_ends(tmp_path: Path) -> None:
    """A file that holds as much as one may is followed by the next."""
    one = recorder(tmp_path)
    one._rotation = Rotation(every_s=None, bytes_max=1 << 20)
    told = endless()
    while one.recorded.rotations < 2:
        tell(one, list(islice(told, 5_000)))
        one.tick()
    one.close()
    assert len(files(tmp_path, "*.jsonl.zst")) == 3
    check_no_leftovers(tmp_path)
