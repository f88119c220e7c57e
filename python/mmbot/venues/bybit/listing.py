"""How Bybit lists an instrument, asked without a key: for those who watch and never trade.

Source: Bybit v5 documents, GET /v5/market/instruments-info.
"""

import aiohttp

from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.wire import decode_terms
from mmbot.venues.port import InstrumentTerms, VenueError
from mmbot.venues.records import WireError

__all__ = ["listed"]

PATH = "/v5/market/instruments-info"
TIMEOUT_S = 10.0


async def listed(endpoint: Endpoint, category: str, symbol: str) -> InstrumentTerms:
    """The rules of one instrument. Raises VenueError where the venue does not answer, or has no such instrument."""
    context = endpoint.context(endpoint.http)
    connector = aiohttp.TCPConnector(ssl=context if context is not None else False)
    where = f"{endpoint.word} GET {PATH} {category} {symbol}"
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session,
            session.get(
                endpoint.http + PATH, params={"category": category, "symbol": symbol}, allow_redirects=False
            ) as response,
        ):
            raw, status = await response.read(), response.status
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise VenueError(f"{where}: {type(error).__name__} {error}".rstrip()) from error
    if status != 200:
        raise VenueError(f"{where}: HTTP {status}; expected 200")
    try:
        found = [terms for terms in decode_terms(raw) if terms.symbol == symbol]
    except WireError as error:
        raise VenueError(f"{where}: {error}") from error
    if not found:
        raise VenueError(f"{where}: no such instrument; look at symbol and category")
    return found[0]
