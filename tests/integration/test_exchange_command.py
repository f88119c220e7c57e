"""`mmbot exchange` as a person or a program starts it, and the SDKs with the lines that it prints."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ccxt.pro  # noqa: F401  (the printed lines import it; here so that its loading is not part of a test's time)
import pybit._websocket_trading as pybit_trading
import pybit.unified_trading as pybit_unified
import pytest

from mmbot.exchange import welcome


@contextmanager
def started(*words: str) -> Iterator[tuple[subprocess.Popen[str], welcome.Facts]]:
    """A running exchange and what its one line says; ended at the end, whatever happens."""
    command = [sys.executable, "-m", "mmbot", "exchange", "--json", "--port", "0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server, json.loads(server.stdout.readline())
        finally:
            server.terminate()
            server.wait(10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number: signal.Signals):
    """It says one line of JSON, serves, and ends with code 0 and nothing more when it is told to."""
    with started("--market", "gap", "--seed", "3") as (server, told):
        assert {row["category"] for row in told["symbols"]} == {"linear", "inverse", "spot"}
        assert told["http"].startswith("http://127.0.0.1:")
        server.send_signal(number)
        assert server.wait(10) == 0
        assert server.stdout is not None
        assert server.stdout.read() == ""


def test_it_ends_with_its_stdin_if_asked_so():
    """A pipe that closes ends it in order; what is written to the pipe does not."""
    command = [sys.executable, "-m", "mmbot", "exchange", "--json", "--port", "0", "--until-stdin-closes"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write("not yet\n")
        server.stdin.flush()
        told = json.loads(server.stdout.readline())
        with urllib.request.urlopen(f"{told['http']}/v5/market/time", timeout=5) as answer:
            assert answer.status == 200
        assert server.poll() is None
        assert (*server.communicate(timeout=5), server.returncode) == ("", "", 0)


def test_a_signal_ends_it_while_stdin_stays_open():
    """The thread that reads stdin holds nothing up."""
    command = [sys.executable, "-m", "mmbot", "exchange", "--json", "--port", "0", "--until-stdin-closes"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        server.stdout.readline()
        server.send_signal(signal.SIGTERM)
        assert (server.wait(5), server.stderr.read()) == (0, "")


def test_the_printed_lines_connect_pybit(monkeypatch: pytest.MonkeyPatch):
    """Pasted into Python they load an instrument and keep a book, over an unmodified pybit."""
    for module, name in ((pybit_unified, "PUBLIC_WSS"), (pybit_unified, "PRIVATE_WSS"), (pybit_trading, "TRADE_WSS")):
        monkeypatch.setattr(module, name, getattr(module, name))  # the lines assign them: put back after the test
    with started() as (_, told):
        names: dict[str, Any] = {}
        exec(welcome.pybit_lines(told), names)
        session = names["session"]
        listed = session.get_instruments_info(category="linear", symbol="BTCUSDT")["result"]["list"]
        assert listed[0]["priceFilter"]["tickSize"] == "0.10"
        books: list[dict[str, Any]] = []
        enough = threading.Event()

        def hear(message: dict[str, Any]) -> None:
            books.append(message["data"])
            if len(books) >= 30:
                enough.set()

        socket = names["ut"].WebSocket(testnet=False, channel_type="linear")
        try:
            socket.orderbook_stream(50, "BTCUSDT", hear)
            assert enough.wait(15)
        finally:
            socket.exit()
        best = books[-1]
        bids, asks = [sorted(float(price) for price, _ in best[side]) for side in ("b", "a")]
        assert bids[-1] < asks[0]
        assert (len(bids), len(asks)) == (50, 50)


def test_the_printed_lines_connect_ccxt():
    """Pasted into Python they load the markets and stream trades and a book, over an unmodified ccxt.pro."""

    async def use(told: welcome.Facts) -> None:
        names: dict[str, Any] = {}
        exec(welcome.ccxt_lines(told), names)
        client = names["exchange"]
        try:
            markets = await client.load_markets()
            assert {"BTC/USDT:USDT", "BTC/USDT", "BTC/USD:BTC"} <= set(markets)
            for symbol in ("BTC/USDT:USDT", "BTC/USDT", "BTC/USD:BTC"):
                book = await client.watch_order_book(symbol, 50)
                assert book["bids"][0][0] < book["asks"][0][0]
                assert (await client.watch_trades(symbol))[0]["symbol"] == symbol
        finally:
            await client.close()

    with started("--speed", "20") as (_, told):
        asyncio.run(asyncio.wait_for(use(told), 20))
