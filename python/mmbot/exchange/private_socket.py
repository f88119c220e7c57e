"""What is said on `/v5/private`: auth, topics, pings, and the rows of the account.

Frames are handled in order, so a client may send its subscription right behind its auth. A topic is either a whole
kind ("order") or one category of it ("order.linear"); one request may not mix the two, and what is pushed names the
form that was subscribed. There is no snapshot on subscribing.
Source: Bybit v5, "Connect" and the private streams.
"""

import itertools
from typing import Any

import msgspec

from mmbot.exchange.account import Kind
from mmbot.exchange.client_text import read_json
from mmbot.exchange.conversation import Conversation
from mmbot.exchange.dcp import PRODUCTS
from mmbot.exchange.desk import CATEGORIES
from mmbot.exchange.gateway import Gateway
from mmbot.exchange.line import Line
from mmbot.exchange.refusals import RefusedError

__all__ = ["PrivateSocket"]

_KINDS: tuple[Kind, ...] = ("execution.fast", "execution", "order", "position", "wallet")
_DCP = {topic: product for product, (topic, _) in PRODUCTS.items()}
_SILENT = {"greeks", "dcp.option", *(f"{kind}.option" for kind in _KINDS if kind != "wallet")}
"""Topics that exist and never say anything here."""
_numbers = itertools.count(1)


class PrivateSocket(Conversation):
    """One private connection."""

    link = "private"

    def __init__(self, gateway: Gateway, line: Line, connection: str, address: str, idle_ms: int) -> None:
        super().__init__(gateway, line, connection, address, idle_ms)
        self._topics: set[str] = set()

    def heard(self, raw: str | bytes) -> None:
        """Act on one frame of the client."""
        self.heard_ms = self._gateway.now_ms()
        if self.uid is not None:
            self._gateway.dcp.heard(self.uid, self, self.heard_ms)
        try:
            frame = read_json(raw)
        except ValueError:
            frame = None
        if not isinstance(frame, dict):
            self._answer({}, "", success=False, said="Params Error")
            return
        op = str(frame.get("op") or "")
        match op:
            case "ping":
                self._pong(frame)
            case "auth":
                self._auth(frame)
            case "subscribe" | "unsubscribe":
                self._subscribe(frame, op)
            case _:
                self._answer(frame, op, success=False, said=f"error:handler not found,op:{op}")

    def pinged(self) -> None:
        """A ping of the WebSocket protocol came: that is a word too, also for the dead man's switch."""
        super().pinged()
        if self.uid is not None:
            self._gateway.dcp.heard(self.uid, self, self.heard_ms)

    def gone(self) -> None:
        """The connection is closed: nobody listens, and the dead man's switch may fall."""
        super().gone()
        gateway = self._gateway
        if self.uid is not None:
            gateway.house.accounts[self.uid].unlisten(self)
            gateway.dcp.lost(self.uid, self, gateway.now_ms())

    def push(self, kind: Kind, topic: str, rows: list[dict[str, Any]]) -> None:
        """Send rows of the account."""
        switches = self._gateway.house.switches
        delay_ms: float = getattr(switches, _DELAYS[kind])
        for told in [rows] if switches.group_rows else [[row] for row in rows]:
            message: dict[str, Any] = {"topic": topic, "creationTime": self._gateway.now_ms(), "data": told}
            if kind != "execution.fast":
                message = {"id": f"{self._connection}_{next(_numbers)}", **message}
            self._line.send(msgspec.json.encode(message), delay_ms, f"private:{topic}")

    def _auth(self, frame: dict[str, Any]) -> None:
        gateway = self._gateway
        try:
            key = gateway.keyring.admit_socket(frame.get("args"), gateway.now_ms(), self._address)
        except RefusedError as error:
            self._answer(frame, "auth", success=False, said=error.message)
            self._line.cut("close", gateway.house.switches.ack_ms)
            return
        self.uid, self.key = key.uid, key.key
        self._line.uid = self.uid
        self._answer(frame, "auth")

    def _subscribe(self, frame: dict[str, Any], op: str) -> None:
        if self.uid is None:
            self._answer(frame, op, success=False, said="Request not authorized")
            return
        topics = frame.get("args")
        if not isinstance(topics, list) or not all(isinstance(topic, str) for topic in topics):
            self._answer(frame, op, success=False, said="Params Error")
            return
        read = {topic: _read_topic(topic) for topic in topics}
        wrong = _wrong_topics(read)
        if wrong:
            self._answer(frame, op, success=False, said=wrong)
            return
        for topic, found in read.items():
            self._set_topic(topic, found, on=op == "subscribe")
        self._answer(frame, op)

    def _set_topic(self, topic: str, found: tuple[Kind, tuple[str, ...]] | None, *, on: bool) -> None:
        gateway, uid = self._gateway, self.uid or 0
        account = gateway.house.accounts[uid]
        if on and topic not in self._topics:
            self._topics.add(topic)
            if found is not None:
                account.listen(found[0], found[1], self, topic)
            elif topic in _DCP:
                gateway.dcp.watch(uid, _DCP[topic], self, gateway.now_ms())
        elif not on and topic in self._topics:
            self._topics.discard(topic)
            account.unlisten(self, topic)

    def _pong(self, frame: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"req_id": frame["req_id"]} if "req_id" in frame else {}
        answer |= {"op": "pong", "args": [str(self._gateway.now_ms())], "conn_id": self._connection}
        self._line.send(msgspec.json.encode(answer), self._gateway.house.switches.ack_ms, "private:pong")

    def _answer(self, frame: dict[str, Any], op: str, *, success: bool = True, said: str = "") -> None:
        answer: dict[str, Any] = {"success": success, "ret_msg": said, "op": op, "conn_id": self._connection}
        if "req_id" in frame:
            answer["req_id"] = frame["req_id"]
        self._line.send(msgspec.json.encode(answer), self._gateway.house.switches.ack_ms, f"private:ack.{op}")


_DELAYS: dict[Kind, str] = {
    "order": "order_ms",
    "execution": "execution_ms",
    "execution.fast": "fast_ms",
    "position": "position_ms",
    "wallet": "wallet_ms",
}


def _read_topic(topic: str) -> tuple[Kind, tuple[str, ...]] | None:
    """Read a topic into its kind and categories; None where it is none that carries rows."""
    for kind in _KINDS:
        if topic == kind:
            return kind, ("",) if kind == "wallet" else CATEGORIES
        if topic.startswith(f"{kind}.") and topic.removeprefix(f"{kind}.") in CATEGORIES and kind != "wallet":
            return kind, (topic.removeprefix(f"{kind}."),)
    return None


def _wrong_topics(read: dict[str, tuple[Kind, tuple[str, ...]] | None]) -> str:
    """What is wrong with the topics of one request; "" where nothing is."""
    forms = set()
    for topic, found in read.items():
        if found is None:
            if topic not in _DCP and topic not in _SILENT:
                return f"error:handler not found,topic:{topic}"
        elif found[0] != "wallet":
            forms.add(len(found[1]) > 1)
    return "error:all-in-one and categorised topics in one request" if len(forms) > 1 else ""
