"""What a person reads on the screen, at the sizes that terminals have."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from mmbot.runtime.latency import Spread
from mmbot.runtime.screen import event_line, screen
from mmbot.runtime.status import FillShown, InstrumentShown, OrderShown, Status

NS = 1_000_000_000


def instrument(symbol="BTCUSDT", **changes):
    """A book of eight levels at five digits, one quote on each side."""
    shown = InstrumentShown(
        symbol=symbol,
        category="linear",
        currency="USDT",
        bids=[(f"61805.{5 - level}", f"{level}.125") for level in range(6)],
        asks=[(f"61806.{level}", f"{level}.250") for level in range(8)],
        orders=[
            OrderShown(side="buy", price="61805.5", leaves="0.010", state="live", ahead=2.718),
            OrderShown(side="sell", price="61806.0", leaves="0.011", state="live", ahead=3.142),
        ],
        position="-0.023",
        position_max="0.050",
        mid=61805.75,
        pnl=-1.234567,
        captured=2.5,
        fees=-0.125,
        moved=-3.609567,
        maker_fills=41,
        taker_fills=0,
        turnover=123_456.78,
    )
    return replace(shown, **changes)


def fill(index):
    """One fill, told by its quantity."""
    return FillShown(
        ts_venue=index * NS,
        symbol="BTCUSDT",
        side="buy",
        price="61805.5",
        qty=f"0.0{index:02d}",
        maker=True,
        fee="-0.061805",
        fee_currency="USDT",
    )


def status(fills=0, **changes):
    """A run that quotes, all links up, with no request that followed from a message."""
    spread = Spread(count=9, p50=12_300, p99=4_560_000, max=5_000_000)
    shown = Status(
        ts=0,
        mode="paper",
        environment="simulator",
        state="quoting",
        why=[],
        strategy="MarketMaker",
        uptime_s=22.0,
        instruments=[instrument()],
        fills=[fill(index) for index in range(fills)],
        links={"public linear": "up", "private": "up", "trade": "up"},
        latencies=dict.fromkeys(("decode", "decide", "journal", "send", "answer"), spread),
        denials={"position": 0},
        counters={"requests": 321, "in doubt": 0},
    )
    return replace(shown, **changes)


def rendered(shown, width, height):
    """The screen's lines, none of which a terminal of this size crops."""
    console = Console(width=width, height=height, file=io.StringIO(), color_system=None)
    console.print(screen(shown, console))
    lines = console.file.getvalue().splitlines()
    assert len(lines) <= height
    return lines


SIZES = [(80, 24), (110, 44), (50, 12)]


@pytest.mark.parametrize("fills", [0, 50])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_what_nobody_may_miss_is_on_every_screen(width, height, fills):
    """Why it is paused, links, whole prices, position, profit and how to stop, whatever else there is room for."""
    links = {"public linear": "up", "private": "down", "trade": "up"}
    shown = status(fills, state="paused", why=["private down: silent for 20 s"], links=links)
    text = "\n".join(rendered(shown, width, height))
    for said in ("PAUSED", "private down: silent", "trade up", "61805.5", "61806.0", "-0.023", "±0.050", "-1.234567"):
        assert said in text
    assert "Ctrl-C stops" in text


@pytest.mark.parametrize(("width", "height", "least"), [(80, 24, 3), (110, 44, 10)])
def test_a_screen_with_fills_keeps_what_is_ahead_links_and_latencies(width, height, least):
    """The queue ahead of both quotes stands in their lines, health above the fills, the newest fill first."""
    lines = rendered(status(50), width, height)
    assert [line for line in lines if all(said in line for said in ("61805.5", "0.010", "2.718"))]
    assert [line for line in lines if all(said in line for said in ("61806.0", "0.011", "3.142"))]
    text = "\n".join(lines)
    assert "decode 12.3µs/4.56ms" in text
    assert "wire_to_wire none yet" in text
    assert "…" not in text
    shown = [line.split()[3] for line in lines if " maker " in line and line.startswith("00:00:")]
    assert len(shown) >= least
    assert shown == [f"0.0{index:02d}" for index in range(49, 49 - len(shown), -1)]
    health = next(number for number, line in enumerate(lines) if line.startswith("links"))
    assert health < next(number for number, line in enumerate(lines) if "latest fill" in line)


def test_a_taller_terminal_shows_more_levels():
    """Five levels or so at 24 lines, all that is known at 44."""
    asks = [price for price, _ in instrument().asks]
    low, high = ("\n".join(rendered(status(50), 110, height)) for height in (24, 44))
    assert sum(price in low for price in asks) < sum(price in high for price in asks) == len(asks)


@pytest.mark.parametrize(("width", "height"), [(50, 12), (80, 12), (50, 44)])
def test_a_small_terminal_is_told_how_large_it_has_to_be(width, height):
    """The size that is named is enough, and one column or line less is not."""
    text = "\n".join(rendered(status(), width, height))
    words = text.partition("the whole screen needs ")[2].partition(",")[0]
    needed = [int(each) for each in words.split("x")]
    wide = max(needed[0], width)
    assert "needs" not in "\n".join(rendered(status(), wide, needed[1]))
    assert "needs" in "\n".join(rendered(status(), wide, needed[1] - 1))
    if needed[0] > width:
        assert "needs" in "\n".join(rendered(status(), needed[0] - 1, needed[1]))


def test_two_instruments_fit_a_common_terminal():
    """Both books, quotes and positions at 80x24; where the profit came from makes room."""
    lines = rendered(status(instruments=[instrument(), instrument("ETHUSDT")]), 80, 24)
    assert sum("3.142" in line for line in lines) == 2
    assert sum("-0.023  of ±0.050" in line for line in lines) == 2


def test_many_instruments_on_a_small_terminal_are_counted():
    """What has no line is said to be there, and how to stop stays."""
    lines = rendered(status(instruments=[instrument(f"A{index}USDT") for index in range(20)]), 50, 12)
    assert any("more instruments" in line for line in lines)
    assert lines[-1].startswith("Ctrl-C stops")


def test_many_orders_do_not_push_the_rest_out():
    """Of twenty orders some are listed, the rest counted."""
    orders = [
        OrderShown(side="buy", price=f"{61000 + n}.0", leaves="0.010", state="live", ahead=None) for n in range(20)
    ]
    text = "\n".join(rendered(status(instruments=[instrument(orders=orders)]), 80, 24))
    assert "more orders" in text
    assert "Ctrl-C stops" in text


def test_what_controls_say_is_told_in_a_line() -> None:
    """From where they count, and how much is used."""
    armed = {"event": "controls armed anew", "controls": ["loss_day"], "scope": "account 7", "equity": -500.0}
    assert event_line(armed) == "loss_day of account 7 count anew, losses from -500.00"
    used = {"event": "risk ratio", "warns": True, "p95": 0.41, "line": 0.4}
    assert event_line(used) == "p95 of used to allowed notional is 0.41; above 0.4"
    assert event_line({**used, "warns": False, "p95": 0.4}) == (
        "p95 of used to allowed notional is 0.40; no more above 0.4"
    )
