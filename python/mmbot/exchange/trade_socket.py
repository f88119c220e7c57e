"""What is said on `/v5/trade`: auth once, then order requests, each with a timestamp of its own and no signature.

`X-BAPI-TIMESTAMP` may be a number or text. A `reqId` is up to 36 characters and may be used once on a connection (the
last ten thousand are remembered); without one the answer has none. Answers say only that a request was taken.
Source: Bybit v5, "Websocket Trade Guideline".
"""

from collections import OrderedDict
from typing import Any

import msgspec

from mmbot.exchange.auth import RECV_WINDOW_MS, ApiKey, check_window, whole
from mmbot.exchange.client_text import read_json
from mmbot.exchange.conversation import Conversation
from mmbot.exchange.entry import OPS, Answer, refused
from mmbot.exchange.faults import Fault
from mmbot.exchange.gateway import Gateway, limit_headers, pretended
from mmbot.exchange.line import Line
from mmbot.exchange.refusals import RefusedError

__all__ = ["TradeSocket"]

_OPS = {f"order.{op}": op for op in OPS}
REQUEST_IDS_MAX = 10_000


class TradeSocket(Conversation):
    """One trade connection."""

    link = "trade"

    def __init__(self, gateway: Gateway, line: Line, connection: str, address: str, idle_ms: int) -> None:
        super().__init__(gateway, line, connection, address, idle_ms)
        self._key: ApiKey | None = None
        self._request_ids: OrderedDict[str, None] = OrderedDict()

    def heard(self, raw: str | bytes) -> None:
        """Act on one frame of the client."""
        now_ms = self.heard_ms = self._gateway.now_ms()
        try:
            frame = read_json(raw)
        except ValueError:
            frame = None
        if not isinstance(frame, dict):
            self._say({}, "", Answer(code=10001, message="Params Error"), now_ms)
            return
        op = str(frame.get("op") or "")
        if op in _OPS:
            self._request(frame, op, now_ms)
        elif op == "ping":
            self._pong(frame, now_ms)
        elif op == "auth":
            self._auth(frame, now_ms)
        else:
            self._say(frame, op, Answer(code=10404, message="op type is not found"), now_ms)

    def _request(self, frame: dict[str, Any], op: str, now_ms: int) -> None:
        fault = self._gateway.faults.strike(f"trade:{op}", self.uid)
        if fault is None or fault.executed or fault.what == "delay":
            answer = self._perform(frame, op, now_ms)
        else:
            answer = Answer()
        if fault is None:
            self._say(frame, op, answer, now_ms)
        else:
            self._strike(frame, op, answer, fault, now_ms)

    def _perform(self, frame: dict[str, Any], op: str, now_ms: int) -> Answer:
        gateway, key = self._gateway, self._key
        try:
            if key is None:
                raise RefusedError(20002, "Request not authorized")
            if gateway.state == "restarting":
                raise RefusedError(10019, "Trade service is restarting, please reconnect")
            gateway.addresses.trade(self._address, now_ms)
            self._use_request_id(frame)
            self._check_header(frame.get("header"), now_ms)
            args = frame.get("args")
            if not isinstance(args, list) or len(args) != 1 or not isinstance(args[0], dict):
                raise RefusedError(10001, "params error: args holds exactly one object")
        except RefusedError as error:
            return refused(error)
        gateway.catch_up()
        return gateway.entry.perform(_OPS[op], gateway.house.accounts[key.uid], key, args[0], now_ms)

    def _use_request_id(self, frame: dict[str, Any]) -> None:
        request_id = frame.get("reqId")
        if request_id is None:
            return
        if not isinstance(request_id, str) or len(request_id) > 36:
            raise RefusedError(10001, "params error: reqId is text of at most 36 characters")
        if request_id in self._request_ids:
            raise RefusedError(20006, "duplicate reqId")
        self._request_ids[request_id] = None
        if len(self._request_ids) > REQUEST_IDS_MAX:
            self._request_ids.popitem(last=False)

    @staticmethod
    def _check_header(header: object, now_ms: int) -> None:
        if not isinstance(header, dict) or "X-BAPI-TIMESTAMP" not in header:
            raise RefusedError(10001, "params error: header X-BAPI-TIMESTAMP is missing")
        window = header.get("X-BAPI-RECV-WINDOW", RECV_WINDOW_MS)
        check_window(whole(header["X-BAPI-TIMESTAMP"], "X-BAPI-TIMESTAMP"), whole(window, "recv_window"), now_ms)

    def _strike(self, frame: dict[str, Any], op: str, answer: Answer, fault: Fault, now_ms: int) -> None:
        match fault.what:
            case "silence":
                return
            case "disconnect":
                self._line.cut(fault.how)
            case "delay":
                self._say(frame, op, answer, now_ms, fault.delay_ms)
            case "http":
                self._say(frame, op, Answer(code=10429, message="System level frequency protection"), now_ms)
            case _:
                self._say(frame, op, pretended(fault, now_ms), now_ms)

    def _auth(self, frame: dict[str, Any], now_ms: int) -> None:
        answer: dict[str, Any] = {"retCode": 0, "retMsg": "OK", "op": "auth", "connId": self._connection}
        if "reqId" in frame:
            answer = {"reqId": frame["reqId"], **answer}
        if self._key is not None:
            answer |= {"retCode": 20001, "retMsg": "Repeat auth"}
        else:
            try:
                self._key = self._gateway.keyring.admit_socket(frame.get("args"), now_ms, self._address)
                self.uid, self.key = self._key.uid, self._key.key
                self._line.uid = self.uid
            except RefusedError as error:
                answer |= {"retCode": error.code, "retMsg": error.message}
        self._line.send(msgspec.json.encode(answer), self._gateway.house.switches.ack_ms)

    def _pong(self, frame: dict[str, Any], now_ms: int) -> None:
        answer = {"retCode": 0, "retMsg": "OK", "op": "pong", "data": [str(now_ms)], "connId": self._connection}
        if "reqId" in frame:
            answer = {"reqId": frame["reqId"], **answer}
        self._line.send(msgspec.json.encode(answer), self._gateway.house.switches.ack_ms)

    def _say(self, frame: dict[str, Any], op: str, answer: Answer, now_ms: int, later_ms: float = 0.0) -> None:
        said = {
            "retCode": answer.code,
            "retMsg": answer.message,
            "op": op,
            "data": answer.result,
            "retExtInfo": answer.ext,
            "header": limit_headers(answer, now_ms),
            "connId": self._connection,
        }
        if "reqId" in frame:
            said = {"reqId": frame["reqId"], **said}
        self._line.send(msgspec.json.encode(said), self._gateway.house.switches.ack_ms + later_ms)
