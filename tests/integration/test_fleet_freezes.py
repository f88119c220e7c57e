"""A freeze goes with the lease, on a real PostgreSQL: two machines are two folders."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mmbot.config import LeaderConfig
from mmbot.ops.account_state import AccountState
from mmbot.ops.chaos.rigs import PostgresRig, postgres, why_no_postgres
from mmbot.ops.freeze_latch import FreezeLatch, board_of
from mmbot.ops.freeze_tokens import enrol_key, fresh
from mmbot.ops.leader.epochs import EpochFile
from mmbot.ops.leader.fleet import FleetLease
from mmbot.ops.leader.freezes import FleetFreezes, remember_fleet, tell_fleet
from mmbot.ops.leader.lease import LeaseUnreachableError
from mmbot.risk import FIRM, FreezeAsked, FreezeLevel, OverrideRefusedError, Reconciled, Scope
from mmbot.risk.override import signed

pytestmark = pytest.mark.skipif(bool(why_no_postgres()), reason=why_no_postgres())

KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2)]
SYMBOL = Scope("symbol", "linear BTCUSDT")


def asked(level: FreezeLevel, scope: Scope = FIRM, control: str = "operator") -> FreezeAsked:
    """A freeze of now."""
    return FreezeAsked(level, scope, control, "seen", time.time_ns())


@dataclass
class Machine:
    """One machine of the fleet: its folder, and the run on it."""

    folder: Path
    dsn: str
    events: list[dict[str, Any]] = field(default_factory=list)
    call_s: float = 2.0

    def __post_init__(self) -> None:
        self.state = AccountState.of(self.folder, "testnet", "1")
        if not self.state.operators.exists():
            for n, key in enumerate(KEYS):
                enrol_key(self.state, key.public_key().public_bytes_raw().hex(), f"p{n}", f"d{n}")
        remember_fleet(self.state, LeaderConfig(kind="postgres"), "testnet 1")
        self.lease = FleetLease(
            dsn=self.dsn,
            account="testnet 1",
            ttl_ms=300,
            build="b",
            config="c",
            call_s=self.call_s,
            epochs=EpochFile(self.state.epoch),
            holder=self.folder.name,
        )
        self.freezes = FleetFreezes(self.state, self.lease, time.time_ns)

    async def leads(self) -> FreezeLatch:
        """Take the lease once it is over, and begin to keep the latch."""
        while (row := await self.lease.read()).left_ns > 0 and not row.free:
            await asyncio.sleep(0.02)
        assert await self.lease.take(row) is not None
        self.latch = FreezeLatch(self.state, time.time_ns)
        self.freezes.begin(self.latch, self.latch.ask, self.events.append).cancel()  # each look is the test's
        return self.latch

    async def dies(self) -> None:
        """End without a word: the lease runs out."""
        await self.lease.close()
        await self.freezes._there.close()

    async def until(self, what: str, wanted: bool = True) -> None:
        """Look until an event was told, and the latch is (not) in trouble."""
        await self.looks(
            lambda: any(one["event"] == what for one in self.events) and bool(self.latch.trouble) is wanted
        )

    async def looks(self, held: Callable[[], bool]) -> None:
        """Look until something holds."""
        async with asyncio.timeout(10):
            while not held():
                self.latch.refresh(time.time_ns())
                await self.freezes.look()
                await asyncio.sleep(0.02)

    def lift(self, to: FreezeLevel = FreezeLevel.NORMAL, **which: str) -> None:
        """Two people sign."""
        token = fresh(self.state, freeze_id=which.get("freeze_id"), to=to.name, reason="booked")
        token = replace(token, signatures=tuple(signed(token, key) for key in KEYS))
        now = time.time_ns()
        self.latch.lower(token, now, Reconciled(clean=True, ts=now, said="all"))


def on(work, tmp_path: Path) -> None:
    """Run `work(machine, rig)` on a server of its own; `machine(name)` makes one, or the same again after a restart."""

    async def run() -> None:
        async with postgres() as rig:
            made: list[Machine] = []

            def machine(name: str, **words: Any) -> Machine:
                made.append(Machine(tmp_path / name, rig.dsn, **words))
                return made[-1]

            try:
                await asyncio.wait_for(work(machine, rig), 25)
            finally:
                for one in made:
                    with suppress(OSError):
                        await one.dies()

    asyncio.run(run())


def test_a_kill_on_one_machine_is_the_next_leaders_before_it_may_send(tmp_path: Path) -> None:
    """Its own board, which was NORMAL, is on its disk as killed when `take` returns; its own freezes stand as well."""

    async def work(machine, rig: PostgresRig) -> None:
        a, b = machine("a"), machine("b")
        FreezeLatch(b.state, time.time_ns).ask(asked(FreezeLevel.NO_NEW, SYMBOL))
        (await a.leads()).ask(asked(FreezeLevel.KILL))
        a.latch.refresh(time.time_ns())
        await a.freezes.look()
        await a.dies()
        assert board_of(b.state, time.time_ns()).level(FIRM) is FreezeLevel.NORMAL
        board = (await b.leads()).board
        assert (board.level(FIRM), board.level(SYMBOL)) == (FreezeLevel.KILL, FreezeLevel.NO_NEW)
        assert not b.latch.trouble
        await b.dies()
        again = machine("a")
        assert (await again.leads()).board.frozen == board.frozen

    on(work, tmp_path)


def test_a_lowering_that_the_database_has_is_not_undone_by_an_old_board(tmp_path: Path) -> None:
    """B has the kill and sleeps; A lifts it; B leads again and is free. A lowering that came too late is given up."""

    async def work(machine, rig: PostgresRig) -> None:
        a, b = machine("a"), machine("b")
        (await a.leads()).ask(asked(FreezeLevel.KILL))
        await a.freezes.leave()
        await a.lease.release(clean=True)
        assert (await b.leads()).board.highest is FreezeLevel.KILL
        await b.dies()
        a = machine("a")
        await a.leads()
        a.lift()
        await a.freezes.leave()
        await a.lease.release(clean=True)
        assert board_of(b.state, time.time_ns()).highest is FreezeLevel.KILL
        b = machine("b")
        assert (await b.leads()).board.highest is FreezeLevel.NORMAL
        b.latch.ask(asked(FreezeLevel.CANCEL_ALL))
        await b.freezes.leave()
        await b.dies()
        a = machine("a")
        await a.leads()
        b.lift()  # on a machine that does not lead any more
        a.latch.ask(asked(FreezeLevel.NO_NEW, SYMBOL))
        await a.freezes.leave()
        await a.dies()
        b = machine("b")
        board = (await b.leads()).board
        assert (board.level(FIRM), board.level(SYMBOL)) == (FreezeLevel.CANCEL_ALL, FreezeLevel.NO_NEW)

    on(work, tmp_path)


def test_a_lowering_without_a_leader_counts_where_nothing_was_said_since(tmp_path: Path) -> None:
    """Signed on the machine that led last; the database has it from its next lease on."""

    async def work(machine, rig: PostgresRig) -> None:
        a, b = machine("a"), machine("b")
        (await a.leads()).ask(asked(FreezeLevel.KILL))
        await a.freezes.leave()
        await a.lease.release(clean=True)
        a.lift()
        a = machine("a")
        assert (await a.leads()).board.highest is FreezeLevel.NORMAL
        await a.dies()
        assert (await b.leads()).board.highest is FreezeLevel.NORMAL

    on(work, tmp_path)


def test_a_freeze_of_a_machine_that_does_not_lead_stops_the_leader(tmp_path: Path) -> None:
    """It is asked once, is in the leader's log, and goes out of the database; the next leader takes what was left."""

    async def work(machine, rig: PostgresRig) -> None:
        a, b = machine("a"), machine("b")
        await a.leads()
        environ = {"MMBOT_LEASE_DSN": rig.dsn}
        said = await tell_fleet(b.state, asked(FreezeLevel.CANCEL_ALL), environ)
        assert said == "the fleet's leader was asked"
        await a.looks(lambda: not a.freezes._raised and a.latch.board.level(FIRM) is FreezeLevel.CANCEL_ALL)
        assert len(a.state.freeze.read_bytes().splitlines()) == 1
        await a.dies()
        await tell_fleet(a.state, asked(FreezeLevel.KILL), environ)
        assert (await b.leads()).board.level(FIRM) is FreezeLevel.KILL
        assert await b.freezes._there.write(b.lease.epoch, b.latch.raw) == {}

    on(work, tmp_path)


def test_what_is_frozen_where_a_run_stands_by_stops_the_leader(tmp_path: Path) -> None:
    """Also what an engine froze there before it was killed. What was lowered since is not asked for again."""

    async def work(machine, rig: PostgresRig) -> None:
        a, b = machine("a"), machine("b")
        await a.leads()
        FreezeLatch(b.state, time.time_ns).ask(asked(FreezeLevel.CANCEL_ALL))
        await b.lease.read()
        await a.looks(lambda: a.latch.board.level(FIRM) is FreezeLevel.CANCEL_ALL and not a.freezes._raised)
        a.lift()
        a.latch.refresh(time.time_ns())
        await a.freezes.look()
        FreezeLatch(b.state, time.time_ns).ask(asked(FreezeLevel.NO_NEW, SYMBOL))
        assert b.freezes.moved()
        await b.lease.read()
        assert not b.freezes.moved()
        await a.looks(lambda: a.latch.board.highest is FreezeLevel.NO_NEW)
        assert [one.scope for one in a.latch.board.frozen] == [SYMBOL]

    on(work, tmp_path)


def test_a_database_that_is_away_holds_no_freeze_up_and_lets_nobody_lead(tmp_path: Path) -> None:
    """It holds here at once; one alarm says that no other machine sees it; nothing is lowered until it is written."""

    async def work(machine, rig: PostgresRig) -> None:
        a, b = machine("a", call_s=0.4), machine("b", call_s=0.4)
        row = await b.lease.read()
        await a.leads()
        rig.pause()
        began = time.monotonic()
        a.latch.ask(asked(FreezeLevel.CANCEL_ALL))
        assert time.monotonic() - began < 0.4
        await a.until("freeze_not_carried")
        with pytest.raises(OverrideRefusedError, match="fleet does not have"):
            a.lift()
        with pytest.raises(LeaseUnreachableError):
            await b.lease.take(row)
        assert board_of(b.state, time.time_ns()).highest is FreezeLevel.NORMAL
        rig.resume()
        await a.until("fleet freezes", wanted=False)
        assert [one["event"] for one in a.events] == ["freeze_not_carried", "fleet freezes"]
        a.lift()

    on(work, tmp_path)


def test_who_was_deposed_asks_the_new_leader_for_what_it_could_not_write(tmp_path: Path) -> None:
    """A's log has another keeper when A's kill comes to be written: B hears of it, and keeps its own log."""

    async def work(machine, rig: PostgresRig) -> None:
        a, b = machine("a"), machine("b")
        await a.leads()
        await b.leads()
        a.latch.ask(asked(FreezeLevel.KILL, control="a"))
        await a.freezes.leave()
        b.latch.ask(asked(FreezeLevel.NO_NEW, SYMBOL, control="b"))
        await b.freezes.look()
        b.latch.refresh(time.time_ns())
        assert {one.control for one in b.latch.board.frozen} == {"a", "b"}

    on(work, tmp_path)


def test_a_database_from_an_older_copy_is_told_and_the_next_lease_joins(tmp_path: Path) -> None:
    """What the leader wrote is not there any more; its own log still stands, and goes there with its next lease."""

    async def work(machine, rig: PostgresRig) -> None:
        a = machine("a")
        (await a.leads()).ask(asked(FreezeLevel.NO_NEW))
        a.latch.refresh(time.time_ns())
        await a.freezes.look()
        from psycopg import AsyncConnection  # noqa: PLC0415  an extra

        async with await AsyncConnection.connect(rig.dsn, autocommit=True) as connection:
            await connection.execute("UPDATE mmbot_freeze SET log = 'other'")
        a.freezes._tried = 0
        await a.freezes.look()
        assert "older copy" in a.latch.trouble
        await a.dies()
        a = machine("a")
        board = (await a.leads()).board
        assert board.level(FIRM) is FreezeLevel.CANCEL_ALL, "a line that cannot be read"
        assert a.latch.raw.startswith(b"other\n")

    on(work, tmp_path)


def test_an_account_of_a_fleet_needs_the_database_to_freeze_elsewhere(tmp_path: Path) -> None:
    """Without its address nobody is asked, and it is said; an account of one machine asks nobody."""
    state = AccountState.of(tmp_path, "testnet", "1")
    kill = asked(FreezeLevel.KILL)
    assert asyncio.run(tell_fleet(state, kill, {})) == ""
    remember_fleet(state, LeaderConfig(kind="postgres"), "testnet 1")
    with pytest.raises(Exception, match="MMBOT_LEASE_DSN is not set"):
        asyncio.run(tell_fleet(state, kill, {}))
    state.fleet.write_text(json.dumps({"dsn": 1}))
    with pytest.raises(ValueError, match="does not name"):
        asyncio.run(tell_fleet(state, kill, {}))
    remember_fleet(state, LeaderConfig(), "testnet 1")
    assert asyncio.run(tell_fleet(state, kill, {})) == ""
