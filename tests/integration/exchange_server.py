"""`mmbot exchange` as a process of its own, and the raw calls that tests make beside the vendors' SDKs."""

import hashlib
import hmac
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from pathlib import Path
from urllib.parse import urlencode

START_S, STOP_S, CALL_S = 20, 10, 10
FILL_TRIES = 20
LOT = Decimal("0.001")
SYMBOL = "BTCUSDT"


@dataclass(frozen=True)
class Account:
    """Keys of one account."""

    key: str
    secret: str
    uid: int = 0


@dataclass(frozen=True)
class Exchange:
    """A running exchange: what it printed, and the process."""

    http: str
    ws: str
    account: Account
    symbols: list[str]
    admin_token: str
    process: subprocess.Popen[bytes]
    _uids: Iterator[int] = field(default_factory=lambda: count(9_000_000))

    def get(self, path: str, **query: object) -> dict:
        """A public question."""
        return _called(f"{self.http}{path}?{urlencode(query)}")

    def signed(self, account: Account, method: str, path: str, **fields: object) -> dict:
        """A private call, signed as Bybit documents it; the whole answer."""
        now = str(time.time_ns() // 1_000_000)
        text = urlencode(fields) if method == "GET" else json.dumps(fields)
        sign = hmac.new(account.secret.encode(), f"{now}{account.key}5000{text}".encode(), hashlib.sha256).hexdigest()
        headers = {
            "X-BAPI-API-KEY": account.key,
            "X-BAPI-TIMESTAMP": now,
            "X-BAPI-RECV-WINDOW": "5000",
            "X-BAPI-SIGN": sign,
            "Content-Type": "application/json",
        }
        if method == "GET":
            return _called(f"{self.http}{path}?{text}", headers=headers)
        return _called(f"{self.http}{path}", text.encode(), headers)

    def answer(self, account: Account, method: str, path: str, **fields: object) -> dict:
        """The result of a private call that succeeds."""
        said = self.signed(account, method, path, **fields)
        assert said["retCode"] == 0, f"{method} {path} {fields}: {said['retCode']} {said['retMsg']}"
        return said["result"]

    def order(self, account: Account, order_id: str) -> dict:
        """One order, open or just closed."""
        asked = {"category": "linear", "symbol": SYMBOL, "orderId": order_id}
        [found] = self.answer(account, "GET", "/v5/order/realtime", **asked)["list"]
        return found

    def fill(self, taker: Account, maker: Account, order_id: str) -> None:
        """Let `taker` trade with a resting order until it is filled, whatever stands before it in the queue."""
        for tried in range(FILL_TRIES):
            order = self.order(maker, order_id)
            if order["orderStatus"] == "Filled":
                return
            assert order["orderStatus"] in ("New", "PartiallyFilled"), f"it can not be filled any more: {order}"
            buys, price = order["side"] == "Buy", Decimal(order["price"])
            book = self.get("/v5/market/orderbook", category="linear", symbol=SYMBOL, limit=200)["result"]
            before = (
                Decimal(qty)
                for level, qty in book["b" if buys else "a"]
                if (Decimal(level) >= price if buys else Decimal(level) <= price)
            )
            self.answer(
                taker,
                "POST",
                "/v5/order/create",
                category="linear",
                symbol=SYMBOL,
                side="Sell" if buys else "Buy",
                orderType="Limit",
                timeInForce="IOC",
                price=order["price"],
                # The book moves until it arrives: each try takes more, as far as the account's coins go.
                qty=str((sum(before) + Decimal(order["leavesQty"])) * (4 + min(tried, 4)) / 4 // LOT * LOT),
            )
        raise AssertionError(f"order {order_id} was not filled in {FILL_TRIES} tries: {self.order(maker, order_id)}")

    def admin(self, method: str, path: str, **fields: object) -> dict:
        """A call of the admin API."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.admin_token}"}
        return _called(f"{self.http}/admin/{path}", json.dumps(fields).encode(), headers, method)

    def new_account(self, usdt: str = "1000000", btc: str = "1", tier: str = "default") -> Account:
        """Open an account with money in it. The tier says how often it may ask."""
        uid = next(self._uids)
        account = Account(f"key-{uid}", f"secret-{uid}", uid)
        self.admin("POST", "account", uid=uid, key=account.key, secret=account.secret, tier=tier)
        for coin, amount in (("USDT", usdt), ("BTC", btc)):
            self.admin("POST", "transfer", uid=uid, coin=coin, amount=amount)
        return account

    def truth(self, account: Account) -> dict:
        """What the exchange itself knows of an account."""
        return self.admin("GET", "truth", uid=account.uid)["accounts"][str(account.uid)]


def _called(url: str, body: bytes | None = None, headers: dict | None = None, method: str | None = None) -> dict:
    request = urllib.request.Request(url, body, headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=CALL_S) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{url}: HTTP {error.code}: {error.read()[:500]!r}") from error


@contextmanager
def running(log: Path, *options: str) -> Iterator[Exchange]:
    """Start an exchange on a free port, and end it."""
    command = [sys.executable, "-m", "mmbot", "exchange", "--json", "--admin", "--port", "0", *options]
    with log.open("wb") as complaints:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints)
    alarm = threading.Timer(START_S, process.kill)
    alarm.start()
    try:
        line = process.stdout.readline()
        alarm.cancel()
        if not line:
            raise AssertionError(f"{' '.join(command)} said nothing:\n{log.read_text()[-2000:]}")
        said = json.loads(line)
        account = Account(said["api_key"], said["api_secret"])
        yield Exchange(said["http"], said["ws"], account, said["symbols"], said["admin_token"], process)
    finally:
        alarm.cancel()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
