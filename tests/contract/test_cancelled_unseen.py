"""P5: a create whose answer is lost, cancelled by somebody else before we look, is no order that was never placed."""

import asyncio
import time
from collections.abc import Callable

import pytest
from stages import STAGES, Opener, Stage, play

from mmbot.exchange.switches import Switches
from mmbot.execution.resolve import Finding, Resolver, ResolveTerms
from mmbot.venues.port import Unanswered

# As the session on the stage asks: R 1 s, and V 1 s, so that a proof takes 3 s and not 7.
TERMS = ResolveTerms(
    window_ms=1_000, clock_error_ms=100, margin_ms=100, lag_floor_ms=1_000, look_again_ms=200, trouble_burst=50
)
LAG_MS = 700
"""Less than V: a venue that is late, as it may be."""


@pytest.fixture(params=STAGES.values(), ids=STAGES)
def opened(request: pytest.FixtureRequest) -> Opener:
    """Each stage."""
    return request.param


async def cancelled_unseen(stage: Stage) -> str:
    """Send an order of which nothing is heard, and have the venue cancel it: its name."""
    order = stage.place("buy", 98, 5)
    stage.venue.arm("private:order*", "drop", count=None)
    stage.venue.arm("trade:order.create", "silence", executed=True)
    stage.orders.send([order])
    await stage.heard.until(stage.venue.open_orders)
    return order.client_id


def cancel_by_others(stage: Stage) -> None:
    """Somebody else cancels everything: a guardian, or a person."""
    gateway = stage.venue.exchange.gateway
    [account] = gateway.house.accounts.values()
    gateway.desk.cancel_every(
        account, "spot" if stage.category == "spot" else "derivatives", "CancelByUser", gateway.now_ms()
    )


def forget_recent(stage: Stage) -> None:
    """The list of orders that closed lately is empty, as after a restart of the venue: the history remains."""
    [account] = stage.venue.exchange.gateway.house.accounts.values()
    account.records.restart()


async def found_out(
    stage: Stage, resolver: Resolver, name: str, before_a_look: Callable[[], None] = lambda: None
) -> tuple[Finding, str]:
    """Ask as a run does, until it is known: what came of it, and the venue's word."""
    async with asyncio.timeout(20):
        while True:
            await stage.heard.listen(0.05)
            if not resolver.due(time.time_ns()):
                continue
            before_a_look()
            seen = await stage.orders.find(stage.category, stage.symbol, name)
            traded = await stage.orders.executions_of(stage.category, stage.symbol, name)
            finding = resolver.looked(
                1, time.time_ns(), seen.ts_venue, found=seen.order is not None, executed=bool(traded), linked=True
            )
            if finding is not Finding.ASK:
                return finding, "" if seen.order is None else f"{seen.order.status} {seen.order.cum} {seen.source}"


@pytest.mark.parametrize("forgets", [False, True], ids=["recent", "restarted"])
def test_what_others_cancelled_before_we_looked_is_found(opened: Opener, forgets: bool) -> None:
    """Among the recent orders; and where a restart of the venue has emptied that list, in its history."""

    async def scenario() -> None:
        async with opened() as stage:
            name = await cancelled_unseen(stage)
            cancel_by_others(stage)
            if forgets:
                forget_recent(stage)
            resolver = Resolver(TERMS, "1")
            now = time.time_ns()
            resolver.doubt(1, f"{stage.category} {stage.symbol}", now, create=True, sent=now)
            finding, word = await found_out(stage, resolver, name)
            await stage.heard.until(lambda: stage.heard.of(Unanswered, name))
            assert (finding, word) == (Finding.FOUND, f"canceled 0 {'history' if forgets else 'realtime'}")

    play(scenario)


@pytest.mark.slow
def test_what_was_cancelled_at_the_last_moment_is_not_taken_for_absent(opened: Opener) -> None:
    """The worst that may be: it is cancelled and the recent list emptied as the first look of a proof is due, and the
    history is late, though not later than V. Two empty looks that were closer together than V would be a lie.
    """

    async def scenario() -> None:
        async with opened(Switches(history_lag_ms=LAG_MS)) as stage:
            name = await cancelled_unseen(stage)
            resolver, since = Resolver(TERMS, "1"), time.time_ns()
            due = resolver.deadline(since, since) + 50_000_000

            def at_the_last_moment() -> None:
                if stage.venue.open_orders():
                    cancel_by_others(stage)
                    forget_recent(stage)

            resolver.doubt(1, f"{stage.category} {stage.symbol}", since, create=True, sent=since)
            await stage.heard.until(lambda: time.time_ns() > due)
            assert await found_out(stage, resolver, name, at_the_last_moment) == (Finding.FOUND, "canceled 0 history")

    play(scenario)
