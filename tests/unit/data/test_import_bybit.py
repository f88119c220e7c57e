"""Recorder files of raw Bybit frames become one tape per instrument."""

from decimal import Decimal
from pathlib import Path

import msgspec
import polars as pl
import pytest
import zstandard

from mmbot.data import CaptureError, ClockPolicy, ImportReport, depth, funding, import_bybit, instruments, open_tape

GOLDEN = Path(__file__).parents[2] / "golden" / "captures" / "bybit-btcusdt.jsonl.zst"
FEES = instruments.fee_profile("maker-rebate")
T0 = 1_700_000_000_000


def recorder_line(t: str, ms: int = 0, said: object = None, **more: str) -> bytes:
    """One line of the recorder, heard at T0 + ms."""
    data = {"data": msgspec.json.encode(said).decode()} if said is not None else {}
    return msgspec.json.encode({"t": t, "conn": "c", "ts": float(Decimal(T0 + ms) / 1000), **data, **more})


def opening(symbol: str = "X") -> list[bytes]:
    """Connect line and instrument terms."""
    listed = {"symbol": symbol, "priceFilter": {"tickSize": "0.5"}, "lotSizeFilter": {"qtyStep": "0.1"}}
    answer = {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": [listed]}}
    return [
        recorder_line("http", said=answer, url="https://api.bybit.com/v5/market/instruments-info?category=linear"),
        recorder_line("connect", addr="wss://stream.bybit.com/v5/public/linear"),
    ]


def book(ms: int, u: int, kind: str = "delta") -> bytes:
    """A book update of X with one bid and one ask."""
    data = {"s": "X", "b": [["10.0", "1"]], "a": [["10.5", "1"]], "u": u, "seq": u}
    said = {"topic": "orderbook.50.X", "type": kind, "ts": T0 + ms, "cts": T0 + ms, "data": data}
    return recorder_line("recv", ms + 5, said)


def ticker(ms: int, **fields: str) -> bytes:
    """A ticker of X."""
    said = {"topic": "tickers.X", "type": "delta", "ts": T0 + ms, "data": {"symbol": "X", **fields}}
    return recorder_line("recv", ms + 5, said)


def imported(tmp_path: Path, lines: list[bytes]) -> ImportReport:
    """The only report of importing these lines."""
    (tmp_path / "rec").write_bytes(b"\n".join(lines))
    [report] = import_bybit(tmp_path / "rec", tmp_path / "out", fees=FEES)
    return report


def test_one_file_gives_one_tape_per_category_and_symbol(tmp_path: Path) -> None:
    """Linear and spot BTCUSDT on two connections stay apart, each on its own grid."""
    reports = import_bybit(GOLDEN, tmp_path, fees=FEES, form="tapez")
    assert [(one.venue, one.symbol, one.gaps, one.crossed) for one in reports] == [
        ("bybit-linear", "BTCUSDT", 0, 0),
        ("bybit-spot", "BTCUSDT", 0, 0),
    ]
    assert [(one.last_bid, one.last_ask) for one in reports] == [("65114.2", "65114.3"), ("65140.4", "65140.5")]
    grids = [open_tape(tmp_path / one.tape).instrument for one in reports]
    assert [(one.kind, one.tick, one.lot) for one in grids] == [("linear", "0.1", "0.001"), ("spot", "0.1", "0.000001")]
    assert not list(tmp_path.glob("*.quarantine.jsonl"))


def test_a_missing_update_is_a_gap_and_a_restart_a_snapshot(tmp_path: Path) -> None:
    """Update ids count by one; id one replaces the book."""
    report = imported(
        tmp_path, [*opening(), book(0, 7, "snapshot"), book(10, 8), book(20, 10), book(30, 1), book(40, 2)]
    )
    kinds = pl.concat(depth(open_tape(tmp_path / "out" / report.tape)))["kind"].to_list()
    assert kinds == ["snapshot", "delta", "gap", "snapshot", "delta"]


def test_funding_is_recorded_when_the_next_settlement_moves_on(tmp_path: Path) -> None:
    """The rate and mark price known before the move are those that settled; the time is the announced one."""
    first = {"markPrice": "10.30", "fundingRate": "0.0001", "nextFundingTime": str(T0 + 50)}
    moved = {"fundingRate": "-0.0002", "nextFundingTime": str(T0 + 28_800_050)}
    report = imported(
        tmp_path,
        [*opening(), book(0, 7, "snapshot"), ticker(10, **first), ticker(30, markPrice="10.2"), ticker(60, **moved)],
    )
    [row] = pl.concat(funding(open_tape(tmp_path / "out" / report.tape))).rows(named=True)
    assert (row["ts_venue"], row["rate"], row["mark"]) == ((T0 + 50) * 1_000_000, 10_000, 20)
    assert report.funding == 1


def test_frames_that_can_not_be_placed_are_quarantined(tmp_path: Path) -> None:
    """No connect line, broken recorder lines and broken frames are kept with their reason."""
    stray = msgspec.json.encode({"t": "recv", "conn": "other", "ts": 1.0, "data": "{}"})
    broken = recorder_line("recv", 5, {"topic": "orderbook.50.X", "data": {}})
    report = imported(tmp_path, [*opening(), stray, b"{", broken, book(0, 7, "snapshot")])
    entries = [msgspec.json.decode(one) for one in (tmp_path / "out/bybit.quarantine.jsonl").read_bytes().splitlines()]
    assert [(one["line"], one["reason"]) for one in entries] == [
        (3, "unknown connection"),
        (4, "malformed line"),
        (5, "malformed frame"),
    ]
    assert report.snapshots == 1


def test_an_instrument_without_terms_is_refused(tmp_path: Path) -> None:
    """Without its grid no price can be exact; the error names the instrument and what to record."""
    (tmp_path / "rec").write_bytes(b"\n".join([*opening("Y"), book(0, 7, "snapshot")]))
    with pytest.raises(CaptureError, match=r"no instruments-info answer for \[\('linear', 'X'\)\]"):
        import_bybit(tmp_path / "rec", tmp_path / "out", fees=FEES)


def test_a_file_without_frames_is_refused(tmp_path: Path) -> None:
    """A recording of nothing is a mistake of the caller."""
    (tmp_path / "rec").write_bytes(zstandard.compress(b"{}\n"))
    with pytest.raises(CaptureError, match="no book or trades"):
        import_bybit(tmp_path / "rec", tmp_path / "out", fees=FEES, clock=ClockPolicy(mode="keep"))
