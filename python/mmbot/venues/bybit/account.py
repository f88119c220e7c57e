"""What Bybit says when it is asked: orders, executions, positions, coins, rules, and what our key may do.

Only reads, and the one setting that has to be right before the first order: a price beyond the venue's band is to be
refused, not moved to where the venue likes it.
Source: Bybit v5 documents, "Trade", "Position", "Account", "User", GET /v5/market/instruments-info.
"""

import asyncio
from typing import Literal, TypeVar

import msgspec

from mmbot.venues.bybit.fitness import expiry, faults_of, remarks_of
from mmbot.venues.bybit.http import BybitHttp, Params
from mmbot.venues.bybit.orders_wire import decode_executions, decode_orders, decode_positions, decode_wallet
from mmbot.venues.bybit.statement_wire import decode_postings
from mmbot.venues.bybit.wire import NS_PER_MS, decode_listing
from mmbot.venues.port import (
    Attestation,
    ExecutionSeen,
    FeeRates,
    InstrumentTerms,
    Looked,
    OpenEverywhere,
    OrderSeen,
    PositionSeen,
    Posting,
    VenueError,
    WalletSeen,
)
from mmbot.venues.records import UNREADABLE, WireError

__all__ = ["BybitAccount"]

_PAGES_MAX = 200
_WEEK_MS = 7 * 86_400_000 - 1
_KEPT_MS = 730 * 86_400_000
_AHEAD_MS = 60_000
"""Asked for beyond the present: a venue whose clock is set back has rows of its own future."""
_UNIFIED = {5, 6}
_SETTLED_IN = ("USDT", "USDC")
"""What linear contracts settle in, as documented; the listing may know more."""
_SOURCES: tuple[Literal["realtime"], Literal["history"]] = ("realtime", "history")
Read = TypeVar("Read")


class _Key(msgspec.Struct):
    readOnly: int = 0  # noqa: N815 (the venue's spelling)
    permissions: dict[str, list[str]] = {}
    ips: list[str] = []
    expiredAt: str = ""  # noqa: N815
    deadlineDay: int = 0  # noqa: N815
    uta: int = 0
    userID: int | str = ""  # noqa: N815


class _Account(msgspec.Struct):
    unifiedMarginStatus: int = 0  # noqa: N815
    marginMode: str = ""  # noqa: N815


class _Behaviour(msgspec.Struct):
    lpaSpot: bool | None = None  # noqa: N815
    lpaPerp: bool | None = None  # noqa: N815


class _Settled(msgspec.Struct):
    settleCoin: str = ""  # noqa: N815


class _SettledPage(msgspec.Struct):
    list: list[_Settled]
    nextPageCursor: str = ""  # noqa: N815


class _Dcp(msgspec.Struct):
    product: str = ""
    dcpStatus: str = ""  # noqa: N815
    timeWindow: str = ""  # noqa: N815


class _DcpPage(msgspec.Struct):
    dcpInfos: list[_Dcp] = []  # noqa: N815


class _Rate(msgspec.Struct):
    symbol: str
    takerFeeRate: str  # noqa: N815
    makerFeeRate: str  # noqa: N815


class _RatePage(msgspec.Struct):
    list: list[_Rate]


def _read(what: str, result: bytes, kind: type[Read]) -> Read:
    try:
        return msgspec.json.decode(result, type=kind)
    except UNREADABLE as error:
        raise VenueError(f"{what}: {error}; the venue answers otherwise than it documents") from error


class BybitAccount:
    """Reads of one account. `settle` collects the coin that each contract's fees are paid in."""

    def __init__(self, http: BybitHttp) -> None:
        self._http = http
        self.settle: dict[tuple[str, str], str] = {}
        self.base: dict[tuple[str, str], str] = {}

    # ---------------------------------------------------------------------------------------------- orders

    async def open_orders(self, category: str, symbol: str) -> list[OrderSeen]:
        """Every open order, foreign ones too. Raises VenueError."""
        return await self._open_where(category, [("symbol", symbol)])

    async def _open_where(self, category: str, which: Params) -> list[OrderSeen]:
        found: list[OrderSeen] = []
        cursor = ""
        for _ in range(_PAGES_MAX):
            params = [("category", category), *which, ("openOnly", "0"), ("limit", "50")]
            answer = await self._http.get("/v5/order/realtime", [*params, *_at(cursor)])
            page, cursor = _orders(answer.result, category)
            found += (order for order in page if order.status in ("live", "partial"))
            if not cursor:
                return found
        where = " ".join([category, *(value for _, value in which)])
        raise VenueError(f"{where}: more than {_PAGES_MAX} pages of open orders; cancel some by hand")

    async def open_everywhere(self) -> OpenEverywhere:
        """Every open order of the account: inverse, spot, options, and linear by the coins that contracts settle in.

        Not among them: spread trading, and what the venue's own bots and copied traders have, which are accounts apart.
        """
        orders: list[OrderSeen] = []
        unseen: list[tuple[str, str]] = []
        coins = dict.fromkeys(_SETTLED_IN)
        try:
            coins |= dict.fromkeys(await self._settle_coins())
        except VenueError as error:
            unseen.append(("linear", f"whatever settles in other coins than {', '.join(_SETTLED_IN)}: {error}"))
        parts: list[tuple[str, Params]] = [(category, []) for category in ("inverse", "spot", "option")]
        parts += [("linear", [("settleCoin", coin)]) for coin in coins]
        for (category, _), found in zip(
            parts, await asyncio.gather(*(self._part(*part) for part in parts)), strict=True
        ):
            if isinstance(found, str):
                unseen.append((category, found))
            else:
                orders += found
        return OpenEverywhere(orders=tuple(orders), unseen=tuple(unseen))

    async def _part(self, category: str, which: Params) -> list[OrderSeen] | str:
        """What is open in a part of the account, or why nobody knows."""
        try:
            return await self._open_where(category, which)
        except VenueError as error:
            return str(error)

    async def _settle_coins(self) -> list[str]:
        """The coins that linear contracts settle in. Raises VenueError."""
        found: dict[str, None] = {}
        cursor = ""
        for _ in range(_PAGES_MAX):
            params = [("category", "linear"), ("limit", "1000"), *_at(cursor)]
            answer = await self._http.get("/v5/market/instruments-info", params, signed=False)
            page = _read("instruments-info", answer.result, _SettledPage)
            found |= dict.fromkeys(one.settleCoin for one in page.list if one.settleCoin)
            cursor = page.nextPageCursor
            if not cursor:
                return list(found)
        raise VenueError(f"more than {_PAGES_MAX} pages of linear contracts")

    async def find(self, category: str, symbol: str, client_id: str) -> Looked:
        """What is known of one order: among the recent ones first, then in the history. Raises VenueError."""
        params = [("category", category), ("symbol", symbol), ("orderLinkId", client_id)]
        asked = 0
        for source in _SOURCES:
            answer = await self._http.get(f"/v5/order/{source}", params)
            asked = asked or answer.time
            page, _ = _orders(answer.result, category)
            for order in page:
                if order.client_id == client_id:
                    return Looked(order=order, source=source, ts_venue=asked)
        return Looked(order=None, source="", ts_venue=asked)

    async def executions_of(self, category: str, symbol: str, client_id: str) -> list[ExecutionSeen]:
        """Executions of one order by its name, oldest first. Raises VenueError."""
        found = await self._executions_where(category, symbol, [("orderLinkId", client_id)])
        return sorted(found, key=lambda one: (one.ts_venue, one.execution_id))

    async def executions(self, category: str, symbol: str, since_ns: int) -> list[ExecutionSeen]:
        """Executions from then on, oldest first, in the venue's windows of a week. Raises VenueError.

        The venue keeps two years of them.
        """
        found: dict[str, ExecutionSeen] = {}
        until = self._http.venue_ms() + _AHEAD_MS
        start = max(since_ns // NS_PER_MS, until - _KEPT_MS)
        while start <= until:
            end = min(start + _WEEK_MS, until)
            for execution in await self._executions_between(category, symbol, start, end):
                found[execution.execution_id] = execution
            start = end + 1
        return sorted(found.values(), key=lambda one: (one.ts_venue, one.execution_id))

    async def _executions_between(self, category: str, symbol: str, start: int, end: int) -> list[ExecutionSeen]:
        return await self._executions_where(category, symbol, [("startTime", str(start)), ("endTime", str(end))])

    async def _executions_where(self, category: str, symbol: str, which: Params) -> list[ExecutionSeen]:
        found: list[ExecutionSeen] = []
        cursor = ""
        for _ in range(_PAGES_MAX):
            params = [("category", category), ("symbol", symbol), *which, ("limit", "100"), *_at(cursor)]
            answer = await self._http.get("/v5/execution/list", params)
            try:
                page, cursor = decode_executions(answer.result, category, self.settle)
            except WireError as error:
                raise VenueError(str(error)) from error
            found += page
            if not cursor:
                return found
        raise VenueError(f"{symbol}: more than {_PAGES_MAX} pages of executions at once; ask from a later time")

    # ------------------------------------------------------------------------------------ position and coins

    async def position(self, category: str, symbol: str) -> PositionSeen:
        """The position; for spot, what the account holds of the base coin, at no entry price. Raises VenueError."""
        if category == "spot":
            coin = self.base.get((category, symbol)) or (await self.instrument(category, symbol)).base
            held = next((one for one in await self.wallet() if one.coin == coin), None)
            qty, time = ("0", self._http.venue_ns()) if held is None else (held.balance, held.ts_venue)
            return PositionSeen(category=category, symbol=symbol, qty=qty, entry_price="0", ts_venue=time)
        positions, hedged = await self._positions(category, symbol)
        if hedged:
            raise VenueError(f"{symbol} is in hedge mode; switch it to one-way at the venue while it is flat")
        return positions[0]

    async def _positions(self, category: str, symbol: str) -> tuple[list[PositionSeen], bool]:
        answer = await self._http.get("/v5/position/list", [("category", category), ("symbol", symbol)])
        try:
            positions, hedged = decode_positions(answer.result, category)
        except WireError as error:
            raise VenueError(str(error)) from error
        flat = PositionSeen(category=category, symbol=symbol, qty="0", entry_price="0", ts_venue=answer.time)
        return [one for one in positions if one.symbol == symbol] or [flat], hedged

    async def wallet(self) -> list[WalletSeen]:
        """Every coin of the account; the venue leaves out those of which there is none. Raises VenueError."""
        answer = await self._http.get("/v5/account/wallet-balance", [("accountType", "UNIFIED")])
        try:
            return decode_wallet(answer.result, answer.time)
        except WireError as error:
            raise VenueError(str(error)) from error

    async def postings(self, since_ns: int) -> list[Posting]:
        """Changes of the account's coins from then on, oldest first, in windows of a week. Raises VenueError."""
        found: dict[str, Posting] = {}
        until = self._http.venue_ms() + _AHEAD_MS
        start = max(since_ns // NS_PER_MS, until - _KEPT_MS)
        while start <= until:
            end = min(start + _WEEK_MS, until)
            newest_first = await self._postings_between(start, end)
            found |= {one.posting_id: one for one in reversed(newest_first)}
            start = end + 1
        return list(found.values())

    async def _postings_between(self, start: int, end: int) -> list[Posting]:
        found: list[Posting] = []
        cursor = ""
        for _ in range(_PAGES_MAX):
            span = [("startTime", str(start)), ("endTime", str(end)), ("limit", "50")]
            params = [("accountType", "UNIFIED"), *span, *_at(cursor)]
            answer = await self._http.get("/v5/account/transaction-log", params, group="account")
            try:
                page, cursor = decode_postings(answer.result)
            except WireError as error:
                raise VenueError(str(error)) from error
            found += page
            if not cursor:
                return found
        raise VenueError(f"more than {_PAGES_MAX} pages of the transaction log at once; ask from a later time")

    # ----------------------------------------------------------------------------------------------- rules

    async def instrument(self, category: str, symbol: str) -> InstrumentTerms:
        """The rules of one instrument, asked anew. Raises VenueError."""
        params = [("category", category), ("symbol", symbol)]
        answer = await self._http.get("/v5/market/instruments-info", params, signed=False)
        try:
            listed = [terms for terms in decode_listing(answer.result) if terms.symbol == symbol]
        except WireError as error:
            raise VenueError(str(error)) from error
        if not listed:
            raise VenueError(f"{symbol} is not listed in {category}; look for its name at the venue")
        [terms] = listed
        self.settle[category, symbol] = terms.settle
        self.base[category, symbol] = terms.base
        return terms

    async def fee_rates(self, category: str, symbol: str) -> FeeRates:
        """What this account pays there. Raises VenueError."""
        params = [("category", category), ("symbol", symbol)]
        answer = await self._http.get("/v5/account/fee-rate", params, group="account")
        for rate in _read("fee rates", answer.result, _RatePage).list:
            if rate.symbol in (symbol, ""):
                return FeeRates(category=category, symbol=symbol, maker=rate.makerFeeRate, taker=rate.takerFeeRate)
        raise VenueError(f"{symbol}: the venue names no fee rates for {category}")

    # ------------------------------------------------------------------------------------------ attestation

    async def attest(self, instruments: list[tuple[str, str]]) -> Attestation:
        """What the key may do and how the account is set; the limit-price behaviour is set first. Raises VenueError."""
        key = _read("key", (await self._http.get("/v5/user/query-api", ())).result, _Key)
        account = _read("account", (await self._http.get("/v5/account/info", ())).result, _Account)
        price_limit = await self._reject_beyond_the_band(
            {category for category, _ in instruments}, may_set=key.readOnly == 0
        )
        mode = await self._position_mode(instruments)
        wallet = key.permissions.get("Wallet", [])
        seen = Attestation(
            account=str(key.userID),
            read_only=key.readOnly != 0,
            scopes=tuple(f"{group}.{scope}" for group, scopes in sorted(key.permissions.items()) for scope in scopes),
            may_withdraw="Withdraw" in wallet,
            may_transfer=any("Transfer" in scope for scope in wallet),
            address_bound=bool(key.ips) and "*" not in key.ips,
            expires=expiry(key.expiredAt, key.deadlineDay, self._http.venue_ns()),
            position_mode=mode,
            price_limit=price_limit,
            disconnect_cancel_s=await self._disconnect_cancel(),
            clock_offset=self._http.offset.offset,
            clock_error=self._http.offset.error,
            faults=(),
            remarks=(),
        )
        unified = key.uta == 1 or account.unifiedMarginStatus in _UNIFIED
        mainnet, now, categories = self._http.word == "mainnet", self._http.venue_ns(), {one for one, _ in instruments}
        faults = faults_of(seen, unified=unified, mainnet=mainnet, categories=categories, now=now)
        remarks = remarks_of(seen, mainnet=mainnet, now=now)
        return msgspec.structs.replace(seen, faults=tuple(faults), remarks=tuple(remarks))

    async def _reject_beyond_the_band(
        self, categories: set[str], *, may_set: bool
    ) -> Literal["reject", "reprice", "unknown"]:
        for category in sorted(categories) if may_set else ():
            body = msgspec.json.encode({"category": category, "modifyEnable": False})
            answer = await self._http.change("/v5/account/set-limit-px-action", body)
            if answer.code != 0:
                raise VenueError(f"set-limit-px-action: {answer.code} {answer.message}; may the key change settings?")
        behaviour = _read(
            "trade behaviour", (await self._http.get("/v5/account/user-setting-config", ())).result, _Behaviour
        )
        # The two flags have opposite senses: lpaSpot true moves the price, lpaPerp true refuses it.
        refused = {
            "spot": None if behaviour.lpaSpot is None else not behaviour.lpaSpot,
            "linear": behaviour.lpaPerp,
            "inverse": behaviour.lpaPerp,
        }
        found = {refused[category] for category in categories}
        if None in found:
            return "unknown"
        return "reprice" if False in found else "reject"

    async def _position_mode(
        self, instruments: list[tuple[str, str]]
    ) -> Literal["one_way", "hedge", "spot", "unknown"]:
        contracts = [(category, symbol) for category, symbol in instruments if category != "spot"]
        for category, symbol in contracts:
            _, hedged = await self._positions(category, symbol)
            if hedged:
                return "hedge"
        return "one_way" if contracts else "spot"

    async def _disconnect_cancel(self) -> int | None:
        answer = await self._http.get("/v5/account/query-dcp-info", (), group="account")
        on = [one for one in _read("dcp", answer.result, _DcpPage).dcpInfos if one.dcpStatus == "ON"]
        windows = [int(one.timeWindow) for one in on if one.product != "OPTIONS" and one.timeWindow.isdigit()]
        return max(windows, default=None)


def _at(cursor: str) -> Params:
    return [("cursor", cursor)] if cursor else []


def _orders(result: bytes, category: str) -> tuple[list[OrderSeen], str]:
    try:
        return decode_orders(result, category)
    except WireError as error:
        raise VenueError(str(error)) from error
