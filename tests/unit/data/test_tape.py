"""Tapes seen from Python: samples, frames, views, faults."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mmbot import samples
from mmbot._core import Instrument, Tape, TapeFault, TapeWriter
from mmbot.data import depth, funding, levels, open_tape, orders, touch, trades
from mmbot.data import tape as frames


@pytest.fixture(scope="module")
def btc() -> Tape:
    """The bundled BTCUSDT recording."""
    return samples.sample("btcusdt")


def test_the_sample_is_the_recorded_day(btc: Tape) -> None:
    """Counts and the last touch are those of an independent rebuild of the capture."""
    info = btc.info()
    assert (info["events"], info["trades"], info["gaps"], info["crossed"]) == (466_575, 21_313, 0, 0)
    last = pl.concat(touch(btc))[-1]
    assert [btc.instrument.price(last[side][0]) for side in ("bid", "ask")] == ["61659.7", "61659.8"]
    btc.check()


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_samples_are_intact_and_small(name: str) -> None:
    """Every sample passes its checksums and costs at most six bytes per event."""
    tape = samples.sample(name)
    tape.check()
    assert samples.sample_path(name).stat().st_size <= 6 * tape.events


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_a_tape_by_level_keeps_version_one_and_its_bytes(name: str, tmp_path: Path) -> None:
    """The samples were packed before there were orders; they open as ever, and packing them again changes no byte."""
    tape = samples.sample(name)
    tape.save(tmp_path / "again.tapez")
    tape.save(tmp_path / "open.tape")
    packed = samples.sample_path(name).read_bytes()
    assert (tmp_path / "again.tapez").read_bytes() == packed
    assert (packed[8], (tmp_path / "open.tape").read_bytes()[8], tape.info()["orders"]) == (1, 1, 0)
    assert list(orders(tape)) == []


def test_levels_rebuild_the_touch_of_every_message(btc: Tape) -> None:
    """Replaying the levels into two plain dicts gives the stored touch, message by message."""
    book: dict[str, dict[int, int]] = {"bid": {}, "ask": {}}
    messages = next(depth(btc)).head(400)
    count = int((messages["n_bid"].cast(int) + messages["n_ask"]).sum())
    updates = iter(next(levels(btc)).head(count).select("kind", "side", "tick", "lots").rows())
    for bid, ask, n in messages.select("bid", "ask", pl.col("n_bid").cast(int) + pl.col("n_ask")).rows():
        for _ in range(n):
            _, side, tick, lots = next(updates)
            book[side][tick] = lots
        live = {side: [tick for tick, lots in book[side].items() if lots] for side in book}
        assert (max(live["bid"]), min(live["ask"])) == (bid, ask)


def test_frames_come_in_chunks_that_join_to_the_whole(btc: Tape, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small chunks and large ones give the same frames."""
    whole = {view: pl.concat(view(btc)) for view in (depth, levels, touch, trades)}
    monkeypatch.setattr(frames, "CHUNK", 1_000)
    for view, frame in whole.items():
        assert pl.concat(view(btc)).equals(frame)
    assert len(list(trades(btc))) == 22
    assert not list(funding(btc))


def test_records_are_read_only_views_that_outlive_the_tape() -> None:
    """A view keeps the tape alive and can not be written to."""
    rows = frames.records(samples.sample("bybit-btcusdt"), "trades")
    assert rows["tick"].min() > 0
    with pytest.raises(ValueError, match="read-only"):
        rows["tick"] = 0


def test_the_touch_is_found_by_venue_time(btc: Tape) -> None:
    """At a message's venue time the touch is the one after it; before the first there is none."""
    rows = frames.records(btc, "depth")
    first = int(rows["ts_venue"][0])
    bid, ask = btc.touch_at(np.array([first - 1, first, int(rows["ts_venue"][-1])], dtype=np.int64))
    assert (bid[0], ask[0]) == (frames.NO_BID, frames.NO_ASK)
    assert (bid[1], ask[1], bid[2], ask[2]) == (rows["bid"][0], rows["ask"][0], rows["bid"][-1], rows["ask"][-1])


def test_a_flipped_bit_is_found_before_the_records_are_used(btc: Tape, tmp_path: Path) -> None:
    """Damage in a section is an error that names it; what is intact is still read."""
    path = tmp_path / "a.tape"
    btc.save(path)
    damaged = bytearray(path.read_bytes())
    damaged[-100] ^= 1
    path.write_bytes(damaged)
    tape = open_tape(path)
    assert len(frames.records(tape, "depth")) == 6_548
    with pytest.raises(TapeFault, match="trade records from byte 0 are damaged: checksum"):
        next(trades(tape))
    with pytest.raises(TapeFault):
        tape.check()


def test_packed_and_open_forms_convert_into_each_other(tmp_path: Path) -> None:
    """Either way round, the bytes are the same."""
    shipped = samples.sample_path("bybit-btcusdt")
    open_tape(shipped).save(tmp_path / "a.tape")
    open_tape(tmp_path / "a.tape").save(tmp_path / "b.tapez")
    assert (tmp_path / "b.tapez").read_bytes() == shipped.read_bytes()


def test_wrong_files_and_names_are_refused_clearly(btc: Tape, tmp_path: Path) -> None:
    """A foreign file, a missing one, an unknown section, sample or range: each says what was expected."""
    (tmp_path / "x").write_bytes(b"PAR1 something else entirely")
    with pytest.raises(TapeFault, match="not a tape"):
        open_tape(tmp_path / "x")
    with pytest.raises(OSError, match="nowhere"):
        open_tape(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="none of depth, levels"):
        btc.bytes("quotes")
    with pytest.raises(ValueError, match="outside the 21313 trade records"):
        btc.bytes("trades", 5, 99_999)
    with pytest.raises(ValueError, match="known: btcusdt"):
        samples.sample("gold")


def instrument(**changed: object) -> Instrument:
    """An instrument with one of its terms changed."""
    terms: dict[str, object] = {"venue": "v", "symbol": "S", "kind": "linear", "tick": "0.5", "lot": "0.01", **changed}
    return Instrument(**terms)  # type: ignore[arg-type]


def test_an_instrument_converts_exactly_and_refuses_the_rest() -> None:
    """Decimal text to whole steps and back; what lies between two steps is an error naming both."""
    one = instrument(maker=-5_000, taker=40_000)
    assert (one.ticks("10.50"), one.price(21), one.lots("0.07"), one.quantity(7)) == (21, "10.5", 7, "0.07")
    assert (one.maker, one.taker, one.tick_size, one.kind, one.contract) == (-5_000, 40_000, 0.5, "linear", "1")
    assert one == instrument(maker=-5_000, taker=40_000)
    assert one != instrument()
    with pytest.raises(ValueError, match=r"price \"10.3\" is not a whole multiple of the step 0.5"):
        one.ticks("10.3")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"kind": "option"}, "none of linear, inverse, spot"),
        ({"tick": "0"}, "tick a step must be positive"),
        ({"lot": "abc"}, "lot .* not a plain decimal"),
        ({"maker": 10**9}, "fee rate"),
        ({"tiers": [("5", 0, 0)]}, "start at volume 0"),
        ({"tiers": [("x", 0, 0)]}, "fee tier volume"),
    ],
)
def test_terms_that_make_no_sense_are_refused(changed: dict[str, object], words: str) -> None:
    """Each wrong term is named."""
    with pytest.raises(ValueError, match=words):
        instrument(**changed)


def test_a_finished_writer_takes_no_more(tmp_path: Path) -> None:
    """Kinds and sides are checked, and after finish the writer is closed."""
    writer = TapeWriter(tmp_path / "x.tape", instrument())
    with pytest.raises(ValueError, match="none of delta, snapshot, gap"):
        writer.depth(1, 1, "update", [], [])
    with pytest.raises(ValueError, match="neither buy nor sell"):
        writer.trade(1, 1, "0.5", "1", "long")
    writer.funding(1, 1, 5, 6)
    assert not (tmp_path / "x.tape").exists()
    writer.finish()
    assert open_tape(tmp_path / "x.tape").info()["funding"] == 1
    with pytest.raises(RuntimeError, match="finished"):
        writer.finish()


KILLED = """
import os, signal, sys
from mmbot._core import Instrument, TapeWriter
writer = TapeWriter(sys.argv[1], Instrument(venue="v", symbol="S", kind="linear", tick="1", lot="1"))
for i in range(50_000):
    writer.trade(i, i, "1", "1", "buy")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_import_leaves_nothing_behind(tmp_path: Path) -> None:
    """After kill -9 in the middle of writing the directory is as it was."""
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "x.tape")], check=False)
    assert killed.returncode == -9
    assert list(tmp_path.iterdir()) == []
