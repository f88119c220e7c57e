"""A day of the Shanghai Stock Exchange, order by order, becomes a tape by order.

What is on the tape is the continuous auction. Before 09:30 the book is built in silence; it is the snapshot with which
the tape begins. At 14:57 the closing call begins, whose book trades by other rules: a gap, and nothing after it.

Strict where other imports are lenient: a line that can not be read, or an order that contradicts the book, ends the
import. The feed has no later snapshot by order to go on from, and a place in line that may be wrong is worth nothing.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

from mmbot._core import TapeWriter
from mmbot.data import instruments
from mmbot.data.capture import CaptureError, Cut, lines
from mmbot.data.import_ import complete
from mmbot.data.import_report import ImportReport
from mmbot.data.instruments import FeeProfile
from mmbot.venues.records import Skipped, WireError
from mmbot.venues.sse import wire
from mmbot.venues.sse.wire import OrderAdded, OrderRecord, OrdersExecuted, OrderWithdrawn

OPENS, CLOSING_CALL = "9300000", "14570000"
"""The continuous auction, HHMMSScc in Shanghai. Over lunch nothing trades, but orders may be withdrawn."""


class _Resting:
    """Orders as they rest: in the order in which they came, which at one price is the order in which they trade."""

    def __init__(self) -> None:
        self._orders: dict[int, tuple[OrderAdded, Decimal]] = {}

    def add(self, order: OrderAdded) -> None:
        if order.id in self._orders:
            raise ValueError(f"order {order.id} is added twice")
        self._orders[order.id] = order, Decimal(order.qty)

    def take(self, id_: int, qty: str) -> bool:
        """Takes a quantity out of an order. True if none is left."""
        if id_ not in self._orders:
            raise ValueError(f"order {id_} does not rest")
        order, held = self._orders[id_]
        left = held - Decimal(qty)
        if left < 0:
            raise ValueError(f"order {id_} holds {held}, but {qty} leave it")
        self._orders[id_] = order, left
        if not left:
            del self._orders[id_]
        return not left

    def listed(self) -> list[tuple[int, str, str, str]]:
        """Name, side, price and open quantity."""
        return [(order.id, order.side, order.price, str(left)) for order, left in self._orders.values()]


class _Day:
    """The tape in the making."""

    def __init__(self, writer: TapeWriter, report: ImportReport, opens: int, closes: int) -> None:
        self.writer, self.report, self.opens, self.closes = writer, report, opens, closes
        self.resting = _Resting()

    def take(self, record: OrderRecord) -> str:
        """Lets a record happen. Returns what it was, for counting."""
        if record.ts_venue >= self.closes:
            return "closing call"
        if record.ts_venue < self.opens:
            self._build(record)
            return "before the opening"
        if not self.report.snapshots:
            self.open()
        match record:
            case OrderAdded():
                self._add(record)
            case OrderWithdrawn():
                self._withdraw(record)
            case OrdersExecuted():
                self._execute(record)
        self.report.updates_applied += 1
        return type(record).__name__

    def open(self) -> None:
        """Begins the tape with the orders that rest."""
        self.writer.order_snapshot(self.opens, self.opens, self.resting.listed())
        self.report.snapshots += 1

    def close(self) -> None:
        """Ends what is known of the book."""
        self.writer.depth(self.closes, self.closes, "gap", [], [])

    def _build(self, record: OrderRecord) -> None:
        match record:
            case OrderAdded():
                self.resting.add(record)
            case OrderWithdrawn():
                self.resting.take(record.id, record.qty)
            case OrdersExecuted():
                self.resting.take(record.bid_id, record.qty)
                self.resting.take(record.ask_id, record.qty)

    def _add(self, order: OrderAdded) -> None:
        self.resting.add(order)
        self.writer.add_order(order.ts_venue, order.ts_venue, order.id, order.side, order.price, order.qty)

    def _withdraw(self, order: OrderWithdrawn) -> None:
        if self.resting.take(order.id, order.qty):
            self.writer.remove_order(order.ts_venue, order.ts_venue, order.id)
        else:
            self.writer.reduce_order(order.ts_venue, order.ts_venue, order.id, order.qty)

    def _execute(self, trade: OrdersExecuted) -> None:
        if trade.aggressor is None:
            raise ValueError(f"orders {trade.bid_id} and {trade.ask_id} trade in an auction, outside of its hours")
        maker = trade.ask_id if trade.aggressor == "buy" else trade.bid_id
        self.resting.take(maker, trade.qty)
        self.writer.execute_order(trade.ts_venue, trade.ts_venue, maker, trade.qty)
        self.report.trades += 1


def import_sse(source: Path, out: Path, *, day: date, symbol: str, fees: FeeProfile) -> ImportReport:
    """Imports the continuous auction of one instrument from an AXOrderBook log (plain, .gz, .zst or .zip).

    The log does not say its day, and was written without a clock of its own: both times of the tape are the exchange's,
    in steps of 10 ms, so a backtest should say how late its feed is. The records of the day are sorted in memory, into
    the order in which the exchange made them. Deterministic: the same input gives the same bytes.

    Raises:
        CaptureError: The source is missing or empty, holds nothing of the instrument, can not be read somewhere, or
            contradicts itself; the message names the line.
        OSError: The tape can not be written.
    """
    counted: dict[str, int] = {}
    instrument = instruments.sse(symbol, fees)
    records = sorted(_records(source, day, symbol, counted), key=lambda numbered: numbered[1].index)
    if not records:
        raise CaptureError(f"{source}: no orders of {symbol}; found {counted or 'nothing'}")
    report = ImportReport(tape=out.name, venue=instrument.venue, symbol=symbol)
    writer = TapeWriter(out, instrument)
    opens, closes = (wire.nanoseconds(day, clock) for clock in (OPENS, CLOSING_CALL))
    making = _Day(writer, report, opens, closes)
    for number, record in records:
        try:
            kind = making.take(record)
        except ValueError as error:
            raise CaptureError(f"{source}: line {number}: {error}; restore a complete log") from error
        counted[kind] = counted.get(kind, 0) + 1
    if not report.snapshots:
        making.open()
    if "closing call" in counted:
        making.close()
    writer.finish()
    complete(report, out, counted)
    return report


def _records(source: Path, day: date, symbol: str, counted: dict[str, int]) -> Iterator[tuple[int, OrderRecord]]:
    """Records of the instrument with their line numbers; other lines are counted."""
    for line in lines([source]):
        if isinstance(line, Cut):
            raise CaptureError(f"{source}: line {line.number}: {line.reason}")
        try:
            record = wire.decode(line.raw, day)
        except WireError as error:
            raise CaptureError(f"{source}: line {line.number}: {error}") from error
        if isinstance(record, Skipped):
            counted[record.kind] = counted.get(record.kind, 0) + 1
        elif record.symbol != symbol:
            counted["other instrument"] = counted.get("other instrument", 0) + 1
        else:
            yield line.number, record
