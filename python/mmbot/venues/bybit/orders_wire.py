"""Bybit v5 order entry and private streams: requests to bytes, bytes to facts, pure.

An acknowledgement says that a request was taken in; what became of the order comes on the private streams. Three
things of this wire are not believed: `leavesQty` (not zeroed on every way an order ends), the status word of a killed
post-only order (Cancelled for contracts, Rejected for spot: `rejectReason` decides), and the top-level code of a batch
(0 even if every leg failed).

Source: Bybit v5 documents, "Trade", "WebSocket trade guideline", "WebSocket stream: private", "Integration guidance".
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, TypeAlias

import msgspec

from mmbot.venues.bybit.codes import verdict
from mmbot.venues.bybit.wire import NS_PER_MS
from mmbot.venues.port import (
    Acked,
    AmendOrder,
    CancelOrder,
    Credentials,
    ExecutionSeen,
    Fact,
    OrderRequest,
    OrderSeen,
    OrderStatus,
    PlaceOrder,
    PositionSeen,
    Reason,
    Refused,
    RequestKind,
    Side,
    Unanswered,
    WalletSeen,
    kind_of,
)
from mmbot.venues.records import UNREADABLE, WireError

__all__ = [
    "BATCH_LEGS_MAX",
    "Answer",
    "Reply",
    "TradeAnswer",
    "answer_facts",
    "auth_frame",
    "body",
    "decode_answer",
    "decode_executions",
    "decode_orders",
    "decode_positions",
    "decode_private",
    "decode_reply",
    "decode_trade",
    "decode_wallet",
    "path",
    "sign",
    "trade_frame",
]

BATCH_LEGS_MAX = {"linear": 20, "inverse": 20, "spot": 10}
"""Orders in one batch request."""

_DECIMAL = r"^(-?[0-9]+(\.[0-9]+)?)?\Z"
Number: TypeAlias = Annotated[str, msgspec.Meta(pattern=_DECIMAL)]
Millis: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{0,16}\Z")]

_SIDES: dict[Side, Literal["Buy", "Sell"]] = {"buy": "Buy", "sell": "Sell"}
_TIF = {"gtc": "GTC", "ioc": "IOC", "fok": "FOK"}
_WORDS: dict[RequestKind, str] = {"place": "create", "amend": "amend", "cancel": "cancel"}


# ------------------------------------------------------------------------------------------------- what we say


class _Leg(msgspec.Struct, gc=False):
    """One order of a request body. What does not belong to the request is left out."""

    category: str | msgspec.UnsetType
    symbol: str
    orderLinkId: str | msgspec.UnsetType  # noqa: N815 (the venue's spelling)
    orderId: str | msgspec.UnsetType = msgspec.UNSET  # noqa: N815
    side: str | msgspec.UnsetType = msgspec.UNSET
    orderType: str | msgspec.UnsetType = msgspec.UNSET  # noqa: N815
    qty: str | msgspec.UnsetType = msgspec.UNSET
    price: str | msgspec.UnsetType = msgspec.UNSET
    timeInForce: str | msgspec.UnsetType = msgspec.UNSET  # noqa: N815
    positionIdx: int | msgspec.UnsetType = msgspec.UNSET  # noqa: N815
    reduceOnly: bool | msgspec.UnsetType = msgspec.UNSET  # noqa: N815
    smpType: str | msgspec.UnsetType = msgspec.UNSET  # noqa: N815


class _Batch(msgspec.Struct, gc=False):
    category: str
    request: list[_Leg]


class _TradeFrame(msgspec.Struct, gc=False):
    reqId: str  # noqa: N815
    header: dict[str, str]
    op: str
    args: tuple[_Leg | _Batch]


_ENCODER = msgspec.json.Encoder()


def sign(credentials: Credentials, payload: bytes) -> str:
    """HMAC-SHA256 over these exact bytes, in hex."""
    return hmac.digest(credentials.secret.get_secret_value().encode(), payload, hashlib.sha256).hex()


def auth_frame(credentials: Credentials, expires_ms: int) -> bytes:
    """Login of a private or trade socket, good until `expires_ms` of the venue's clock."""
    signature = sign(credentials, b"GET/realtime%d" % expires_ms)
    return _ENCODER.encode({"req_id": "auth", "op": "auth", "args": [credentials.key, expires_ms, signature]})


def path(kind: RequestKind, *, batch: bool) -> str:
    """REST path that takes such requests."""
    return f"/v5/order/{_WORDS[kind]}{'-batch' if batch else ''}"


def _leg(request: OrderRequest, category: str | msgspec.UnsetType) -> _Leg:
    match request:
        case PlaceOrder():
            return _Leg(
                category=category,
                symbol=request.symbol,
                orderLinkId=request.client_id,
                side=_SIDES[request.side],
                orderType="Limit",
                qty=request.qty,
                price=request.price,
                timeInForce="PostOnly" if request.post_only else _TIF[request.tif],
                positionIdx=msgspec.UNSET if request.category == "spot" else 0,
                # Spot has no such word: an order that says it is taken as any other.
                reduceOnly=True if request.reduce_only and request.category != "spot" else msgspec.UNSET,
                smpType="CancelTaker",  # decided by the later order; the earlier one keeps its place in the queue
            )
        case AmendOrder():
            return _Leg(
                category=category,
                symbol=request.symbol,
                orderLinkId=request.client_id,
                qty=msgspec.UNSET if request.qty is None else request.qty,
                price=msgspec.UNSET if request.price is None else request.price,
            )
        case CancelOrder():
            return _Leg(
                category=category,
                symbol=request.symbol,
                orderLinkId=request.client_id or msgspec.UNSET,
                orderId=msgspec.UNSET if request.client_id else request.venue_id,
            )


def _argument(requests: Sequence[OrderRequest]) -> _Leg | _Batch:
    category = requests[0].category
    if len(requests) == 1:
        return _leg(requests[0], category)
    return _Batch(category, [_leg(request, msgspec.UNSET) for request in requests])


def body(requests: Sequence[OrderRequest]) -> bytes:
    """REST body of one request, or of a batch of the same kind and category."""
    return _ENCODER.encode(_argument(requests))


def trade_frame(requests: Sequence[OrderRequest], request_id: str, timestamp_ms: int, recv_window_ms: int) -> bytes:
    """Trade socket frame of one request, or of a batch of the same kind and category."""
    word = _WORDS[kind_of(requests[0])]
    return _ENCODER.encode(
        _TradeFrame(
            request_id,
            {"X-BAPI-TIMESTAMP": str(timestamp_ms), "X-BAPI-RECV-WINDOW": str(recv_window_ms)},
            f"order.{word}" if len(requests) == 1 else f"order.{word}-batch",
            (_argument(requests),),
        )
    )


# ------------------------------------------------------------------------------------------- what is answered


class Reply(msgspec.Struct, frozen=True, gc=False):
    """Answer to login, subscription or ping."""

    op: str
    ok: bool
    code: int
    message: str
    request_id: str


class Answer(msgspec.Struct, frozen=True):
    """A REST answer. `time` is the venue's clock, ns since epoch; 0 where it does not say."""

    code: int
    message: str
    result: bytes
    legs: tuple[tuple[int, str], ...]
    time: int


class TradeAnswer(msgspec.Struct, frozen=True):
    """Answer of the trade socket to an order request, with what its header says about our rate limit."""

    request_id: str
    op: str
    answer: Answer
    limit: int | None
    remaining: int | None
    reset_ms: int | None


class _LegCode(msgspec.Struct):
    code: int = 0
    msg: str = ""


class _LegCodes(msgspec.Struct):
    legs: list[_LegCode] | None = msgspec.field(name="list", default=None)


class _RestAnswer(msgspec.Struct):
    retCode: int  # noqa: N815
    retMsg: str = ""  # noqa: N815
    result: msgspec.Raw = msgspec.Raw(b"{}")
    retExtInfo: _LegCodes | None = None  # noqa: N815
    time: int = 0


class _SocketAnswer(msgspec.Struct):
    retCode: int | None = None  # noqa: N815
    retMsg: str = ""  # noqa: N815
    reqId: str = ""  # noqa: N815
    op: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")
    retExtInfo: _LegCodes | None = None  # noqa: N815
    header: dict[str, str | int] | None = None
    success: bool | None = None
    ret_msg: str = ""
    req_id: str | int = ""


class _Named(msgspec.Struct, gc=False):
    orderId: str = ""  # noqa: N815
    orderLinkId: str = ""  # noqa: N815


class _NamedList(msgspec.Struct):
    list: list[_Named]


_REST_ANSWER = msgspec.json.Decoder(_RestAnswer)
_SOCKET_ANSWER = msgspec.json.Decoder(_SocketAnswer)
_NAMED = msgspec.json.Decoder(_Named)
_NAMED_LIST = msgspec.json.Decoder(_NamedList)


def _legs(said: _LegCodes | None) -> tuple[tuple[int, str], ...]:
    return tuple((leg.code, leg.msg) for leg in (said.legs or ())) if said is not None else ()


def decode_answer(raw: bytes) -> Answer:
    """A REST answer. Raises WireError."""
    try:
        said = _REST_ANSWER.decode(raw)
    except UNREADABLE as error:
        raise WireError(f"Bybit answer: {error}") from error
    return Answer(said.retCode, said.retMsg, bytes(said.result), _legs(said.retExtInfo), said.time * NS_PER_MS)


def _reply(said: _SocketAnswer) -> Reply:
    code = said.retCode or 0
    ok = code == 0 and said.success is not False
    return Reply(said.op, ok, code, said.retMsg or said.ret_msg, said.reqId or str(said.req_id))


def decode_reply(frame: bytes) -> Reply:
    """The answer to a login, subscription or ping of any socket. Raises WireError."""
    try:
        return _reply(_SOCKET_ANSWER.decode(frame))
    except UNREADABLE as error:
        raise WireError(f"Bybit reply: {error}") from error


def _whole(said: str | int | None) -> int | None:
    text = str(said)
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 16 else None


def decode_trade(frame: bytes) -> TradeAnswer | Reply:
    """One frame of the trade socket: the answer to an order request, or to login and ping. Raises WireError."""
    try:
        said = _SOCKET_ANSWER.decode(frame)
    except UNREADABLE as error:
        raise WireError(f"Bybit trade socket: {error}") from error
    if not said.op.startswith("order."):
        return _reply(said)
    if said.retCode is None:
        raise WireError(f"Bybit trade socket: {said.op} without retCode")
    header = said.header or {}
    time = (_whole(header.get("Timenow")) or 0) * NS_PER_MS
    return TradeAnswer(
        request_id=said.reqId,
        op=said.op,
        answer=Answer(said.retCode, said.retMsg, bytes(said.data), _legs(said.retExtInfo), time),
        limit=_whole(header.get("X-Bapi-Limit")),
        remaining=_whole(header.get("X-Bapi-Limit-Status")),
        reset_ms=_whole(header.get("X-Bapi-Limit-Reset-Timestamp")),
    )


def answer_facts(requests: Sequence[OrderRequest], answer: Answer) -> list[Fact]:
    """What an answer says about each of its requests: exactly one fact for each, in their order."""
    if answer.code != 0:
        return [_failed(request, answer.code, answer.message, answer.time) for request in requests]
    try:
        if len(requests) == 1:
            return [_taken(requests[0], _NAMED.decode(answer.result), answer.time)]
        named = _NAMED_LIST.decode(answer.result).list
    except UNREADABLE as error:
        return [_unanswered(request, f"the venue's answer can not be read: {error}") for request in requests]
    if not len(named) == len(answer.legs) == len(requests):
        why = f"{len(requests)} requests, but {len(named)} names and {len(answer.legs)} codes in the answer"
        return [_unanswered(request, why) for request in requests]
    return [
        _taken(request, name, answer.time) if code == 0 else _failed(request, code, message, answer.time)
        for request, name, (code, message) in zip(requests, named, answer.legs, strict=True)
    ]


def _taken(request: OrderRequest, named: _Named, time: int) -> Fact:
    return Acked(client_id=request.client_id, venue_id=named.orderId, request=kind_of(request), ts_venue=time)


def _unanswered(request: OrderRequest, why: str, reason: Reason = "") -> Unanswered:
    return Unanswered(client_id=request.client_id, request=kind_of(request), why=why, reason=reason)


def _failed(request: OrderRequest, code: int, message: str, time: int) -> Fact:
    said = verdict(code)
    if said.kind == "refused":
        return Refused(
            client_id=request.client_id,
            request=kind_of(request),
            reason=said.reason,
            code=code,
            message=message,
            ts_venue=time,
        )
    if said.kind == "exists":
        return _unanswered(request, f"{code} {message}: the venue knows this client id already; what became of it?")
    return _unanswered(request, f"{code} {message}: the request may have had an effect", said.reason)


# --------------------------------------------------------------------------------------------- what is told


class _Order(msgspec.Struct, gc=False):
    orderId: str  # noqa: N815
    symbol: str
    side: Literal["Buy", "Sell", ""]
    orderStatus: str  # noqa: N815
    qty: Number
    price: Number = ""
    cumExecQty: Number = ""  # noqa: N815
    orderLinkId: str = ""  # noqa: N815
    category: str = ""
    rejectReason: str = ""  # noqa: N815
    cancelType: str = ""  # noqa: N815
    updatedTime: Millis = ""  # noqa: N815


class _Execution(msgspec.Struct, gc=False):
    execId: str  # noqa: N815
    symbol: str
    side: Literal["Buy", "Sell", ""]
    execPrice: Number  # noqa: N815
    execQty: Number  # noqa: N815
    execTime: Millis  # noqa: N815
    orderId: str = ""  # noqa: N815
    orderLinkId: str = ""  # noqa: N815
    category: str = ""
    execType: str = "Trade"  # noqa: N815 (the fast stream tells trades only)
    execFee: Number = ""  # noqa: N815
    feeCurrency: str = ""  # noqa: N815
    isMaker: bool = False  # noqa: N815


class _Position(msgspec.Struct, gc=False):
    symbol: str
    side: Literal["Buy", "Sell", "None", ""]
    size: Number
    entryPrice: Number = ""  # noqa: N815
    avgPrice: Number = ""  # noqa: N815
    category: str = ""
    positionIdx: int = 0  # noqa: N815
    updatedTime: Millis = ""  # noqa: N815


class _Coin(msgspec.Struct, gc=False):
    coin: str
    walletBalance: Number = ""  # noqa: N815
    equity: Number = ""


class _Wallet(msgspec.Struct):
    coin: list[_Coin]
    totalMarginBalance: Number = ""  # noqa: N815
    totalInitialMargin: Number = ""  # noqa: N815


class _OrderPage(msgspec.Struct):
    list: list[_Order]
    nextPageCursor: str = ""  # noqa: N815


class _ExecutionPage(msgspec.Struct):
    list: list[_Execution]
    nextPageCursor: str = ""  # noqa: N815


class _PositionPage(msgspec.Struct):
    list: list[_Position]


class _WalletPage(msgspec.Struct):
    list: list[_Wallet]


class _PrivateEnvelope(msgspec.Struct):
    topic: str | None = None
    creationTime: int = 0  # noqa: N815
    data: msgspec.Raw = msgspec.Raw(b"[]")


_PRIVATE = msgspec.json.Decoder(_PrivateEnvelope)
_ORDERS = msgspec.json.Decoder(list[_Order])
_EXECUTIONS = msgspec.json.Decoder(list[_Execution])
_POSITIONS = msgspec.json.Decoder(list[_Position])
_WALLETS = msgspec.json.Decoder(list[_Wallet])
_ORDER_PAGE = msgspec.json.Decoder(_OrderPage)
_EXECUTION_PAGE = msgspec.json.Decoder(_ExecutionPage)
_POSITION_PAGE = msgspec.json.Decoder(_PositionPage)
_WALLET_PAGE = msgspec.json.Decoder(_WalletPage)

_STATUS: dict[str, OrderStatus] = {
    "Filled": "filled",
    "Cancelled": "canceled",
    "PartiallyFilledCanceled": "canceled",  # spot: cancelled after fills
    "Deactivated": "canceled",
    "Rejected": "rejected",
}
"""How an order ends. Every other word (New, PartiallyFilled, Untriggered, one not yet invented) is an open order."""

_REJECT_REASONS: dict[str, Reason] = {
    "EC_PostOnlyWillTakeLiquidity": "post_only",
    "EC_NoEnoughQtyToFill": "not_fillable",
    "EC_NoImmediateQtyToFill": "not_fillable",
    "EC_CancelForNoFullFill": "not_fillable",
    "EC_PerCancelRequest": "requested",
    "EC_BySelfMatch": "self_trade",
    "EC_LimitOrderInvalidPrice": "invalid",
    "EC_QtyCannotBeZero": "invalid",
    "EC_CancelByOrderValueZero": "invalid",
    "EC_ReachRiskPriceLimit": "price_band",
    "EC_ReachMarketPriceLimit": "price_band",
    "EC_InvalidSymbolStatus": "no_market",
    "EC_DuplicatedClOrdID": "duplicate",
    "EC_Others": "other",
}
_CANCEL_TYPES: dict[str, Reason] = {
    "CancelByUser": "requested",
    "CancelByReduceOnly": "reduce_only",
    "CancelBySmp": "self_trade",
    "CancelByDCP": "disconnected",
    "CancelByPrepareLiq": "liquidation",
    "CancelAllBeforeLiq": "liquidation",
    "CancelByPrepareAdl": "liquidation",
    "CancelAllBeforeAdl": "liquidation",
}
_EXECUTION_KINDS: dict[
    str, Literal["trade", "funding", "liquidation", "deleverage", "delivery", "block", "transfer", "other"]
] = {
    "Trade": "trade",
    "Funding": "funding",
    "BustTrade": "liquidation",
    "AdlTrade": "deleverage",
    "Delivery": "delivery",
    "Settle": "delivery",
    "BlockTrade": "block",
    "FutureSpread": "block",
    "MovePosition": "transfer",
}


def _ns(millis: str, otherwise: int = 0) -> int:
    return int(millis) * NS_PER_MS if millis else otherwise


def _nothing(number: str) -> bool:
    return not number.strip("-0.")


def _order(said: _Order, category: str, time: int) -> OrderSeen:
    cum = said.cumExecQty or "0"
    status = _STATUS.get(said.orderStatus, "live" if _nothing(cum) else "partial")
    reason: Reason = ""
    if status in ("canceled", "rejected"):
        reason = _REJECT_REASONS.get(said.rejectReason) or _CANCEL_TYPES.get(said.cancelType, "")
        if reason == "post_only":
            status = "rejected" if _nothing(cum) else "canceled"
    return OrderSeen(
        client_id=said.orderLinkId,
        venue_id=said.orderId,
        category=said.category or category,
        symbol=said.symbol,
        side="sell" if said.side == "Sell" else "buy",
        status=status,
        cum=cum,
        price=said.price or "0",
        qty=said.qty or "0",
        reason=reason,
        ts_venue=_ns(said.updatedTime, time),
    )


def _execution(said: _Execution, category: str, settle: Mapping[tuple[str, str], str]) -> ExecutionSeen:
    category = said.category or category
    return ExecutionSeen(
        client_id=said.orderLinkId,
        venue_id=said.orderId,
        execution_id=said.execId,
        category=category,
        symbol=said.symbol,
        kind=_EXECUTION_KINDS.get(said.execType, "other"),
        side="sell" if said.side == "Sell" else "buy",
        price=said.execPrice or "0",
        qty=said.execQty or "0",
        maker=said.isMaker,
        fee=said.execFee,
        fee_currency=said.feeCurrency or ("" if category == "spot" else settle.get((category, said.symbol), "")),
        ts_venue=_ns(said.execTime),
    )


def _position(said: _Position, category: str, time: int) -> PositionSeen:
    flat = _nothing(said.size)
    return PositionSeen(
        category=said.category or category,
        symbol=said.symbol,
        qty="0" if flat else f"-{said.size.lstrip('-')}" if said.side == "Sell" else said.size,
        entry_price="0" if flat else said.entryPrice or said.avgPrice or "0",
        ts_venue=_ns(said.updatedTime, time),
    )


def _coins(wallets: Sequence[_Wallet], time: int) -> list[WalletSeen]:
    return [
        WalletSeen(
            coin=said.coin,
            balance=said.walletBalance or "0",
            equity=said.equity or "0",
            ts_venue=time,
            margin=wallet.totalMarginBalance or None,
            margin_used=wallet.totalInitialMargin or None,
        )
        for wallet in wallets
        for said in wallet.coin
    ]


def decode_private(frame: bytes, settle: Mapping[tuple[str, str], str]) -> list[Fact] | Reply:
    """Facts of one frame of the private socket, in its order; or the answer to login, subscription and ping.

    `settle` names the coin that fees of (category, symbol) are paid in, which contracts' executions leave out.
    An execution of the fast stream has no fee yet: its `fee` is "", and the full one follows.

    Raises:
        WireError: The frame is not JSON, or lacks a documented field, or has it with another type.
    """
    try:
        envelope = _PRIVATE.decode(frame)
        if envelope.topic is None:
            return _reply(_SOCKET_ANSWER.decode(frame))
        time = envelope.creationTime * NS_PER_MS
        match envelope.topic.partition(".")[0]:
            case "order":
                return [_order(said, "", time) for said in _ORDERS.decode(envelope.data)]
            case "execution":
                return [_execution(said, "", settle) for said in _EXECUTIONS.decode(envelope.data)]
            case "position":
                return [_position(said, "", time) for said in _POSITIONS.decode(envelope.data)]
            case "wallet":
                return list(_coins(_WALLETS.decode(envelope.data), time))
            case _:
                return []
    except UNREADABLE as error:
        raise WireError(f"Bybit private frame: {error}") from error


def decode_orders(result: bytes, category: str) -> tuple[list[OrderSeen], str]:
    """One page of orders and the cursor of the next ("" at the end). Raises WireError."""
    try:
        page = _ORDER_PAGE.decode(result)
    except UNREADABLE as error:
        raise WireError(f"Bybit orders: {error}") from error
    return [_order(said, category, 0) for said in page.list], page.nextPageCursor


def decode_executions(
    result: bytes, category: str, settle: Mapping[tuple[str, str], str]
) -> tuple[list[ExecutionSeen], str]:
    """One page of executions and the cursor of the next ("" at the end). Raises WireError."""
    try:
        page = _EXECUTION_PAGE.decode(result)
    except UNREADABLE as error:
        raise WireError(f"Bybit executions: {error}") from error
    return [_execution(said, category, settle) for said in page.list], page.nextPageCursor


def decode_positions(result: bytes, category: str) -> tuple[list[PositionSeen], bool]:
    """Positions, and whether any is one leg of a hedge-mode pair. Raises WireError."""
    try:
        page = _POSITION_PAGE.decode(result)
    except UNREADABLE as error:
        raise WireError(f"Bybit positions: {error}") from error
    return [_position(said, category, 0) for said in page.list], any(said.positionIdx != 0 for said in page.list)


def decode_wallet(result: bytes, time: int) -> list[WalletSeen]:
    """Every coin of the account, as of `time`. Raises WireError."""
    try:
        return _coins(_WALLET_PAGE.decode(result).list, time)
    except UNREADABLE as error:
        raise WireError(f"Bybit wallet: {error}") from error
