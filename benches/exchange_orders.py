"""How many order requests the exchange takes: `python -m benches.exchange_orders [SECONDS]`.

    core      the desk and the matching core alone, in this process: create and cancel, create and fill
    socket    a server process on loopback, order entry over /v5/trade with a private socket that hears everything;
              requests are pipelined, each is answered, and the server's own CPU time is taken from the system

Loopback only and bounded in time. Prints one JSON line per case; nothing is asserted.
"""

import asyncio
import gc
import json
import multiprocessing
import os
import sys
import time
from multiprocessing.connection import Connection

import aiohttp
import msgspec
import uvloop

from mmbot.exchange import rules
from mmbot.exchange.auth import sign
from mmbot.exchange.generator import Generator, MarketKind
from mmbot.exchange.hall import Hall
from mmbot.exchange.market import Market
from mmbot.exchange.opening import AccountTerms, open_gateway
from mmbot.exchange.switches import Switches
from mmbot.exchange.venue import Exchange

ACCOUNT = AccountTerms(key="bench", secret="bench", tier="unlimited", balances={"USDT": "100000000"})
CREATE = {"category": "linear", "symbol": "BTCUSDT", "orderType": "Limit", "side": "Buy", "qty": "0.001"}
PIPELINE = 64
HZ = os.sysconf("SC_CLK_TCK")


def hall() -> Hall:
    """One generated calm market."""
    market = Market(rules.linear("BTC", "0.10", "0.001"), time.time_ns)
    return Hall([(market, Generator(MarketKind.CALM, seed=1, price_ticks=600_000, lot_unit=250))], time.time_ns)


def core(seconds: float) -> list[dict[str, object]]:
    """The matching core behind the gate, without sockets."""
    results = []
    for name, second in (("create, cancel", None), ("create, fill", {"side": "Sell", "orderType": "Market"})):
        opened = hall()
        gateway = open_gateway(opened.markets.values(), time.time_ns, [ACCOUNT])
        account, desk = next(iter(gateway.house.accounts.values())), gateway.desk
        bid, _ = opened.markets["linear", "BTCUSDT"].floor.touch()
        price = opened.markets["linear", "BTCUSDT"].instrument.price((bid or 0) - 50)
        done, until, start = 0, time.perf_counter() + seconds, time.process_time()
        while time.perf_counter() < until:
            for _ in range(100):
                if second is None:
                    order = desk.create(account, {**CREATE, "price": price, "orderLinkId": f"b-{done}"})
                    desk.cancel(account, {**CREATE, "orderId": order.order_id})
                else:
                    desk.create(account, {**CREATE, "orderType": "Market", "orderLinkId": f"b-{done}"})
                    desk.create(account, {**CREATE, **second, "orderLinkId": f"s-{done}"})
                done += 2
        rate = done / (time.process_time() - start)
        results.append({"case": f"core: {name}", "requests_per_cpu_s": round(rate)})
    return results


def serve(seconds: float, pipe: Connection) -> None:
    """Serve one market in a process of its own, until told or out of time."""

    async def run() -> None:
        exchange = Exchange.open(hall(), time.time_ns, [ACCOUNT], switches=Switches(address_scale=1000))
        await exchange.start()
        gc.freeze()
        pipe.send(exchange.ws)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, pipe.poll, seconds)
        await exchange.stop()

    uvloop.run(run())


def cpu_s(pid: int) -> float:
    """CPU time of a process, from the system."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / HZ


async def _login(socket: aiohttp.ClientWebSocketResponse) -> None:
    expires = time.time_ns() // 1_000_000 + 10_000
    proof = sign(ACCOUNT.secret, f"GET/realtime{expires}".encode())
    await socket.send_json({"op": "auth", "args": [ACCOUNT.key, expires, proof]})
    await socket.receive()


async def _hear(socket: aiohttp.ClientWebSocketResponse, topics: list[str]) -> int:
    """Read a private socket to its end."""
    await _login(socket)
    await socket.send_json({"op": "subscribe", "args": topics})
    heard = 0
    async for _ in socket:
        heard += 1
    return heard


async def trade(ws: str, pid: int, seconds: float, topics: list[str]) -> dict[str, object]:
    """Create and cancel as fast as answers come, `PIPELINE` requests in flight."""
    encode = msgspec.json.encode
    async with aiohttp.ClientSession() as session:
        private = await session.ws_connect(f"{ws}/v5/private", compress=0, max_msg_size=0)
        hearing = asyncio.create_task(_hear(private, topics)) if topics else None
        socket = await session.ws_connect(f"{ws}/v5/trade", compress=0, max_msg_size=0)
        await _login(socket)
        sent = answered = refused = 0

        async def send() -> None:
            nonlocal sent
            pair, creates = divmod(sent, 2)
            name = f"w-{time.time_ns():x}" if not creates else names.pop()
            names.append(name) if not creates else None
            body = {**CREATE, "price": "50000", "orderLinkId": name, "timeInForce": "PostOnly"}
            op = "order.cancel" if creates else "order.create"
            stamp = {"X-BAPI-TIMESTAMP": time.time_ns() // 1_000_000}
            frame = {"reqId": f"r{pair}-{creates}", "op": op, "header": stamp, "args": [body]}
            sent += 1
            await socket.send_frame(encode(frame), aiohttp.WSMsgType.TEXT)

        names: list[str] = []
        start, before = time.perf_counter(), cpu_s(pid)
        for _ in range(PIPELINE):
            await send()
        while time.perf_counter() - start < seconds:
            message = await socket.receive()
            answered += 1
            refused += b'"retCode":0' not in message.data.encode()
            await send()
        took, burnt = time.perf_counter() - start, cpu_s(pid) - before
        await socket.close()
        await private.close()
        heard = await hearing if hearing else 0
    return {
        "case": f"socket: create, cancel; listening to {topics or 'nothing'}",
        "requests_per_s": round(answered / took),
        "requests_per_server_cpu_s": round(answered / burnt),
        "refused": refused,
        "private_messages": heard,
    }


def main() -> None:
    """Run every case and print it."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    for result in core(seconds):
        print(json.dumps(result))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(60 + 4 * seconds, theirs), daemon=True)
    server.start()
    ws = ours.recv()
    for topics in ([], ["order"], ["order", "execution", "position", "wallet"]):
        print(json.dumps(asyncio.run(trade(ws, server.pid or 0, seconds, topics))))
    ours.send("stop")
    server.join(10)


if __name__ == "__main__":
    main()
