"""The summary of a run on a terminal: one screen that a desk can read, 80 to 120 columns wide.

`screen` is a Rich renderable for a console that knows its own width and colours; `text` is the same as plain text,
for logs, pipes and `print(result)`.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mmbot.research import wording

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mmbot.research.summary import Breakdown, Summary
    from mmbot.research.wording import Section

WIDTH_MIN, WIDTH_MAX = 80, 120
BAR_CELLS = 10


def text(summary: Summary, *, width: int = 100) -> str:
    """The screen as plain text of at most `width` columns (held within 80 to 120), without trailing blanks."""
    width = min(max(width, WIDTH_MIN), WIDTH_MAX)
    # The environment of the caller (COLUMNS, NO_COLOR, TERM) must not change what is written down.
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False, _environ={})
    with console.capture() as capture:
        console.print(screen(summary))
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def screen(summary: Summary) -> RenderableType:
    """The whole summary, most asked first: what ran, headline, attribution, markouts, details, per instrument."""
    total, currency = summary.total, summary.currency
    parts = [
        _head(summary),
        _headline(summary),
        _titled("Where the P&L came from", _attribution(total, currency)),
        _titled("Markouts: where the mid went after our fills (+ is our way), bp of value", _markouts(total)),
    ]
    if total.queue:
        parts.append(_titled("Fill probability by what stood before us at join, in own quantities", _queue(total)))
    if len(summary.instruments) > 1:
        parts.append(_titled("By instrument", _instruments(summary)))
    parts += [_sections(wording.sections(summary.detail, currency)), _laws(summary)]
    return Group(*(item for part in parts for item in (part, Text(""))))


def _titled(title: str, table: RenderableType) -> RenderableType:
    return Group(Text(title, style="bold"), table)


def _table(*columns: tuple[str, str]) -> Table:
    """A table of right- or left-justified columns, quiet enough to put several on one screen."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header, justify in columns:
        table.add_column(header, justify="right" if justify == "right" else "left", overflow="fold")
    return table


def _head(summary: Summary) -> RenderableType:
    run = summary.run
    grid = Table.grid(padding=(0, 2))
    grid.add_row(Text(f"mmbot {run.mode}", style="bold"), Text(run.run_id, style="bold"))
    for line in wording.run_lines(run):
        grid.add_row(Text(line.label, style="dim"), line.text)
    hashes = {
        "tape": run.tape_hashes[0] if run.tape_hashes else "none",
        "config": run.config_hash,
        "code": run.code_hash,
        "commands": run.commands_hash,
        "state": run.state_hash,
    }
    grid.add_row(Text("Hashes", style="dim"), "  ".join(f"{name} {value[:8]}" for name, value in hashes.items()))
    return grid


def _headline(summary: Summary) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for line in wording.headline(summary):
        table.add_row(line.label, Text(line.text, style="bold", justify="right"), Text(line.note, style="dim"))
    return table


def _attribution(breakdown: Breakdown, currency: str) -> RenderableType:
    split = breakdown.pnl
    table = _table(("", "left"), (currency, "right"), ("bp", "right"), ("-         0         +", "left"))
    scale = max((abs(part.value) for part in split.components), default=0.0)
    largest = max(scale, abs(split.pnl))
    for part in split.components:
        table.add_row(
            wording.component(part.name),
            wording.amount(part.value, scale=largest, signed=True),
            wording.measured(part.bps, "{:+.3f}"),
            _bar(part.value, scale),
        )
    if wording.unexplained(split):
        table.add_row("unexplained", wording.amount(split.residual, scale=largest, signed=True), "", "")
    table.add_section()
    for label, value, bps in (
        ("net P&L", split.pnl, split.pnl_bps),
        ("edge after costs", split.net, split.net_bps),
    ):
        table.add_row(
            Text(label, style="bold"),
            Text(wording.amount(value, scale=largest, signed=True), style="bold"),
            Text(wording.measured(bps, "{:+.3f}"), style="bold"),
            Text("everything" if label == "net P&L" else "first five lines only", style="dim"),
        )
    return table


def _bar(value: float, scale: float) -> Text:
    """A bar to the left of the middle for a loss and to the right for a profit; anything but zero shows."""
    cells = round(BAR_CELLS * abs(value) / scale) if scale else 0
    cells = max(cells, 1) if value else 0
    loss = value < 0
    left = ("█" * cells if loss else "").rjust(BAR_CELLS)
    right = ("" if loss else "█" * cells).ljust(BAR_CELLS)
    return Text.assemble((left, "red"), ("│", "dim"), (right, "green"))


def _markouts(breakdown: Breakdown) -> RenderableType:
    table = _table(
        ("after", "right"),
        ("maker", "right"),
        ("± 95 %", "right"),
        ("from price", "right"),
        ("fills", "right"),
        ("taker", "right"),
        ("± 95 %", "right"),
        ("fills", "right"),
    )
    for maker, taker in zip(breakdown.markouts_maker, breakdown.markouts_taker, strict=True):
        table.add_row(
            wording.duration(maker.horizon_ns),
            wording.measured(maker.move_bps, "{:+.3f}"),
            wording.half_width(maker.interval),
            wording.measured(maker.edge_bps, "{:+.3f}"),
            f"{maker.count:,}",
            wording.measured(taker.move_bps, "{:+.3f}"),
            wording.half_width(taker.interval),
            f"{taker.count:,}",
        )
    return table


def _sections(sections: Iterable[Section]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for index, section in enumerate(sections):
        if index:
            table.add_row("")
        table.add_row(Text(section.title, style="bold"))
        for line in section.lines:
            table.add_row(f"  {line.label}", Text(line.text, justify="right"), Text(line.note, style="dim"))
    return table


def _queue(breakdown: Breakdown) -> RenderableType:
    table = _table(
        ("ahead", "right"),
        ("orders", "right"),
        ("filled", "right"),
        ("95 %", "right"),
        ("", "left"),
    )
    for queue_bin in breakdown.queue:
        table.add_row(
            wording.queue_range(queue_bin),
            f"{queue_bin.orders:,}",
            f"{100 * queue_bin.probability:.1f} %",
            f"[{100 * queue_bin.interval.low:.1f}, {100 * queue_bin.interval.high:.1f}]",
            Text("█" * round(2 * BAR_CELLS * queue_bin.probability), style="cyan"),
        )
    return table


def _instruments(summary: Summary) -> RenderableType:
    table = _table(
        ("", "left"),
        (f"P&L {summary.currency}", "right"),
        ("bp", "right"),
        ("fills", "right"),
        ("maker", "right"),
        ("fill rate", "right"),
        ("two-sided", "right"),
        ("largest position", "right"),
    )
    for symbol, breakdown in summary.instruments.items():
        table.add_row(
            symbol,
            wording.amount(breakdown.pnl.pnl, signed=True),
            wording.measured(breakdown.pnl.pnl_bps, "{:+.3f}"),
            f"{breakdown.fills.count:,}",
            wording.percent(breakdown.fills.maker_share),
            wording.percent(breakdown.orders.fill_rate),
            wording.percent(breakdown.quoting.two_sided),
            wording.size(breakdown.inventory.max_abs, breakdown.inventory.unit),
        )
    return table


def _laws(summary: Summary) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_row(Text(wording.laws_title(summary.run), style="bold"))
    for name, law in sorted(summary.run.laws.items()):
        grid.add_row(Text(f"  {name}", style="dim"), law)
    label = "  not modelled" if summary.run.mode == "backtest" else "  limitation"
    for limitation in summary.run.limitations:
        grid.add_row(Text(label, style="dim"), limitation)
    return grid
