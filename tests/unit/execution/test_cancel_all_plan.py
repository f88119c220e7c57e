"""Cancel-all as a function of what it is told: every way fails in turn, and zero is claimed only when it is proven."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from mmbot.execution.cancel_all import Bulk, CancelAllPlan, CancelSome, CancelWord, Look, Target

SECOND = 1_000_000_000
BTC = ("linear", "BTCUSDT")


def _orders(count: int) -> list[Target]:
    return [Target(*BTC, f"mm-{n}", f"v-{n}") for n in range(count)]


class Venue:
    """What is open, and how each way behaves; plays a plan to its end in virtual time."""

    def __init__(self, count: int = 0) -> None:
        self.open = {one.key: one for one in _orders(count)}
        self.bulk_max, self.answer_s = 500, 0.01
        self.silent: set[str] = set()
        self.refuses_bulk = False
        self.refusals: list[CancelWord] = []
        self.sent: list[object] = []
        self.looks: list[int] = []
        self.streams = True
        self.dice = Random(7)

    def play(self, plan: CancelAllPlan, now: int = 0) -> int:
        """Answer whatever is asked; returns when the plan was over."""
        under_way: list[tuple[int, int, object]] = []
        while plan.result is None:
            for step in plan.steps(now):
                self.sent.append(step)
                path = step.path if isinstance(step, CancelSome) else "rest"
                wait = 1.0 if path in self.silent else self.answer_s
                under_way.append((now + round(wait * SECOND), len(self.sent), step))
            if plan.result is not None:
                return now
            under_way.sort(key=lambda one: one[:2])
            due = plan.due(now)
            assert due > now
            if under_way and under_way[0][0] <= due:
                now, _, step = under_way.pop(0)
                self._answer(plan, step, now)
            else:
                now = due
        return now

    def _answer(self, plan: CancelAllPlan, step: object, now: int) -> None:
        match step:
            case Bulk():
                if "rest" in self.silent:
                    plan.bulk_answered(step.market, "silence", now, silent=True)
                elif self.refuses_bulk:
                    plan.bulk_answered(step.market, "10016", now)
                else:
                    for key in self.dice.sample(sorted(self.open), min(self.bulk_max, len(self.open))):
                        self._end(plan, key, now)
                    plan.bulk_answered(step.market, "", now)
            case Look():
                self.looks.append(now)
                blind = "rest" in self.silent
                plan.looked(step, None if blind else list(self.open.values()), "silence" if blind else "", now)
            case CancelSome():
                plan.cancels_answered(step, [self._cancel(plan, step, one, now) for one in step.targets], now)

    def _cancel(self, plan: CancelAllPlan, step: CancelSome, target: Target, now: int) -> tuple[CancelWord, str]:
        if step.path in self.silent:
            return "silent", "no answer"
        if self.refusals:
            return self.refusals.pop(), "no"
        if target.key not in self.open:
            return "unknown", "110001"
        self._end(plan, target.key, now)
        return "taken", ""

    def _end(self, plan: CancelAllPlan, key: str, now: int) -> None:
        del self.open[key]
        if self.streams:
            plan.heard_gone(key, now)

    def of(self, kind: type) -> list[object]:
        """What was asked of that kind."""
        return [one for one in self.sent if isinstance(one, kind)]


def _plan(venue: Venue, **how: object) -> CancelAllPlan:
    how = {"believed": list(venue.open.values()), "trigger": "test", "now": 0, **how}
    return CancelAllPlan([BTC], **how)  # type: ignore[arg-type]


def _names(plan: CancelAllPlan) -> list[object]:
    return [event["event"] for event in plan.events]


def test_one_bulk_cancel_and_two_looks_a_second_apart_prove_zero() -> None:
    """A healthy venue is left within two seconds, and the result has the words that users know."""
    venue = Venue(3)
    plan = _plan(venue)
    assert venue.play(plan) < 2 * SECOND
    assert plan.result is not None
    assert plan.result.as_dict() == {"canceled_count": 3, "failed": [], "method": "bulk"}
    assert plan.result.proof == "asked"
    assert venue.looks[-1] - venue.looks[0] >= SECOND
    assert _names(plan) == ["cancel_all_done"]


def test_what_a_bulk_cancel_leaves_is_cancelled_in_bulk_again() -> None:
    """A venue that takes 500 at random of 1,200 is asked three times, not once for each order."""
    venue = Venue(1_200)
    plan = _plan(venue)
    assert venue.play(plan) < 3 * SECOND
    assert (len(venue.of(Bulk)), venue.of(CancelSome)) == (3, [])
    assert plan.result is not None
    assert (plan.result.canceled_count, plan.result.failed) == (1_200, ())


def test_a_refused_bulk_cancel_falls_back_to_one_by_one() -> None:
    """The refusal is told, and every order leaves by a cancel of its own."""
    venue = Venue(7)
    venue.refuses_bulk = True
    plan = _plan(venue)
    venue.play(plan)
    assert plan.result is not None
    assert plan.result.as_dict() == {"canceled_count": 7, "failed": [], "method": "per_order_fallback"}
    assert _names(plan) == ["bulk_cancel_failed", "cancel_all_done"]


def test_force_skips_the_bulk_cancel() -> None:
    """Believed orders are cancelled at once, without asking first."""
    venue = Venue(2)
    plan = _plan(venue, force=True)
    steps = plan.steps(0)
    assert [type(one) for one in steps] == [Look, CancelSome]
    assert venue.of(Bulk) == []


def test_a_silent_way_is_left_for_the_other_and_the_streams_word_is_the_proof() -> None:
    """With all of REST swallowed the orders leave over the trade socket; that nobody could be asked is said."""
    venue = Venue(25)
    venue.silent = {"rest"}
    plan = _plan(venue)
    assert venue.play(plan) < 10 * SECOND
    assert plan.result is not None
    assert (plan.result.canceled_count, plan.result.failed, plan.result.proof) == (25, (), "told")
    assert venue.open == {}


def test_nothing_is_claimed_where_no_way_leads_anywhere() -> None:
    """All silent: alarms at 5, 10, 15 and 20 s, 4, 8 and 16 s between the tries, and every order named as failed."""
    venue = Venue(2)
    venue.silent = {"rest", "trade"}
    plan = _plan(venue)
    venue.play(plan)
    assert plan.result is not None
    assert (plan.result.failed, plan.result.proof, plan.result.canceled_count) == (("mm-0", "mm-1"), "", 0)
    assert [event["after_s"] for event in plan.events if event["event"] == "cancel_all_alarm"] == [5, 10, 15, 20]
    waits = [
        event["again_s"] for event in plan.events if event["event"] == "cancel_failed" and event["order"] == "mm-0"
    ]
    assert waits == [4.0, 8.0, 16.0]
    forced = _plan(venue, force=True)
    assert venue.play(forced) < 13 * SECOND


def test_unknown_order_right_after_create_is_no_end() -> None:
    """The venue does not show a fresh order yet and refuses its cancel: it is cancelled until it is listed no more."""
    venue = Venue(1)
    venue.refuses_bulk, venue.refusals = True, ["unknown", "unknown", "soft", "refused"]
    plan = _plan(venue)
    venue.play(plan)
    assert plan.result is not None
    assert (plan.result.canceled_count, venue.open) == (1, {})


def test_zero_is_not_claimed_while_a_create_may_still_arrive() -> None:
    """Empty looks count only after the last create without an answer is too old for the venue."""
    venue = Venue()
    plan = _plan(venue, late_until=lambda: 4 * SECOND)
    assert venue.play(plan) >= 4 * SECOND
    assert venue.looks[-1] >= 4 * SECOND
    assert plan.result is not None
    assert plan.result.proof == "asked"


def test_foreign_orders_are_spared_where_asked_for() -> None:
    """No bulk cancel is sent where an order is not ours, and zero is of ours alone."""
    venue = Venue(2)
    venue.open["foreign"] = Target(*BTC, "", "foreign")
    plan = _plan(venue, ours=lambda target: target.client_id.startswith("mm-"), believed=_orders(2))
    venue.play(plan)
    assert (list(venue.open), venue.of(Bulk)) == (["foreign"], [])
    assert plan.result is not None
    assert (plan.result.canceled_count, plan.result.proof) == (2, "asked")


def test_a_fill_on_the_way_out_is_not_counted_as_cancelled() -> None:
    """The count is of orders that left unfilled."""
    venue = Venue(2)
    plan = _plan(venue)
    plan.heard_gone("mm-0", 0, filled=True)
    del venue.open["mm-0"]
    venue.play(plan)
    assert plan.result is not None
    assert plan.result.canceled == ("mm-1",)


@given(
    count=st.integers(0, 30),
    bulk_max=st.integers(0, 12),
    silent=st.sampled_from([set(), {"trade"}]),
    refuses=st.booleans(),
    streams=st.booleans(),
    force=st.booleans(),
    refusals=st.lists(st.sampled_from(["unknown", "soft", "refused", "silent"]), max_size=12),
)
def test_whatever_is_refused_the_end_is_zero_or_a_name(
    count: int, bulk_max: int, silent: set[str], refuses: bool, streams: bool, force: bool, refusals: list[CancelWord]
) -> None:
    """Under any mixture of trouble that leaves one way open, "asked" means that nothing is open, and it ends."""
    venue = Venue(count)
    venue.bulk_max, venue.silent, venue.refuses_bulk, venue.streams = bulk_max, silent, refuses, streams
    venue.refusals = list(refusals)
    plan = _plan(venue, force=force)
    venue.play(plan)
    assert plan.result is not None
    assert plan.result.proof != "asked" or not venue.open
    assert plan.result.proof or plan.result.failed
