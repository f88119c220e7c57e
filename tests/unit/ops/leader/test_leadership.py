"""Waiting for a lease, keeping it, losing it: in a loop whose time a test moves."""

import asyncio
from dataclasses import replace

import pytest

from mmbot.execution import FencedError
from mmbot.execution.lease import LeaseRow
from mmbot.ops.leader.leadership import Leadership
from mmbot.ops.leader.lease import DeposedError, LeaseUnreachableError, Taken
from mmbot.ops.leader.standby import StandbyLoop
from mmbot.venues.port import LinkEvent, VenueError

SECOND = 1_000_000_000


class Row:
    """A keeper in memory. `silent`: it does not answer; `other`: somebody took the lease."""

    def __init__(self, row: LeaseRow) -> None:
        self.row, self.silent, self.other = row, False, False
        self.renewals = 0
        self.asked = asyncio.Event()
        self.released: list[bool] = []

    async def read(self) -> LeaseRow:
        """The row."""
        self.asked.set()
        if self.silent:
            raise LeaseUnreachableError("no answer")
        return self.row

    async def take(self, seen: LeaseRow) -> Taken | None:
        """Take it, if it is as it was seen."""
        if seen != self.row:
            return None
        former, self.row = self.row, replace(self.row, epoch=self.row.epoch + 1, holder="we")
        return Taken(self.row.epoch, None if former.epoch == 0 else -former.left_ns)

    async def renew(self) -> None:
        """Renew it."""
        self.asked.set()
        if self.other:
            raise DeposedError("another process took it")
        if self.silent:
            raise LeaseUnreachableError("no answer")
        self.renewals += 1

    async def release(self, *, clean: bool) -> None:
        """Give it back."""
        self.released.append(clean)


def row(epoch: int = 7, holder: str = "they", left_ns: int = -SECOND) -> LeaseRow:
    """A row whose holder is over."""
    return LeaseRow(epoch=epoch, beat=1, holder=holder, ttl_ns=SECOND, left_ns=left_ns)


class Run:
    """A run that leads on a row; its venue's clock is moved by the test."""

    def __init__(self, keeper: Row) -> None:
        self.now = 1_000 * SECOND
        self.events: list[dict[str, object]] = []
        self.links: list[LinkEvent] = []
        self.deposed: list[VenueError] = []
        self.keeper, self.stop = keeper, asyncio.Event()
        self.lead = Leadership(self.events.append, lambda: self.now)

    def held(self, ttl_s: float = 1.5):
        """Stand by and lead, renewing as fast as the loop turns."""
        return self.lead.held(self.keeper, ttl_s=ttl_s, renew_s=0.001, stop=self.stop)

    def listen(self) -> None:
        """Hear of links and of the end."""
        self.lead.listen(self.links.append, self.deposed.append)

    async def asked(self, times: int = 2) -> None:
        """Until the keeper was asked so often."""
        for _ in range(times):
            self.keeper.asked.clear()
            await asyncio.wait_for(self.keeper.asked.wait(), 5)

    def may(self) -> bool:
        """Whether a create may leave now."""
        try:
            self.lead.check(self.now // 1_000_000)
        except FencedError:
            return False
        return True


def test_nothing_is_signed_before_leading_and_nothing_after_the_lease_was_given_back():
    """The first leader of an account begins at once; what it left behind decides how it gives the lease back."""

    async def work() -> None:
        run = Run(Row(row(0, "")))
        assert not run.may()
        async with run.held() as epoch:
            assert (epoch, run.lead.epoch) == (1, 1)
            assert run.may()
            run.lead.quiet = True
        assert not run.may()
        assert run.keeper.released == [True]

    asyncio.run(work())


def test_the_first_create_waits_and_the_run_hears_when_it_may_begin():
    """After another leader: R + 2ε + M = 3 s, told as a link that is down and then up."""

    async def work() -> None:
        keeper = Row(row(7, "", 0))
        run = Run(keeper)
        async with run.held():
            run.listen()
            assert not run.may()
            assert [(one.state, one.conn) for one in run.links] == [("down", "lease")]
            run.now += 3 * SECOND
            await run.asked()
            assert run.may()
            assert [one.state for one in run.links] == ["down", "up"]

    asyncio.run(work())


def test_a_keeper_that_is_silent_ends_creates_in_time_and_its_return_lets_them_go_on():
    """No renewal for the length of the lease: no create leaves, and nobody has to be asked for that."""

    async def work() -> None:
        run = Run(Row(row(0, "")))
        async with run.held():
            run.listen()
            await run.asked()
            run.keeper.silent = True
            await run.asked()
            run.now += round(1.44 * SECOND)
            assert run.may()
            run.now += round(0.02 * SECOND)
            assert not run.may()
            run.keeper.silent = False
            await run.asked(3)
            assert run.may()
        assert [event["why"] for event in run.events if event["event"] == "lease"] == [
            "not renewed: no answer",
            "renewed again",
        ]

    asyncio.run(work())


def test_whoever_is_deposed_never_signs_again_and_the_run_is_told():
    """Also if the lease would have lasted longer."""

    async def work() -> None:
        run = Run(Row(row(0, "")))
        async with run.held(ttl_s=3_600):
            run.listen()
            run.keeper.other = True
            await run.asked(1)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not run.may()
            assert [str(error) for error in run.deposed] == ["another process took it"]
            assert run.links[-1].state == "down"

    asyncio.run(work())


def test_a_standby_that_is_stopped_ends_without_having_led():
    """It says so; nothing was sent, and nothing is given back that it never had."""

    async def work() -> None:
        run = Run(Row(row(left_ns=SECOND)))
        standing = asyncio.create_task(run.held().__aenter__())
        await run.asked()
        run.stop.set()
        with pytest.raises(VenueError, match="ended while standing by"):
            await standing

    asyncio.run(work())


def test_a_standby_believes_that_a_lease_is_over_only_after_it_saw_it_unchanged_for_as_long():
    """The keeper says from the start that it is over; the standby's own clock decides."""

    async def work() -> None:
        keeper, now, events = Row(row(left_ns=-10 * SECOND)), 0, []
        loop = StandbyLoop(
            lease=keeper, venue_ns=lambda: 50 * SECOND, ttl_ns=SECOND, poll_s=0.001, told=events.append,
            monotonic=lambda: now,
        )  # fmt: skip
        waiting = asyncio.create_task(loop.until_leading(asyncio.Event()))
        for moment in (0, SECOND - 1):
            now = moment
            for _ in range(3):
                keeper.asked.clear()
                await asyncio.wait_for(keeper.asked.wait(), 5)
            assert not waiting.done()
        now = SECOND + 5
        fence = await asyncio.wait_for(waiting, 5)
        assert fence is not None
        assert (fence.epoch, fence.first_ns) == (8, 53 * SECOND - 5)
        assert len(events) == 1

    asyncio.run(work())
