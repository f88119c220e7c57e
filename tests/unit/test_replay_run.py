"""mmbot._core.Replay seen by a strategist: what windows show, what is refused, and what an exception leaves behind."""

import math
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmbot._core import Desk, Instrument, Intent, Latency, Listing, Replay, Seat, Tape, TapeWriter, ladder, quotes
from mmbot.strategy import Fill, Strategy, View, Wake

Decide = Callable[[View], Any]
XYZ = Instrument(venue="test", symbol="XYZ", kind="linear", tick="1", lot="1", maker=10_000, taker=55_000)
MS = 1_000_000


def write(path: Path, fill: Callable[[TapeWriter], None]) -> Tape:
    """A tape of XYZ."""
    writer = TapeWriter(path, XYZ)
    fill(writer)
    writer.finish()
    return Tape.open(path)


def market(writer: TapeWriter) -> None:
    """Ten milliseconds: a book, a bid that moves up, a trade that fills 99, a lost ask side, a gap."""
    writer.depth(0, 0, "snapshot", [("99", "10"), ("98", "5")], [("101", "7")])
    writer.depth(2 * MS, 2 * MS, "delta", [("100", "3")], [])
    writer.trade(4 * MS, 4 * MS, "98", "6", "sell")
    writer.depth(5 * MS, 5 * MS, "delta", [], [("101", "0")])
    writer.depth(6 * MS, 6 * MS, "gap", [], [])
    writer.depth(7 * MS, 7 * MS, "delta", [("97", "4")], [("103", "4")])
    writer.depth(8 * MS, 8 * MS, "snapshot", [("97", "4")], [("103", "4")])
    writer.depth(10 * MS, 10 * MS, "delta", [], [("102", "1")])


@pytest.fixture
def tape(tmp_path: Path) -> Tape:
    """The ten milliseconds."""
    return write(tmp_path / "xyz.tape", market)


def replay(tape: Tape, *, seats: int = 1, instruments: int = 1, response_ns: int = 10_000, **wake: Any) -> Replay:
    """A run with a microsecond to the venue and ten back."""
    listing = Listing(tape, queue="risk_averse", entry=Latency.constant(1_000), response=Latency.constant(response_ns))
    desk = Desk(position_max=20, order_max=10, collar_bps=500)
    return Replay([listing] * instruments, [Seat([desk] * instruments, **(wake or {"every_ns": MS}))] * seats)


def run(core: Replay, *decide: Decide, instruments: int = 1) -> None:
    """Runs to the end with windows as a backtest makes them."""
    views: list[View] = []
    views.extend(View(core, index, XYZ, views) for index in range(instruments))
    core.run(decide, views)


def test_a_window_shows_what_has_been_heard_by_now(tape: Tape) -> None:
    """Touch, sizes and time at each millisecond; None where a side is empty or the book is not known."""
    seen = []
    run(replay(tape), lambda view: seen.append((view.now // MS, view.bid, view.bid_lots, view.ask, view.ask_lots)))
    assert seen == [
        (1, 99, 10, 101, 7),
        (2, 100, 3, 101, 7),
        (3, 100, 3, 101, 7),
        (4, 100, 3, 101, 7),
        (5, 100, 3, None, 0),
        (6, None, 0, None, 0),
        (7, None, 0, None, 0),
        (8, 97, 4, 103, 4),
        (9, 97, 4, 103, 4),
        (10, 97, 4, 102, 1),
    ]


def test_a_strategy_hears_of_its_fill_only_when_the_answer_arrives(tape: Tape) -> None:
    """The trade at 4 ms fills us at the venue; with 2.5 ms back we know at 6.5 ms, and are woken then."""
    known: list[tuple[float, int, list[Fill]]] = []

    def decide(view: View) -> Intent | None:
        known.append((view.now / MS, view.position, view.fills()))
        return quotes(99, None, 5) if view.now < 4 * MS else None

    core = replay(tape, every_ns=MS, fill=True, response_ns=2_500_000)
    run(core, decide)
    assert [now for now, position, _ in known if position == 0] == [1, 2, 3, 4, 5, 6]
    assert next((now, position) for now, position, _ in known if position) == (6.5, 5)
    assert [fill[1:6] for _, _, fills in known for fill in fills] == [(4 * MS, "buy", 99, 5, True)]


def test_working_orders_are_shown_from_decision_to_end(tape: Tape) -> None:
    """An order is sent, then live with its place in line, and gone once it is cancelled."""
    states: list[tuple[str, float]] = []

    def decide(view: View) -> Intent:
        states.extend((order.state, order.ahead) for order in view.orders())
        return quotes(98 if view.now < 3 * MS else None, None, 5)

    core = replay(tape)
    run(core, decide)
    assert states == [("live", 5.0), ("live", 5.0)]
    log = core.order_log(0)
    assert (log["state"], list(log["cum_lots"])) == (["canceled"], [0])


def test_the_wake_rules_say_when(tape: Tape) -> None:
    """Touch, trade and message wakes come at the times of their news and at no other."""
    woken: dict[str, list[int]] = {"touch": [], "trade": [], "message": []}
    for rule, times in woken.items():
        run(replay(tape, **{rule: True}), lambda view, times=times: times.append(view.now // MS))
    assert woken == {"touch": [0, 2, 5, 6, 8, 10], "trade": [4], "message": [0, 2, 4, 5, 6, 7, 8, 10]}


def test_several_windows_and_a_list_of_intents(tape: Tape) -> None:
    """view[1] is the second instrument, and a list speaks for both."""
    core = replay(tape, instruments=2)

    def decide(view: View) -> list[Intent]:
        assert len(view) == 2
        return [quotes(97, None, 1), quotes(96, None, 2, instrument=1)] if view[1].bid else []

    run(core, decide, instruments=2)
    assert set(zip(core.order_log(0)["instrument"], core.order_log(0)["qty_lots"], strict=True)) == {(0, 1), (1, 2)}


@pytest.mark.parametrize(
    ("said", "error", "match"),
    [
        (42, TypeError, r"decide\(\) returned int; expected an Intent, a list of them, or None"),
        ((), TypeError, r"decide\(\) returned tuple"),
        ([quotes(98, None, 1), "sell!"], TypeError, r"decide\(\) returned str"),
        ([quotes(98, None, 1), None], TypeError, r"decide\(\) returned NoneType"),
        (quotes(98, None, 1, instrument=3), ValueError, r"an intent for instrument 3; this run has 0 to 0"),
        ([quotes(98, None, 1), quotes(98, None, 1, instrument=1)], ValueError, r"instrument 1; this run has 0 to 0"),
    ],
)
def test_nonsense_from_decide_is_refused_whole(tape: Tape, said: Any, error: type[Exception], match: str) -> None:
    """The error says what came and what was expected; of a list with one bad part nothing is sent."""
    core = replay(tape)
    with pytest.raises(error, match=match):
        run(core, lambda _: said)
    assert core.orders_named(0) == 0


class Broken(Strategy):
    """Quotes, then trips over its own mistake."""

    wake = Wake(every_ms=1)

    def decide(self, view: View) -> Intent:
        """Divide by zero at 3 ms."""
        return quotes(98 - 1 // (3 * MS - view.now) if view.now == 3 * MS else 98, None, 1)


def test_an_exception_in_decide_is_the_users_own(tape: Tape) -> None:
    """Type, message and traceback point at the user's line; what happened until then stays readable and consistent."""
    core = replay(tape)
    with pytest.raises(ZeroDivisionError) as caught:
        run(core, Broken().decide)
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "decide"
    assert (core.now, core.wakes(0), core.orders_named(0)) == (3 * MS, 3, 1)
    core.check_invariants()
    assert core.books(0, 0)["position_lots"] == 0


def test_an_interrupt_stops_a_run(tape: Tape) -> None:
    """Ctrl-C ends the run as KeyboardInterrupt, at once and with readable books."""

    def stop(view: View) -> None:
        if view.now == 5 * MS:
            signal.raise_signal(signal.SIGINT)

    core = replay(tape, every_ns=1_000)
    with pytest.raises(KeyboardInterrupt):
        run(core, stop)
    assert core.now == 5 * MS
    assert core.books(0, 0)["position_lots"] == 0


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: quotes(100, 100, 1), r"own bid 100 is not below own ask 100"),
        (lambda: ladder([(99, 1), (101, 1)], [(105, 1), (100, 1)]), r"own bid 101 is not below own ask 100"),
        (lambda: quotes(0, None, 1), r"a quote of 1 lots at 0 ticks: both must be positive"),
        (lambda: quotes(None, 5, -1), r"a quote of -1 lots at 5 ticks"),
        (lambda: quotes(1, 2, 1).and_order("long", 1, 1), r'side "long": expected "buy" or "sell"'),
        (lambda: quotes(1, 2, 1).and_order("buy", 1, 1, tif="day"), r'tif "day": expected "gtc", "ioc" or "fok"'),
        (lambda: Seat([], every_ns=0), r"every_ns must be positive, got 0"),
        (lambda: Desk(position_max=1, order_max=2), r"order_max 2 must be positive and within position_max 1"),
        (lambda: Latency.constant(-1), r"latency must not be negative, got -1 ns"),
        (lambda: Latency.sampled([2, 1], 0), r"latency quantiles must not be empty and must rise"),
    ],
)
def test_what_makes_no_sense_is_refused_when_it_is_made(make: Callable[[], object], match: str) -> None:
    """Each refusal names the value and what was expected."""
    with pytest.raises(ValueError, match=match):
        make()


def test_what_a_run_does_not_have_is_refused_by_name(tape: Tape) -> None:
    """Seats, instruments and signals beyond the run's own, and a seat that keeps no record."""
    core = replay(tape)
    run(core, lambda _: None)
    with pytest.raises(ValueError, match=r"seat 1: this run has seats 0 to 0"):
        core.fills(1)
    with pytest.raises(ValueError, match=r"instrument 2: this run has 0 to 0"):
        core.depth(2, 5)
    with pytest.raises(ValueError, match=r'side "bid": expected "buy" or "sell"'):
        core.lots_at(0, "bid", 99)
    with pytest.raises(ValueError, match=r"signal 0: instrument 0 has 0"):
        core.signal(0, 0)
    silent = replay(tape, every_ns=MS, record=False)
    with pytest.raises(ValueError, match=r"seat 0 keeps no record \(record=False\)"):
        silent.samples(0)


def test_a_plan_that_does_not_add_up_is_refused(tape: Tape, tmp_path: Path) -> None:
    """No strategies, desks that do not match the instruments, an empty tape, too few windows: each is said."""
    desk = Desk(position_max=1, order_max=1)
    listing = Listing(tape, entry=Latency.constant(1), response=Latency.constant(1))
    empty = Listing(
        write(tmp_path / "empty.tape", lambda _: None), entry=Latency.constant(1), response=Latency.constant(1)
    )
    with pytest.raises(ValueError, match=r"at least one instrument and one strategy"):
        Replay([listing], [])
    with pytest.raises(ValueError, match=r"limits for 1 instruments, expected 2"):
        Replay([listing, listing], [Seat([desk])])
    with pytest.raises(ValueError, match=r"the tapes hold no messages"):
        Replay([empty], [Seat([desk])])
    with pytest.raises(ValueError, match=r"1 strategies and 0 windows for 1 seats and 1 instruments"):
        replay(tape).run([lambda _: None], [])


def test_progress_rises_and_one_pass_equals_two(tape: Tape) -> None:
    """Progress is told in order within 0 to 1; two seats in one pass end as a run of their own."""

    def decide(view: View) -> Intent | None:
        return quotes(view.bid, view.ask, 3) if view.bid and view.ask else None

    shares: list[float] = []
    core = replay(tape, seats=2)
    core.run([decide, lambda _: None], [View(core, 0, XYZ, [])], shares.append)
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)
    assert len(shares) > 3
    alone = replay(tape)
    run(alone, decide)
    assert core.state_hash(0) == alone.state_hash(0) != core.state_hash(1)
    assert math.isfinite(core.fills(0)["fee"].sum())


def by_order(writer: TapeWriter) -> None:
    """Two bids of 99 and an ask; the first bid is withdrawn after a while, then the level trades."""
    writer.order_snapshot(0, 0, [(1, "buy", "99", "6"), (2, "buy", "99", "4"), (3, "sell", "101", "7")])
    writer.add_order(2 * MS, 2 * MS, 4, "buy", "99", "5")
    writer.remove_order(4 * MS, 4 * MS, 1)
    writer.reduce_order(5 * MS, 5 * MS, 2, "1")
    writer.execute_order(6 * MS, 6 * MS, 2, "3")
    writer.execute_order(6 * MS, 6 * MS, 4, "2")
    writer.add_order(10 * MS, 10 * MS, 5, "sell", "102", "1")


def replay_with(tape: Tape, queue: str) -> Replay:
    """A run under that queue law."""
    listing = Listing(tape, queue=queue, entry=Latency.constant(1_000), response=Latency.constant(10_000))
    return Replay([listing], [Seat([Desk(position_max=20, order_max=10, collar_bps=500)], every_ns=MS)])


@pytest.mark.parametrize(("queue", "filled"), [("fifo", [2]), ("risk_averse", [])])
def test_first_in_first_out_knows_who_was_withdrawn(tmp_path: Path, queue: str, filled: list[int]) -> None:
    """We join behind ten: seven leave in front of us, three trade, and the next two are ours, if one knows."""
    tape = write(tmp_path / "orders.tape", by_order)
    core = replay_with(tape, queue)
    run(core, lambda view: quotes(99, None, 3))
    assert list(core.fills(0)["qty_lots"]) == filled


def test_first_in_first_out_is_refused_on_a_tape_by_level(tape: Tape) -> None:
    """It would act as risk_averse there, which nobody asked for; the message names the tape and the way out."""
    with pytest.raises(ValueError, match="fifo needs a tape by order, but that of test XYZ tells levels only"):
        replay_with(tape, "fifo")
