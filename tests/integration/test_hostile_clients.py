"""Clients that mean harm, or break in the middle: each is answered or dropped, and the exchange complains of none."""

import asyncio
import http.client
import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from exchange_server import Exchange, running
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mmbot.exchange.gateway import PATHS

WAIT_S = 15.0
PUBLIC = ["market/time", "market/instruments-info", "market/orderbook", "market/kline", "market/recent-trade"]
PUBLIC += ["market/funding/history", "market/risk-limit", "market/tickers", "market/price-limit", "system/status"]
TARGETS = [*PATHS, *(f"/v5/{name}" for name in PUBLIC), "/v5/private", "/v5/trade", "/v5/public/spot", "/admin/truth"]
NUMBERS = st.sampled_from(["0", "-1", "1", "9" * 31, "9" * 4500, "²", "٣", "1e9", " 1", "1_0", "nan"])
TEXTS = st.one_of(NUMBERS, st.sampled_from(["linear", "spot", "BTCUSDT", "1", "D"]), st.text(max_size=6))
NAMES = st.sampled_from(["category", "symbol", "limit", "cursor", "startTime", "endTime", "start", "end", "interval"])
DEEP = ["[" * 200_000, '{"a":' * 50_000, '{"op":' + "[" * 900 + "]" * 900 + "}"]


class Venue:
    """A running exchange and what it said on stderr."""

    def __init__(self, exchange: Exchange, log: Path) -> None:
        self.exchange, self.log = exchange, log
        self.read = 0
        self.address = urlsplit(exchange.http)

    def connect(self) -> socket.socket:
        """A connection that sent nothing yet."""
        return socket.create_connection((self.address.hostname, self.address.port), WAIT_S)

    def status(self, raw: bytes) -> int | None:
        """Send bytes and no more; the HTTP status of the answer, None where the connection just ends."""
        with self.connect() as link:
            link.sendall(raw)
            link.shutdown(socket.SHUT_WR)
            answer = http.client.HTTPResponse(link)
            try:
                answer.begin()
            except (http.client.HTTPException, ConnectionError):
                return None
            return answer.status

    def check_quiet(self) -> None:
        """It serves and has complained of nothing."""
        assert self.exchange.get("/v5/market/time")["retCode"] == 0
        said = self.log.read_text(encoding="utf-8")
        complaints, self.read = said[self.read :], len(said)
        assert complaints[-1500:] == ""


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    """One exchange for all: no limits of an address, a second for a request, at most 100 connections."""
    log = tmp_path_factory.mktemp("exchange") / "log"
    words = ["address_scale=1000", "connects_max=100000", "request_ms=1000", "open_max=100"]
    with running(log, "--market", "calm", *(word for said in words for word in ("--set", said))) as exchange:
        yield Venue(exchange, log)


def headers(key: str, **more: str) -> dict[str, str]:
    """A request that looks signed."""
    stamped = {"X-BAPI-API-KEY": key, "X-BAPI-TIMESTAMP": "1", "X-BAPI-RECV-WINDOW": "5000", "X-BAPI-SIGN": "00"}
    return {**stamped, **more}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(TARGETS), query=st.dictionaries(NAMES, TEXTS, max_size=4), lead=st.binary(max_size=4))
@example("/v5/market/orderbook", {"category": "linear", "symbol": "BTCUSDT", "limit": "9" * 4500}, b"")
@example("/v5/market/instruments-info", {"category": "linear", "cursor": "9" * 4500}, b"")
@example("/v5/market/tickers", {"symbol": "é"}, b"\xff&")
def test_no_query_is_an_error_of_the_server(venue: Venue, path: str, query: dict[str, str], lead: bytes):
    """Bytes as they are, not encoded."""
    said = lead + "&".join(f"{name}={value}" for name, value in query.items()).encode()
    line = b"GET " + path.encode() + b"?" + re.sub(rb"[\s\x00]", b"+", said) + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    status = venue.status(line)
    assert status is None or status < 500
    venue.check_quiet()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(TARGETS), more=st.dictionaries(st.sampled_from([*headers("")]), TEXTS), raw=st.binary())
@example("/v5/order/create", {"X-BAPI-TIMESTAMP": "9" * 5000}, b"{}")
@example("/v5/order/create", {"X-BAPI-RECV-WINDOW": "9" * 4500}, b"{}")
@example("/v5/order/create", {"X-BAPI-SIGN": "é" * 64}, b"{}")
@example("/v5/order/create", {"Authorization": "é"}, b"[" * 200_000)
@example("/admin/truth", {"Authorization": "é"}, b"")
@example("/v5/order/create", {"Content-Encoding": "gzip"}, b"no gzip")
@example("/v5/order/create", {"Transfer-Encoding": "chunked"}, b"no chunk")
def test_no_header_or_body_is_an_error_of_the_server(venue: Venue, path: str, more: dict[str, str], raw: bytes):
    """Proofs that are none, and bodies that are not what they are said to be."""
    named = headers(venue.exchange.account.key, **more)
    sized = {} if "Transfer-Encoding" in named else {"Content-Length": str(len(raw))}
    lines = [f"{PATHS.get(path, 'GET')} {path} HTTP/1.1", "Host: x"]
    lines += [name + ": " + " ".join(value.split()) for name, value in {**named, **sized}.items()]
    head = "\r\n".join([*lines, "", ""])
    status = venue.status(head.encode(errors="replace") + raw)
    assert status is None or status < 500
    venue.check_quiet()


@pytest.mark.parametrize("path", ["private", "trade", "public/linear"])
def test_frames_that_nothing_can_be_made_of_are_answered(venue: Venue, path: str):
    """And the connection stands: nesting without end, numbers without end, signatures in other alphabets."""
    key = venue.exchange.account.key
    frames: list[Any] = [*DEEP, '{"op":"ping","req_id":' + "9" * 5000 + "}"]
    frames += [json.dumps({"op": "auth", "args": args}) for args in ([key, "9" * 5000, "x"], [key, 1 << 62, "é"])]

    async def talk() -> None:
        async with aiohttp.ClientSession() as session, asyncio.timeout(WAIT_S):
            for frame in frames:
                async with session.ws_connect(f"{venue.exchange.ws}/v5/{path}") as link:
                    await link.send_str(frame)
                    answer = await link.receive()
                    too_long = path.startswith("public") and len(frame) > 262_144
                    assert answer.type is (aiohttp.WSMsgType.CLOSE if too_long else aiohttp.WSMsgType.TEXT)

    asyncio.run(talk())
    venue.check_quiet()


HEAD = b"POST /v5/order/create HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"


@pytest.mark.parametrize("half", [b"", HEAD, HEAD + b"\r\n{"])
def test_half_a_request_is_cut(venue: Venue, half: bytes):
    """No head, half a head, half a body: each has `request_ms`, and the last is told so."""
    with venue.connect() as link:
        link.sendall(half)
        said = b""
        try:
            while more := link.recv(4096):
                said += more
        except ConnectionResetError:
            assert not said
        assert said == b"" or said.startswith(b"HTTP/1.1 408 ")
        assert bool(said) == half.endswith(b"{")
    venue.check_quiet()


def test_a_client_that_leaves_in_the_middle_is_nobodys_error(venue: Venue):
    """Its half body is no traceback."""
    for _ in range(20):
        with venue.connect() as link:
            link.sendall(HEAD + b"\r\n{")
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    venue.check_quiet()


def test_connections_are_bounded(venue: Venue):
    """What comes when there is no room is dropped; when the half requests are cut there is room again."""
    links = [venue.connect() for _ in range(150)]
    try:
        for link in links:
            with closing(link):
                assert ended(link)
    finally:
        for link in links:
            link.close()
    venue.check_quiet()


def ended(link: socket.socket) -> bool:
    """Wait for the end of a connection on which nothing is said."""
    try:
        return link.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    ("action", "asked"),
    [
        ("market", {"category": "linear", "symbol": "BTCUSDT", "depth": "all"}),
        ("clock", {"skew_ms": 1 << 70}),
        ("transfer", {"uid": 1, "coin": "USDT", "amount": "9" * 4290}),
        ("faults", {"where": "nowhere"}),
    ],
)
def test_an_operators_mistake_is_told_and_breaks_nothing(venue: Venue, action: str, asked: dict[str, Any]):
    """HTTP 400 with what was wrong."""
    with pytest.raises(AssertionError, match="HTTP 400: "):
        venue.exchange.admin("POST", action, **asked)
    venue.check_quiet()
