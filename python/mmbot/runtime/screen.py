"""A run on a terminal: one screen that says whether it is well, and plain lines where there is no screen."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from rich import box
from rich.cells import cell_len
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mmbot.runtime.latency import STAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from rich.console import Console, RenderableType

    from mmbot.runtime.latency import Spread
    from mmbot.runtime.status import FillShown, InstrumentShown, Status

__all__ = ["event_line", "screen", "status_line"]

LEVELS, LEVELS_WITH_FILLS, FILLS_LEAST = 8, 4, 3
"""Most levels of a side; the least that are left when levels make room for fills, and for how many."""
LAYOUTS = (
    *((levels, False, FILLS_LEAST) for levels in range(LEVELS, LEVELS_WITH_FILLS - 1, -1)),
    *((levels, False, 0) for levels in range(LEVELS_WITH_FILLS, 0, -1)),
    *((levels, True, 0) for levels in range(LEVELS_WITH_FILLS, 0, -1)),
)
"""What is tried until it fits the height: levels of a side, without where the profit came from, fills at least."""
SPELLED = ("  spread captured", "  fees and rebates", "  market moved")
SHORT = ("  captured", "  fees", "  moved")
OWN_ROWS, OWN_ROWS_BRIEF, ORDERS_LEAST = 7, 2, 2
HEADERS = ("quantity", "price", "ours", "ahead")
GAP, MIDDLE, FRAME = 2, 3, 4
"""Columns between columns, between book and own, and of the frame with its margins."""
LABEL = len("held back")
STATE_STYLE = {"quoting": "bold green", "paused": "bold yellow", "stopping": "bold yellow", "stopped": "bold"}
WHOLE_LINES = Text("\n", no_wrap=True, overflow="ellipsis")
FOOT = "Ctrl-C stops: quotes out first, report after"


def screen(status: Status, console: Console) -> RenderableType:
    """The whole screen: head, one panel for each instrument, health, and as many fills as there is room for.

    It fits the console: levels and fills follow from the height. Where not even the least fits, only what nobody may
    miss is shown, and how large the terminal has to be.
    """
    width, height = console.size
    labels = next((each for each in (SPELLED, SHORT) if _width(status, each) <= width), None)
    head, foot = _head(status), Text(FOOT, style="dim")
    fills, instruments = list(status.fills), status.instruments
    needed = max(width, _width(status, SHORT))
    health = _health(status, needed - LABEL - GAP)
    fixed = _lines(console, head, needed) + _lines(console, foot, needed)
    fixed += sum(_lines(console, said, needed - LABEL - GAP) for said in health.values())
    for levels, brief, least in LAYOUTS:
        if labels is None:
            break
        room = height - fixed - sum(_height(each, levels, brief) for each in instruments)
        if room >= (1 + min(least, len(fills)) if least else 0):
            panels = [_instrument(each, levels, () if brief else labels, brief) for each in instruments]
            return Group(head, *panels, _grid(health), *_fills(fills, room), foot)
    levels, brief, _ = LAYOUTS[-1]
    least = fixed + sum(_height(each, levels, brief) for each in instruments)
    return _small(status, console, f"the whole screen needs {needed}x{least}, this is {width}x{height}")


def _lines(console: Console, text: Text, width: int) -> int:
    return max(len(text.wrap(console, width)), 1)


def _head(status: Status) -> Text:
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


def _small(status: Status, console: Console, why_small: str) -> RenderableType:
    """What nobody may miss, in lines: state, why it is paused, links, position and profit, how to stop."""
    width, height = console.size
    state = (status.state.upper(), STATE_STYLE.get(status.state, "bold cyan"))
    above = [Text.assemble(state, f"  mmbot {status.mode} on {status.environment}  {_clock(status.uptime_s)}")]
    if status.why:
        why = Text("; ".join(status.why), style="yellow")
        why.truncate(2 * width - width // 4, overflow="ellipsis")  # two lines, less what the wrapping leaves empty
        above.append(why)
    above.append(_links(status))
    below = [Text(why_small, style="dim"), Text(FOOT, style="dim")]
    room = height - sum(_lines(console, each, width) for each in (*above, *below))
    rows = [line for each in status.instruments for line in _three_lines(each)]
    if len(rows) > room:
        rows = [
            f"{each.symbol} {each.position}  P&L {_signed(each.pnl)} {each.currency}" for each in status.instruments
        ]
    if len(rows) > room:
        kept = max(room - 1, 0)
        rows = [*rows[:kept], f"and {len(rows) - kept} more instruments"]
    body = [Text(row, no_wrap=True, overflow="ellipsis") for row in rows]
    return Group(*above, *body, *below)


def _three_lines(shown: InstrumentShown) -> tuple[str, str, str]:
    bid, ask = (side[0][0] if side else "–" for side in (shown.bids, shown.asks))
    return (
        f"{shown.symbol} {shown.category}  {bid} / {ask}",
        f"  position {shown.position} of ±{shown.position_max}",
        f"  P&L {_signed(shown.pnl)} {shown.currency}",
    )


def _instrument(shown: InstrumentShown, levels: int, labels: Sequence[str], brief: bool) -> RenderableType:
    book = _columns(_book(shown, levels), right=True)
    own = _columns(_own(shown, levels, labels, brief), right=False)
    blank = Text(" " * len(book[0]))
    sides = zip_longest(book, own)
    lines = [Text.assemble(left or blank, " " * MIDDLE, right or "") for left, right in sides]
    title = f"{shown.symbol} {shown.category}"
    return Panel(WHOLE_LINES.join(lines), title=title, title_align="left", box=box.ROUNDED)


def _columns(rows: Sequence[Sequence[tuple[str, str]]], *, right: bool) -> list[Text]:
    """Rows of words with their style as lines: orders wait while a screen is made, and rich's tables take longer."""
    widths = [max(cell_len(words) for words, _ in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        line = Text()
        for number, ((words, style), width) in enumerate(zip(row, widths, strict=True)):
            room = " " * (width - cell_len(words))
            line.append(" " * GAP * (number > 0) + room * right)
            line.append(words, style)
            line.append(room * (not right))
        lines.append(line)
    return lines


def _height(shown: InstrumentShown, levels: int, brief: bool) -> int:
    """Lines of an instrument's panel, none of which wraps."""
    book = 1 + len(shown.asks[:levels]) + len(shown.bids[:levels])
    own = OWN_ROWS_BRIEF if brief else OWN_ROWS
    return 2 + max(book, own + min(len(shown.orders), _orders_room(levels, own)))


def _orders_room(levels: int, own: int) -> int:
    return max(ORDERS_LEAST, 1 + 2 * levels - own)


def _width(status: Status, labels: Sequence[str]) -> int:
    """Columns of the widest panel, none of whose lines is cut."""
    widths = [0]
    for each in status.instruments:
        book = [HEADERS, *(row[1:] for row in _book_rows(each, LEVELS))]
        own = _own_rows(each, LEVELS, labels, brief=False)
        columns = [max(map(cell_len, column)) for table in (book, own) for column in zip(*table, strict=True)]
        widths.append(sum(columns) + GAP * (len(HEADERS) - 1) + GAP + MIDDLE + FRAME)
    return max(widths)


def _book_rows(shown: InstrumentShown, levels: int) -> list[tuple[str, str, str, str, str]]:
    """Side, quantity, price, ours, and what is ahead of it; the highest price first."""
    ours = {(order.side, order.price): order for order in shown.orders if order.ahead is not None}
    rows = [("sell", price, qty) for price, qty in reversed(shown.asks[:levels])]
    rows += [("buy", price, qty) for price, qty in shown.bids[:levels]]
    found = [(side, price, qty, ours.get((side, price))) for side, price, qty in rows]
    return [
        (side, qty, price, *(("", "") if own is None else (own.leaves, f"{own.ahead:.4g}")))
        for side, price, qty, own in found
    ]


def _book(shown: InstrumentShown, levels: int) -> list[list[tuple[str, str]]]:
    rows = [[(header, "dim") for header in HEADERS]]
    for side, qty, price, leaves, ahead in _book_rows(shown, levels):
        rows.append([(qty, ""), (price, "red" if side == "sell" else "green"), (leaves, "bold"), (ahead, "")])
    return rows


def _own_rows(shown: InstrumentShown, levels: int, labels: Sequence[str], brief: bool) -> list[tuple[str, str]]:
    money = f" {shown.currency}"
    rows = [("position", f"{shown.position}  of ±{shown.position_max}"), ("P&L", _signed(shown.pnl) + money)]
    if not brief:
        parts = (shown.captured, -shown.fees, shown.moved)
        rows += [(label, _signed(part) + money) for label, part in zip(labels, parts, strict=True)]
        rows.append(("fills", f"{shown.maker_fills} maker, {shown.taker_fills} taker"))
        rows.append(("turnover", f"{shown.turnover:,.2f}{money}"))
    room = _orders_room(levels, len(rows))
    orders = [(f"{order.side} {order.state}", f"{order.leaves} at {order.price}") for order in shown.orders]
    if len(orders) > room:
        orders = [*orders[: room - 1], ("", f"and {len(orders) - room + 1} more orders")]
    return rows + orders


def _own(shown: InstrumentShown, levels: int, labels: Sequence[str], brief: bool) -> list[list[tuple[str, str]]]:
    rows = _own_rows(shown, levels, labels, brief)
    return [[(label, ""), (value, "bold" if label in {"position", "P&L"} else "")] for label, value in rows]


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+,.6f}"


def _fills(fills: Sequence[FillShown], room: int) -> Sequence[RenderableType]:
    """The latest fills, newest first, in so many lines."""
    if not fills:
        return [Text("no fill yet", style="dim")][:room]
    if room <= 1:  # a heading alone says nothing
        return []
    rows = [[(header, "dim") for header in ("latest fill", "instrument", "side", "quantity", "price", "as", "fee")]]
    for fill in reversed(fills[-(room - 1) :]):
        side = (fill.side, "green" if fill.side == "buy" else "red")
        role = "maker" if fill.maker else "taker"
        others = [(words, "") for words in (fill.qty, fill.price, role, f"{fill.fee} {fill.fee_currency}")]
        rows.append([(_time(fill.ts_venue), ""), (fill.symbol, ""), side, *others])
    return [WHOLE_LINES.join(_columns(rows, right=True))]


def _time(ts: int) -> str:
    hours, rest = divmod(ts // 1_000_000 % 86_400_000, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest / 1000:06.3f}"


def _links(status: Status) -> Text:
    return Text("  ").join(
        Text(f"{link} {state}", style="green" if state == "up" else "bold red") for link, state in status.links.items()
    )


def _health(status: Status, width: int) -> dict[str, Text]:
    denials = [f"{reason} {count}" for reason, count in status.denials.items() if count]
    counters = [f"{name} {count}" for name, count in status.counters.items() if count]
    return {
        "links": _links(status),
        "latency": _filled([_spread(stage, status.latencies.get(stage)) for stage in STAGES], width),
        "held back": _filled(denials or ["nothing"], width),
        "counted": _filled(counters or ["nothing"], width),
    }


def _filled(words: Sequence[str], width: int) -> Text:
    """Words in lines of this width; none of them is broken where it can be whole."""
    lines = [words[0]]
    for word in words[1:]:
        longer = f"{lines[-1]}  {word}"
        if cell_len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return Text("\n".join(lines))


def _grid(health: Mapping[str, Text]) -> RenderableType:
    table = Table.grid(padding=(0, GAP))
    table.add_column(min_width=LABEL, no_wrap=True, style="dim")
    for label, said in health.items():
        table.add_row(label, said)
    return table


def _spread(stage: str, spread: Spread | None) -> str:
    return f"{stage} none yet" if spread is None else f"{stage} {_span(spread.p50)}/{_span(spread.p99)}"


def _span(ns: int) -> str:
    """A time with two digits that say something: µs below a millisecond, ms above."""
    return f"{ns / 1_000:.3g}µs" if ns < 1_000_000 else f"{ns / 1_000_000:.3g}ms"


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
    "controls off": lambda event: "; ".join(
        [f"controls off: {', '.join(event['keys']) or 'none'}", *(f"as good as off: {said}" for said in event["loose"])]
    ),
    "controls armed anew": lambda event: (
        f"{', '.join(event['controls'])} of {event['scope']} count anew, losses from {event['equity']:.2f}"
    ),
    "risk ratio": lambda event: (
        f"p95 of used to allowed notional is {event['p95']:.2f}; "
        f"{'above' if event['warns'] else 'no more above'} {event['line']:g}"
    ),
    "paused": lambda event: f"paused: {event['why']}",
    "quoting": lambda _: "quoting",
    "stray": lambda event: f"not of this run: {event['correlation_id'] or 'an order without a name'}: {event['why']}",
    "unanswered": lambda event: f"order {event['order']}: {event['why']}",
    "held back": lambda event: f"{event['times']} requests held back so far: {event['why']}",
    "refused": lambda event: f"{event['request']} refused ({event['code']}): {event['message']}",
    "key refused": lambda event: f"KEY REFUSED: {event['why']}",
    "cleaned": lambda event: str(event["what"]),
    "reconcile": _reconciled,
    "freeze": lambda event: (
        f"freeze {event['change']}: {event['scope']} {event['before']} → {event['level']} by {event['control']}: "
        f"{event['why']}"
    ),
    "cancel_all_alarm": lambda event: (
        f"NOT PROVEN after {event['after_s']:.0f} s ({event['trigger']}): "
        f"{', '.join(event['open']) or ', '.join(event['unproven'])}"
    ),
    "alarm": lambda event: (
        f"ALARM {event['level']} {event['id']} {event['name']}: {event['why']}; acknowledge it: {event['ack']}"
    ),
    "guards": lambda event: f"guards {event['level']} {event['symbol']}: {'; '.join(event['why']) or 'content'}",
    "flatten": lambda event: f"flatten {event['symbol']}: {event['position']} left, {event['why']}",
    "failed": lambda event: f"the run ends: {event['why']}",
    "stopping": lambda event: f"stopping: {event.get('why', 'quotes out')}",
    "left": lambda event: f"{event['symbol']}: {event['open_orders']} open orders of ours at the venue",
}
"""What is worth a line, by the name of the event."""
