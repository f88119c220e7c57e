"""The venue in memory: it acts at once, and we hear of it when told."""

import asyncio
from collections.abc import Sequence
from fractions import Fraction
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.venues.fake import FakeVenue
from mmbot.venues.port import (
    Acked,
    AmendOrder,
    CancelOrder,
    ExecutionSeen,
    Fact,
    InstrumentTerms,
    LinkEvent,
    OrderSeen,
    PlaceOrder,
    Refused,
    Unanswered,
    VenueError,
)

SYMBOL = "BTCUSDT"


class Heard:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.links: list[LinkEvent] = []

    def on_facts(self, facts: Sequence[Fact], ts_recv: int) -> None:
        """Keep them."""
        self.facts.extend(facts)

    def on_link(self, event: LinkEvent) -> None:
        """Keep it."""
        self.links.append(event)


def terms(kind: str = "linear") -> InstrumentTerms:
    """An instrument whose tick is 0.1 and whose lot is 0.001 (a contract, if inverse)."""
    base, quote = "BTC", "USD" if kind == "inverse" else "USDT"
    return InstrumentTerms(
        category=kind,
        symbol=SYMBOL,
        kind=kind,
        tradable=True,
        base=base,
        quote=quote,
        settle=base if kind == "inverse" else quote,
        tick="0.1",
        lot="1" if kind == "inverse" else "0.001",
        min_qty="0.001",
        max_qty=None,
        min_notional=None,
        funding_interval_s=None,
    )


def opened(kind: str = "linear", **options: str) -> tuple[FakeVenue, Heard]:
    """A venue with its links up, whose clock counts."""
    heard, ticks = Heard(), count(1)
    venue = FakeVenue([terms(kind)], heard, lambda: next(ticks), balances={"USDT": "1000", "BTC": "2"}, **options)
    asyncio.run(venue.start())
    venue.touch(SYMBOL, "100.0", "100.1")
    return venue, heard


def order(client_id: str, side: str, price: str, qty: str, **options: object) -> PlaceOrder:
    """A limit order."""
    return PlaceOrder(client_id=client_id, category="linear", symbol=SYMBOL, side=side, price=price, qty=qty, **options)


def amend(client_id: str, **changes: str) -> AmendOrder:
    """Another price or quantity."""
    return AmendOrder(client_id=client_id, category="linear", symbol=SYMBOL, **changes)


def cancel(client_id: str) -> CancelOrder:
    """The end of an order."""
    return CancelOrder(client_id=client_id, category="linear", symbol=SYMBOL)


def told(heard: Heard) -> list[str]:
    """What was heard, in words."""
    words = []
    for fact in heard.facts:
        match fact:
            case Acked():
                words.append(f"{fact.client_id} {fact.request} acked")
            case Refused():
                words.append(f"{fact.client_id} {fact.request} refused: {fact.reason}")
            case Unanswered():
                words.append(f"{fact.client_id} {fact.request} unanswered")
            case OrderSeen():
                words.append(
                    f"{fact.client_id} {fact.status} {fact.cum}/{fact.qty} at {fact.price} {fact.reason}".strip()
                )
            case ExecutionSeen():
                words.append(f"{fact.client_id} {fact.side} {fact.qty} at {fact.price}, fee {fact.fee}")
    heard.facts.clear()
    return words


def test_place_partial_fill_fill_position() -> None:
    """The whole life of a bid, and the position it leaves."""
    venue, heard = opened(maker_rate="-0.0001")
    venue.send([order("a", "buy", "100.0", "0.5", post_only=True)])
    assert heard.facts == []
    venue.deliver()
    assert told(heard) == ["a place acked", "a live 0/0.5 at 100.0"]
    assert venue.trade(SYMBOL, "sell", "99.0", "0.2") == "0.2"
    assert venue.trade(SYMBOL, "sell", "99.0", "0.7") == "0.3"
    venue.deliver()
    assert told(heard) == [
        "a buy 0.2 at 100.0, fee -0.002",
        "a partial 0.2/0.5 at 100.0",
        "a buy 0.3 at 100.0, fee -0.003",
        "a filled 0.5/0.5 at 100.0",
    ]
    position = asyncio.run(venue.position("linear", SYMBOL))
    assert (position.qty, position.entry_price) == ("0.5", "100")
    assert {seen.coin: seen.balance for seen in asyncio.run(venue.wallet())} == {"BTC": "2", "USDT": "1000.005"}
    assert [seen.qty for seen in asyncio.run(venue.executions("linear", SYMBOL, 0))] == ["0.2", "0.3"]


def test_an_order_that_would_cross_takes_or_dies() -> None:
    """Post-only dies after its ack, fill-or-kill that meets nothing dies, anything else takes at the touch."""
    venue, heard = opened(taker_rate="0.001")
    venue.send([order("post", "buy", "100.1", "1", post_only=True), order("ioc", "sell", "100.1", "1", tif="ioc")])
    venue.send([order("take", "sell", "99.0", "1")])
    venue.deliver()
    assert told(heard) == [
        "post place acked",
        "post live 0/1 at 100.1",
        "post canceled 0/1 at 100.1 post_only",
        "ioc place acked",
        "ioc live 0/1 at 100.1",
        "ioc canceled 0/1 at 100.1 not_fillable",
        "take place acked",
        "take live 0/1 at 99.0",
        "take sell 1 at 100.0, fee 0.1",
        "take filled 1/1 at 99.0",
    ]


def test_a_client_id_is_used_once() -> None:
    """Not again after a cancel, either; and cancels and amends of what is gone are refused."""
    venue, heard = opened()
    venue.send([order("a", "buy", "99.0", "1"), cancel("a"), order("a", "buy", "99.0", "1"), cancel("a"), amend("b")])
    venue.deliver()
    assert told(heard)[2:] == [
        "a cancel acked",
        "a canceled 0/1 at 99.0 requested",
        "a place refused: duplicate",
        "a cancel refused: unknown_order",
        "b amend refused: unknown_order",
    ]


def test_an_amend_changes_price_and_quantity_and_may_take() -> None:
    """It keeps what was executed, loses its place when it moves, and is refused where it makes no sense."""
    venue, heard = opened()
    venue.send([order("a", "buy", "99.0", "1"), order("b", "buy", "99.0", "1")])
    venue.trade(SYMBOL, "sell", "99.0", "0.4")
    venue.send([amend("a", qty="0.4"), amend("a", price="99.05"), amend("a", qty="1"), amend("a", qty="2")])
    venue.deliver()
    assert told(heard)[6:] == [
        "a amend refused: invalid",
        "a amend refused: invalid",
        "a amend refused: not_modified",
        "a amend acked",
        "a partial 0.4/2 at 99.0",
    ]
    venue.trade(SYMBOL, "sell", "99.0", "1")
    venue.send([amend("a", price="100.1")])
    venue.deliver()
    assert told(heard) == [
        "b buy 1 at 99.0, fee 0",
        "b filled 1/1 at 99.0",
        "a amend acked",
        "a partial 0.4/2 at 100.1",
        "a buy 1.6 at 100.1, fee 0",
        "a filled 2.0/2 at 100.1",
    ]


@pytest.mark.parametrize(("reached", "rests"), [(True, ["a"]), (False, [])])
def test_a_lost_answer_says_nothing_about_the_order(reached: bool, rests: list[str]) -> None:
    """Unanswered either way; only asking tells."""
    venue, heard = opened()
    venue.lose("place", reached=reached)
    venue.send([order("a", "buy", "99.0", "1")])
    venue.deliver()
    assert "a place unanswered" in told(heard)
    assert [seen.client_id for seen in asyncio.run(venue.open_orders("linear", SYMBOL))] == rests
    found = asyncio.run(venue.find("linear", SYMBOL, "a")).order
    assert (found is not None) is reached
    venue.send([order("b", "buy", "99.0", "1")])
    venue.deliver()
    assert told(heard)[0] == "b place acked"


def test_behind_a_cut_link_nothing_arrives_and_nothing_can_be_asked() -> None:
    """Requests are unanswered, questions raise, orders stay where they were."""
    venue, heard = opened()
    venue.send([order("a", "buy", "99.0", "1")])
    venue.drop_links("cut")
    venue.send([cancel("a")])
    with pytest.raises(VenueError, match="links are down"):
        asyncio.run(venue.open_orders("linear", SYMBOL))
    venue.restore_links()
    venue.deliver()
    assert told(heard) == ["a place acked", "a live 0/1 at 99.0", "a cancel unanswered"]
    assert [(event.link, event.state) for event in heard.links[2:]] == [
        ("private", "down"),
        ("trade", "down"),
        ("private", "up"),
        ("trade", "up"),
    ]
    assert asyncio.run(venue.cancel_all("linear", SYMBOL)) == 1
    assert asyncio.run(venue.open_orders("linear", SYMBOL)) == []
    asyncio.run(venue.stop())
    asyncio.run(venue.stop())
    assert len(heard.links) == 8


def test_refusals_orphans_and_kills_happen_when_told() -> None:
    """What a reconciliation has to find."""
    venue, heard = opened()
    venue.refuse("place", "rate_limited", 10006)
    venue.send([order("a", "buy", "99.0", "1"), order("b", "buy", "99.05", "1"), order("c", "buy", "99.0", "0.0001")])
    venue.plant(order("web", "sell", "101.0", "1"))
    venue.kill("web", "liquidation")
    venue.deliver()
    assert told(heard) == [
        "a place refused: rate_limited",
        "b place refused: invalid",
        "c place refused: invalid",
        "web canceled 0/1 at 101.0 liquidation",
    ]


def test_reduce_only_reduces_and_no_more() -> None:
    """Refused when flat, cut at the position's end."""
    venue, heard = opened()
    venue.send([order("a", "sell", "101.0", "1", reduce_only=True), order("b", "buy", "100.1", "0.4")])
    venue.send([order("c", "sell", "101.0", "1", reduce_only=True)])
    venue.touch(SYMBOL, "101.0", "101.1")
    venue.deliver()
    assert told(heard)[0] == "a place refused: reduce_only"
    assert asyncio.run(venue.position("linear", SYMBOL)).qty == "0"
    assert asyncio.run(venue.find("linear", SYMBOL, "c")).order.reason == "reduce_only"


def test_facts_may_be_heard_late_and_in_any_order() -> None:
    """The outbox is a list that a test may change."""
    venue, heard = opened()
    venue.send([order("a", "buy", "99.0", "1")])
    venue.outbox.reverse()
    assert venue.deliver(1) == 1
    assert told(heard) == ["a live 0/1 at 99.0"]
    assert venue.deliver() == 1


def test_an_unknown_symbol_is_named() -> None:
    """With those that there are."""
    venue, _ = opened()
    with pytest.raises(VenueError, match="'DOGE' is not traded here; expected one of BTCUSDT"):
        venue.touch("DOGE", "1", "2")


def signed(fill: ExecutionSeen) -> Fraction:
    """What it moved the position by."""
    return Fraction(fill.qty) * (1 if fill.side == "buy" else -1)


def earned(kind: str, fills: Sequence[ExecutionSeen]) -> Fraction:
    """What fills that add up to nothing brought in, before fees."""
    if kind == "inverse":
        return sum((signed(fill) / Fraction(fill.price) for fill in fills), Fraction(0))
    return sum((-signed(fill) * Fraction(fill.price) for fill in fills), Fraction(0))


@pytest.mark.parametrize("kind", ["linear", "inverse", "spot"])
@given(
    trades=st.lists(st.tuples(st.sampled_from(["buy", "sell"]), st.integers(1, 9), st.integers(900, 1100)), max_size=12)
)
def test_positions_and_cash_are_folds_over_the_executions(kind: str, trades: list[tuple[str, int, int]]) -> None:
    """The position is the sum of signed fills; closed out, the cash is what was earned less what was paid."""
    venue, heard = opened(kind, maker_rate="-0.0001", taker_rate="0.0005")
    before = {seen.coin: Fraction(seen.balance) for seen in asyncio.run(venue.wallet())}
    for number, (side, lots, ticks) in enumerate(trades):
        price = f"{ticks / 10:.1f}"
        venue.touch(SYMBOL, price, price)
        venue.send([order(str(number), side, price, str(lots))])
    held = Fraction(asyncio.run(venue.position(kind, SYMBOL)).qty)
    if held:
        venue.touch(SYMBOL, "100.0", "100.0")
        venue.send([order("out", "sell" if held > 0 else "buy", "100.0", str(abs(held)))])
    venue.deliver()
    fills = [fact for fact in heard.facts if isinstance(fact, ExecutionSeen)]
    assert Fraction(asyncio.run(venue.position(kind, SYMBOL)).qty) == sum(map(signed, fills)) == 0
    after = {seen.coin: Fraction(seen.balance) for seen in asyncio.run(venue.wallet())}
    coin = terms(kind).settle
    paid = sum(Fraction(fill.fee) for fill in fills)
    assert abs(after[coin] - before[coin] - (earned(kind, fills) - paid)) <= Fraction(1, 10**12)
