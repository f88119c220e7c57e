"""A tape that is being written: read at once, killed at any moment, sealed."""

import random
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import endless_market
import pytest
from endless_market import STEP, append, instrument

from mmbot._core import LiveTape, Tape, TapeFault, TapeWriter
from mmbot.data import tape as frames

KILLS = 30


def written(path: Path, count: int) -> bytes:
    """The tape of the first `count` messages, as it is written in one go."""
    writer = TapeWriter(path, instrument())
    for at in range(count):
        append(writer, at)
    writer.finish()
    return path.read_bytes()


def test_a_killed_writer_leaves_all_that_it_committed(tmp_path: Path) -> None:
    """SIGKILL at any moment: what is recovered is a prefix of the market, with each message that was said to be in."""
    moments = random.Random(7)
    for kill in range(KILLS):
        directory = tmp_path / f"{kill}.live"
        command = [sys.executable, endless_market.__file__, str(directory)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            said = list(islice(writer.stdout, moments.choice([1, 1, 10, 100, 1_000])))
            writer.send_signal(signal.SIGKILL)
            committed = int((said + list(writer.stdout))[-1])
        live = LiveTape.recover(directory)
        count = int(str(live.tape.info()["depth"])) + int(str(live.tape.info()["trades"]))
        assert live.dropped == (0, 0, 0, 0)
        assert committed <= count <= committed + STEP
        append(live, count)  # it can be written on
        live.seal(tmp_path / "recovered.tape")
        assert not directory.exists()
        assert (tmp_path / "recovered.tape").read_bytes() == written(tmp_path / "whole.tape", count + 1)


def test_a_view_grows_and_its_arrays_stay(tmp_path: Path) -> None:
    """A view shows what is committed when it is asked; an array of it never changes."""
    live = LiveTape(tmp_path / "x.live", instrument())
    tape = live.tape
    assert (tape.events, tape.span, tape.tape_hash) == (0, None, 0)
    append(live, 0)
    first = frames.records(tape, "depth")
    for at in range(1, 51):
        append(live, at)
    assert (len(first), len(frames.records(tape, "depth")), tape.span) == (1, 50, (0, 51))
    live.seal(tmp_path / "x.tapez")
    assert first["ts_recv"].tolist() == [0]
    assert len(frames.records(Tape.open(tmp_path / "x.tapez"), "trades")) == 1


@pytest.mark.parametrize(
    "act",
    [
        lambda live: append(live, 1),
        lambda live: live.settle(1),
        lambda live: live.sync(),
        lambda live: live.seal("again.tape"),
    ],
)
def test_a_sealed_tape_takes_nothing_more(tmp_path: Path, act: Callable[[LiveTape], None]) -> None:
    """Whatever is asked of it after `seal` is refused with what to do."""
    live = LiveTape(tmp_path / "x.live", instrument())
    live.seal(tmp_path / "x.tape")
    with pytest.raises(RuntimeError, match="begin another"):
        act(live)


def test_refusals_say_what_to_do(tmp_path: Path) -> None:
    """A directory in use, one that exists, one that is none, a number off the grid, and a disk that takes nothing."""
    live = LiveTape(tmp_path / "x.live", instrument())
    with pytest.raises(TapeFault, match="stop that writer"):
        LiveTape.recover(tmp_path / "x.live")
    with pytest.raises(TapeFault, match="choose another name"):
        LiveTape(tmp_path / "x.live", instrument())
    with pytest.raises(OSError, match="No such file"):
        LiveTape.recover(tmp_path / "nothing")
    with pytest.raises(ValueError, match="bid price"):
        live.depth(1, 1, "delta", [("1.01", "1")], [])
    with pytest.raises(TapeFault, match="seal it"):
        live.tape.save(tmp_path / "y.tape")
    with pytest.raises(OSError, match="No such file"):
        live.seal(tmp_path / "no" / "such" / "place.tape")
    del live
    LiveTape.recover(tmp_path / "x.live").seal(tmp_path / "y.tape")
    assert Tape.open(tmp_path / "y.tape").events == 0


def test_late_messages_are_moved_and_counted(tmp_path: Path) -> None:
    """A venue time that was settled does not come back."""
    live = LiveTape(tmp_path / "x.live", instrument())
    append(live, 0)
    live.settle(500)
    append(live, 499)
    append(live, 501)
    assert live.late == 1
    assert frames.records(live.tape, "depth")["ts_venue"].tolist() == [0, 501, 501]
