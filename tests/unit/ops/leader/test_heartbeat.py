"""Heartbeats: when silence becomes an alarm, and that an outage of Redis is only counted."""

import asyncio
import socket

from mmbot.config import RedisConfig
from mmbot.execution import Breaker
from mmbot.ops.counters import Counters
from mmbot.ops.leader.heartbeat import Heartbeat, HeartbeatWatch, heartbeat_key
from mmbot.ops.leader.redis_bus import RedisBus

SECOND = 1_000_000_000


def test_an_alarm_comes_at_61_seconds_and_once():
    """60 s of silence is none; the return is told once, too."""
    watch = HeartbeatWatch()
    assert watch.heard(0) == ""
    assert watch.look(60 * SECOND) == ""
    assert "no heartbeat for 61 s" in watch.look(61 * SECOND)
    assert watch.look(90 * SECOND) == ""
    assert watch.heard(91 * SECOND) == "the heartbeat is back"
    assert watch.heard(92 * SECOND) == ""


def test_a_watch_begins_with_its_first_look():
    """A process that never said anything is missed from when somebody began to listen."""
    watch = HeartbeatWatch()
    assert watch.look(1_000 * SECOND) == ""
    assert watch.look(1_060 * SECOND) == ""
    assert watch.look(1_061 * SECOND) != ""


def test_an_outage_opens_the_breaker_is_counted_and_told_once():
    """Three errors open it, no call leaves while it is open, one probe afterwards; the alarm comes at 61 s."""

    async def work() -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))  # and nobody listens
            now, events, counters = 0, [], Counters()
            bus = RedisBus(
                RedisConfig(call_s=2.0), counters, events.append, url=f"redis://127.0.0.1:{probe.getsockname()[1]}/0",
                clock=lambda: now, breaker=Breaker(open_s=5.0, burst=3, burst_window_s=60.0),
            )  # fmt: skip
            beats = Heartbeat(bus=bus, account="testnet 1", says=dict, told=events.append, wall=lambda: 0)
            gauge = 'circuit_breaker_state{kind="infrastructure"}'
            assert counters.all() == {gauge: 0, "redis_connection_errors_total": 0}
            for _ in range(6):
                assert not await beats.beat()
            assert counters.all() == {gauge: 1, "redis_connection_errors_total": 3}
            now = 5 * SECOND
            assert "half_open" in bus.away
            assert not await beats.beat()
            assert counters.value("redis_connection_errors_total") == 4
            now = 61 * SECOND
            await beats.beat()
            assert [event["event"] for event in events] == ["redis", "heartbeat"]
            await bus.close()

    asyncio.run(work())


def test_the_key_says_whose_heartbeat_it_is():
    """By environment and account."""
    assert heartbeat_key("testnet 1001") == "mmbot:testnet:1001:heartbeat"
