"""The summary on a terminal: fits, aligns, explains itself and needs no colour."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console
from synthetic_run import Parts, result_of

from mmbot.research import terminal


@pytest.mark.parametrize("width", [80, 100, 120])
def test_fits_the_width(busy, width):
    """No line is wider than the terminal, and none ends in blanks."""
    lines = terminal.text(busy.summary(), width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize(("asked", "given"), [(20, 80), (500, 120)])
def test_width_is_held_within_readable_bounds(busy, asked, given):
    """A narrower or wider wish gets the nearest width that was designed."""
    assert terminal.text(busy.summary(), width=asked) == terminal.text(busy.summary(), width=given)


def test_plain_text_has_no_escape_codes(busy):
    """What goes into a log is text; a colour terminal gets colours from the same screen."""
    assert "\x1b" not in terminal.text(busy.summary())
    console = Console(file=io.StringIO(), force_terminal=True, color_system="standard", width=100)
    with console.capture() as capture:
        console.print(terminal.screen(busy.summary()))
    assert "\x1b[3" in capture.get()


def test_numbers_are_those_of_the_summary(busy):
    """Net P&L, bps, fills and every component are on the screen."""
    total, shown = busy.summary().total, terminal.text(busy.summary())
    assert re.search(rf"Net P&L\s+\{total.pnl.pnl:+,.2f} USDT", shown)
    assert f"{total.fills.count:,} fills" in shown
    for part in total.pnl.components:
        assert f"{part.bps.value:+.3f}" in shown


def test_bars_point_the_way_of_the_sign():
    """A loss reaches left of the middle, a profit right, in proportion, and the smallest amount still shows."""
    parts = Parts(spread_capture=10.0, fees=-5.0, inventory=0.001, turnover=1e4)
    shown = terminal.text(result_of(attribution={"BTCUSDT": parts, "total": parts}).summary())
    bars = {line.split("  ")[0].strip(): line for line in shown.splitlines() if "│" in line}
    assert bars["spread capture"].endswith("│" + "█" * 10)
    assert bars["fees"].endswith(" " + "█" * 5 + "│")
    assert bars["inventory"].endswith("│█")
    assert bars["funding"].endswith(" │")


def test_a_silent_run_says_why_it_has_no_numbers(silent):
    """Not a screen of zeros: each missing figure has its reason."""
    shown = terminal.text(silent.summary())
    assert "no order was placed" in shown
    assert "needs 30 samples of equity, there are 0" in shown
    assert "Fill probability" not in shown


def test_instruments_are_compared_only_when_there_are_several(busy, single):
    """One instrument is its own total."""
    assert "By instrument" in terminal.text(busy.summary())
    assert "By instrument" not in terminal.text(single.summary())


def test_details_of_one_instrument_use_its_own_unit(busy, single):
    """A single position is told in its base; several can only be added as value."""
    assert re.search(r"Largest\s+0\.\d+ BTC", terminal.text(single.summary()))
    assert re.search(r"Largest\s+[\d,]+\.\d\d USDT", terminal.text(busy.summary()))


@pytest.mark.parametrize(
    ("mode", "title", "label"),
    [("backtest", "Simulation laws", "not modelled"), ("paper", "How it was executed", "limitation")],
)
def test_the_laws_are_called_what_they_are(single, mode, title, label):
    """Rules of a simulated venue, or how a venue executed what a run sent."""
    summary = single.summary()
    shown = terminal.text(replace(summary, run=replace(summary.run, mode=mode))).splitlines()
    below = shown[shown.index(next(line for line in shown if line.strip() == title)) :]
    assert [line for line in below if line.strip().startswith(label)]


def test_print_shows_the_screen(single):
    """print(result) is the plain text of the summary."""
    assert str(single) == terminal.text(single.summary())
