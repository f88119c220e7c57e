"""A Shanghai day, order by order, becomes a tape whose orders make the book that the exchange published."""

import zipfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
import zstandard

from mmbot.data import CaptureError, ImportReport, import_sse, instruments, levels, open_tape, orders, trades

GOLDEN = Path(__file__).parents[2] / "golden" / "captures" / "sse-600519.log.zst"
DAY = date(2023, 2, 7)
FEES = instruments.fee_profile("free")
Book = dict[str, dict[int, int]]


def imported(source: Path, out: Path) -> ImportReport:
    """The log as a tape."""
    return import_sse(source, out, day=DAY, symbol="600519", fees=FEES)


def order(index: int, clock: int, order_id: int, *, what: int = 65, side: int = 66, price: int = 10_000) -> bytes:
    """A line about an order of 100 shares."""
    said = f"MsgType=192 SecurityID=600519 OrderNo={order_id} Price={price} OrderQty=100000 OrdType={what} Side={side}"
    return f"//SecurityIDSource=101 {said} TransactTime={clock} resv=    BizIndex={index}".encode()


def execution(index: int, clock: int, bid: int, ask: int, *, second: int = 83, qty: int = 40_000) -> bytes:
    """A line about an execution of 40 shares."""
    said = f"MsgType=191 SecurityID=600519 BidApplSeqNum={bid} OfferApplSeqNum={ask} LastPx=10000 LastQty={qty}"
    return f"//SecurityIDSource=101 {said} ExecType={second} TransactTime={clock} resv=   BizIndex={index}".encode()


def published() -> Iterator[tuple[list[tuple[int, int]], list[tuple[int, int]]]]:
    """The exchange's own snapshots: ten levels per side, nearest first, as (tick, shares)."""
    for line in zstandard.decompress(GOLDEN.read_bytes()).decode().splitlines():
        words = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if words["MsgType"] == "111":
            yield tuple(
                [
                    (int(words[f"{side}Level[{at}].Price"]) // 10, int(words[f"{side}Level[{at}].Qty"]) // 1_000)
                    for at in range(10)
                ]
                for side in ("Bid", "Ask")
            )  # type: ignore[misc]  # two sides


def ten(book: Book) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Its ten best levels per side, nearest first."""
    bids, asks = (sorted(((tick, lots) for tick, lots in book[side].items() if lots)) for side in ("buy", "sell"))
    return bids[::-1][:10], asks[:10]


def test_the_orders_pass_through_every_snapshot_of_the_exchange(tmp_path: Path) -> None:
    """Snapshots are published apart from the orders, so each one is a witness: a state of the book, in order."""
    imported(GOLDEN, tmp_path / "day.tape")
    book: Book = {"buy": {}, "sell": {}}
    awaited = list(published())
    assert len(awaited) >= 5
    frame = pl.concat(orders(open_tape(tmp_path / "day.tape")))
    for kind, side, tick, lots in frame.select("kind", "side", "tick", "lots").iter_rows():
        book[side][tick] = book[side].get(tick, 0) + (lots if kind == "add" else -lots)
        while awaited and awaited[0] == ten(book):
            awaited.pop(0)
    assert awaited == []


def test_the_report_accounts_for_every_line_and_the_import_is_repeatable(tmp_path: Path) -> None:
    """Lines by kind add up to the file's; the same log gives the same bytes, packed or not the same tape."""
    reports = [imported(GOLDEN, tmp_path / name) for name in ("a.tape", "b.tape", "c.tapez")]
    total = len(zstandard.decompress(GOLDEN.read_bytes()).splitlines())
    assert sum(reports[0].lines.values()) == total
    assert (reports[0].snapshots, reports[0].crossed, reports[0].venue_corrections) == (1, 0, 0)
    assert (
        reports[0].trades
        == reports[0].lines["OrdersExecuted"]
        == len(pl.concat(trades(open_tape(tmp_path / "a.tape"))))
    )
    assert (tmp_path / "a.tape").read_bytes() == (tmp_path / "b.tape").read_bytes()
    assert len({report.tape_hash for report in reports}) == 1


def test_the_continuous_auction_is_on_the_tape(capture: Callable[[Iterable[bytes]], Path], tmp_path: Path) -> None:
    """The opening's orders are its snapshot, in their order; then each change by itself; the closing call is a gap."""
    source = capture(
        [
            execution(7, 9_300_100, 2, 8),  # out of order in the log: BizIndex says when
            order(1, 9_150_000, 1),
            order(2, 9_150_001, 2),
            order(3, 9_150_002, 3, side=83, price=9_000),
            execution(4, 9_250_000, 1, 3, second=78, qty=100_000),
            order(5, 9_300_050, 5, side=83, price=10_010),
            order(8, 9_300_150, 2, what=68).replace(b"OrderQty=100000", b"OrderQty=60000"),
            order(9, 14_570_000, 9),
        ]
    )
    report = imported(source, tmp_path / "x.tape")
    assert (report.trades, report.lines) == (
        1,
        {"OrderAdded": 1, "OrderWithdrawn": 1, "OrdersExecuted": 1, "before the opening": 4, "closing call": 1},
    )
    tape = open_tape(tmp_path / "x.tape")
    frame = pl.concat(orders(tape)).drop("ts_recv", "ts_venue", "depth").rows()
    assert frame == [
        (2, "add", "buy", 1_000, 100, 0),
        (5, "add", "sell", 1_001, 100, 1),
        (2, "execute", "buy", 1_000, 40, 0),
        (2, "remove", "buy", 1_000, 60, 0),
    ]
    changes = pl.concat(levels(tape)).select("side", "tick", "lots").rows()
    assert changes == [("bid", 1_000, 100), ("ask", 1_001, 100), ("bid", 1_000, 60), ("bid", 1_000, 0)]
    opening = datetime(2023, 2, 7, 1, 30, tzinfo=UTC)  # half past nine in Shanghai
    assert next(levels(tape))["ts_venue"][0] == int(opening.timestamp()) * 10**9
    assert (report.gaps, next(trades(tape))["aggressor"].to_list()) == (1, ["sell"])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"MsgType=192 SecurityID=600519", "line 2: SSE line: no field 'BizIndex'"),
        (order(2, 9_300_000, 5, what=67), "line 2: SSE line: OrdType 67 is neither"),
        (order(2, 25_300_000, 5), "line 2: SSE line: hour must be"),
        (order(2, 9_300_000, 1), "line 2: order 1 is added twice"),
        (order(2, 9_300_000, 5, what=68), "line 2: order 5 does not rest"),
        (execution(2, 9_300_000, 1, 5, qty=900_000), "line 2: order 1 holds 100.000, but 900.000 leave it"),
        (execution(2, 9_300_000, 1, 5, second=78), "line 2: orders 1 and 5 trade in an auction"),
        (order(2, 9_300_000, 5, price=10_001), "line 2: order price"),
    ],
)
def test_what_would_make_the_line_wrong_ends_the_import(
    capture: Callable[[Iterable[bytes]], Path], tmp_path: Path, line: bytes, said: str
) -> None:
    """A line that can not be read, or contradicts the book, is named; no tape is left."""
    with pytest.raises(CaptureError, match=said):
        imported(capture([order(1, 9_150_000, 1), line]), tmp_path / "x.tape")
    assert not (tmp_path / "x.tape").exists()


def test_a_log_without_the_instrument_is_refused(capture: Callable[[Iterable[bytes]], Path], tmp_path: Path) -> None:
    """The message says what was found instead."""
    source = capture([order(1, 9_150_000, 1).replace(b"600519", b"600000")])
    with pytest.raises(CaptureError, match=r"no orders of 600519; found \{'other instrument': 1\}"):
        imported(source, tmp_path / "x.tape")


def test_a_log_may_come_in_an_archive_alone(tmp_path: Path) -> None:
    """The exchange's logs are shared as .zip: with one file it is that file, with two nobody knows which."""
    plain = imported(GOLDEN, tmp_path / "plain.tape")
    with zipfile.ZipFile(tmp_path / "log.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("day.log", zstandard.decompress(GOLDEN.read_bytes()))
    assert imported(tmp_path / "log.zip", tmp_path / "zipped.tape").tape_hash == plain.tape_hash
    with zipfile.ZipFile(tmp_path / "log.zip", "a") as archive:
        archive.writestr("other.log", b"")
    with pytest.raises(CaptureError, match="an archive of 2 files; give one with the recording alone"):
        imported(tmp_path / "log.zip", tmp_path / "zipped.tape")
    (tmp_path / "log.zip").write_bytes((tmp_path / "log.zip").read_bytes()[:5_000])
    with pytest.raises(CaptureError, match="the archive is damaged"):
        imported(tmp_path / "log.zip", tmp_path / "zipped.tape")
