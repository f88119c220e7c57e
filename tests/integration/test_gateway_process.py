"""The gateway as a process: the engine never has the key, and a stolen engine cannot place outside the limits."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from exchange_server import Account, Exchange

from mmbot.gateway import wire
from mmbot.gateway.hardening import credentials_from, piped
from mmbot.gateway.place import connected
from mmbot.ops.account_state import AccountState
from mmbot.ops.freeze_latch import FreezeLatch
from mmbot.ops.gateway_process import listens, steady_ns
from mmbot.venues.port import PlaceOrder

SECRET = "CANARY-5e884898da28047151d0e56f8dc62927"
MARKET = {"category": "linear", "symbol": "BTCUSDT"}
WAIT_S = 20


def canary(exchange: Exchange) -> Account:
    """An account whose secret is looked for everywhere."""
    uid = 7_000_000 + time.monotonic_ns() % 1_000_000
    account = Account(f"key-{uid}", SECRET + str(uid), uid)
    exchange.admin("POST", "account", uid=uid, key=account.key, secret=account.secret, tier="mm3")
    for coin, amount in (("USDT", "1000000"), ("BTC", "1")):
        exchange.admin("POST", "transfer", uid=uid, coin=coin, amount=amount)
    return account


def limits_file(folder: Path, **changes: str) -> Path:
    """Small limits, for their owner alone."""
    words = {"order_qty": '"0.05"', "order_notional": '"100000"', "position": '"0.1"', "collar_bps": "50", **changes}
    lines = ['environment = "simulator"', 'exposure = "100000"', "requests_per_second = 1000"]
    lines += ["requests_per_minute = 20000", 'folder = "runs"', "[[symbol]]", 'category = "linear"']
    lines += ['symbol = "BTCUSDT"', *(f"{name} = {value}" for name, value in words.items())]
    path = folder / "gateway.toml"
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)
    return path


@contextmanager
def serving(exchange: Exchange, account: Account, limits: Path) -> Iterator[subprocess.Popen[str]]:
    """`mmbot gateway` with the key in its environment, on an account that is begun, until the block ends."""
    FreezeLatch(AccountState.of(limits.parent / "runs", "simulator", str(account.uid)), time.time_ns)
    words = [sys.executable, "-m", "mmbot", "gateway", str(limits), "--url", exchange.http, "--json"]
    environ = {**os.environ, "MMBOT_BYBIT_API_KEY": account.key, "MMBOT_BYBIT_API_SECRET": account.secret}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            line = process.stdout.readline()
            assert line, process.stderr.read()
            assert json.loads(line)["event"] == "serving"
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            said, complaints = process.communicate(timeout=WAIT_S)
        assert (process.returncode, SECRET in line + said + complaints) == (0, False), complaints


class Stolen:
    """A client that speaks the protocol perfectly, and means harm."""

    def __init__(self, limits: Path) -> None:
        self._end = connected(limits.parent / "gateway.sock")
        self._buffer = wire.FrameBuffer(wire.GATEWAY_BYTES_MAX)
        self.raw = bytearray()
        self._seq = 0

    async def say(self, message: wire.FromEngine) -> None:
        """Send a message."""
        await asyncio.get_running_loop().sock_sendall(self._end, wire.encode(message))

    async def hear(self) -> list[wire.FromGateway]:
        """What comes next."""
        piece = await asyncio.get_running_loop().sock_recv(self._end, 1 << 20)
        assert piece, "the gateway closed the connection"
        self.raw += piece
        return [wire.decode_from_gateway(body) for body in self._buffer.feed(piece)]

    async def order(self, requests: list[PlaceOrder]) -> dict[str, str]:
        """Send places; what was answered to each, by name: Acked, Unanswered, or why it was refused."""
        self._seq += 1
        await self.say(wire.Send(seq=self._seq, epoch=1, requests=wire.pack(requests), decided=steady_ns()))
        waiting, answers = {one.client_id for one in requests}, {}
        async with asyncio.timeout(WAIT_S):
            while waiting:
                for message in await self.hear():
                    for fact in wire.facts_of(message.facts) if isinstance(message, wire.Told) else ():
                        if getattr(fact, "request", "") == "place":
                            waiting.discard(fact.client_id)
                            answers[fact.client_id] = getattr(fact, "message", type(fact).__name__)
        return answers


def mid_of(exchange: Exchange) -> Decimal:
    """The market's mid."""
    book = exchange.get("/v5/market/orderbook", **MARKET, limit=1)["result"]
    return (Decimal(book["b"][0][0]) + Decimal(book["a"][0][0])) / 2


def wild(random: Random, number: int, mid: Decimal) -> PlaceOrder:
    """An order that may or may not lie within the limits, in any respect."""
    price = mid * (1 + Decimal(random.choice([-90, -5, -1, 0, 1, 5, 90])) / 100 * Decimal(str(random.random())))
    qty = Decimal(random.choice(["0.001", "0.01", "0.05", "0.051", "1", "100"]))
    return PlaceOrder(
        client_id=f"mm-{random.randrange(number + 1) if random.random() < 0.1 else number}",
        category=random.choice(["linear", "linear", "linear", "spot", "inverse"]),
        symbol=random.choice(["BTCUSDT", "BTCUSDT", "BTCUSDT", "ETHUSDT"]),
        side=random.choice(["buy", "sell"]),
        price="NaN" if random.random() < 0.05 else str(price.quantize(Decimal("0.1"))),
        qty=str(qty),
        tif=random.choice(["gtc", "ioc", "fok"]),
        post_only=random.random() < 0.8,
        reduce_only=random.random() < 0.1,
    )


def test_a_stolen_engine_cannot_place_outside_the_limits(exchange: Exchange, tmp_path: Path):
    """Two thousand orders of a malicious client: by the exchange's own truth nothing breached a limit."""
    account, limits = canary(exchange), limits_file(tmp_path)

    async def attack() -> None:
        stolen, random = Stolen(limits), Random(3)
        await stolen.say(wire.Hello(version=wire.VERSION, role="engine", epoch=1))
        answers: dict[str, str] = {}
        for batch in range(40):
            mid = mid_of(exchange)
            answers |= await stolen.order([wild(random, batch * 50 + one, mid) for one in range(50)])
            for order in exchange.truth(account)["open"]:
                assert abs(Decimal(order["price"]) - mid) <= mid * Decimal("0.01")  # 50 bps, and what the market moved
                assert Decimal(order["qty"]) <= Decimal("0.05")
                assert order["symbol"] == "BTCUSDT"
        assert {answer for answer in answers.values() if answer == "Acked"}
        for rule in ("symbol", "collar", "quantity", "taking", "duplicate", "position"):
            assert any(f"{rule}:" in answer for answer in answers.values()), rule
        assert SECRET.encode() not in stolen.raw
        open_ = exchange.truth(account)["open"]
        for side in ("Buy", "Sell"):
            resting = sum(Decimal(one["qty"]) for one in open_ if one["side"] == side and not one.get("reduceOnly"))
            assert resting <= Decimal("0.1") + Decimal("0.1")

    with serving(exchange, account, limits):
        asyncio.run(attack())
    assert all(abs(Decimal(str(one["size"]))) <= Decimal("0.1") for one in positions_of(exchange, account))


def positions_of(exchange: Exchange, account: Account) -> list[dict[str, Any]]:
    """The positions that the exchange itself knows of."""
    found = exchange.answer(account, "GET", "/v5/position/list", **MARKET)["list"]
    return [one for one in found if one["size"] not in ("", "0")]


def test_nothing_that_can_be_read_of_the_gateway_holds_its_secret(exchange: Exchange, tmp_path: Path):
    """Not its arguments, its environment, its files or its limits on core dumps; it speaks to its venue alone."""
    account, limits = canary(exchange), limits_file(tmp_path)
    with serving(exchange, account, limits) as process:
        place = Path(f"/proc/{process.pid}")
        assert SECRET.encode() not in (place / "environ").read_bytes()
        assert SECRET.encode() not in (place / "cmdline").read_bytes()
        assert resource.prlimit(process.pid, resource.RLIMIT_CORE) == (0, 0)
        assert limits.parent.joinpath("gateway.sock").stat().st_mode & 0o777 == 0o600
        port = int(exchange.http.rpartition(":")[2])
        assert ports_of(process.pid) == {port}
    check_written(tmp_path)


def ports_of(pid: int) -> set[int]:
    """Ports of other ends that a process is connected to."""
    links = [os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir() if one.is_symlink()]
    inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return {int(row[2].rpartition(":")[2], 16) for row in rows if row[9] in inodes}


RUN = """
[[instruments]]
tape = "sample:bybit-btcusdt"
symbol = "BTCUSDT"
category = "linear"
limits = {{ position = "0.1", order = "0.05" }}
[strategy]
name = "join_touch"
params = {{ order_lots = 10, cap_lots = 50 }}
[session]
url = "{url}"
guardian = false
gateway = "process"
gateway_file = "gateway.toml"
folder = "{folder}"
calls_per_second = 100
"""


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_a_run_starts_its_gateway_and_never_holds_the_key(exchange: Exchange, tmp_path: Path):
    """While it trades the secret is in no argument, environment or memory of the engine, and in no file it wrote."""
    account = canary(exchange)
    limits_file(tmp_path)
    config = tmp_path / "run.toml"
    config.write_text(RUN.format(url=exchange.http, folder=tmp_path / "runs"))
    words = [sys.executable, "-m", "mmbot", "run", str(config), "--json"]
    environ = {**os.environ, "MMBOT_BYBIT_API_KEY": account.key, "MMBOT_BYBIT_API_SECRET": account.secret}
    said = ""
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as process:
        alarm = threading.Timer(200, process.kill)
        alarm.start()
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            said += line
            event: dict[str, Any] = json.loads(line)
            if event["event"] == "request":
                break
        assert '"request"' in said, said + process.stderr.read()
        check_ignorant(process.pid)
        assert listens(tmp_path / "gateway.sock")
        process.send_signal(signal.SIGINT)
        rest, complaints = process.communicate(timeout=90)
        alarm.cancel()
    assert (process.returncode, complaints) == (0, ""), said[-2000:] + complaints
    assert SECRET not in said + rest
    assert not listens(tmp_path / "gateway.sock")
    assert exchange.truth(account)["open"] == []
    check_written(tmp_path)


def check_ignorant(pid: int) -> None:
    """A process has the secret in no argument, no environment and, as far as root may look, no memory."""
    place = Path(f"/proc/{pid}")
    assert SECRET.encode() not in (place / "environ").read_bytes()
    assert SECRET.encode() not in (place / "cmdline").read_bytes()
    if os.geteuid() == 0:
        assert not in_memory(pid, SECRET.encode())
        assert in_memory(pid, b"join_touch")  # the reading itself works


def check_written(folder: Path) -> None:
    """No file below a folder holds the secret."""
    for path in folder.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


def in_memory(pid: int, wanted: bytes) -> bool:
    """Whether some writable memory of a process, as far as it is there at all, holds these bytes."""
    piece, span, rights = 1 << 20, "", ""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            words = line.split()
            if "-" in words[0]:
                span, rights = words[:2]
            elif words[0] == "Rss:" and words[1] != "0" and "rw" in rights:
                start, end = (int(one, 16) for one in span.split("-"))
                with suppress(OSError):  # of the kernel's own, such as io_uring's rings: they cannot be read so
                    for at in range(start, end, piece):
                        memory.seek(at)
                        if wanted in memory.read(min(piece + len(wanted), end - at)):
                            return True
    return False


def test_a_key_comes_through_a_pipe_once():
    """What the pipe holds is read whole or refused, and a refusal never says what was read."""
    credentials = credentials_from(piped("k", "s"))
    assert (credentials.key, credentials.secret.get_secret_value()) == ("k", "s")
    read, write = os.pipe()
    os.write(write, b'{"key": "k", "secret": "halfasecr')
    os.close(write)
    with pytest.raises(ValueError, match="no key comes from there") as error:
        credentials_from(read)
    assert "halfasecr" not in str(error.value)
