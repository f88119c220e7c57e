"""The smoke test itself, against the venue in memory."""

import asyncio
from itertools import count

import pytest

from mmbot.execution import ClientIds
from mmbot.ops.smoke import SmokeError, SmokeListener, SmokeStep, SmokeTest
from mmbot.venues.fake import FakeVenue
from mmbot.venues.port import InstrumentTerms, PlaceOrder
from mmbot.venues.records import BookUpdate

SYMBOL = "BTCUSDT"
TERMS = InstrumentTerms(
    category="linear",
    symbol=SYMBOL,
    kind="linear",
    tradable=True,
    base="BTC",
    quote="USDT",
    settle="USDT",
    tick="0.10",
    lot="0.001",
    min_qty="0.001",
    max_qty="100",
    min_notional="5",
    funding_interval_s=28_800,
)


class OneSnapshot:
    """A feed that says one book."""

    def __init__(self, listener: SmokeListener, bid: str = "60000.0", ask: str = "60000.1") -> None:
        self._listener, self._levels = listener, (bid, ask)
        self.stopped = False

    async def start(self) -> None:
        """Say it."""
        bid, ask = self._levels
        book = BookUpdate(
            symbol=SYMBOL,
            kind="snapshot",
            ts_venue=1,
            previous_id=0,
            last_id=1,
            bids=[(bid, "1"), ("59000.0", "1")],
            asks=[("61000.0", "1"), (ask, "1")],
        )
        self._listener.on_records("linear", [book], 1)

    async def stop(self) -> None:
        """Say nothing more."""
        self.stopped = True


class SoonDelivered(FakeVenue):
    """A venue whose words are heard as soon as the loop comes round."""

    def send(self, requests):
        """Act, and speak a little later."""
        super().send(requests)
        asyncio.get_running_loop().call_soon(self.deliver)


def prepared(listener: SmokeListener, terms: InstrumentTerms = TERMS) -> SoonDelivered:
    """A venue whose clock counts."""
    ticks = count(1)
    return SoonDelivered([terms], listener, lambda: next(ticks), balances={"USDT": "1000"})


def smoke(venue: FakeVenue, listener: SmokeListener, feed: OneSnapshot | None = None) -> list[SmokeStep]:
    """Take the steps; those that passed."""
    passed: list[SmokeStep] = []
    test = SmokeTest(
        venue,
        feed or OneSnapshot(listener),
        listener,
        ClientIds("t", 1_796_000_000, "smk"),
        category="linear",
        symbol=SYMBOL,
        wait_s=0.2,
    )
    asyncio.run(test.run(passed.append))
    return passed


def left(venue: FakeVenue) -> list[str]:
    """Open orders of the venue, asked again after the test closed its links."""
    venue.restore_links()
    return [seen.client_id for seen in asyncio.run(venue.open_orders("linear", SYMBOL))]


def test_a_working_venue_passes_every_step_and_is_left_clean() -> None:
    """Eight steps, in order, each with what it found."""
    listener = SmokeListener()
    venue = prepared(listener)
    steps = smoke(venue, listener)
    assert [(step.name, step.said) for step in steps] == [
        ("market", "BTCUSDT 60000.0 / 60000.1"),
        ("attest", "position mode one_way, clock +0.0 ms"),
        ("instrument", "tick 0.10, lot 0.001, least 0.001"),
        ("place", "0.002 at 59400.0 rests as mm-t-tpaigw-smk-00000001-47"),
        ("amend", "now at 59399.90"),
        ("cancel", "executed 0"),
        ("cancel_all", "1 cancelled, none left"),
        ("flat", "position unchanged at 0"),
    ]
    assert left(venue) == []


@pytest.mark.parametrize(
    ("request_kind", "wrong"),
    [
        ("place", "expected a resting order, but the venue refused to place: balance 110007 told to refuse"),
        ("amend", "expected the order at 59399.90, but the venue refused to amend: balance"),
        ("cancel", "expected the order cancelled, but the venue refused to cancel: balance"),
    ],
)
def test_a_refusal_fails_the_step_and_leaves_nothing(request_kind: str, wrong: str) -> None:
    """The message says what was expected and the venue's own words."""
    listener = SmokeListener()
    venue = prepared(listener)
    venue.refuse(request_kind, "balance", 110007)
    with pytest.raises(SmokeError, match=wrong):
        smoke(venue, listener)
    assert left(venue) == []


def test_a_lost_answer_fails_the_step_and_leaves_nothing() -> None:
    """Though the order rests at the venue."""
    listener = SmokeListener()
    venue = prepared(listener)
    venue.lose("amend", reached=False)
    with pytest.raises(SmokeError, match="did not answer to amend"):
        smoke(venue, listener)
    assert left(venue) == []


def test_silence_fails_within_bounded_time() -> None:
    """A venue that says nothing is not waited for any longer than told."""
    listener = SmokeListener()
    ticks = count(1)
    venue = FakeVenue([TERMS], listener, lambda: next(ticks))  # nobody delivers
    with pytest.raises(SmokeError, match=r"expected a resting order within 0.2 s; nothing of the kind was heard"):
        smoke(venue, listener)
    assert left(venue) == []


def test_a_fill_is_noticed() -> None:
    """A market that falls through the order ends the test, and says so."""
    listener = SmokeListener()
    venue = prepared(listener)
    venue.touch(SYMBOL, "59000.0", "59400.0")
    with pytest.raises(SmokeError, match="expected a resting order, but it is canceled post_only"):
        smoke(venue, listener)


def test_orders_of_others_in_the_symbol_are_gone_afterwards() -> None:
    """It says that it is for an account of its own."""
    listener = SmokeListener()
    venue = prepared(listener)
    venue.plant(PlaceOrder(client_id="web", category="linear", symbol=SYMBOL, side="buy", price="1.0", qty="1"))
    assert [step.said for step in smoke(venue, listener)][6] == "2 cancelled, none left"


@pytest.mark.parametrize(
    ("terms", "feed", "wrong"),
    [
        ({"tradable": False}, ("60000.0", "60000.1"), "takes no orders now"),
        ({}, ("60000.1", "60000.0"), "the book is crossed"),
        ({"min_qty": "0.0001"}, ("60000.0", "60000.1"), None),
        ({"tick": "100000"}, ("60000.0", "60000.1"), "no order fits"),
    ],
)
def test_what_cannot_be_traded_is_said(terms: dict[str, object], feed: tuple[str, str], wrong: str | None) -> None:
    """Before an order is sent."""
    listener = SmokeListener()
    changed = InstrumentTerms(**{field: getattr(TERMS, field) for field in TERMS.__struct_fields__} | terms)
    venue = prepared(listener, changed)
    book = OneSnapshot(listener, *feed)
    if wrong is None:
        assert len(smoke(venue, listener, book)) == 8
    else:
        with pytest.raises(SmokeError, match=wrong):
            smoke(venue, listener, book)
    assert book.stopped
