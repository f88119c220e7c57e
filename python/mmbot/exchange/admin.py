"""The operator's side of the simulator: faults, switches, restarts, accounts, and the venue's own truth.

Everything is below `/admin/` and asks for the header `Authorization: Bearer TOKEN`; without a token the paths do not
exist. The truth is what tests compare a client with: exact decimals from the state itself, not from any stream.
"""

import hmac
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias

import msgspec
from aiohttp import web

from mmbot.exchange.account import Account
from mmbot.exchange.auth import ApiKey
from mmbot.exchange.client_text import read_json
from mmbot.exchange.clock import VenueClock
from mmbot.exchange.faults import Fault
from mmbot.exchange.gateway import Gateway
from mmbot.exchange.line import How
from mmbot.exchange.listing import Listing
from mmbot.exchange.market import Side
from mmbot.exchange.money import rate_units, text, units
from mmbot.exchange.orders import order_row
from mmbot.exchange.rates import TIERS, RateLimits
from mmbot.exchange.switches import Switches

__all__ = ["Admin", "truth"]

SKEW_MS_MAX = 366 * 86_400_000
Ask: TypeAlias = dict[str, Any]
Action: TypeAlias = Callable[[Ask], object]


def truth(gateway: Gateway, uid: int | None = None) -> dict[str, Any]:
    """Open orders, executions, positions and balances of one account or all, and the venue's counters."""
    house = gateway.house
    accounts = [account for account in house.accounts.values() if uid in (None, account.uid)]
    lots, coins = house.totals()
    return {
        "time": gateway.now_ms(),
        "state": gateway.state,
        "accounts": {str(account.uid): _account_truth(account) for account in accounts},
        "totals": {
            "lots": {f"{category}:{symbol}": count for (category, symbol), count in lots.items()},
            "coins": {name: text(amount) for name, amount in coins.items()},
        },
        "counters": {
            "requests": gateway.desk.requests,
            "executions": house.clearing.executions,
            "open_orders": len(house.orders),
            "link_ids": house.link_ids.used,
            "link_ids_forgotten": house.link_ids.forgotten,
            "faults_struck": gateway.faults.struck,
            "sessions": len(gateway.sessions),
            "restarts": gateway.restarts,
        },
    }


def _account_truth(account: Account) -> dict[str, Any]:
    positions = {
        f"{category}:{symbol}": {
            "lots": holding.position.lots,
            "size": holding.listing.instrument.quantity(abs(holding.position.lots)) if holding.position.lots else "0",
            "entry_value": text(holding.position.entry_value),
            "realised": text(holding.position.realised),
            "charges": text(holding.position.charges),
            "open_buys": holding.buys,
            "open_sells": holding.sells,
        }
        for (category, symbol), holding in account.holdings.items()
    }
    executions = [
        {**record.row(), "category": record.listing.category, "execPnl": text(record.profit)}
        for record in account.records.executions
    ]
    return {
        "balances": {name: text(coin.balance) for name, coin in account.wallet.coins.items()},
        "locked": {name: text(coin.locked) for name, coin in account.wallet.coins.items() if coin.locked},
        "positions": positions,
        "open": [{**order_row(order), "category": order.listing.category} for order in account.records.open.values()],
        "executions": executions,
        "closed_orders": account.records.closed_count,
        "orders_forgotten": account.records.orders_forgotten,
    }


class Admin:
    """A part of the server. Each action takes the JSON body (or the query) and returns what is answered."""

    def __init__(self, gateway: Gateway, token: str) -> None:
        """Raises ValueError for an empty token."""
        if not token:
            raise ValueError("the admin API needs a token, got an empty one; leave the API off or give it one")
        self._gateway = gateway
        self._token = token
        self.actions: dict[tuple[str, str], Action] = {
            ("GET", "truth"): lambda ask: truth(gateway, _uid(ask)),
            ("GET", "faults"): self.faults,
            ("POST", "faults"): self.arm,
            ("DELETE", "faults"): self.disarm,
            ("GET", "switches"): lambda _: gateway.house.switches,
            ("POST", "switches"): self.switch,
            ("POST", "restart"): self.restart,
            ("POST", "maintenance"): self.maintain,
            ("POST", "disconnect"): self.disconnect,
            ("POST", "mute"): self.mute,
            ("POST", "clock"): self.clock,
            ("POST", "account"): self.account,
            ("POST", "revoke"): self.revoke,
            ("POST", "transfer"): self.transfer,
            ("POST", "market"): self.market,
        }

    def routes(self) -> Iterable[web.RouteDef]:
        """Its route table."""
        for (method, name), action in self.actions.items():
            yield web.route(method, f"/admin/{name}", _served(action, self._token))

    async def start(self) -> None:
        """Nothing runs by itself."""

    async def stop(self) -> None:
        """Nothing to end."""

    def faults(self, _: Ask) -> object:
        """What is armed."""
        armed = self._gateway.faults.armed()
        return [{"id": number, "left": left, "fault": fault} for number, fault, left in armed]

    def arm(self, ask: Ask) -> object:
        """Arm a fault; returns its id."""
        return {"id": self._gateway.faults.arm(msgspec.convert(ask, Fault))}

    def disarm(self, ask: Ask) -> object:
        """Clear one fault by id, or all."""
        number = ask.get("id")
        return {"cleared": self._gateway.faults.clear(None if number is None else int(number))}

    def switch(self, ask: Ask) -> object:
        """Change switches; those not named stay."""
        now = self._gateway.house.switches
        changed = msgspec.convert({**msgspec.to_builtins(now), **ask}, Switches)
        self._gateway.switch(changed)
        return changed

    def restart(self, _: Ask) -> object:
        """Restart the venue."""
        self._gateway.restart()
        return {}

    def maintain(self, ask: Ask) -> object:
        """Close for maintenance, or open again."""
        self._gateway.maintain(on=bool(ask["on"]))
        return {}

    def disconnect(self, ask: Ask) -> object:
        """End connections: `link` ("private", "trade" or all), `uid`, `how` ("close", "going_away", "abort")."""
        how = msgspec.convert(ask.get("how", "abort"), How)
        return {"ended": self._gateway.cut(str(ask.get("link", "")), _uid(ask), how)}

    def mute(self, ask: Ask) -> object:
        """Make connections half-open."""
        return {"muted": self._gateway.mute(str(ask.get("link", "")), _uid(ask))}

    def clock(self, ask: Ask) -> object:
        """Put the venue's clock ahead of ours, or behind: `skew_ms`."""
        clock = self._gateway.clock
        if not isinstance(clock, VenueClock):
            raise TypeError("the exchange was opened with a clock that cannot be set; open it with a VenueClock")
        skew_ms = int(ask["skew_ms"])
        if abs(skew_ms) > SKEW_MS_MAX:
            raise ValueError(f"skew_ms {skew_ms} is beyond a year; expected -{SKEW_MS_MAX} to {SKEW_MS_MAX}")
        clock.skew_ms = skew_ms
        return {"time": self._gateway.now_ms()}

    def account(self, ask: Ask) -> object:
        """Open or change an account: `uid`, and any of key, secret, read_only, ips, tier, institutional, fees."""
        house, uid = self._gateway.house, int(ask["uid"])
        account = house.accounts.get(uid)
        if account is None:
            account = Account(uid)
            house.admit(account)
        if "key" in ask:
            names = {"key", "secret", "read_only", "ips", "expires_ms", "scopes"} & set(ask)
            self._gateway.keyring.add(msgspec.convert({"uid": uid, **{name: ask[name] for name in names}}, ApiKey))
        if "tier" in ask:
            account.rates.change(RateLimits(TIERS[str(ask["tier"])]))
        if "institutional" in ask:
            account.institutional = bool(ask["institutional"])
        for category, (maker, taker) in dict(ask.get("fees", {})).items():
            account.fees[category] = (rate_units(maker), rate_units(taker))
        return {"uid": uid}

    def revoke(self, ask: Ask) -> object:
        """Revoke an API key: `key`. Its connections are cut."""
        return {"revoked": self._gateway.revoke(str(ask["key"]))}

    def transfer(self, ask: Ask) -> object:
        """Bring coins into an account, or take them out: `uid`, `coin`, `amount`."""
        account = self._gateway.house.accounts[int(ask["uid"])]
        account.wallet.transfer(str(ask["coin"]), units(str(ask["amount"])), self._gateway.now_ms())
        return {"balance": text(account.wallet.coin(str(ask["coin"])).balance)}

    def market(self, ask: Ask) -> object:
        """Move a market: `trade` {side, price, qty}, `depth` {kind, bids, asks}, `funding` {rate}."""
        listing = self._gateway.house.listings[str(ask["category"]), str(ask["symbol"])]
        market, instrument = listing.market, listing.instrument
        if "depth" in ask:
            depth = msgspec.convert(ask["depth"], Ask)
            bids, asks = (_levels(listing, depth.get(side, ())) for side in ("bids", "asks"))
            market.public_depth(str(depth.get("kind", "delta")), bids, asks, market.now_ns())
        if "trade" in ask:
            trade = ask["trade"]
            side = msgspec.convert(trade["side"], Side)
            market.public_trade(side, instrument.ticks(trade["price"]), instrument.lots(trade["qty"]), market.now_ns())
        if "funding" in ask:
            self._gateway.house.on_funding(
                listing, rate_units(str(ask["funding"]["rate"])), market.mark, market.now_ms()
            )
        return {}


def _served(action: Action, token: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    expected = f"Bearer {token}".encode()

    async def serve(request: web.Request) -> web.Response:
        said = request.headers.get("Authorization", "")
        if not hmac.compare_digest(said.encode(errors="replace"), expected):
            raise web.HTTPUnauthorized(text="the admin API needs its token: Authorization: Bearer …")
        try:
            body = await request.read()
            ask = msgspec.convert(read_json(body), Ask) if body else dict(request.query)
            told = action(ask)
        except (ValueError, KeyError, TypeError, msgspec.MsgspecError) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)
        return web.Response(body=msgspec.json.encode(told), content_type="application/json")

    return serve


def _uid(ask: Ask) -> int | None:
    return int(ask["uid"]) if "uid" in ask else None


def _levels(listing: Listing, levels: Iterable[tuple[str, str]]) -> list[tuple[int, int]]:
    instrument = listing.instrument
    return [(instrument.ticks(price), instrument.lots(qty) if units(qty) else 0) for price, qty in levels]
