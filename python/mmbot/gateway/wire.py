"""The gateway's protocol: typed messages of msgpack, each after its length, over a socket of this machine.

    engine ─▶ gateway     Hello, then Send · Ask
    gateway ─▶ engine     Welcome or Turned, then Told · Linked · Answered · Failed

There is no message by which a limit is changed, and none that carries a key or a secret either way: nobody who speaks
this protocol perfectly can get one. What does not decode ends the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import msgspec

from mmbot.venues.port import (
    Acked,
    AmendOrder,
    Attestation,
    CancelOrder,
    CancelPath,
    ExecutionSeen,
    FeeRates,
    InstrumentTerms,
    LinkEvent,
    Looked,
    OrderSeen,
    Overasked,
    PlaceOrder,
    PositionSeen,
    Posting,
    Refused,
    TermsChanged,
    Unanswered,
    WalletSeen,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mmbot.venues.port import Fact, OrderRequest

__all__ = [
    "CANCELLING",
    "VERSION",
    "Answered",
    "Ask",
    "Failed",
    "FrameBuffer",
    "FromEngine",
    "FromGateway",
    "GatewayWireError",
    "Hello",
    "Linked",
    "Question",
    "Role",
    "Send",
    "Told",
    "Turned",
    "Welcome",
    "decode_from_engine",
    "decode_from_gateway",
    "encode",
    "facts_of",
    "pack",
    "requests_of",
    "result_of",
    "tag",
]

VERSION = 1
"""Of the protocol; both sides must speak the same."""
ENGINE_BYTES_MAX = 1 << 18
"""Largest message to the gateway: some thousand requests."""
GATEWAY_BYTES_MAX = 1 << 26
"""Largest message to the engine: two years of executions are long."""
REQUESTS_MAX = 500
_HEAD = 4

Role: TypeAlias = Literal["engine", "guardian", "watcher"]
"""Who speaks: the one that trades, one that reads and cancels, one that reads."""
Question: TypeAlias = Literal[
    "attest",
    "cancel_all",
    "cancel_bulk",
    "cancel_over",
    "executions",
    "executions_of",
    "fee_rates",
    "find",
    "instrument",
    "open_orders",
    "position",
    "postings",
    "wallet",
]
"""What may be asked: the methods of `OrderEntry`, by name."""
CANCELLING = frozenset({"cancel_all", "cancel_bulk", "cancel_over"})
"""Questions that change something."""
Name: TypeAlias = Annotated[str, msgspec.Meta(max_length=64)]
Time: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class GatewayWireError(ValueError):
    """Bytes that are no message of this protocol. The connection that brought them is closed."""


class Tagged(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A struct of the venue port and what it is."""

    kind: Name
    body: msgspec.Raw


class Hello(msgspec.Struct, frozen=True, tag="hello", kw_only=True, forbid_unknown_fields=True):
    """The first message. `epoch` is the leader's; the gateway refuses one that is older than it has seen."""

    version: int
    role: Role
    epoch: Time


class Send(msgspec.Struct, frozen=True, tag="send", kw_only=True, forbid_unknown_fields=True):
    """Requests. `seq` rises by one with each message, so that a repeated frame is known.

    `decided`: when they were decided, by the steady clock of this machine. `lease`: from when and until
    when the engine may sign, venue time, ns since epoch; None where it has no lease.
    """

    seq: Time
    epoch: Time
    requests: Annotated[tuple[Tagged, ...], msgspec.Meta(max_length=REQUESTS_MAX)]
    decided: Time
    lease: tuple[Time, Time] | None = None


class Ask(msgspec.Struct, frozen=True, tag="ask", kw_only=True, forbid_unknown_fields=True):
    """A question to the venue; what a question does not need stays empty."""

    seq: Time
    what: Question
    category: Name = ""
    symbol: Name = ""
    client_id: Name = ""
    since_ns: Time = 0
    path: CancelPath | None = None
    orders: Annotated[tuple[Tagged, ...], msgspec.Meta(max_length=REQUESTS_MAX)] = ()


class Welcome(msgspec.Struct, frozen=True, tag="welcome", kw_only=True):
    """Shaken hands. `epoch` is the highest that the gateway has seen."""

    version: int
    epoch: int


class Turned(msgspec.Struct, frozen=True, tag="turned", kw_only=True):
    """Turned away; the connection ends."""

    why: str


class Told(msgspec.Struct, frozen=True, tag="told", kw_only=True):
    """Facts of the account."""

    facts: tuple[Tagged, ...]
    ts_recv: int


class Linked(msgspec.Struct, frozen=True, tag="linked", kw_only=True):
    """A link of the gateway's session moved."""

    event: LinkEvent


class Answered(msgspec.Struct, frozen=True, tag="answered", kw_only=True):
    """What came of a question: a list of tagged structs, or a number."""

    seq: int
    found: tuple[Tagged, ...] = ()
    count: int = 0


class Failed(msgspec.Struct, frozen=True, tag="failed", kw_only=True):
    """A question without a usable answer, in the words of the venue or of the gateway."""

    seq: int
    why: str


FromEngine: TypeAlias = Hello | Send | Ask
FromGateway: TypeAlias = Welcome | Turned | Told | Linked | Answered | Failed

_REQUESTS = {"place": PlaceOrder, "amend": AmendOrder, "cancel": CancelOrder}
_BODIES: dict[str, type[msgspec.Struct]] = {
    one.__name__: one
    for one in (
        Acked,
        Refused,
        Unanswered,
        OrderSeen,
        ExecutionSeen,
        PositionSeen,
        WalletSeen,
        TermsChanged,
        Overasked,
        Attestation,
        FeeRates,
        InstrumentTerms,
        Looked,
        Posting,
    )
}
_REQUEST_NAMES = {kind: name for name, kind in _REQUESTS.items()}
_READ_REQUEST = {name: msgspec.msgpack.Decoder(kind) for name, kind in _REQUESTS.items()}
_READ_BODY = {name: msgspec.msgpack.Decoder(kind) for name, kind in _BODIES.items()}
_READ_ENGINE = msgspec.msgpack.Decoder(FromEngine)
_READ_GATEWAY = msgspec.msgpack.Decoder(FromGateway)
_WRITE = msgspec.msgpack.Encoder()
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, OverflowError, RecursionError, ValueError)


def encode(message: FromEngine | FromGateway) -> bytes:
    """A message as it goes over the socket, its length first."""
    body = _WRITE.encode(message)
    return len(body).to_bytes(_HEAD, "big") + body


def decode_from_engine(body: bytes) -> FromEngine:
    """Read what an engine said. Raises GatewayWireError."""
    try:
        found: FromEngine = _READ_ENGINE.decode(body)
    except _UNREADABLE as error:
        raise GatewayWireError(f"no message of an engine: {error}") from None
    return found


def decode_from_gateway(body: bytes) -> FromGateway:
    """Read what a gateway said. Raises GatewayWireError."""
    try:
        found: FromGateway = _READ_GATEWAY.decode(body)
    except _UNREADABLE as error:
        raise GatewayWireError(f"no message of a gateway: {error}") from None
    return found


def pack(requests: Iterable[OrderRequest]) -> tuple[Tagged, ...]:
    """Requests as they travel."""
    return tuple(Tagged(_REQUEST_NAMES[type(one)], msgspec.Raw(_WRITE.encode(one))) for one in requests)


def requests_of(tagged: Sequence[Tagged]) -> list[OrderRequest]:
    """The requests of a message, every field checked. Raises GatewayWireError."""
    try:
        return [_READ_REQUEST[one.kind].decode(one.body) for one in tagged]
    except KeyError as error:
        raise GatewayWireError(f"no request is called {error}; expected one of {', '.join(_REQUESTS)}") from None
    except _UNREADABLE as error:
        raise GatewayWireError(f"a request that cannot be read: {error}") from None


def tag(found: Iterable[msgspec.Struct]) -> tuple[Tagged, ...]:
    """Structs of the venue port as they travel."""
    return tuple(Tagged(type(one).__name__, msgspec.Raw(_WRITE.encode(one))) for one in found)


def result_of(tagged: Sequence[Tagged]) -> list[msgspec.Struct]:
    """The structs of an answer. Raises GatewayWireError."""
    try:
        return [_READ_BODY[one.kind].decode(one.body) for one in tagged]
    except KeyError as error:
        raise GatewayWireError(f"no fact is called {error}") from None
    except _UNREADABLE as error:
        raise GatewayWireError(f"a fact that cannot be read: {error}") from None


def facts_of(tagged: Sequence[Tagged]) -> list[Fact]:
    """The facts of a message. Raises GatewayWireError."""
    facts: list[Fact] = result_of(tagged)  # type: ignore[assignment]  # what is told was a fact when it was tagged
    return facts


class FrameBuffer:
    """Cuts a stream into message bodies. Bounded: a length beyond `most` raises before anything is kept for it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept = bytearray()

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Give the bodies that are whole with this piece. Raises GatewayWireError."""
        self._kept += piece
        while len(self._kept) >= _HEAD:
            size = int.from_bytes(self._kept[:_HEAD], "big")
            if not 0 < size <= self._most:
                raise GatewayWireError(f"a message of {size} bytes; expected 1 to {self._most}")
            if len(self._kept) < _HEAD + size:
                return
            body = bytes(self._kept[_HEAD : _HEAD + size])
            del self._kept[: _HEAD + size]
            yield body
