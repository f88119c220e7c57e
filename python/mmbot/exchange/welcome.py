"""What an exchange says when it serves: where it is, its first account's key, and what to paste into an SDK.

The pasted lines are executed by a test against a running exchange.
"""

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from mmbot.exchange.venue import Exchange

__all__ = ["Facts", "ccxt_lines", "facts", "pybit_lines", "screen"]


class Symbol(TypedDict):
    """One market."""

    category: str
    symbol: str
    source: str


class Facts(TypedDict):
    """Where an exchange is and how to be let in: simulated credentials of its first account."""

    http: str
    ws: str
    api_key: str
    api_secret: str
    symbols: list[Symbol]
    admin_token: str | None


def facts(exchange: "Exchange", admin_token: str | None = None) -> Facts:
    """Of a running exchange."""
    key = exchange.keys[0]
    symbols: list[Symbol] = [
        {"category": category, "symbol": symbol, "source": source.told}
        for (category, symbol), source in exchange.hall.sources.items()
    ]
    return {
        "http": exchange.http,
        "ws": exchange.ws,
        "api_key": key.key,
        "api_secret": key.secret,
        "symbols": symbols,
        "admin_token": admin_token,
    }


def pybit_lines(told: Facts) -> str:
    """Python that points pybit at the exchange."""
    return f'''\
import pybit.unified_trading as ut, pybit._websocket_trading as wt
ut.PUBLIC_WSS = "{told["ws"]}/v5/public/{{CHANNEL_TYPE}}"
ut.PRIVATE_WSS = "{told["ws"]}/v5/private"
wt.TRADE_WSS = "{told["ws"]}/v5/trade"
session = ut.HTTP(api_key="{told["api_key"]}", api_secret="{told["api_secret"]}")
session.endpoint = "{told["http"]}"
'''


def ccxt_lines(told: Facts) -> str:
    """Python that points ccxt, ccxt.async_support or ccxt.pro at the exchange."""
    return f'''\
import ccxt.pro
H, W = "{told["http"]}", "{told["ws"]}"
ws = {{"public": {{c: f"{{W}}/v5/public/{{c}}" for c in ("spot", "linear", "inverse", "option")}},
      "private": {{"spot": {{"unified": W + "/v5/private"}}, "contract": W + "/v5/private", "trade": W + "/v5/trade"}}}}
api = {{k: H for k in ("spot", "futures", "v2", "public", "private")}} | {{"ws": ws}}
exchange = ccxt.pro.bybit({{"apiKey": "{told["api_key"]}", "secret": "{told["api_secret"]}", "urls": {{"api": api}}}})
'''


def screen(told: Facts) -> str:
    """All of it for a person."""
    markets = "\n".join(f"    {s['category']:<8} {s['symbol']:<10} {s['source']}" for s in told["symbols"])
    admin = f"\n  admin      {told['http']}/admin  token {told['admin_token']}" if told["admin_token"] else ""
    return f"""\
A simulated Bybit v5 is serving. Ctrl-C stops it.

  REST       {told["http"]}
  WebSocket  {told["ws"]}/v5/public/{{linear,inverse,spot}}  /v5/private  /v5/trade
  key        {told["api_key"]}
  secret     {told["api_secret"]}{admin}
  markets
{markets}

paste into pybit
{_indented(pybit_lines(told))}
paste into ccxt
{_indented(ccxt_lines(told))}"""


def _indented(lines: str) -> str:
    return "".join(f"    {line}\n" for line in lines.splitlines())
