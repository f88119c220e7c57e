"""How the market side behaves where Bybit's documentation leaves room, or where a simulator must choose.

    [doc]  documented by Bybit; a field so that a test can change it
    [obs]  observed in recordings and logs
    [inf]  inferred: the documentation is silent
    [sim]  a choice of the simulator, with no counterpart at the venue

The client side has its own set in `mmbot.exchange.switches`. `docs/exchange.md` shows both; a test compares.
"""

from typing import Annotated, Literal

from pydantic import Field

from mmbot.config import Strict

__all__ = ["PublicSwitches"]

Ms = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(gt=0)]


class PublicSwitches(Strict):
    """All switches of the market side. Times are ms unless a name says otherwise."""

    ack_ms: Ms = 3
    """[obs] From a subscription to its ack and first snapshot: SDKs register their callbacks after sending."""
    beat_ms: Count = 10
    """[sim] How often the market moves on by itself and is published; requests bring it up to date as well."""
    push_ms_1: Count = 10
    """[doc] Push interval of orderbook.1."""
    push_ms_50: Count = 20
    """[doc] Push interval of orderbook.50."""
    push_ms_200: Count = 100
    """[doc] Push interval of orderbook.200."""
    push_ms_1000: Count = 200
    """[doc] Push interval of orderbook.1000."""
    repeat_ms_1: Count = 3_000
    """[doc] orderbook.1 is sent again, with the same `u`, after this long without a change."""
    ticker_ms: Count = 100
    """[doc] Push interval of derivatives' tickers."""
    ticker_ms_spot: Count = 50
    """[doc] Push interval of spot tickers."""
    kline_ms: Count = 1_000
    """[doc] Shortest push interval of klines (1 to 60 s)."""
    liquidation_ms: Count = 500
    """[doc] Push interval of allLiquidation."""
    price_limit_ms: Count = 300
    """[doc] Push interval of priceLimit."""
    gateway_ms: Ms = 0
    """[sim] How much later than its `cts` a book message's `ts` claims to be at least."""
    cancels: Literal["behind", "proportional"] = "behind"
    """[sim] Where recorded liquidity stood that left without a trade: behind clients first, or in proportion."""
    show_clients: bool = True
    """[sim] Clients' orders are part of the published book."""
    loop_snapshot: bool = True
    """[sim] When a tape starts over, books are sent as snapshots; otherwise the jump comes as one delta."""
    one_bad_topic_silences: bool = True
    """[obs] One unknown topic in a request leaves the request's other topics silent too."""
    refuse_repeated_topic: bool = True
    """[inf] Subscribing a topic twice on one connection is refused; otherwise it brings a new snapshot."""
    spot_args_max: Count = 10
    """[doc] Topics per subscribe request on the spot socket."""
    args_chars_max: Count = 21_000
    """[doc] Length of all topics of one connection together."""
    frame_bytes_max: Count = 262_144
    """[inf] A client's frame longer than this cuts the connection."""
    idle_ms: Count = 600_000
    """[inf] A public connection that sent nothing for this long is cut (documented for private ones)."""
    backlog_bytes_max: Count = 8_388_608
    """[inf] A client this far behind in reading is cut: a book stream can not leave deltas out."""
    request_ms: Count = 10_000
    """[sim] A request's head, and then its body, has this long to arrive; the connection is dropped otherwise."""
    keep_alive_ms: Count = 75_000
    """[sim] How long a connection may stand between requests."""
    open_max: Count = 4_000
    """[sim] Connections at once, of all kinds; fewer where the process has fewer file descriptors."""
    connections_max: Count = 1_000
    """[doc] Market data connections per address and category; more are refused with HTTP 403."""
    connects_max: Count = 500
    """[doc] New connections per address in 5 minutes; more are refused with HTTP 403."""
    funding_every_ms: Ms = 0
    """[sim] Settle funding this often; 0 means at the instrument's UTC boundaries."""
    index_half_life_ms: Count = 1_000
    """[sim] The index price is the mid price, averaged with this half-life: a recording carries no index."""
    premium_half_life_ms: Count = 30_000
    """[inf] Half-life of the averaged premium in mark price, price limits and funding."""
    mark_band: bool = True
    """[doc] Price limits move with index, mark and premium; otherwise only the instrument's range holds."""
    open_interest: str = "50000"
    """[sim] What tickers say; nobody keeps the public's positions."""
