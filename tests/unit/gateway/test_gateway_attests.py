"""The gateway asks again what its key may do: a fault that shows while trading stops what is new."""

import asyncio
from pathlib import Path
from typing import Any

from gateway_scene import MARKET, Ear, limits, place
from msgspec import structs
from test_gateway_socket import TERMS, trading

from mmbot.gateway.core import GatewayCore
from mmbot.gateway.guarded import GuardedOrders
from mmbot.venues.fake import FakeVenue
from mmbot.venues.port import Attestation, Refused, VenueError

HOUR_NS = 3_600_000_000_000


class Watched(FakeVenue):
    """A venue that says of key and account what the test wants, and counts how often it was asked."""

    faults: tuple[str, ...] = ()
    silent = False
    asked = 0
    heard: asyncio.Event

    async def attest(self) -> Attestation:
        """With the faults that there are now."""
        self.asked += 1
        self.heard.set()
        if self.silent:
            raise VenueError("no answer")
        return structs.replace(await super().attest(), faults=self.faults)


class Hours:
    """A gateway whose hours pass when the test says so: a fake clock, and a sleep that only it ends."""

    def __init__(self) -> None:
        self.now, self.ear = 10**18, Ear()
        self.guard = GuardedOrders(
            GatewayCore(limits()), self.ear, steady=lambda: self.now, wall=lambda: self.now, attest_s=0.001
        )
        self.venue = Watched([TERMS], self.guard, lambda: self.now)
        self.venue.heard = asyncio.Event()
        self.guard.attach(self.venue, None)
        self.venue.touch(MARKET[1], "99.9", "100.1")

    async def hour(self) -> None:
        """Let an hour go by, and the question of its end be answered."""
        self.now += HOUR_NS
        self.guard.core.refer(MARKET, "touch", "99.9", "100.1", self.now)
        asked = self.venue.asked
        async with asyncio.timeout(10):
            while self.venue.asked < asked + 2:  # the first of these may have begun before the hour
                self.venue.heard.clear()
                await self.venue.heard.wait()

    def placed(self, name: str) -> str:
        """What becomes of an order: "" where it left."""
        self.guard.core.refer(MARKET, "touch", "99.9", "100.1", self.now)
        said = self.guard.core.judge(
            place(name), epoch=self.guard.core.epoch, decided=self.now, now=self.now, wall=self.now
        )
        return "; ".join(one.rule for one in said)


def test_a_fault_that_shows_later_stops_what_is_new_until_it_is_gone() -> None:
    """Fit, then not, told once however often it is seen, then fit. A venue that does not answer changes nothing."""

    async def scenario() -> None:
        hours = Hours()
        await hours.guard.start()
        hours.guard.core.engage(1)
        try:
            assert "attestation" not in hours.placed("mm-1")
            hours.venue.faults = ("the key may withdraw",)
            await hours.hour()
            await hours.hour()
            assert "attestation" in hours.placed("mm-2")
            [link] = [event for event in hours.ear.links if event.conn == "attestation"]
            assert (link.link, link.state) == ("trade", "stale")
            assert "may withdraw" in link.why
            hours.venue.silent = True
            await hours.hour()
            assert "attestation" in hours.placed("mm-3")
            hours.venue.silent, hours.venue.faults = False, ()
            await hours.hour()
            assert "attestation" not in hours.placed("mm-4")
            assert [event.state for event in hours.ear.links if event.conn == "attestation"] == ["stale", "up"]
        finally:
            await hours.guard.stop()

    asyncio.run(scenario())


def test_the_engine_knows_the_venues_time_whatever_its_own_wall_clock_says(tmp_path: Path) -> None:
    """A gateway that reads another wall clock: the offset goes by the clock that both have."""

    async def scenario() -> None:
        async with trading(tmp_path) as (gateway, engine):
            wall: Any = gateway.guard
            wall._wall = lambda: gateway.guard._steady() + 77 * HOUR_NS
            attestation = await engine.orders.attest()
            ahead = engine.orders.venue_ns() - gateway.guard.venue_ns()
            assert abs(ahead) < 10**9
            assert attestation.clock_offset != 0

    asyncio.run(scenario())


def test_a_refusal_names_the_fault(tmp_path: Path) -> None:
    """An engine at the other end of the socket reads why."""

    async def scenario() -> None:
        async with trading(tmp_path) as (gateway, engine):
            gateway.core.faults = ("the key may withdraw",)
            engine.orders.send([place("mm-9")])
            [refused] = await engine.until(lambda: engine.of(Refused))
            assert "may withdraw" in refused.message

    asyncio.run(scenario())
