"""The lease of several machines on a real PostgreSQL, which is stopped, paused and started again."""

import asyncio
import time
from pathlib import Path

import pytest

from mmbot.ops.chaos.failover import Failover
from mmbot.ops.chaos.on_postgres import fail_over_on_postgres
from mmbot.ops.chaos.rigs import PostgresRig, postgres, why_no_postgres
from mmbot.ops.leader.epochs import EpochFile
from mmbot.ops.leader.fleet import FleetLease, admit
from mmbot.ops.leader.lease import DeposedError, LeaseRefusedError, LeaseUnreachableError

pytestmark = pytest.mark.skipif(bool(why_no_postgres()), reason=why_no_postgres())


def on(work, tmp_path: Path) -> None:
    """Run `work(lease, rig)` on a server of its own; `lease(name)` makes a candidate."""

    async def run() -> None:
        async with postgres() as rig:
            made: list[FleetLease] = []

            def lease(name: str, **changes: object) -> FleetLease:
                words = {"ttl_ms": 500, "build": "b1", "config": "c1", "call_s": 1.0} | changes
                epochs = EpochFile(tmp_path / name)
                one = FleetLease(dsn=rig.dsn, account="testnet 1", holder=name, epochs=epochs, **words)
                made.append(one)
                return one

            try:
                await asyncio.wait_for(work(lease, rig), 25)
            finally:
                for one in made:
                    await one.close()

    asyncio.run(run())


async def over(lease: FleetLease) -> None:
    """Wait until the database says that the lease is over."""
    while (await lease.read()).left_ns > 0:
        await asyncio.sleep(0.02)


def test_one_takes_it_and_the_epoch_grows_with_every_holder(tmp_path: Path):
    """Never held: no wait. Nobody else while it lasts. Given back in order: no wait. Run out: the time it is over."""

    async def work(lease, rig: PostgresRig) -> None:
        a, b = lease("a"), lease("b")
        row = await a.read()
        assert (row.epoch, row.free) == (0, True)
        first = await a.take(row)
        assert first is not None
        assert first.over_for_ns is None
        assert await b.take(row) is None, "the row has moved since"
        assert await b.take(await b.read()) is None, "it is held"
        await a.renew()
        await a.release(clean=True)
        second = await b.take(await b.read())
        assert second is not None
        assert second.epoch > first.epoch
        assert second.over_for_ns is None
        await over(a)
        third = await a.take(await a.read())
        assert third is not None
        assert third.epoch > second.epoch
        assert third.over_for_ns is not None
        assert third.over_for_ns > 0
        assert EpochFile(tmp_path / "a").read()[0] == third.epoch

    on(work, tmp_path)


def test_many_that_see_the_same_free_lease_make_one_leader(tmp_path: Path):
    """Ten candidates at once: one transaction wins."""

    async def work(lease, rig: PostgresRig) -> None:
        candidates = [lease(f"n{number}", call_s=5.0) for number in range(10)]
        row = await candidates[0].read()
        taken = await asyncio.gather(*(one.take(row) for one in candidates))
        assert sum(one is not None for one in taken) == 1

    on(work, tmp_path)


def test_whoever_lost_it_cannot_renew_and_a_lease_that_ran_out_untaken_can_be(tmp_path: Path):
    """The epoch decides, not the time: nobody has led in between."""

    async def work(lease, rig: PostgresRig) -> None:
        a, b = lease("a"), lease("b")
        await a.take(await a.read())
        await over(a)
        await a.renew()
        await over(a)
        assert await b.take(await b.read())
        with pytest.raises(DeposedError, match="must not trade again"):
            await a.renew()

    on(work, tmp_path)


def test_a_node_with_another_build_or_configuration_gets_no_lease_until_it_is_admitted(tmp_path: Path):
    """One of eight servers with old code is refused; an operator admits the new code while nobody leads."""

    async def work(lease, rig: PostgresRig) -> None:
        a = lease("a")
        await a.take(await a.read())
        for changes in ({"build": "b2"}, {"config": "c2"}):
            with pytest.raises(LeaseRefusedError, match="no lease for it"):
                await lease(f"other {changes}", **changes).read()
        with pytest.raises(LeaseRefusedError, match="has a leader"):
            await admit(rig.dsn, "testnet 1", build="b2", config="c2")
        await a.release(clean=True)
        await admit(rig.dsn, "testnet 1", build="b2", config="c2")
        new = lease("new", build="b2", config="c2")
        assert await new.take(await new.read())
        with pytest.raises(LeaseRefusedError):
            await a.read()

    on(work, tmp_path)


def test_a_database_that_stands_still_or_is_gone_is_told_within_the_time_limit(tmp_path: Path):
    """Paused: every call ends after its limit. Stopped: at once. Back again: the same candidate goes on."""

    async def work(lease, rig: PostgresRig) -> None:
        a = lease("a", call_s=0.4, ttl_ms=60_000)
        await a.take(await a.read())
        rig.pause()
        began = time.monotonic()
        for _ in range(2):
            with pytest.raises(LeaseUnreachableError, match="no answer within"):
                await a.renew()
        assert time.monotonic() - began < 2.0
        rig.resume()
        await rig.stop()
        with pytest.raises(LeaseUnreachableError):
            await a.renew()
        await rig.start()
        a.call_s = 5.0
        await a.renew()

    on(work, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_a_leader_that_is_stopped_between_check_and_send_trades_never_again():
    """Two processes: the standby takes over in time, waits, and the woken one's create is refused by its age."""
    lines: list[str] = []
    found = asyncio.run(fail_over_on_postgres(Failover(kill_at_ms=500), lines.append))
    assert found.conclude(), lines
    assert found.numbers["dual_leader"] == 0
