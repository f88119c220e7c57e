"""How the numbers of a summary are said to a person: once, for the terminal, the notebook and the HTML report.

Every figure carries its unit. What has no value is "n/a" and a note beside it says why. No locale, no time zone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mmbot.research.statistics import COMPONENTS, NS_PER_DAY, NS_PER_SECOND

if TYPE_CHECKING:
    from mmbot.research.statistics import Interval, Markout, Measure, Percentiles, PnlSplit, QueueBin
    from mmbot.research.summary import Breakdown, RunFacts, Summary

NOTHING = "n/a"

NS_PER_MINUTE, NS_PER_HOUR = 60 * NS_PER_SECOND, 3600 * NS_PER_SECOND

PAIRED_UNITS = (
    (NS_PER_DAY, "d", NS_PER_HOUR, "h", 1),
    (NS_PER_HOUR, "h", NS_PER_MINUTE, "m", 2),
    (NS_PER_MINUTE, "m", NS_PER_SECOND, "s", 2),
)
"""Long durations are said in two units: [ns] and name of the greater, of the lesser, and the digits of the lesser."""


@dataclass(frozen=True)
class Line:
    """A name, what is said about it, and in which way it has to be read with care (or "")."""

    label: str
    text: str
    note: str = ""


@dataclass(frozen=True)
class Section:
    """Lines that are read together."""

    title: str
    lines: tuple[Line, ...]


def decimals(scale: float) -> int:
    """Decimals that show an amount as large as `scale`: cents, or two digits more than its leading zeros, at most 8."""
    places, reach = 2, 1.0
    while scale < reach and places < 8 and scale > 0.0:
        places, reach = places + 1, reach / 10
    return places


def amount(value: float, unit: str = "", *, scale: float | None = None, signed: bool = False) -> str:
    """An amount with thousands separators; `scale` is the largest amount it stands beside."""
    places = decimals(abs(value) if scale is None else scale)
    text = f"{value:{'+' if signed else ''},.{places}f}"
    if float(text.replace(",", "")) == 0.0:
        text = f"{0:.{places}f}"  # never "-0.00"
    return f"{text} {unit}".rstrip()


def quantity(value: float, unit: str = "") -> str:
    """A quantity of six significant digits, without trailing zeros and without an exponent."""
    text = f"{value:,.{max(0, 6 - len(str(int(abs(value)))))}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{'0' if text in ('-0', '') else text} {unit}".rstrip()


def measured(measure: Measure, form: str = "{:,.2f}", *, factor: float = 1.0) -> str:
    """A measure in a format, or "n/a"."""
    return NOTHING if measure.value is None else form.format(measure.value * factor)


def money(measure: Measure, unit: str) -> str:
    """A measured amount, or "n/a"."""
    return NOTHING if measure.value is None else amount(measure.value, unit)


def size(measure: Measure, unit: str) -> str:
    """A measured quantity, or "n/a"."""
    return NOTHING if measure.value is None else quantity(measure.value, unit)


def percent(measure: Measure) -> str:
    """A share as a percentage."""
    return measured(measure, "{:.1f} %", factor=100.0)


def bps(measure: Measure) -> str:
    """Signed basis points."""
    return measured(measure, "{:+.3f} bp")


def duration(ns: float | None) -> str:
    """A duration in its natural unit: 850 µs, 12.5 ms, 3.2 s, 4m 10s, 2h 05m, 3d 4h; nothing said about a zero rest."""
    if ns is None:
        return NOTHING
    for whole, unit, part, part_unit, width in PAIRED_UNITS:
        if ns >= whole:
            rest = int(ns % whole // part)
            return f"{int(ns // whole)}{unit}" + (f" {rest:0{width}d}{part_unit}" if rest else "")
    for scale, unit in ((NS_PER_SECOND, "s"), (1_000_000, "ms"), (1_000, "µs")):
        if ns >= scale:
            return f"{ns / scale:.3g} {unit}"
    return f"{ns:.0f} ns"


def instant(ns: int) -> str:
    """A time in UTC to the second."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1000)).strftime("%Y-%m-%d %H:%M:%S UTC")


def between(interval: Interval | None, form: str = "{:+.3f}") -> str:
    """The two ends of a 95 % interval, or "n/a"."""
    return NOTHING if interval is None else f"[{form.format(interval.low)}, {form.format(interval.high)}]"


def half_width(interval: Interval | None) -> str:
    """Half of a symmetric 95 % interval, to stand behind a ±, or "n/a"."""
    return NOTHING if interval is None else f"{(interval.high - interval.low) / 2:.3f}"


def queue_range(queue_bin: QueueBin) -> str:
    """Where an order stood when it joined, in multiples of its own quantity."""
    if queue_bin.high == 0.0:
        return "first"
    if queue_bin.high is None:
        return f"> {queue_bin.low:,.0f}×"
    return f"{queue_bin.low:,.0f}–{queue_bin.high:,.0f}×"


def unexplained(split: PnlSplit) -> bool:
    """Whether the parts miss the P&L by more than rounding, so that a person must be told."""
    return abs(split.residual) > 1e-6 * max(1.0, abs(split.pnl))


def component(name: str) -> str:
    """What a person calls a component of the P&L."""
    return COMPONENTS[name]


def _ages(ages: Percentiles) -> str:
    if not ages.count:
        return NOTHING
    return " / ".join(duration(value) for value in (ages.p50, ages.p90, ages.p99))


def _with_error(value: Measure, error: Measure, form: str = "{:+.3f}") -> str:
    return measured(value, form) + ("" if error.value is None else f" ± {error.value:.3f}")


def run_lines(run: RunFacts) -> tuple[Line, ...]:
    """What was run, where and over what, for the head of a report."""
    instruments = ", ".join(f"{one.symbol} ({one.kind}, {one.venue})" for one in run.instruments)
    return (
        Line("Venue", run.venue),
        Line("Instruments", instruments),
        Line("From", instant(run.start_ns)),
        Line("Span", duration(run.span_ns)),
        Line("Events", f"{run.events:,}"),
        Line("Strategy wakes", f"{run.wakes:,}"),
        Line("Version", run.version),
        Line("Seed", str(run.seed)),
    )


def laws_title(run: RunFacts) -> str:
    """What the laws of a run are: a simulated venue's rules, or how a venue executed what was sent to it."""
    return "Simulation laws" if run.mode == "backtest" else "How it was executed"


def hash_lines(run: RunFacts) -> tuple[Line, ...]:
    """What identifies inputs, code and outcome: with the same first five the last two must come out again."""
    return (
        Line("Strategy", run.strategy or "not stated"),
        Line("Tapes", ", ".join(run.tape_hashes) or "none"),
        Line("Config", run.config_hash),
        Line("Code", run.code_hash),
        Line("Seed", str(run.seed)),
        Line("Commands", run.commands_hash),
        Line("Final state", run.state_hash),
    )


def headline(summary: Summary) -> tuple[Line, ...]:
    """The eight figures a desk asks for first. None of them is a verdict."""
    total, unit = summary.total, summary.currency
    fills, performance = total.fills, total.performance
    return (
        Line("Net P&L", amount(total.pnl.pnl, unit, signed=True), f"{bps(total.pnl.pnl_bps)} of value traded"),
        Line("Edge after costs", bps(total.pnl.net_bps), "without inventory and funding"),
        Line("Value traded", amount(fills.value, unit), f"{fills.count:,} fills, {percent(fills.maker_share)} maker"),
        Line(
            "Maker markout 5 s",
            bps(total.markouts_maker[2].move_bps),
            _markout_note(total.markouts_maker[2]),
        ),
        Line("Fill rate", percent(total.orders.fill_rate), f"of quantity in {total.orders.placed:,} orders"),
        Line("Two-sided", percent(total.quoting.two_sided), "of time quoting both sides"),
        Line(
            "Max drawdown",
            money(performance.max_drawdown, unit),
            f"under water {duration(performance.drawdown_ns_max)}",
        ),
        Line(
            "Mean P&L t-stat",
            measured(performance.t_statistic, "{:+.2f}"),
            performance.t_statistic.note or _sharpe_note(summary),
        ),
    )


def _markout_note(markout: Markout) -> str:
    if markout.move_bps.value is None:
        return markout.move_bps.note
    return f"95 % {between(markout.interval)} bp" if markout.interval else markout.note


def _sharpe_note(summary: Summary) -> str:
    why = summary.total.performance.sharpe_annual.note
    return f"Sharpe {why}" if why else "standard errors of the mean away from zero"


def sections(breakdown: Breakdown, currency: str) -> tuple[Section, ...]:
    """All remaining figures of one breakdown, grouped."""
    return (
        _trading(breakdown, currency),
        _orders(breakdown),
        _quoting(breakdown),
        _inventory(breakdown, currency),
        _risk(breakdown, currency),
    )


def _trading(breakdown: Breakdown, currency: str) -> Section:
    fills = breakdown.fills
    return Section(
        "Fills",
        (
            Line("Fills", f"{fills.count:,}", f"{fills.buys:,} buys, {fills.sells:,} sells"),
            Line("Value traded", amount(fills.value, currency)),
            Line("Maker share", percent(fills.maker_share), f"{percent(fills.maker_share_by_value)} by value"),
            Line("Fees paid", amount(fills.fees, currency, signed=True), "negative: rebates outweigh fees"),
            Line("Order age at maker fill", _ages(fills.age_maker), "p50 / p90 / p99, nearest rank"),
        ),
    )


def _orders(breakdown: Breakdown) -> Section:
    orders = breakdown.orders
    return Section(
        "Orders",
        (
            Line(
                "Orders placed",
                f"{orders.placed:,}",
                f"{orders.rejected:,} rejected by the venue, {orders.denied:,} denied by limits",
            ),
            Line("Filled completely", f"{orders.filled:,}", f"{orders.touched:,} with at least one execution"),
            Line("Fill rate, by quantity", percent(orders.fill_rate), orders.fill_rate.note),
            Line("Fill rate, by orders", percent(orders.fill_rate_orders), orders.fill_rate_orders.note),
            Line(
                "Cancels per fill",
                measured(orders.cancel_to_fill),
                orders.cancel_to_fill.note or f"{orders.cancels_sent:,} cancels, {orders.amends:,} amends",
            ),
            Line("Order lifetime", _ages(orders.lifetime), "p50 / p90 / p99, accepted to done"),
        ),
    )


def _quoting(breakdown: Breakdown) -> Section:
    quoting = breakdown.quoting
    sides = f"bid {percent(quoting.bid_at_touch)}, ask {percent(quoting.ask_at_touch)}"
    return Section(
        "Quoting",
        (
            Line("Two-sided", percent(quoting.two_sided), quoting.two_sided.note),
            Line(
                "One-sided",
                f"bid {percent(quoting.bid_only)}, ask {percent(quoting.ask_only)}",
                f"no quote {percent(quoting.absent)}",
            ),
            Line("At or inside the touch", sides),
            Line("Spread quoted", measured(quoting.spread_quoted_bps, "{:.3f} bp"), quoting.spread_quoted_bps.note),
            Line("Spread of the market", measured(quoting.spread_market_bps, "{:.3f} bp"), "time-weighted"),
        ),
    )


def _inventory(breakdown: Breakdown, currency: str) -> Section:
    held = breakdown.inventory

    def held_as(measure: Measure) -> str:
        return (money if held.unit == currency else size)(measure, held.unit)

    return Section(
        "Inventory",
        (
            Line("Largest", held_as(held.max_abs), "absolute"),
            Line("Mean", held_as(held.time_weighted), f"time-weighted; {held_as(held.mean)} over samples"),
            Line("Mean absolute", held_as(held.time_weighted_abs), held.time_weighted_abs.note or "time-weighted"),
            Line("Flat", percent(held.flat_share), "of time without a position"),
            Line("Turns", measured(held.turns, "{:,.1f}×"), held.turns.note or "traded over mean absolute position"),
            Line("At the end", held_as(held.final)),
        ),
    )


def _risk(breakdown: Breakdown, currency: str) -> Section:
    risk = breakdown.performance
    per_sample = f"per {duration(risk.interval_ns)} sample, not annualised" if risk.interval_ns else ""
    year = "AR(1)-scaled, Lo 2002"
    return Section(
        "Risk and reward",
        (
            Line(
                "Max drawdown",
                money(risk.max_drawdown, currency),
                f"{percent(risk.max_drawdown_share)} of the peak"
                if risk.max_drawdown_share.value is not None
                else risk.max_drawdown_share.note,
            ),
            Line("Longest under water", duration(risk.drawdown_ns_max)),
            Line("Sharpe", _with_error(risk.sharpe, risk.sharpe_error), risk.sharpe.note or per_sample),
            Line("Mean P&L t-stat", measured(risk.t_statistic, "{:+.2f}"), "standard errors away from zero"),
            Line("Autocorrelation", measured(risk.autocorrelation, "{:+.3f}"), "lag 1; Sharpe's error assumes 0"),
            Line("Sortino", measured(risk.sortino, "{:+.3f}"), risk.sortino.note or per_sample),
            Line(
                "Sharpe, annual",
                _with_error(risk.sharpe_annual, risk.sharpe_annual_error, "{:+.2f}"),
                risk.sharpe_annual.note or year,
            ),
            Line("Sortino, annual", measured(risk.sortino_annual, "{:+.2f}"), risk.sortino_annual.note or year),
            Line("Calmar", measured(risk.calmar), risk.calmar.note or "annual P&L over max drawdown"),
        ),
    )
