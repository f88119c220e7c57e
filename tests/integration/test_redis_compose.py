"""The Redis that is deployed: what its compose file starts, started here without containers."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis.asyncio import Redis
from redis.exceptions import RedisError

from mmbot.ops.chaos.rigs import why_no_redis

COMPOSE = Path(__file__).parents[2] / "deploy" / "redis" / "compose.yaml"
PORT = re.compile(r"\b(63\d\d|263\d\d)\b")


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def commands() -> tuple[dict[str, list[str]], dict[str, int]]:
    """What each service runs, on ports that are free here; and which port became which."""
    services = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    ports: dict[str, int] = {}

    def moved(found: re.Match[str]) -> str:
        if found[0] not in ports:
            ports[found[0]] = free_port()
        return str(ports[found[0]])

    return {name: [PORT.sub(moved, word) for word in one["command"]] for name, one in services.items()}, ports


async def asked(port: int, *words: str) -> Any:
    """What a server answers; None for one that does not."""
    client = Redis(host="127.0.0.1", port=port, socket_timeout=1.0, decode_responses=True)
    try:
        return await client.execute_command(*words)
    except (RedisError, OSError):
        return None
    finally:
        with suppress(RedisError, OSError):
            await client.aclose()


async def until(held: Any, seconds: float) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not await held():
            await asyncio.sleep(0.1)


def test_every_service_is_of_the_profile_and_bound_to_the_loopback() -> None:
    """Nothing there asks for a password, so nothing may listen outside; and nothing starts unasked."""
    services = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    assert sorted(services) == ["redis-1", "redis-2", "redis-3", "sentinel-1", "sentinel-2", "sentinel-3"]
    for one in services.values():
        assert (one["profiles"], one["network_mode"], one["cap_drop"]) == (["redis"], "host", ["ALL"])
        watches = "redis-sentinel" in " ".join(one["command"])
        assert one.get("restart", "no") == ("unless-stopped" if watches else "no")  # a master that came back is empty
        assert re.search(r"bind 127\.0\.0\.1\n|--bind 127\.0\.0\.1 ", " ".join(one["command"]))


@pytest.mark.slow
@pytest.mark.timeout(90)
@pytest.mark.skipif(bool(why_no_redis()), reason=why_no_redis())
def test_the_deployed_redis_names_another_master_when_its_master_is_killed(tmp_path: Path) -> None:
    """Three Redis, three Sentinels, by the commands of the compose file; the master gets SIGKILL."""
    started, ports = commands()
    master, sentinel = ports["6379"], ports["26379"]

    async def story() -> None:
        async def whole() -> bool:
            told = await asked(sentinel, "SENTINEL", "MASTER", "mmbot")
            return bool(told) and (told.get("num-slaves"), told.get("num-other-sentinels")) in {(2, 2), ("2", "2")}

        async def another() -> bool:
            told = await asked(sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mmbot")
            return bool(told) and int(told[1]) != master

        await until(whole, 40)
        processes["redis-1"].send_signal(signal.SIGKILL)
        await until(another, 20)
        told = await asked(sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mmbot")
        assert int(told[1]) in {ports["6380"], ports["6381"]}

    processes: dict[str, subprocess.Popen[bytes]] = {}
    with ExitStack() as stack:
        for name, command in started.items():
            folder = tmp_path / name
            folder.mkdir()
            log = stack.enter_context((folder / "log").open("wb"))
            process = subprocess.Popen(
                command, cwd=folder, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]}, start_new_session=True
            )
            stack.callback(process.wait, 5)
            stack.callback(process.kill)
            processes[name] = process
        asyncio.run(story())
