"""The order requests that REST and the trade socket share: permission, rate, one or many orders, and the answer.

A batch answers retCode 0 even when every leg failed: the legs' codes stand in `retExtInfo.list`, in the order of the
request. Legs beyond the rate limit are refused with it, the ones before are done.
Source: Bybit v5, "Batch Place Order" and "Websocket Trade Guideline".
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from mmbot.exchange.account import Account
from mmbot.exchange.auth import ApiKey, require_trading
from mmbot.exchange.desk import Desk, read_category
from mmbot.exchange.intake import Body
from mmbot.exchange.orders import Order
from mmbot.exchange.rates import Spent
from mmbot.exchange.refusals import RefusedError, bad_parameter, too_many_visits

__all__ = ["OPS", "Answer", "Entry", "refused"]

OPS = ("create", "amend", "cancel", "create-batch", "amend-batch", "cancel-batch")
_LEGS_MAX = {"linear": 20, "inverse": 20, "spot": 10}
Act: TypeAlias = Callable[[Account, Body], Order]


@dataclass(slots=True)
class Answer:
    """What the venue says to a request, before it is written for REST or the trade socket."""

    result: dict[str, Any] = field(default_factory=dict)
    ext: dict[str, Any] = field(default_factory=dict)
    spent: Spent | None = None
    code: int = 0
    message: str = "OK"
    http: int = 200


def refused(error: RefusedError, spent: Spent | None = None) -> Answer:
    """Write a refusal as an answer."""
    if error.reset_ms is not None:
        spent = Spent(error.limit, 0, error.reset_ms)
    return Answer(code=error.code, message=error.message, http=error.http, spent=spent)


class Entry:
    """Order entry of one venue."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._acts: dict[str, Act] = {"create": desk.create, "amend": desk.amend, "cancel": desk.cancel}

    def perform(self, op: str, account: Account, key: ApiKey, body: Body, now_ms: int) -> Answer:
        """Do one order request. `op` is one of `OPS`; refusals become answers."""
        spent: Spent | None = None
        try:
            category = read_category(body)
            require_trading(key, category)
            family = "spot" if category == "spot" else "derivatives"
            verb, _, batch = op.partition("-")
            legs = self._legs(category, body) if batch else [body]
            spent = account.rates.spend(f"order/{op}", family, now_ms, len(legs))
            if batch:
                return self._batch(verb, account, category, legs, spent)
            order = self._acts[verb](account, body)
        except RefusedError as error:
            return refused(error, spent)
        return Answer({"orderId": order.order_id, "orderLinkId": order.link_id}, spent=spent)

    def cancel_all(self, account: Account, key: ApiKey, body: Body, now_ms: int) -> Answer:
        """Cancel everything that the scope names."""
        spent: Spent | None = None
        try:
            category = read_category(body)
            require_trading(key, category)
            spent = account.rates.spend("order/cancel-all", "spot" if category == "spot" else "derivatives", now_ms)
            orders = self._desk.cancel_all(account, body)
        except RefusedError as error:
            return refused(error, spent)
        told = [{"orderId": order.order_id, "orderLinkId": order.link_id} for order in orders]
        return Answer({"list": told, "success": "1"}, spent=spent)

    @staticmethod
    def _legs(category: str, body: Body) -> list[Body]:
        legs = body.get("request")
        if not isinstance(legs, list) or not legs or not all(isinstance(leg, dict) for leg in legs):
            raise bad_parameter("params error: request is a list of orders")
        if len(legs) > _LEGS_MAX[category]:
            raise bad_parameter(f"params error: at most {_LEGS_MAX[category]} orders in a request")
        return [{**leg, "category": category} for leg in legs]

    def _batch(self, verb: str, account: Account, category: str, legs: list[Body], spent: Spent) -> Answer:
        act = self._acts[verb]
        told, codes = [], []
        for place, leg in enumerate(legs):
            row = {"category": category, "symbol": str(leg.get("symbol") or ""), "orderId": "", "orderLinkId": ""}
            code, message = 0, "OK"
            try:
                if place >= spent.granted:
                    raise too_many_visits(spent.limit, spent.reset_ms)
                order = act(account, leg)
                row |= {"orderId": order.order_id, "orderLinkId": order.link_id}
                if verb == "create":
                    row["createAt"] = str(order.created_ms)
            except RefusedError as error:
                code, message = error.code, error.message
            told.append(row)
            codes.append({"code": code, "msg": message})
        return Answer({"list": told}, {"list": codes}, spent)
