"""Ticks from, and KPIs to, a real Redis on this machine."""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from mmbot._core import Instrument, TapeWriter
from mmbot.config import BacktestConfig
from mmbot.ops.counters import Counters
from mmbot.ops.dryrun import dry_run, on_recording
from mmbot.ops.findings import worst
from mmbot.ops.iterations import Iteration, Summary
from mmbot.ops.kpis import Kpis
from mmbot.ops.redis_check import check_redis
from mmbot.ops.redis_export import TTL_S, RedisExport
from mmbot.ops.redis_link import connected
from mmbot.ops.redis_ticks import RedisTicks
from mmbot.ops.runs import Cut
from mmbot.ops.shadow import Shadow, shadow, tapes_of
from mmbot.ops.shadow_sources import RedisSource
from mmbot.strategy import Strategy, Wake, quotes

KPIS = Kpis(edge_bps=3.0, maker_taker_ratio=0.9, p95_latency_ms=120.5, risk_ratio=0.25)


MS, SECOND = 1_000_000, 1_000_000_000
START = 1_700_000_000 * SECOND


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Redis of our own, on the loopback, that keeps nothing."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server on this machine: apt-get install redis-server")
    port, folder = free_port(), tmp_path_factory.mktemp("redis")
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen([*command, "--dir", str(folder)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert any("Ready to accept connections" in line for line in process.stdout)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()


def on(server: str, work):
    """Run `work(redis)` on an empty database."""

    async def run():
        async with connected(server) as redis:
            await redis.flushall()
            return await asyncio.wait_for(work(redis), 20)

    return asyncio.run(run())


async def send(redis: Redis, seq: int, symbol: str = "BTCUSDT", **changes: str) -> None:
    """Add one tick to the stream."""
    fields = {
        "ts": str(1_700_000_000_000 + seq), "seq": str(seq), "symbol": symbol, "bid": "1000", "bid_size": "1",
        "ask": "1001", "ask_size": "2", "last_qty": "0",
    }  # fmt: skip
    await redis.xadd("lob:ticks", {**fields, **changes})


class Bus:
    """A consumer, what it took, and a clock that a test moves."""

    def __init__(self, redis: Redis, **settings) -> None:
        self.taken: list[tuple[int, bool]] = []
        self.counters, self.now = Counters(), 0
        self.ticks = RedisTicks(
            redis, self.take, {"BTCUSDT", "ETHUSDT"}, self.counters, block_ms=20, clock=lambda: self.now, **settings
        )

    def take(self, tick, after_gap: bool) -> None:
        """Remember a tick; number 13 is bad luck."""
        if tick.seq == 13:
            raise OSError("the disk is full")
        self.taken.append((tick.seq, after_gap))


async def pending(redis: Redis) -> int:
    """Messages read and not acknowledged."""
    return int((await redis.xpending("lob:ticks", "shadow"))["pending"])


def test_gaps_duplicates_and_reordering_are_counted_and_everything_is_acknowledged(server: str):
    """1 2 4 3 3 7: in order, one duplicate, one gap after 40 ms; nothing stays pending, and the lag is measured."""

    async def work(redis: Redis) -> None:
        bus = Bus(redis)
        await bus.ticks.start()
        for seq in (1, 2, 4, 3, 3, 7):
            await send(redis, seq)
        assert await bus.ticks.step() == 6
        assert bus.taken == [(1, False), (2, False), (3, False), (4, False)]
        assert await pending(redis) == 1
        bus.now += 40_000_000
        await bus.ticks.step()
        assert bus.taken[4:] == [(7, True)]
        assert await pending(redis) == 0
        said = bus.counters.all()
        assert said['shadow_seq_gaps_total{symbol="BTCUSDT"}'] == 1
        assert said['shadow_seq_gaps_total{symbol="ETHUSDT"}'] == 0
        assert said['shadow_seq_missing_total{symbol="BTCUSDT"}'] == 2
        assert said['shadow_seq_duplicates_total{symbol="BTCUSDT"}'] == 1
        assert said['shadow_seq_reordered_total{symbol="BTCUSDT"}'] == 1
        assert said['shadow_ingest_lag_msgs{stream="lob:ticks"}'] == 0

    on(server, work)


def test_lag_is_what_the_group_has_not_read(server: str):
    """A batch of two of five leaves three behind."""

    async def work(redis: Redis) -> None:
        bus = Bus(redis, batch=2)
        await bus.ticks.start()
        for seq in range(5):
            await send(redis, seq)
        await bus.ticks.step()
        assert bus.counters.value("shadow_ingest_lag_msgs", stream="lob:ticks") == 3

    on(server, work)


def test_what_was_not_taken_in_is_not_acknowledged_and_comes_again(server: str):
    """Taking number 13 fails: the one before it is acknowledged, 13 and 14 are read again by the next process."""

    async def work(redis: Redis) -> None:
        first = Bus(redis)
        await first.ticks.start()
        for seq in (12, 13, 14):
            await send(redis, seq)
        with pytest.raises(OSError, match="the disk is full"):
            await first.ticks.step()
        assert first.taken == [(12, False)]
        assert await pending(redis) == 2
        second = Bus(redis)
        second.ticks.take = lambda tick, after_gap: second.taken.append((tick.seq, after_gap))
        await second.ticks.start()
        assert second.taken == [(13, False), (14, False)]
        assert await pending(redis) == 0

    on(server, work)


def test_what_is_held_when_a_process_dies_comes_again(server: str):
    """Number 3 waits for 2 and is not acknowledged: the next process has both."""

    async def work(redis: Redis) -> None:
        first = Bus(redis)
        await first.ticks.start()
        await send(redis, 1)
        await send(redis, 3)
        await first.ticks.step()
        assert (first.taken, await pending(redis)) == ([(1, False)], 1)
        second = Bus(redis)
        await second.ticks.start()
        await second.ticks.finish()
        assert (second.taken, await pending(redis)) == ([(3, False)], 0)

    on(server, work)


def test_what_is_no_tick_moves_aside_with_its_reason(server: str):
    """It is acknowledged in the transaction that keeps it, and the ticks around it are taken in."""

    async def work(redis: Redis) -> None:
        bus = Bus(redis)
        await bus.ticks.start()
        await send(redis, 1)
        await send(redis, 2, bid="cheap")
        await send(redis, 2)
        await send(redis, 9, symbol="DOGEUSDT")
        await bus.ticks.step()
        assert bus.taken == [(1, False), (2, False)]
        assert await pending(redis) == 0
        [(_, kept)] = await redis.xrange("lob:ticks:refused")
        assert kept[b"refused_why"] == b"bid is 'cheap'; expected a plain decimal"
        assert kept[b"bid"] == b"cheap"
        assert bus.counters.value("shadow_ticks_refused_total") == 1
        assert bus.counters.value("shadow_ticks_other_total") == 1

    on(server, work)


def test_a_group_is_joined_where_it_stands_or_at_the_start(server: str):
    """What was there before the group is left alone, unless all of it is asked for."""

    async def work(redis: Redis) -> None:
        await send(redis, 1)
        late = Bus(redis)
        await late.ticks.start()
        assert await late.ticks.step() == 0
        everything = Bus(redis, group="again")
        await everything.ticks.start(from_start=True)
        await everything.ticks.step()
        assert everything.taken == [(1, False)]
        await late.ticks.start()

    on(server, work)


def iteration(**per_symbol: Kpis) -> Iteration:
    """An iteration with these symbols."""
    return Iteration(iteration=3, summary=Summary(per_symbol=per_symbol), exchange="bybit", mode="shadow")


def test_batches_and_keys_are_counted_as_they_are_written(server: str):
    """Five symbols in batches of two are three batches; each has a hash and four flat keys, and all expire."""

    async def work(redis: Redis) -> None:
        counters = Counters()
        export = RedisExport(redis, counters, env="test", batch=2)
        assert await export.export(iteration(**{f"S{n}": KPIS for n in range(5)}))
        assert counters.value("redis_export_batches_total") == counters.value("redis_export_success_total") == 3
        assert counters.value("redis_export_keys_written_total") == await redis.dbsize() == 25
        assert counters.value("redis_export_fail_total") == 0
        assert counters.value("redis_export_batch_duration_ms") > 0
        assert await redis.hget("test:bybit:shadow:latest:S4", "p95_latency_ms") == b"120.5"
        assert await redis.get("test:bybit:shadow:latest:S4:edge_bps") == b"3.0"
        assert all([0 < await redis.ttl(key) <= TTL_S for key in await redis.keys()])

    on(server, work)


def test_a_kpi_that_is_not_known_any_more_is_gone(server: str):
    """Neither a zero nor the number of the iteration before."""

    async def work(redis: Redis) -> None:
        export = RedisExport(redis, Counters())
        await export.export(iteration(S=KPIS))
        await export.export(iteration(S=Kpis(risk_ratio=0.5)))
        assert await redis.hgetall("dev:bybit:shadow:latest:S") == {b"risk_ratio": b"0.5"}
        assert await redis.get("dev:bybit:shadow:latest:S:edge_bps") is None
        await export.export(iteration(S=Kpis()))
        assert await redis.dbsize() == 0

    on(server, work)


def test_a_batch_that_fails_is_counted_and_the_next_one_tried():
    """Nobody listens there: the run goes on, and every batch is a failure."""

    async def work() -> None:
        counters = Counters()
        async with connected(f"redis://127.0.0.1:{free_port()}/0") as redis:
            assert not await RedisExport(redis, counters, batch=1).export(iteration(A=KPIS, B=KPIS))
        assert counters.value("redis_export_fail_total") == counters.value("redis_export_batches_total") == 2
        assert counters.value("redis_export_keys_written_total") == 0

    asyncio.run(work())


def test_a_batch_of_nothing_is_refused():
    """It would export nothing for ever."""
    with pytest.raises(ValueError, match="at least one symbol"):
        RedisExport(Redis(), Counters(), batch=0)


def test_the_smoke_check_passes_on_what_it_exported(server: str):
    """Hashes as in the source, refreshed, flat keys alike; at most so many are looked at as asked for."""

    async def work(redis: Redis) -> None:
        export = RedisExport(redis, Counters())
        findings = await check_redis(export, iteration(A=KPIS, B=KPIS, C=KPIS), sample_keys=2)
        assert worst(findings) == "PASS"
        assert sum(finding.check.startswith("hash") for finding in findings) == 2

    on(server, work)


def test_the_smoke_check_warns_of_what_is_missing_and_mends_flat_keys(server: str):
    """A symbol without fills has two KPIs less; an exporter without flat keys leaves them to the backfill."""

    async def work(redis: Redis) -> None:
        export = RedisExport(redis, Counters(), flat=False)
        quiet = iteration(A=Kpis(p95_latency_ms=1.0, risk_ratio=0.0))
        findings = await check_redis(export, quiet)
        assert [finding.status for finding in findings] == ["PASS", "WARN", "PASS", "WARN"]
        assert "edge_bps, maker_taker_ratio not known" in findings[1].detail
        assert "--do-flat-backfill" in findings[3].hint
        findings = await check_redis(export, quiet, backfill=True)
        assert findings[3].detail == "2 written from the hash"
        assert await redis.get("dev:bybit:shadow:latest:A:risk_ratio") == b"0.0"
        assert await redis.ttl("dev:bybit:shadow:latest:A:risk_ratio") > 0

    on(server, work)


class Meddling(RedisExport):
    """An exporter beside which somebody else writes."""

    async def export(self, iteration: Iteration) -> bool:
        """Export, then let the other one at the keys."""
        done = await super().export(iteration)
        await self.redis.hset("dev:bybit:shadow:latest:A", "edge_bps", "99")
        await self.redis.set("dev:bybit:shadow:latest:A:risk_ratio", "98")
        await self.redis.persist("dev:bybit:shadow:latest:A")
        return done


def test_the_smoke_check_fails_where_somebody_else_writes(server: str):
    """Another number in the hash, a flat key that disagrees, and a key that would live for ever."""

    async def work(redis: Redis) -> None:
        findings = await check_redis(Meddling(redis, Counters()), iteration(A=KPIS))
        assert [finding.status for finding in findings] == ["PASS", "FAIL", "FAIL", "FAIL"]
        assert worst(findings) == "FAIL"
        assert all(finding.hint for finding in findings[1:])

    on(server, work)


def test_the_smoke_check_fails_without_a_server_or_a_source(server: str):
    """One finding each, with what to do."""

    async def nobody() -> None:
        async with connected(f"redis://127.0.0.1:{free_port()}/0") as redis:
            [finding] = await check_redis(RedisExport(redis, Counters()), iteration(A=KPIS))
            assert (finding.check, finding.status) == ("link", "FAIL")

    asyncio.run(nobody())

    async def empty(redis: Redis) -> None:
        [finding] = await check_redis(RedisExport(redis, Counters()), iteration())
        assert (finding.check, finding.status) == ("source", "FAIL")

    on(server, empty)


class Joins(Strategy):
    """Quotes five lots at the touch."""

    wake = Wake(every_ms=500)

    def decide(self, view):
        """Quote where there is room."""
        return quotes(view.bid if view.position < 20 else None, view.ask if view.position > -20 else None, 5)


def configured(folder: Path) -> BacktestConfig:
    """One instrument, on a tape that says its terms."""
    terms = Instrument(venue="bybit", symbol="BTCUSDT", kind="linear", tick="0.5", lot="0.001")
    writer = TapeWriter(folder / "terms.tape", terms)
    writer.depth(START, START, "snapshot", [("1000", "1")], [("1000.5", "1")])
    writer.finish()
    limits = {"position": "0.04", "order": "0.02"}
    fees = {"maker_bps": -0.5, "taker_bps": 4.0}
    one = {"tape": str(folder / "terms.tape"), "limits": limits, "fees": fees}
    return BacktestConfig.model_validate({"instruments": [one], "sample_ms": 250, "markout": "1s"})


def test_a_market_from_redis_is_shadowed_and_recorded(server: str, tmp_path: Path):
    """Ticks of a rising market: the strategy is filled by crossings, and a dry run of the recording says the same."""

    async def work(redis: Redis):
        now = START

        def clock() -> int:
            return now

        class Feeding(RedisSource):
            """Lets time pass, and the producer send, before each step."""

            async def advance(self) -> int | None:
                """A tenth of a second of the market at a time."""
                nonlocal now
                for _ in range(2):
                    now += 50 * MS
                    step = (now - START) // (50 * MS)
                    bid = 1000 + (step // 8) * 0.5
                    await send(redis, step, ts=str(now // MS - 2), bid=f"{bid}", ask=f"{bid + 0.5}")
                return await super().advance()

        config = configured(tmp_path)
        markets = {"BTCUSDT": ("linear", "BTCUSDT")}
        counters = Counters()
        source = Feeding(lambda take: RedisTicks(redis, take, markets, counters, block_ms=1), markets, clock=clock)
        run = Shadow(
            config=config,
            instruments={market: tape.instrument for market, tape in tapes_of(config).items()},
            source=source,
            out=tmp_path / "shadow",
            cut=Cut(duration_s=2, iterations=3),
        )
        return config, await shadow(run, strategy=Joins(), counters=counters)

    config, seen = on(server, work)
    recorded = on_recording(config, tmp_path / "shadow/tapes")
    held = dry_run(recorded, tmp_path / "dry", strategy=Joins(), cut=Cut(duration_s=2, iterations=3))
    assert (seen.state_hash, seen.summary) == (held.state_hash, held.summary)
    assert seen.summary.maker_count > 0
    assert seen.counters['shadow_seq_gaps_total{symbol="BTCUSDT"}'] == 0
    assert seen.summary.p95_latency_ms > 0
