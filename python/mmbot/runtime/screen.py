"""A run on a terminal: one screen that says whether it is well, and plain lines where there is no screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from rich.console import RenderableType

    from mmbot.runtime.latency import Spread
    from mmbot.runtime.status import FillShown, InstrumentShown, Status

__all__ = ["event_line", "screen", "status_line"]

LEVELS_SHOWN, FILLS_SHOWN = 6, 8
STATE_STYLE = {"quoting": "bold green", "paused": "bold yellow", "stopping": "bold yellow", "stopped": "bold"}


def screen(status: Status) -> RenderableType:
    """The whole screen: head, one panel for each instrument, latest fills, health."""
    parts: list[RenderableType] = [_head(status)]
    parts += [_instrument(each) for each in status.instruments]
    parts += [_fills(status.fills), _health(status), Text("Ctrl-C stops: quotes out first, report after", style="dim")]
    return Group(*parts)


def _head(status: Status) -> RenderableType:
    line = Text.assemble(
        (f"mmbot {status.mode}", "bold"),
        f" on {status.environment}   {status.strategy}   {_clock(status.uptime_s)}   ",
        (status.state.upper(), STATE_STYLE.get(status.state, "bold cyan")),
    )
    if status.why:
        line.append("  " + "; ".join(status.why), style="yellow")
    return line


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:d}:{minutes:02d}:{rest:02d}"


def _instrument(shown: InstrumentShown) -> RenderableType:
    grid = Table.grid(padding=(0, 3))
    grid.add_row(_book(shown), _own(shown))
    return Panel(grid, title=f"{shown.symbol} {shown.category}", title_align="left", box=box.ROUNDED)


def _book(shown: InstrumentShown) -> RenderableType:
    ours = {(order.side, order.price): order for order in shown.orders if order.ahead is not None}
    table = Table(box=None, pad_edge=False, header_style="dim")
    for header in ("quantity", "price", "ours", "ahead"):
        table.add_column(header, justify="right", min_width=10)
    asks = [("sell", price, qty, "red") for price, qty in reversed(shown.asks[:LEVELS_SHOWN])]
    bids = [("buy", price, qty, "green") for price, qty in shown.bids[:LEVELS_SHOWN]]
    for side, price, qty, style in (*asks, *bids):
        own = ours.get((side, price))
        leaves, ahead = ("", "") if own is None else (own.leaves, f"{own.ahead:.4g}")
        table.add_row(qty, Text(price, style=style), Text(leaves, style="bold"), ahead)
    return table


def _own(shown: InstrumentShown) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    money = f" {shown.currency}"
    table.add_row("position", Text(f"{shown.position}  of ±{shown.position_max}", style="bold"))
    table.add_row("P&L", Text(_signed(shown.pnl) + money, style="bold"))
    table.add_row("  spread captured", _signed(shown.captured) + money)
    table.add_row("  fees and rebates", _signed(-shown.fees) + money)
    table.add_row("  market moved", _signed(shown.moved) + money)
    table.add_row("fills", f"{shown.maker_fills} maker, {shown.taker_fills} taker")
    table.add_row("turnover", f"{shown.turnover:,.2f}{money}")
    for order in shown.orders:
        table.add_row(f"{order.side} {order.state}", f"{order.leaves} at {order.price}")
    return table


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+,.6f}"


def _fills(fills: Iterable[FillShown]) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="latest fills", title_justify="left", title_style="dim")
    for header in ("time", "instrument", "side", "quantity", "price", "as", "fee"):
        table.add_column(header, justify="right")
    latest = list(fills)[-FILLS_SHOWN:]
    for fill in reversed(latest):
        style = "green" if fill.side == "buy" else "red"
        role = "maker" if fill.maker else "taker"
        fee = f"{fill.fee} {fill.fee_currency}"
        table.add_row(_time(fill.ts_venue), fill.symbol, Text(fill.side, style=style), fill.qty, fill.price, role, fee)
    return table if latest else Text("no fill yet", style="dim")


def _time(ts: int) -> str:
    hours, rest = divmod(ts // 1_000_000 % 86_400_000, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest / 1000:06.3f}"


def _health(status: Status) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    links = Text("  ").join(
        Text(f"{link} {state}", style="green" if state == "up" else "bold red") for link, state in status.links.items()
    )
    table.add_row(Text("links", style="dim"), links)
    table.add_row(Text("latency", style="dim"), "  ".join(_spread(*item) for item in status.latencies.items()))
    denials = "  ".join(f"{reason} {count}" for reason, count in status.denials.items() if count)
    table.add_row(Text("held back", style="dim"), denials or "nothing")
    table.add_row(Text("counted", style="dim"), "  ".join(f"{name} {count}" for name, count in status.counters.items()))
    return table


def _spread(stage: str, spread: Spread) -> str:
    return f"{stage} {_span(spread.p50)}/{_span(spread.p99)}"


def _span(ns: int) -> str:
    """A time with two digits that say something: µs below a millisecond, ms above."""
    return f"{ns / 1_000:.3g} µs" if ns < 1_000_000 else f"{ns / 1_000_000:.3g} ms"


def status_line(status: Status) -> str:
    """The run in one line, for logs and pipes."""
    parts = [f"{_clock(status.uptime_s)} {status.state}"]
    for shown in status.instruments:
        bid = shown.bids[0][0] if shown.bids else "–"
        ask = shown.asks[0][0] if shown.asks else "–"
        own = " ".join(f"{order.side[0]}{order.leaves}@{order.price}" for order in shown.orders) or "no order"
        fills = shown.maker_fills + shown.taker_fills
        pnl = f"P&L {_signed(shown.pnl)} {shown.currency}"
        parts.append(f"{shown.symbol} {bid}/{ask} | {own} | position {shown.position} | {fills} fills | {pnl}")
    return " | ".join([*parts, *status.why])


def event_line(event: Mapping[str, Any]) -> str | None:
    """One event in one line, where a person has to know of it; None where the screen shows it anyway."""
    words = WORDS.get(event["event"])
    return None if words is None else words(event)


def _fill(event: Mapping[str, Any]) -> str:
    role = "maker" if event["maker"] else "taker"
    return (
        f"{_time(event['ts_venue'])} fill {event['symbol']} {event['side']} {event['qty']} at {event['price']} "
        f"as {role}, fee {event['fee']} {event['fee_currency']}"
    )


def _reconciled(event: Mapping[str, Any]) -> str | None:
    said = event.get("error") or "; ".join(event["breaks"])
    return f"reconcile: {said}" if said else None


WORDS: dict[str, Callable[[Mapping[str, Any]], str | None]] = {
    "fill": _fill,
    "attested": lambda event: "; ".join([f"account {event['account']}", *event["remarks"]]),
    "link": lambda event: None if event["state"] == "up" else f"{event['link']} {event['state']}: {event['why']}",
    "paused": lambda event: f"paused: {event['why']}",
    "quoting": lambda _: "quoting",
    "stray": lambda event: f"not of this run: {event['why']}",
    "unanswered": lambda event: f"order {event['order']}: {event['why']}",
    "refused": lambda event: f"{event['request']} refused ({event['code']}): {event['message']}",
    "cleaned": lambda event: str(event["what"]),
    "reconcile": _reconciled,
    "stopping": lambda event: f"stopping: {event.get('why', 'quotes out')}",
    "left": lambda event: f"{event['symbol']}: {event['open_orders']} open orders of ours at the venue",
}
"""What is worth a line, by the name of the event."""
