"""Binance captures become tapes: the chain of updates, what is refused, and that nothing is dropped in silence."""

import gzip
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import polars as pl
import pytest
import zstandard
from binance_lines import T0, delta, line, snapshot, trade

from mmbot._core import Instrument
from mmbot.data import (
    CaptureError,
    ClockPolicy,
    ImportReport,
    depth,
    import_binance,
    instruments,
    levels,
    open_tape,
    trades,
)

Capture = Callable[[Iterable[bytes]], Path]
GOLDEN = Path(__file__).parents[2] / "golden" / "captures" / "binance-usdm-btcusdt.gz"
BOOK = ([("100.0", "1"), ("99.9", "2")], [("100.1", "1"), ("100.2", "2")])


def imported(capture: Path, btc: Instrument, clock: ClockPolicy | None = None) -> ImportReport:
    """The report of importing beside the capture."""
    return import_binance([capture], capture.with_suffix(".tape"), btc, clock=clock)


def quarantined(capture: Path) -> list[dict[str, object]]:
    """Entries of the quarantine beside the capture's tape."""
    path = Path(f"{capture.with_suffix('.tape')}.quarantine.jsonl")
    return [msgspec.json.decode(one) for one in path.read_bytes().splitlines()] if path.exists() else []


def kinds(capture: Path) -> list[str]:
    """Kinds of the depth messages on the tape."""
    return pl.concat(depth(open_tape(capture.with_suffix(".tape"))))["kind"].to_list()


def test_deltas_wait_for_the_snapshot_and_follow_at_its_receive_time(capture: Capture, btc: Instrument) -> None:
    """Updates within the snapshot are dropped, the straddling one is applied, those that waited are heard with it."""
    path = capture(
        [
            delta(0, 8, 9, [("99.9", "7")], []),
            delta(10, 9, 12, [("99.9", "8")], []),
            delta(20, 12, 13, [], [("100.1", "0")]),
            snapshot(15, 10, *BOOK),
            delta(40, 13, 14, [("100.0", "0")], []),
        ]
    )
    report = imported(path, btc)
    assert (report.updates_skipped_before_snapshot, report.updates_applied, report.snapshots) == (1, 3, 1)
    messages = pl.concat(depth(open_tape(path.with_suffix(".tape"))))
    assert messages["kind"].to_list() == ["snapshot", "delta", "delta", "delta"]
    assert messages["ts_recv"].to_list() == [(T0 + ms) * 1_000_000 for ms in (20, 20, 20, 45)]
    assert (report.last_bid, report.last_ask) == ("99.9", "100.2")
    assert not quarantined(path)


def test_a_broken_chain_is_a_gap_until_the_next_snapshot(capture: Capture, btc: Instrument) -> None:
    """A missing predecessor makes the book unknown; later updates wait, and a snapshot brings it back."""
    path = capture(
        [
            snapshot(0, 10, *BOOK),
            delta(10, 10, 11, [], []),
            delta(20, 12, 13, [("99.9", "5")], []),
            delta(30, 13, 14, [("99.9", "6")], []),
            delta(35, 14, 15, [("99.9", "6")], []),
            snapshot(40, 14, *BOOK),
        ]
    )
    report = imported(path, btc)
    assert kinds(path) == ["snapshot", "delta", "gap", "snapshot", "delta"]
    assert (report.gaps, report.updates_lost_to_gap, report.updates_applied) == (1, 2, 2)


def test_an_update_seen_again_is_stale(capture: Capture, btc: Instrument) -> None:
    """A repeated update is counted and does not break the chain."""
    path = capture([snapshot(0, 10, *BOOK), *[delta(10, 10, 11, [], [])] * 2, delta(20, 11, 12, [], [])])
    report = imported(path, btc)
    assert (report.updates_stale, report.updates_applied, report.gaps) == (1, 2, 0)


@pytest.mark.parametrize(
    ("price", "qty", "words"),
    [
        ("100.05", "1", "100.05.*not a whole multiple of the step 0.1"),
        ("-1", "1", "outside 1 to"),
        ("100", "-1", "outside 0 to"),
        ("NaN", "1", "not a plain decimal"),
        ("100", "Infinity", "not a plain decimal"),
        ("1e5", "1", "not a plain decimal"),
        ("100", "99999999999", "outside 0 to"),
        ("999999999999999999999", "1", "too large"),
    ],
)
def test_an_unusable_number_is_quarantined_and_the_book_unknown(
    capture: Capture, btc: Instrument, price: str, qty: str, words: str
) -> None:
    """The whole update is refused, its line and reason kept, and a gap put in its place; a trade is refused alone."""
    bad = delta(10, 10, 11, [(price, qty)], [])
    path = capture([snapshot(0, 10, *BOOK), bad, trade(20, price, qty), trade(30, "100.0")])
    report = imported(path, btc)
    assert report.quarantined == {"unusable number": 2}
    assert kinds(path) == ["snapshot", "gap"]
    assert report.trades == 1
    first, second = quarantined(path)
    assert (first["line"], first["raw"], second["line"]) == (2, bad.decode(), 3)
    with pytest.raises(ValueError, match=words):
        raise ValueError(first["detail"])


def test_malformed_lines_are_quarantined_with_their_place(capture: Capture, btc: Instrument) -> None:
    """Broken JSON, a missing stamp and bytes that are no text are kept, counted and passed over."""
    bad = [b"not a line", b"12345 {", b"\xff\xfe \xff", b"1700000000000000000 []"]
    path = capture([snapshot(0, 10, *BOOK), *bad, delta(10, 10, 11, [], [])])
    report = imported(path, btc)
    assert [one["line"] for one in quarantined(path)] == [2, 3, 4, 5]
    assert report.lines["malformed line"] + report.lines["malformed frame"] == len(bad)
    assert report.updates_applied == 1


def test_a_time_that_can_not_be_is_quarantined(capture: Capture, btc: Instrument) -> None:
    """A venue time hours away from the receive time would drag the monotone clocks along."""
    far = line(20, {"stream": "x@trade", "data": {"s": "BTCUSDT", "T": 2**50, "t": 1, "p": "1", "q": "1", "m": True}})
    path = capture([snapshot(0, 10, *BOOK), far, trade(30, "100.0")])
    report = imported(path, btc, ClockPolicy(mode="keep"))
    assert (report.quarantined, report.trades) == ({"implausible time": 1}, 1)


def test_a_crossed_book_has_no_touch_and_is_counted(capture: Capture, btc: Instrument) -> None:
    """A bid at the ask is the world's fault: the touch is unknown until it is gone."""
    path = capture(
        [snapshot(0, 10, *BOOK), delta(10, 10, 11, [("100.1", "1")], []), delta(20, 11, 12, [("100.1", "0")], [])]
    )
    report = imported(path, btc)
    touches = pl.concat(depth(open_tape(path.with_suffix(".tape")))).select("bid", "ask").rows()
    assert touches == [(1000, 1001), (None, None), (1000, 1001)]
    assert report.crossed == 1


def test_a_slow_clock_is_shifted_and_a_distant_recorder_is_not(capture: Capture, btc: Instrument) -> None:
    """Messages heard before they were sent prove the clock wrong; late ones prove nothing."""
    early = imported(capture([snapshot(0, 10, *BOOK), trade(10, "100.0", latency_ms=-1_270)]), btc)
    assert early.clock is not None
    assert early.clock.shift_ns == 1_270_000_000
    late = imported(capture([snapshot(0, 10, *BOOK), trade(10, "100.0", latency_ms=120)]), btc)
    assert late.clock is not None
    assert late.clock.shift_ns == 0


def test_a_snapshot_proves_no_market(capture: Capture, tmp_path: Path) -> None:
    """A recording of another symbol is refused by name, although its snapshots do not say what they are of."""
    path = capture([snapshot(0, 10, *BOOK), delta(10, 10, 11, [], []), trade(20, "100.0")])
    eth = instruments.binance("usdm", "ETHUSDT", instruments.fee_profile("free"))
    with pytest.raises(CaptureError, match="no book or trades of ETHUSDT; found BTCUSDT"):
        imported(path, eth)
    assert not path.with_suffix(".tape").exists()


def test_a_grid_that_fits_no_snapshot_is_refused(capture: Capture) -> None:
    """Every snapshot off the grid leaves no tape but the quarantine, whose place is in the message."""
    path = capture([snapshot(0, 10, *BOOK), delta(10, 10, 11, [("99.9", "1")], [])])
    coarse = instruments.binance("usdm", "BTCUSDT", instruments.fee_profile("free"), tick="3", lot="1")
    with pytest.raises(CaptureError, match=r"no snapshot of BTCUSDT .* tick 3 .*quarantine\.jsonl"):
        imported(path, coarse)
    assert [one["reason"] for one in quarantined(path)] == ["unusable number"]
    assert not path.with_suffix(".tape").exists()


def test_every_line_is_accounted_for(btc: Instrument, tmp_path: Path) -> None:
    """A real capture: each update is applied, skipped, stale or lost, and the sums agree with the lines."""
    report = import_binance([GOLDEN], tmp_path / "a.tape", btc)
    updates = report.updates_applied + report.updates_skipped_before_snapshot + report.updates_stale
    assert updates + report.updates_lost_to_gap == report.lines["delta"]
    assert sum(report.lines.values()) == len(gzip.decompress(GOLDEN.read_bytes()).splitlines())
    tape = open_tape(tmp_path / "a.tape")
    assert pl.concat(levels(tape)).height + pl.concat(trades(tape)).height == report.events
    assert (report.gaps, report.crossed, report.quarantined) == (0, 0, {})


def test_the_same_recording_gives_the_same_bytes(btc: Instrument, tmp_path: Path) -> None:
    """Plain, gzip and zstd, whole or in two parts, twice over: one tape, one report."""
    raw = gzip.decompress(GOLDEN.read_bytes())
    middle = raw.index(b"\n", len(raw) // 2) + 1
    forms = {
        "plain": [raw],
        "zstd": [zstandard.compress(raw)],
        "parts": [raw[:middle], gzip.compress(raw[middle:], mtime=0)],
        "again": [raw],
    }
    tapes, reports = set(), set()
    for name, parts in forms.items():
        sources = [tmp_path / f"{name}{index}" for index in range(len(parts))]
        for source, part in zip(sources, parts, strict=True):
            source.write_bytes(part)
        (tmp_path / name).mkdir()
        reports.add(import_binance(sources, tmp_path / name / "x.tape", btc).json())
        tapes.add((tmp_path / name / "x.tape").read_bytes())
    assert len(tapes) == len(reports) == 1


def test_a_cut_off_archive_gives_what_is_there_and_says_so(btc: Instrument, tmp_path: Path) -> None:
    """A recorder that was killed leaves half a gzip: the tape ends there, and the quarantine says why."""
    whole = GOLDEN.read_bytes()
    (tmp_path / "x.gz").write_bytes(whole[: len(whole) // 2])
    report = import_binance([tmp_path / "x.gz"], tmp_path / "x.tape", btc)
    assert report.lines["cut off"] == 1
    assert report.events > 0


def test_a_recording_of_something_else_is_refused(capture: Capture, btc: Instrument, tmp_path: Path) -> None:
    """Missing, empty and foreign recordings are told apart, and no tape appears."""
    (tmp_path / "empty").touch()
    for source, words in [
        (tmp_path / "nowhere", "no such file"),
        (tmp_path / "empty", "is empty"),
        (capture([b"hello", b"world"]), "no book or trades of BTCUSDT; found nothing"),
    ]:
        with pytest.raises(CaptureError, match=words):
            import_binance([source], tmp_path / "x.tape", btc)
    with pytest.raises(CaptureError, match="no recording given"):
        import_binance([], tmp_path / "x.tape", btc)
    assert not list(tmp_path.glob("x.tape*"))
