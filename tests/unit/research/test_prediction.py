"""The simulated venue's fills of a run's orders beside the real ones."""

from pathlib import Path

import pytest
from test_own_orders import MS, order

from mmbot._core import Instrument, Latency, Listing, Tape, TapeWriter, predict
from mmbot.research.own_orders import Execution, OwnOrder, Terms
from mmbot.research.prediction import GRACE_NS, OrderFills, Prediction, predicted

UNTIL = 10_000 * MS


@pytest.fixture
def listing(tmp_path: Path) -> Listing:
    """Bids of 100 × 4 and asks of 102 × 4 all the time; somebody sells at 100: 6 lots at 1 s, 3 lots at 3 s."""
    writer = TapeWriter(
        tmp_path / "market.tape", Instrument(venue="test", symbol="T", kind="linear", tick="1", lot="1")
    )
    for ms in range(0, 10_000, 100):
        if ms in (1_000, 3_000):
            writer.trade(ms * MS + 1, ms * MS, "100", "6" if ms == 1_000 else "3", "sell")
        writer.depth(ms * MS + 2, ms * MS, "delta" if ms else "snapshot", [("100", "4")], [("102", "4")])
    writer.finish()
    now = Latency.constant(0)
    return Listing(Tape.open(tmp_path / "market.tape"), queue="risk_averse", entry=now, response=now)


def judge(listing: Listing, *orders: OwnOrder) -> Prediction:
    """Put them through the venue."""
    return predicted([listing], orders, UNTIL)


def one(found: Prediction) -> OrderFills:
    """The only order that was filled in either."""
    (row,) = found.orders
    return row


def test_a_fill_that_both_have_is_matched_with_its_delay(listing: Listing):
    """Four stand ahead, six are sold: two of ours go, in the run 30 ms later."""
    found = judge(listing, order(lots=2, arrived=500, fills=[Execution(1_030 * MS, 100, 2)]))
    assert found.matched == 1
    assert one(found)[5:] == (2, 2, 2, 1_000 * MS, 30 * MS, "")
    assert found.later()["p50"] == 30 * MS
    assert found.refused == (0, 0, 0)


def test_a_fill_that_only_one_has_says_so(listing: Listing):
    """The law leaves in line what the venue filled, and the other way round; neither spoils the other."""
    early = order(1, lots=2, arrived=500, gone=2_000 * MS)
    late = order(2, lots=2, arrived=1_500, fills=[Execution(2_500 * MS, 100, 2)])
    found = judge(listing, early, late)
    assert [(row.order, row.real, row.predicted, row.why) for row in found.orders] == [
        (1, 0, 2, "the venue left it in line"),
        (2, 2, 0, "the law left it in line"),
    ]
    assert found.lots == {"both": 0, "run": 2, "law": 2}
    assert found.matched == 0


def test_what_is_filled_far_apart_in_time_is_not_the_same(listing: Listing):
    """Two seconds later is another fill, however equal."""
    found = judge(listing, order(lots=2, arrived=500, fills=[Execution(3_000 * MS, 100, 2)]))
    assert one(found).why == "filled in both, 2.0 s later in the run"
    assert found.lots == {"both": 0, "run": 2, "law": 2}


def test_parts_are_counted_in_lots(listing: Listing):
    """The venue filled one lot more than the law."""
    found = judge(listing, order(lots=3, arrived=500, fills=[Execution(1_000 * MS, 100, 3)], gone=2_000 * MS))
    assert (one(found).real, one(found).predicted, one(found).both, one(found).why) == (3, 2, 2, "in other parts")
    assert found.matched == pytest.approx(2 / 3)


def test_an_order_stays_a_second_after_its_real_fill_and_then_leaves(listing: Listing):
    """A law that is late has that long; it does not fill at the end of the day what was filled in the morning."""
    within = order(1, lots=2, arrived=500, fills=[Execution(900 * MS, 100, 2)])
    beyond = order(2, lots=2, arrived=500, fills=[Execution(1_000 * MS - GRACE_NS - 1 * MS, 100, 2)])
    assert one(judge(listing, within)).later_ns == -100 * MS
    assert one(judge(listing, beyond)).predicted == 0


def test_a_refusal_is_judged_too(listing: Listing):
    """Post-only at the other side's price: refused by both, by one, or never seen by an engine."""
    words = "post_only_would_cross"
    both = order(1, tick=102, arrived=500, refused=words)
    venue = order(2, tick=100, lots=2, arrived=500, refused=words)
    law = order(3, tick=102, arrived=500, fills=[Execution(600 * MS, 102, 5)])
    found = judge(listing, both, venue, law, order(4, arrived=None, refused="rate_limited"))
    assert (found.judged, found.refused) == (3, (1, 1, 1))
    assert {row.order: row.why for row in found.orders} == {
        2: f"the venue refused it: {words}",
        3: f"the law refused it: {words}",
    }


def test_the_millisecond_of_a_fill_hides_what_was_first(listing: Listing):
    """A cancel of the very millisecond in which somebody sold: the tape has no order within it."""
    found = judge(listing, order(lots=2, arrived=500, gone=1_000 * MS))
    assert one(found).predicted == 2
    assert "millisecond" in one(found).why


def test_an_amended_order_is_judged_at_its_new_price(listing: Listing):
    """Moved to the bid after the first sale, it is behind four when three are sold."""
    moved = order(tick=99, lots=2, arrived=500, amended=[Terms(2_000 * MS, 100, 2)], gone=4_000 * MS)
    assert judge(listing, moved).orders == ()


def test_the_screen_says_the_share_and_the_orders_that_differ(listing: Listing):
    """Summary first, then one line for each difference."""
    found = judge(
        listing,
        order(1, lots=2, arrived=500, gone=2_000 * MS),
        order(2, lots=1, arrived=500, fills=[Execution(1_000 * MS, 100, 1)]),
    )
    text = "\n".join(found.lines(["T"], 5))
    assert "judged          2 orders; refused by both 0, only in the run 0, only by the law 0" in text
    assert "matched     " in text
    assert "differs   1000000000 T buy  at 100: 0 lots in the run, 2 by the law; the venue left it in line" in text
    assert found.counts()["judged"] == 2


def test_commands_out_of_order_or_out_of_words_are_refused(listing: Listing):
    """The core says which command, and what it lacks."""
    placed = order().placed
    with pytest.raises(ValueError, match="command 1 arrives at 1 ns, before the one in front"):
        predict(listing, [(2, placed), (1, {"command": "cancel", "order_id": 1})], UNTIL)
    with pytest.raises(KeyError, match="tick"):
        predict(listing, [(1, {"command": "amend", "order_id": 1, "lots": 2})], UNTIL)
    with pytest.raises(ValueError, match="none of place, amend, cancel"):
        predict(listing, [(1, {"command": "dance", "order_id": 1})], UNTIL)
