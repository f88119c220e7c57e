"""The port of every venue: what we ask of it, what it tells us, and who listens.

    requests   PlaceOrder AmendOrder CancelOrder          →  OrderEntry.send, which answers nothing
    facts      Acked Refused Unanswered                   →  OrderSink.on_facts, one for each request
               OrderSeen ExecutionSeen PositionSeen WalletSeen       as often and in whatever order the venue likes
    records    BookUpdate PublicTrade Ticker … BookLost   →  PublicSink.on_records

A request's answer says what the venue did with the *request*; only `OrderSeen` and `ExecutionSeen` say what became of
the *order*. `Unanswered` is no refusal: the order may rest and fill, and stays exposure until it is proven dead. Facts
are meant to be joined: they repeat, overtake one another and come back after a reconnect.

Prices, quantities, fees and balances are decimal strings in the venue's own units; times are ns since epoch.
"""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import msgspec
from pydantic import SecretStr

from mmbot.venues.records import BookLost, Record

__all__ = [
    "ARRIVES_NS",
    "POSITION_KINDS",
    "Acked",
    "AmendOrder",
    "Attestation",
    "CancelAnswer",
    "CancelOrder",
    "CancelPath",
    "Clock",
    "Credentials",
    "ExecutionSeen",
    "Fact",
    "FeeRates",
    "Fence",
    "Heard",
    "InstrumentTerms",
    "KeyRefusedError",
    "LinkEvent",
    "LinkState",
    "Looked",
    "OpenEverywhere",
    "OrderEntry",
    "OrderRequest",
    "OrderSeen",
    "OrderSink",
    "OrderStatus",
    "Overasked",
    "PlaceOrder",
    "PositionSeen",
    "Posting",
    "PublicFeed",
    "PublicSink",
    "RateLimitError",
    "Reason",
    "Refused",
    "RequestKind",
    "SeesAccount",
    "Side",
    "Subscription",
    "TellsVenueTime",
    "TermsChanged",
    "Unanswered",
    "VenueError",
    "WalletSeen",
    "kind_of",
]

ARRIVES_NS = 5_000_000_000
"""A request without an answer cannot arrive after this long: the venue's window for its age, our clock's error, and the
venue's own lag."""

Clock: TypeAlias = Callable[[], int]
"""Says the receive time, ns since epoch. Injected, so that a test or a replay can say another."""

Side: TypeAlias = Literal["buy", "sell"]
RequestKind: TypeAlias = Literal["place", "amend", "cancel"]
LinkState: TypeAlias = Literal["up", "down", "stale"]
OrderStatus: TypeAlias = Literal["live", "partial", "filled", "canceled", "rejected"]

CancelPath: TypeAlias = Literal["rest", "trade"]
"""A way to the venue: requests of their own, or the trade socket. They fail apart from one another."""

Reason: TypeAlias = Literal[
    "",  # none given
    "post_only",  # it would have taken liquidity
    "not_fillable",  # fill-or-kill, or nothing left for immediate-or-cancel
    "reduce_only",  # it would have grown or turned the position
    "unknown_order",  # the venue has no such order (any more): no evidence of how it ended
    "not_modified",  # the amend changes nothing
    "invalid",  # price, quantity or another field outside the rules
    "price_band",  # beyond what the venue allows around its own price
    "balance",  # too little margin or too few coins
    "limit",  # too many orders, too large a position
    "no_market",  # not tradable now
    "busy",  # another request for the order is under way: ask again soon
    "self_trade",  # would have met an order of ours
    "duplicate",  # the client id exists: ask the venue about it
    "rate_limited",  # dropped by the venue's, or by our own, rate limit
    "overloaded",  # the venue protects itself: everybody, or we, asked too much
    "requested",  # canceled because we asked
    "disconnected",  # canceled by the venue's dead-man switch
    "liquidation",  # canceled or traded by the venue's risk engine
    "clock",  # our clock is outside the venue's window
    "frozen",  # trading is stopped here: we did not let it out
    "credentials",  # key, signature, scope, address
    "banned",  # the venue wants silence from us
    "fenced",  # held back before it was signed: we are not the ones that trade now
    "other",
]
"""Why, in words that every venue's answers are translated to. The venue's own code and message stand beside it."""

Market: TypeAlias = tuple[str, str]
"""Category and symbol of an instrument at its venue."""


class VenueError(Exception):
    """A venue could not be asked, or did not answer as it documents. The message says what, where and what to do."""


class KeyRefusedError(VenueError):
    """The venue does not take our key any more: revoked, ended, or not for this address. Asking again helps nothing."""


class RateLimitError(VenueError):
    """The venue was asked too much (HTTP 429, or its rate limit again and again). The order gate's breaker opens."""


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """A key of ours at a venue. The secret shows itself to nobody who does not ask for it by name."""

    key: str
    secret: SecretStr

    def __repr__(self) -> str:
        """Tell keys apart without giving one away."""
        return f"Credentials(key='{self.key[:4]}…')"


class PlaceOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Asks for a limit order. `client_id` is ours, unique for ever; `category` is the venue's product line."""

    client_id: str
    category: str
    symbol: str
    side: Side
    price: str
    qty: str
    tif: Literal["gtc", "ioc", "fok"] = "gtc"
    post_only: bool = False
    reduce_only: bool = False


class AmendOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Asks for another price, another total quantity (what is filled counts), or both; None leaves it as it is."""

    client_id: str
    category: str
    symbol: str
    price: str | None = None
    qty: str | None = None


class CancelOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Asks for the end of an order, by our name or, where `client_id` is "", by the venue's."""

    client_id: str
    category: str
    symbol: str
    venue_id: str = ""


OrderRequest: TypeAlias = PlaceOrder | AmendOrder | CancelOrder
_KINDS: dict[type, RequestKind] = {PlaceOrder: "place", AmendOrder: "amend", CancelOrder: "cancel"}


def kind_of(request: OrderRequest) -> RequestKind:
    """What a request asks for, in one word."""
    return _KINDS[type(request)]


class Acked(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The venue took the request in. Whether the order rests, fills or dies comes as `OrderSeen`."""

    client_id: str
    venue_id: str
    request: RequestKind
    ts_venue: int


class Refused(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A definite no: the request did and will do nothing. A refused cancel says nothing about the order's end.

    `code` and `message` are the venue's own; `code` is 0 where we refused it ourselves before a byte left.
    """

    client_id: str
    request: RequestKind
    reason: Reason
    code: int
    message: str
    ts_venue: int

    @property
    def held_back(self) -> bool:
        """We did not let it out, and it knows nothing of it: our pace, its complaint, a freeze, our lease, a clock."""
        return self.code == 0 and self.reason in ("rate_limited", "frozen", "fenced", "clock")


class Unanswered(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Nobody knows whether the request had, or will have, an effect. Its exposure stays until the venue is asked.

    It may be followed by the answer after all, when that comes late; and an order that was acknowledged but never shows
    becomes unanswered again.
    """

    client_id: str
    request: RequestKind
    why: str
    reason: Reason = ""


class OrderSeen(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The venue's word on one order. `cum` is what it says was executed so far, whatever `status` says.

    `client_id` is "" or not ours for an order that somebody else placed.
    """

    client_id: str
    venue_id: str
    category: str
    symbol: str
    side: Side
    status: OrderStatus
    cum: str
    price: str
    qty: str
    reason: Reason
    ts_venue: int


class ExecutionSeen(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One execution; `execution_id` books it once.

    Only the kinds of `POSITION_KINDS` move the position: for the others (funding) `qty` may be the whole position and
    `fee` is the amount paid. A positive `fee` is paid by us, a negative one is a rebate. `client_id` may be "" where
    the venue leaves it out: find the order by `venue_id`.
    """

    client_id: str
    venue_id: str
    execution_id: str
    category: str
    symbol: str
    kind: Literal["trade", "funding", "liquidation", "deleverage", "delivery", "block", "transfer", "other"]
    side: Side
    price: str
    qty: str
    maker: bool
    fee: str
    fee_currency: str
    ts_venue: int


POSITION_KINDS = frozenset({"trade", "liquidation", "deleverage", "delivery", "block", "transfer"})
"""Kinds of execution that change a position. "other" is not known to, and needs a person."""


class PositionSeen(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A position, signed: negative is short. `entry_price` is "0" when flat."""

    category: str
    symbol: str
    qty: str
    entry_price: str
    ts_venue: int


class WalletSeen(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One coin of the account: cash balance, and equity with what is not realised.

    `margin`, `margin_used`: of the whole account, in its valuation currency; None where the venue does not say.
    """

    coin: str
    balance: str
    equity: str
    ts_venue: int
    margin: str | None = None
    margin_used: str | None = None


class Looked(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a venue answered when it was asked for one order by its name.

    No order proves nothing by itself: the request may be on its way, or shown late. `source` is "" then. `ts_venue` is
    the venue's own time at the first of its answers, ns since epoch; 0 where it said none.
    """

    order: OrderSeen | None
    source: Literal["", "realtime", "history"]
    ts_venue: int


class OpenEverywhere(msgspec.Struct, frozen=True, kw_only=True):
    """What is open on a whole account, in whatever instrument, and what could not be looked at."""

    orders: tuple[OrderSeen, ...]
    unseen: tuple[tuple[str, str], ...]
    """Parts of the account, by their category, and why nobody knows what is open there."""


class Posting(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One change of one coin, as the venue's own statement has it: balances are the sum of these.

    `kind` is "trade", "funding" (both name their execution), "transfer" (a person moved coins) or "other"; `said` is
    the venue's own word for it. `balance` is what was there afterwards. `flow`, `fee` and `funding` are what the change
    consists of, flow − fee + funding (a fee is paid, funding is received): all empty where the venue does not say. Of a
    contract, the flow is what closing earned.
    """

    posting_id: str
    coin: str
    kind: Literal["trade", "funding", "transfer", "other"]
    said: str
    change: str
    balance: str
    execution_id: str
    ts_venue: int
    flow: str = ""
    fee: str = ""
    funding: str = ""


class InstrumentTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's rules of one instrument, decimal strings; None where it says nothing.

    `kind` is "linear", "inverse" or "spot"; `tradable` is False while the venue takes no orders.
    """

    category: str
    symbol: str
    kind: Literal["linear", "inverse", "spot"]
    tradable: bool
    base: str
    quote: str
    settle: str
    tick: str
    lot: str
    min_qty: str | None
    max_qty: str | None
    min_notional: str | None
    funding_interval_s: int | None


class TermsChanged(msgspec.Struct, frozen=True, kw_only=True):
    """The venue changed an instrument's rules. What was priced on the old grid may be refused."""

    before: InstrumentTerms
    after: InstrumentTerms


CancelAnswer: TypeAlias = Acked | Refused | Unanswered
"""What became of the request to cancel; never evidence of how the order ended."""


class Overasked(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The venue said to a question of ours, not to an order, that it is asked too much."""

    reason: Literal["rate_limited", "overloaded"]
    why: str


Fact: TypeAlias = (
    Acked | Refused | Unanswered | OrderSeen | ExecutionSeen | PositionSeen | WalletSeen | TermsChanged | Overasked
)


class LinkEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A link's state moved. "up" is ready for use (subscribed, reconciled); "stale" is open and not to be trusted."""

    link: Literal["public", "private", "trade"]
    state: LinkState
    why: str
    conn: str = ""


Heard: TypeAlias = Record | BookLost
"""What a public feed tells: records whose chain was checked, and the end of a book that can no longer be trusted."""


class Subscription(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What to hear of one instrument. `depth` is one that the venue has, 0 no book; `touch` adds its best prices."""

    category: str
    symbol: str
    depth: int = 50
    trades: bool = True
    ticker: bool = True
    touch: bool = False


class FeeRates(msgspec.Struct, frozen=True, kw_only=True):
    """What this account pays: rates of the notional as decimal strings; a negative maker rate is a rebate."""

    category: str
    symbol: str
    maker: str
    taker: str


class Attestation(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue says about our key and account, read before the first order.

    `faults` are reasons not to trade, each with what to do; `remarks` are worth reading and no reason to stop.
    Times and clock errors in ns: `clock_offset` is venue minus ours, known to within `clock_error`.
    """

    account: str
    read_only: bool
    scopes: tuple[str, ...]
    may_withdraw: bool
    may_transfer: bool
    address_bound: bool
    expires: int | None
    position_mode: Literal["one_way", "hedge", "spot", "unknown"]
    price_limit: Literal["reject", "reprice", "unknown"]
    disconnect_cancel_s: int | None
    clock_offset: int
    clock_error: int
    faults: tuple[str, ...]
    remarks: tuple[str, ...]


class PublicSink(Protocol):
    """Listens to the market. Called from the feed's loop, one call at a time; it must not block or raise."""

    def on_frame(self, conn: str, raw: bytes, ts_recv: int) -> None:
        """The bytes of one frame of connection `conn`, before anything was understood."""

    def on_records(self, category: str, records: Sequence[Heard], ts_recv: int) -> None:
        """What a frame means; it was told just before with this `ts_recv`. A BookLost may come without a frame."""

    def on_link(self, event: LinkEvent) -> None:
        """A connection came up, went down or fell silent."""


class OrderSink(Protocol):
    """Listens to our account. Called from the session's loop, one call at a time; it must not block or raise."""

    def on_facts(self, facts: Sequence[Fact], ts_recv: int) -> None:
        """Facts of one message, in its order."""

    def on_link(self, event: LinkEvent) -> None:
        """A link came up, went down or fell silent."""


class Fence(Protocol):
    """Says whether this process is still the one that trades. Asked before each place and amend, never for a cancel."""

    def check(self, ts_ms: int) -> None:
        """Return where a request may leave that is signed with exactly this venue time, ms since epoch.

        Raises `mmbot.execution.FencedError` where it may not.
        """


class PublicFeed(Protocol):
    """A venue's market data."""

    async def start(self) -> None:
        """Connect and subscribe; returns when asked, not when everything has arrived.

        Raises VenueError for what the venue does not have.
        """

    async def stop(self) -> None:
        """Close every connection and wait for it. Safe to call twice."""

    def resync(self, category: str, symbol: str, why: str) -> None:
        """Drop an instrument's book, which the sink hears of, and ask the venue for it again."""


@runtime_checkable
class TellsVenueTime(Protocol):
    """A session that measures the venue's clock again and again."""

    def venue_ns(self) -> int:
        """The venue's time now, ns since epoch, to within the error beyond which the session sends nothing."""


class SeesAccount(Protocol):
    """A session that can look at a whole account, not only at what it trades."""

    async def open_everywhere(self) -> OpenEverywhere:
        """Every open order of the account. A part that cannot be looked at is named; nothing is raised for it."""


class OrderEntry(Protocol):
    """A venue's order entry and what it knows of our account."""

    async def start(self) -> None:
        """Log in, check the account and open the links. Raises VenueError where trading must not begin."""

    async def stop(self) -> None:
        """Answer every request still open with Unanswered and close the links. Cancels nothing. Safe to call twice."""

    def send(self, requests: Sequence[OrderRequest]) -> None:
        """Hand requests to the socket, in order, and return. Each is answered once, by a fact to the sink."""

    async def cancel_all(self, category: str, symbol: str) -> int:
        """Cancel until the venue, asked again, knows no open order. Returns how many it had.

        Raises VenueError if some stay.
        """

    async def cancel_bulk(self, category: str, symbol: str) -> None:
        """One request, sent once, to cancel every order of an instrument, foreign ones too, or as many as it takes.

        Raises VenueError where it refuses or does not answer.
        """

    async def cancel_over(self, path: CancelPath, orders: Sequence[OrderSeen]) -> list[CancelAnswer]:
        """One request, sent once, over this very way: cancel these orders of one category, foreign ones too.

        One answer for each, in their order; Unanswered where the way is not there or is silent. Spends from what is
        kept for the last resort, and the sink does not hear of it.
        """

    async def open_orders(self, category: str, symbol: str) -> list[OrderSeen]:
        """Every open order, foreign ones too. Raises VenueError."""

    async def find(self, category: str, symbol: str, client_id: str) -> Looked:
        """What the venue knows of one order, open or not: among the recent ones, then in the history, which are two
        sources. Raises VenueError.
        """

    async def executions(self, category: str, symbol: str, since_ns: int) -> list[ExecutionSeen]:
        """Executions from then on, all pages, oldest first. Raises VenueError."""

    async def executions_of(self, category: str, symbol: str, client_id: str) -> list[ExecutionSeen]:
        """Executions of one order, oldest first: a third source beside the two of `find`. Raises VenueError."""

    async def position(self, category: str, symbol: str) -> PositionSeen:
        """The position; flat is quantity "0". Raises VenueError."""

    async def wallet(self) -> list[WalletSeen]:
        """Every coin the account holds. Raises VenueError."""

    async def postings(self, since_ns: int) -> list[Posting]:
        """Changes of the account's coins from then on, all pages, oldest first. Raises VenueError."""

    async def attest(self) -> Attestation:
        """What our key may do and how the account is set. Raises VenueError."""

    async def instrument(self, category: str, symbol: str) -> InstrumentTerms:
        """The rules of one instrument, asked anew. Raises VenueError."""

    async def fee_rates(self, category: str, symbol: str) -> FeeRates:
        """What we pay there. Raises VenueError."""
