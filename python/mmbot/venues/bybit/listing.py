"""How Bybit lists an instrument, asked without a key: for those who watch and never trade.

Asked again after 2, 5 and 10 s where nothing came back or the venue failed (5xx); what it refuses is not, 429 neither.

Source: Bybit v5 documents, GET /v5/market/instruments-info.
"""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp

from mmbot.execution.backoff import LISTINGS, Backoff
from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.wire import decode_terms
from mmbot.venues.port import InstrumentTerms, RateLimitError, VenueError
from mmbot.venues.records import WireError

__all__ = ["listed"]

PATH = "/v5/market/instruments-info"
TIMEOUT_S = 10.0


async def listed(
    endpoint: Endpoint,
    category: str,
    symbol: str,
    *,
    again: Backoff = LISTINGS,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> InstrumentTerms:
    """The rules of one instrument. Raises VenueError where the venue does not answer, or has no such instrument."""
    where = f"{endpoint.word} GET {PATH} {category} {symbol}"
    failures = 0
    while True:
        raw, trouble = await _asked(endpoint, where, category, symbol)
        if not trouble:
            break
        failures += 1
        delay_s = again.delay_s(failures)
        if delay_s is None:
            raise VenueError(f"{trouble} ({failures} tries)")
        await sleep(delay_s)
    try:
        found = [terms for terms in decode_terms(raw) if terms.symbol == symbol]
    except WireError as error:
        raise VenueError(f"{where}: {error}") from error
    if not found:
        raise VenueError(f"{where}: no such instrument; look at symbol and category")
    return found[0]


async def _asked(endpoint: Endpoint, where: str, category: str, symbol: str) -> tuple[bytes, str]:
    """One try: the answer, or why it is worth another. Raises VenueError where it is not."""
    context = endpoint.context(endpoint.http)
    connector = aiohttp.TCPConnector(ssl=context if context is not None else False)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session,
            session.get(
                endpoint.http + PATH, params={"category": category, "symbol": symbol}, allow_redirects=False
            ) as response,
        ):
            raw, status = await response.read(), response.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return b"", f"{where}: {type(error).__name__} {error}".rstrip()
    if status >= 500:
        return b"", f"{where}: HTTP {status}; expected 200"
    if status != 200:
        refused = RateLimitError if status == 429 else VenueError
        raise refused(f"{where}: HTTP {status}; expected 200")
    return raw, ""
