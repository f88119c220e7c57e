"""A recorder on Bybit's public streams: what `mmbot record` runs."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from mmbot.data import instruments
from mmbot.data.instruments import FeeProfile
from mmbot.data.record import HttpAnswer, Recorded, Recorder, Rotation
from mmbot.venues.bybit import wire
from mmbot.venues.bybit.budget import RateBudget
from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.http import BybitHttp
from mmbot.venues.bybit.public import BybitPublic
from mmbot.venues.port import Clock, InstrumentTerms, Subscription, VenueError

__all__ = ["record_bybit"]

_TICK_S = 1.0


async def record_bybit(
    endpoint: Endpoint,
    subscriptions: Sequence[Subscription],
    folder: Path,
    *,
    fees: FeeProfile,
    rotation: Rotation,
    clock: Clock,
    stop: asyncio.Event,
    told: Callable[[Recorder], None] = lambda _recorder: None,
) -> Recorded:
    """Record until `stop` is set; `told` sees the recorder once a second.

    Raises:
        VenueError: An instrument's terms can not be had.
        RecorderError: Another recorder has the folder, or the disk does not take any more.
        OSError: The folder can not be written.
    """
    http = BybitHttp(endpoint, None, clock, RateBudget())
    await http.start()
    try:
        asked = [await _terms(http, endpoint, one, clock) for one in subscriptions]
    finally:
        await http.stop()
    grids = {(one.category, one.symbol): instruments.bybit(one, fees) for _, one in asked}
    categories = dict.fromkeys(one.category for one in subscriptions)
    recorder = await asyncio.to_thread(
        Recorder,
        folder,
        grids,
        clock=clock,
        addresses={category: endpoint.public(category) for category in categories},
        answers=[answer for answer, _ in asked],
        rotation=rotation,
    )
    try:
        feed = BybitPublic(endpoint, subscriptions, recorder, clock)
        recorder.resync = feed.resync
        await feed.start()
        try:
            while not await _set_within(stop, _TICK_S):
                recorder.tick()
                told(recorder)
        finally:
            await feed.stop()
    finally:
        await asyncio.to_thread(recorder.close)
    return recorder.recorded


async def _terms(
    http: BybitHttp, endpoint: Endpoint, one: Subscription, clock: Clock
) -> tuple[HttpAnswer, InstrumentTerms]:
    """The answer that tells an instrument's grid, as it is recorded, and what it says."""
    path, params = "/v5/market/instruments-info", (("category", one.category), ("symbol", one.symbol))
    answer = await http.get(path, params, signed=False)
    data = b'{"retCode":0,"retMsg":"OK","result":%b}' % answer.result
    listed = [terms for terms in wire.decode_terms(data) if terms.symbol == one.symbol]
    if not listed:
        raise VenueError(f"Bybit lists no {one.category} {one.symbol}; check the symbol and its category")
    url = f"{endpoint.http}{path}?category={one.category}&symbol={one.symbol}"
    return HttpAnswer(ts=clock(), url=url, data=data), listed[0]


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True
