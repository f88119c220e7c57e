"""The charts of a report, as the plain dictionaries that plotly.js draws.

Built without plotly's Python objects: a chart is then exactly the bytes written here, on every machine. Long series
are thinned for display by M4 (Jugel, Jerzak, Hackenbroich, Markl 2014): of each of many equal time slices the first,
last, lowest and highest sample are kept, so that no spike and no gap disappears. The tables always use everything.
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from mmbot.research import statistics, wording
from mmbot.research.frames import standing
from mmbot.research.statistics import NS_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mmbot.research.frames import Frames
    from mmbot.research.statistics import Floats, Integers, Markout
    from mmbot.research.summary import Summary

    Trace = dict[str, Any]
    Layout = dict[str, Any]

POINTS = 2_000
"""Points shown per series, at most; shared out when several instruments are drawn."""

INSTRUMENTS_SHOWN = 6
"""Instruments with charts of their own: those with the most traded value. Tables name them all."""

BUY, SELL, MAKER, TAKER, NEUTRAL, ACCENT = "#0f9d8a", "#d6456b", "#2f7fd1", "#d98324", "#8b95a1", "#6c5fc7"
COMPONENT_COLOURS = {
    "spread_capture": BUY,
    "rebates": MAKER,
    "adverse_selection": SELL,
    "taker_slippage": TAKER,
    "fees": "#a8771c",
    "inventory": ACCENT,
}


@dataclass(frozen=True, kw_only=True)
class Chart:
    """One chart: a fixed id, how to read it, and what plotly.js needs. `on_time` charts zoom together."""

    id: str
    title: str
    reading: str
    height: int
    data: list[Trace]
    layout: Layout
    on_time: bool = False


def charts(summary: Summary, frames: Frames) -> tuple[Chart, ...]:
    """All charts of a report, in reading order. A chart without anything to show is left out."""
    by_value = sorted(summary.instruments, key=lambda symbol: (-summary.instruments[symbol].fills.value, symbol))
    shown = [] if frames.equity.is_empty() else by_value[:INSTRUMENTS_SHOWN]
    points = POINTS // max(1, min(len(shown), 3))
    found: list[Chart | None] = []
    for number, symbol in enumerate(shown):
        found += [_price(frames, summary, symbol, number, points), _position(frames, summary, symbol, number, points)]
    if shown:
        found += [_attribution(frames, summary), _equity(frames, summary)]
    found += [_markouts(summary), _queue(summary), _ages(frames)]
    return tuple(chart for chart in found if chart is not None)


def thin(ts: Integers, values: Floats, points: int) -> NDArray[np.intp]:
    """Indices of the samples to draw: all, or about `points` that look the same (M4).

    Kept of every time slice: first, last, lowest, highest, and one missing value (NaN), where the line must break.
    """
    if ts.size <= points:
        return np.arange(ts.size)
    slices = max(1, points // 4)
    part = ((ts - ts[0]) / (float(ts[-1] - ts[0]) + 1.0) * slices).astype(np.int64)
    new = np.flatnonzero(np.diff(part, prepend=-1))
    missing = np.isnan(values)
    # Sorted by slice and then by value, the ends of each slice are its lowest and its highest sample.
    lowest = np.lexsort((np.where(missing, np.inf, values), part))[new]
    highest = np.lexsort((np.where(missing, np.inf, -values), part))[new]
    holes = np.flatnonzero(missing)
    holes = holes[np.unique(part[holes], return_index=True)[1]]
    return np.unique(np.concatenate([new, np.append(new[1:] - 1, ts.size - 1), lowest, highest, holes]))


def packed(values: Floats) -> dict[str, str]:
    """Numbers in the binary form that plotly.js reads: exact, small, and without a question of formatting."""
    return {"dtype": "f8", "bdata": base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode()}


def _line(
    name: str,
    ts: Integers,
    values: Floats,
    colour: str,
    *,
    points: int = POINTS,
    line: Trace | None = None,
    **extra: object,
) -> Trace:
    """A line over time; `extra` are further properties of a plotly scatter trace."""
    kept = thin(ts, values, points)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": packed(ts[kept] / 1e6),
        "y": packed(values[kept]),
        "line": {"color": colour, "width": 1.4} | (line or {}),
        "hovertemplate": "%{y}<extra>" + name + "</extra>",
        **extra,
    }


def _time_axes(frames: Frames, y_title: str) -> Layout:
    """One span for all charts on time, so that they stand exactly under one another."""
    ts = frames.equity["ts"].to_numpy()
    span = [round(float(ts.min()) / 1e6, 3), round(float(ts.max()) / 1e6, 3)]
    return {"xaxis": {"type": "date", "range": span}, "yaxis": {"title": {"text": y_title}}, "hovermode": "x"}


def _price(frames: Frames, summary: Summary, symbol: str, number: int, points: int) -> Chart:
    rows, fills = frames.of(symbol).equity, frames.of(symbol).fills
    ts, step = rows["ts"].to_numpy(), {"line": {"shape": "hv", "width": 1.1}}
    data = [
        _line("mid", ts, rows["mid"].to_numpy(), NEUTRAL, points=points),
        _line("our bid", ts, rows["quote_bid"].to_numpy(), BUY, points=points, opacity=0.6, **step),
        _line("our ask", ts, rows["quote_ask"].to_numpy(), SELL, points=points, opacity=0.6, **step),
    ]
    for side, maker in ((1, True), (-1, True), (1, False), (-1, False)):
        data += _fill_markers(fills, side, maker=maker, points=points // 2)
    drawn = sum(trace.get("meta", 0) for trace in data)
    dropped = "" if drawn == fills.height else f" Showing {drawn:,} of {fills.height:,} fills."
    return Chart(
        id=f"price-{number}",
        title=f"{symbol}: price, our quotes and fills",
        reading="Up triangles are buys, down triangles sells; filled ones earned the spread (maker), open ones paid it "
        "(taker). Quotes far from the mid, or gaps in them, are time without a market." + dropped,
        height=420,
        data=data,
        layout=_time_axes(frames, f"price, {_quote(summary, symbol)}"),
        on_time=True,
    )


def _quote(summary: Summary, symbol: str) -> str:
    return next(one.quote for one in summary.run.instruments if one.symbol == symbol)


def _fill_markers(fills: pl.DataFrame, side: int, *, maker: bool, points: int) -> list[Trace]:
    ours = fills.filter((pl.col("side") == side) & (pl.col("maker") == maker)).sort("ts_venue", maintain_order=True)
    if ours.is_empty():
        return []
    ts, price, qty = (ours[name].to_numpy() for name in ("ts_venue", "price", "qty"))
    kept = thin(ts, price, points)
    name = f"{'maker' if maker else 'taker'} {'buy' if side > 0 else 'sell'}"
    shape = ("triangle-up" if side > 0 else "triangle-down") + ("" if maker else "-open")
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "meta": int(kept.size),
            "x": packed(ts[kept] / 1e6),
            "y": packed(price[kept]),
            "customdata": packed(qty[kept]),
            "marker": {"symbol": shape, "size": 7, "color": BUY if side > 0 else SELL},
            "hovertemplate": "%{customdata} at %{y}<extra>" + name + "</extra>",
        }
    ]


def _position(frames: Frames, summary: Summary, symbol: str, number: int, points: int) -> Chart:
    rows, unit = frames.of(symbol).equity, summary.instruments[symbol].inventory.unit
    trace = _line(
        "position",
        rows["ts"].to_numpy(),
        rows["position"].to_numpy(),
        ACCENT,
        points=points,
        line={"shape": "hv"},
        fill="tozeroy",
        fillcolor="rgba(108,95,199,0.18)",
    )
    return Chart(
        id=f"position-{number}",
        title=f"{symbol}: inventory",
        reading="Signed position at each sample. Around zero the quotes are balanced; long one-sided stretches are "
        "the inventory risk behind the inventory line of the attribution.",
        height=240,
        data=[trace],
        layout=_time_axes(frames, unit),
        on_time=True,
    )


def _attribution(frames: Frames, summary: Summary) -> Chart:
    frames = frames.in_worth(summary.run.inverse)
    grid, _, _ = frames.equity_curve()
    horizon = summary.run.markout_horizon
    total = {name: np.zeros(grid.size) for name in statistics.PATH_COMPONENTS}
    for symbol in summary.instruments:
        mine = frames.of(symbol)
        if mine.equity.is_empty():
            continue
        ts, equity, mid = (mine.equity[name].to_numpy() for name in ("ts", "equity", "mid"))
        path = statistics.attribution_path(ts, equity, mid, mine.fills, horizon)
        last = standing(ts, grid)
        for name, values in path.items():
            total[name] += values[last]
    data = [
        _line("inventory, funding" if name == "inventory" else wording.component(name), grid, values, colour)
        for (name, values), colour in zip(total.items(), COMPONENT_COLOURS.values(), strict=True)
        if values.any()
    ]
    pnl = np.sum(list(total.values()), axis=0)
    data.append(_line("net P&L", grid, pnl, NEUTRAL, line={"width": 2.4}))
    after = wording.duration(statistics.HORIZONS[horizon])
    return Chart(
        id="attribution",
        title="Where the P&L came from, over time",
        reading="Cumulative; the coloured lines add up to net P&L at every instant. Each fill is charged at once with "
        f"the move of the mid over its next {after}; what the market did to the position later is inventory.",
        height=380,
        data=data,
        layout=_time_axes(frames, summary.currency),
        on_time=True,
    )


def _equity(frames: Frames, summary: Summary) -> Chart:
    ts, equity, _ = frames.equity_curve()
    below = _line("drawdown", ts, statistics.drawdown(equity), SELL, yaxis="y2", fill="tozeroy")
    below["fillcolor"] = "rgba(214,69,107,0.18)"
    layout = _time_axes(frames, summary.currency)
    layout["xaxis"]["anchor"] = "y2"
    layout["yaxis"]["domain"] = [0.38, 1.0]
    layout["yaxis2"] = {"title": {"text": "drawdown"}, "domain": [0.0, 0.3]}
    return Chart(
        id="equity",
        title="Equity and drawdown",
        reading="Above: cash and position at mid, fees included. Below: the distance to the highest equity so far.",
        height=400,
        data=[_line("equity", ts, equity, MAKER), below],
        layout=layout,
        on_time=True,
    )


def _markouts(summary: Summary) -> Chart | None:
    data: list[Trace] = []
    for name, marks, colour, band in (
        ("maker", summary.total.markouts_maker, MAKER, "rgba(47,127,209,0.18)"),
        ("taker", summary.total.markouts_taker, TAKER, "rgba(217,131,36,0.18)"),
    ):
        seen = [mark for mark in marks if mark.move_bps.value is not None]
        if seen:
            data += _markout_band(name, seen, band) + _markout_lines(name, seen, colour)
    if not data:
        return None
    horizons = list(statistics.HORIZONS.values())
    return Chart(
        id="markouts",
        title="Markouts: what the market did after our fills",
        reading="Value-weighted move of the mid towards us (+) or against us (−) after a fill, with 95 % bands "
        "(clustered in time, Newey–West); no band where there are too few separate moments. Dotted: from the fill "
        "price, so with the half-spread still in it, before fees. It should stay above the maker's fees.",
        height=380,
        data=data,
        layout={
            "xaxis": {
                "type": "log",
                "title": {"text": "time after the fill"},
                "tickvals": [horizon / NS_PER_SECOND for horizon in horizons],
                "ticktext": [wording.duration(horizon) for horizon in horizons],
            },
            "yaxis": {"title": {"text": "bp of value"}, "rangemode": "tozero"},
            "hovermode": "x",
        },
    )


def _markout_lines(name: str, marks: Sequence[Markout], colour: str) -> list[Trace]:
    x = [mark.horizon_ns / NS_PER_SECOND for mark in marks]
    common: Trace = {"type": "scatter", "mode": "lines+markers", "x": x, "legendgroup": name}
    moves, edges = [mark.move_bps.value for mark in marks], [mark.edge_bps.value for mark in marks]
    hover = "%{y:+.3f} bp, %{customdata:,} fills<extra>" + name + "</extra>"
    return [
        common
        | {
            "name": name,
            "y": moves,
            "customdata": [mark.count for mark in marks],
            "line": {"color": colour, "width": 2},
            "hovertemplate": hover,
        },
        common
        | {
            "name": f"{name}, from fill price",
            "y": edges,
            "line": {"color": colour, "width": 1.4, "dash": "dot"},
            "marker": {"size": 4},
            "hovertemplate": "%{y:+.3f} bp<extra>" + name + ", from fill price</extra>",
        },
    ]


def _markout_band(name: str, marks: Sequence[Markout], colour: str) -> list[Trace]:
    sure = [(mark.horizon_ns / NS_PER_SECOND, mark.interval) for mark in marks if mark.interval is not None]
    if not sure:
        return []
    x = [horizon for horizon, _ in sure]
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"{name}, 95 %",
            "legendgroup": name,
            "showlegend": False,
            "hoverinfo": "skip",
            "x": x + x[::-1],
            "y": [interval.low for _, interval in sure] + [interval.high for _, interval in sure][::-1],
            "fill": "toself",
            "fillcolor": colour,
            # A band over a single horizon has no area: its outline still shows the interval.
            "line": {"color": colour, "width": 3 if len(sure) == 1 else 0},
        }
    ]


def _queue(summary: Summary) -> Chart | None:
    bins = summary.total.queue
    if not bins:
        return None
    bars: Trace = {
        "type": "bar",
        "name": "filled",
        "x": [f"{wording.queue_range(one)}<br>{one.orders:,} orders" for one in bins],
        "y": [100 * one.probability for one in bins],
        "customdata": [f"{one.filled:,} of {one.orders:,} orders" for one in bins],
        "marker": {"color": MAKER},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [100 * (one.interval.high - one.probability) for one in bins],
            "arrayminus": [100 * (one.probability - one.interval.low) for one in bins],
            "color": NEUTRAL,
            "thickness": 1.2,
        },
        "hovertemplate": "%{y:.1f} %, %{customdata}<extra></extra>",
    }
    return Chart(
        id="queue",
        title="Fill probability by queue position",
        reading="Share of orders that traded at all, by the quantity displayed before them when they joined, in "
        "multiples of their own quantity; whiskers are 95 % Wilson intervals. Cancelled orders count as not filled, "
        "so patience shows here too. A flat picture means the queue does not decide, or is not simulated.",
        height=340,
        data=[bars],
        layout={
            "xaxis": {"title": {"text": "ahead of us at join"}, "type": "category"},
            "yaxis": {"title": {"text": "filled, %"}, "rangemode": "tozero"},
            "showlegend": False,
        },
    )


def _ages(frames: Frames) -> Chart | None:
    fills = frames.fills.filter(pl.col("maker"))["order_age_ns"].to_numpy()
    gone = frames.orders.filter(pl.col("state") == "canceled").drop_nulls(["ts_accepted", "ts_done"])
    groups = (
        ("at a maker fill", fills, MAKER),
        ("when cancelled", (gone["ts_done"] - gone["ts_accepted"]).to_numpy(), NEUTRAL),
    )
    # Ages span many powers of ten; an age of zero belongs to the shortest bin.
    logs = {name: np.log10(np.maximum(ages, 1_000) / NS_PER_SECOND) for name, ages, _ in groups}
    every = np.concatenate(list(logs.values()))
    if every.size == 0:
        return None
    low, high = math.floor(every.min()), max(math.ceil(every.max()), math.floor(every.min()) + 1)
    edges = np.linspace(low, high, (high - low) * 8 + 1)
    data: list[Trace] = [
        {
            "type": "bar",
            "name": name,
            "x": [round(float(x), 6) for x in (edges[:-1] + edges[1:]) / 2],
            "y": (100 * np.histogram(logs[name], edges)[0] / max(1, logs[name].size)).round(6).tolist(),
            "width": 0.125,
            "opacity": 0.65,
            "marker": {"color": colour},
            "hovertemplate": "%{y:.1f} %<extra>" + name + "</extra>",
        }
        for name, _, colour in groups
        if logs[name].size
    ]
    ticks = list(range(low, high + 1))
    return Chart(
        id="ages",
        title="Order age",
        reading="How long orders had rested when they were filled, and when they were cancelled (each adds up to "
        "100 %, time on a log scale). Fills much younger than cancels are a sign of being picked off on arrival.",
        height=340,
        data=data,
        layout={
            "barmode": "overlay",
            "xaxis": {"title": {"text": "age"}, "tickvals": ticks, "ticktext": [_power(tick) for tick in ticks]},
            "yaxis": {"title": {"text": "share, %"}, "rangemode": "tozero"},
        },
    )


def _power(exponent: int) -> str:
    """10^exponent seconds in the unit a person would use: 10 ms, not 0.01 s."""
    for unit, shift in (("s", 0), ("ms", 3), ("µs", 6)):
        if exponent + shift >= 0:
            return f"{10 ** (exponent + shift):,} {unit}"
    return f"1e{exponent} s"
