"""Where requests come in: REST calls and sockets become calls on the house, and what it answers becomes bytes.

    bytes ─▶ address limit ─▶ key, time, signature ─▶ rate ─▶ Entry | QUERIES | SETTINGS ─▶ Answer ─▶ bytes
                                                                   └▶ a fault may strike before or after

No sockets here: `Reply` says what the connection is to do, and when.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias
from urllib.parse import parse_qsl

import msgspec

from mmbot.exchange.account import Account
from mmbot.exchange.auth import ApiKey, Keyring, Signed
from mmbot.exchange.client_text import read_json
from mmbot.exchange.dcp import PRODUCTS, DeadManSwitch
from mmbot.exchange.desk import Desk
from mmbot.exchange.entry import OPS, Answer, Entry, refused
from mmbot.exchange.faults import Fault, Faults
from mmbot.exchange.house import House
from mmbot.exchange.market import NS
from mmbot.exchange.queries import QUERIES, Question
from mmbot.exchange.rates import Addresses, Spent
from mmbot.exchange.refusals import RefusedError, bad_parameter
from mmbot.exchange.settings import SETTINGS
from mmbot.exchange.switches import Switches

__all__ = ["PATHS", "Call", "Gateway", "Reply", "Session", "write_rest"]

State: TypeAlias = Literal["open", "restarting", "maintenance"]
_POSTS = {f"order/{op}" for op in OPS} | {"order/cancel-all"} | set(SETTINGS)
PATHS: dict[str, str] = {
    **{f"/v5/{name}": "GET" for name in QUERIES},
    **{f"/v5/{name}": "POST" for name in sorted(_POSTS)},
    "/v5/position/trading-stop": "POST",
}
"""Every path of the client side, and its method."""


class Session(Protocol):
    """A private or trade connection, as the gateway keeps it."""

    link: str
    uid: int | None
    key: str
    heard_ms: int
    idle_ms: int

    def cut(self, how: Literal["close", "going_away", "abort"]) -> None:
        """End the connection."""

    def mute(self) -> None:
        """Leave the connection open and say nothing more."""


@dataclass(frozen=True, slots=True)
class Call:
    """An HTTP request as it came: the query and the body are the raw bytes, since they are what was signed."""

    method: str
    path: str
    query: bytes
    body: bytes
    headers: Mapping[str, str]
    address: str

    def signed(self) -> Signed:
        """Its proof of who sent it."""
        get = self.headers.get
        return Signed(
            get("X-BAPI-API-KEY", ""),
            get("X-BAPI-TIMESTAMP", ""),
            get("X-BAPI-RECV-WINDOW", ""),
            get("X-BAPI-SIGN", ""),
            self.query if self.method == "GET" else self.body,
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """What an HTTP connection is to do. `body` None: never answer; `abort`: end the connection without an answer."""

    status: int
    body: bytes | None
    headers: Mapping[str, str]
    delay_ms: float
    abort: bool = False


class Gateway:
    """The venue as its clients reach it."""

    def __init__(self, house: House, keyring: Keyring, clock: Callable[[], int], *, seed: int = 0) -> None:
        self.house = house
        self.keyring = keyring
        self.desk = Desk(house, seed=seed)
        self.entry = Entry(self.desk)
        self.faults = Faults(seed)
        self.desk.engine_fault = lambda uid: self.faults.strike("engine:create", uid)
        self.dcp = DeadManSwitch()
        self.addresses = Addresses(house.switches.address_scale)
        self.sessions: set[Session] = set()
        self.state: State = "open"
        self.restarts = 0
        self.on_restart: list[Callable[[], None]] = []
        """What else a restart resets: the public side starts its books at u = 1."""
        self.catch_up: Callable[[], None] = _nothing_moves
        """Brings the markets to this moment; called before a request acts."""
        self.clock = clock
        self._cut_at_ms: int | None = None

    def now_ms(self) -> int:
        """The venue's time."""
        return self.clock() // NS

    # --- REST ---

    def rest(self, call: Call) -> Reply:
        """Answer one HTTP request of the client side."""
        now_ms = self.now_ms()
        key = self.keyring.find(call.headers.get("X-BAPI-API-KEY", ""))
        fault = self.faults.strike(f"rest:{call.method} {call.path}", key.uid if key else None)
        answer = Answer()
        if fault is None or fault.executed or fault.what == "delay":
            answer = self._rest(call, now_ms)
        return self._reply(answer, fault, now_ms)

    def _rest(self, call: Call, now_ms: int) -> Answer:
        try:
            self.addresses.http(call.address, now_ms)
            key = self.keyring.admit_rest(call.signed(), now_ms, call.address)
            self._check_state()
            self.catch_up()
            account = self.house.accounts[key.uid]
            name = call.path.removeprefix("/v5/")
            if call.method == "GET":
                return self._query(name, account, key, call.query, now_ms)
            return self._post(name, account, key, read_object(call.body), now_ms)
        except RefusedError as error:
            return refused(error)

    def _query(self, name: str, account: Account, key: ApiKey, query: bytes, now_ms: int) -> Answer:
        params = dict(parse_qsl(query.decode(errors="replace"), keep_blank_values=True))
        spent = account.rates.spend(name, "", now_ms)
        return Answer(QUERIES[name](Question(self.house, account, key, params, now_ms)), spent=spent)

    def _post(self, name: str, account: Account, key: ApiKey, body: dict[str, Any], now_ms: int) -> Answer:
        group, _, op = name.partition("/")
        if name in SETTINGS:
            if key.read_only:
                raise RefusedError(10005, "Permission denied, please check your API key permissions.")
            spent = account.rates.spend(name, "", now_ms)
            return Answer(SETTINGS[name](self.house, account, body), spent=spent)
        if group == "order" and op in OPS:
            return self.entry.perform(op, account, key, body, now_ms)
        if name == "order/cancel-all":
            return self.entry.cancel_all(account, key, body, now_ms)
        raise RefusedError(10001, "params error: take profit and stop loss are not supported by this simulator")

    def _check_state(self) -> None:
        if self.state != "open":
            raise RefusedError(10016, "Internal server error: the service is restarting or under maintenance")

    def _reply(self, answer: Answer, fault: Fault | None, now_ms: int) -> Reply:
        delay_ms = self.house.switches.ack_ms
        if fault is not None:
            if fault.what in ("silence", "disconnect"):
                return Reply(200, None, {}, delay_ms, abort=fault.what == "disconnect")
            if fault.what == "http":
                return Reply(fault.status, b"", {}, delay_ms)
            if fault.what == "delay":
                delay_ms += fault.delay_ms
            else:
                answer = pretended(fault, now_ms)
        return Reply(answer.http, write_rest(answer, now_ms), limit_headers(answer, now_ms), delay_ms)

    # --- time passes, things break ---

    def tick(self) -> None:
        """What happens without a request: dead connections' orders are cancelled, idle ones cut, restarts end."""
        now_ms, switches = self.now_ms(), self.house.switches
        windows = {account.uid: account.dcp for account in self.house.accounts.values() if account.dcp}
        for uid, product in self.dcp.due(windows, switches.dcp_silence_ms, now_ms):
            self.desk.cancel_every(self.house.accounts[uid], PRODUCTS[product][1], "CancelByDCP", now_ms)
        for session in [each for each in self.sessions if now_ms - each.heard_ms >= each.idle_ms]:
            session.cut("close")
        if self._cut_at_ms is not None and now_ms >= self._cut_at_ms:
            self._cut_at_ms = None
            self.state = "open"
            self.cut("", None, "going_away")
            for reset in self.on_restart:
                reset()

    def switch(self, switches: Switches) -> None:
        """Use other switches from now on."""
        self.house.switches = switches
        if self.addresses.scale != switches.address_scale:
            self.addresses = Addresses(switches.address_scale)

    def restart(self) -> None:
        """Refuse new requests for a while, then cut every connection; recent closed orders are forgotten."""
        self.restarts += 1
        self.state = "restarting"
        self._cut_at_ms = self.now_ms() + self.house.switches.restart_ms
        for account in self.house.accounts.values():
            account.records.restart()

    def maintain(self, *, on: bool) -> None:
        """Close the venue for maintenance, or open it again. Orders stay."""
        self.state = "maintenance" if on else "open"
        if on:
            self.cut("", None, "going_away")

    def cut(self, link: str, uid: int | None, how: Literal["close", "going_away", "abort"]) -> int:
        """End connections, of one kind and account or all; returns how many."""
        chosen = self._chosen(link, uid)
        for session in chosen:
            session.cut(how)
        return len(chosen)

    def revoke(self, key: str) -> bool:
        """Revoke an API key and end what was logged in with it; False if there is none."""
        known = self.keyring.remove(key)
        for session in [each for each in self.sessions if known and each.key == key]:
            session.cut("close")
        return known

    def mute(self, link: str, uid: int | None) -> int:
        """Make connections half-open: they stay, and say nothing more."""
        chosen = self._chosen(link, uid)
        for session in chosen:
            session.mute()
        return len(chosen)

    def _chosen(self, link: str, uid: int | None) -> list[Session]:
        return [each for each in self.sessions if link in ("", each.link) and uid in (None, each.uid)]


def _nothing_moves() -> None:
    """Markets that move by themselves need no push."""


def read_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object, or refuse."""
    try:
        found = read_json(body)
    except ValueError as error:
        raise bad_parameter("params error: the body is no JSON") from error
    if not isinstance(found, dict):
        raise bad_parameter("params error: the body is no JSON object")
    return found


def write_rest(answer: Answer, now_ms: int) -> bytes:
    """Write the envelope of a REST answer."""
    return msgspec.json.encode(
        {
            "retCode": answer.code,
            "retMsg": answer.message,
            "result": answer.result,
            "retExtInfo": answer.ext,
            "time": now_ms,
        }
    )


def limit_headers(answer: Answer, now_ms: int) -> dict[str, str]:
    """What an answer says beside its body: the limit, what is left of it, when it is whole again, and the time."""
    headers = {"Timenow": str(now_ms), "Traceid": f"{now_ms:032x}", "Ret_code": str(answer.code)}
    if answer.spent is not None:
        headers["X-Bapi-Limit"] = str(answer.spent.limit)
        headers["X-Bapi-Limit-Status"] = str(answer.spent.left)
        headers["X-Bapi-Limit-Reset-Timestamp"] = str(answer.spent.reset_ms)
    return headers


def pretended(fault: Fault, now_ms: int) -> Answer:
    """The answer that a fault gives instead of the true one; a limit is whole again in a second."""
    spent = Spent(10, 0, now_ms + 1000) if fault.code == 10006 else None
    return Answer(code=fault.code, message=fault.message, spent=spent)
