"""What an account may set: leverage, position mode, what becomes of prices beyond the band, disconnect-cancel-all.

Source: Bybit v5, "Set Leverage", "Switch Position Mode", "Set Price Limit Behaviour", "Set Disconnect Cancel All".
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from mmbot.exchange.account import Account
from mmbot.exchange.dcp import read_product
from mmbot.exchange.desk import read_category
from mmbot.exchange.house import House
from mmbot.exchange.intake import Body
from mmbot.exchange.money import units
from mmbot.exchange.refusals import RefusedError, bad_parameter, bad_symbol, unsupported

__all__ = ["SETTINGS"]


def set_leverage(house: House, account: Account, body: Body) -> dict[str, Any]:
    """`/v5/position/set-leverage`: one for both sides, within the instrument's range and the account's means."""
    category = read_category(body)
    listing = house.listings.get((category, str(body.get("symbol") or "")))
    if listing is None or listing.is_spot:
        raise bad_symbol(category)
    said = body.get("buyLeverage")
    if not isinstance(said, str) or body.get("sellLeverage") != said:
        raise bad_parameter("params error: buyLeverage and sellLeverage are text and equal in one-way mode")
    try:
        hundredths = units(said) // 10**10
    except ValueError as error:
        raise bad_parameter(f"params error: leverage {said} is no number") from error
    if not 100 <= hundredths <= listing.leverage_max:
        raise RefusedError(110013, f"cannot set leverage [{said}] gt maxLeverage [{listing.market.rules.max_leverage}]")
    holding = account.holding(listing)
    if hundredths == holding.leverage:
        raise RefusedError(110043, "leverage not modified")
    before, holding.leverage = holding.leverage, hundredths
    if hundredths < before and account.margin(house.price_of).available < 0:
        holding.leverage = before
        raise RefusedError(110044, "Available margin is insufficient")
    house.bulletin.moved(account, listing)
    house.bulletin.post()
    return {}


def switch_mode(house: House, account: Account, body: Body) -> dict[str, Any]:
    """`/v5/position/switch-mode`: one-way is what there is; hedge mode is not modelled."""
    if read_category(body) != "linear":
        raise bad_parameter("params error: only linear contracts have position modes")
    if body.get("mode") == 0:
        raise RefusedError(110025, "Position mode is not modified")
    if body.get("mode") == 3:
        raise unsupported("hedge mode")
    raise bad_parameter("params error: mode is 0 or 3")


def set_price_behaviour(house: House, account: Account, body: Body) -> dict[str, Any]:
    """`/v5/account/set-limit-px-action`: move a price beyond the band to it, or refuse the order."""
    enable = body.get("modifyEnable")
    if not isinstance(enable, bool):
        raise bad_parameter("params error: modifyEnable is true or false")
    account.reprices["spot" if read_category(body) == "spot" else "contract"] = enable
    return {}


def set_dcp(house: House, account: Account, body: Body) -> dict[str, Any]:
    """`/v5/order/disconnected-cancel-all`: the window of one product; for institutions."""
    product, window = read_product(body.get("product"), body.get("timeWindow"))
    if not account.institutional:
        raise RefusedError(10005, "Permission denied, DCP is available to institutional clients only.")
    account.dcp[product] = window
    return {}


Setting: TypeAlias = Callable[[House, Account, Body], dict[str, Any]]
SETTINGS: dict[str, Setting] = {
    "position/set-leverage": set_leverage,
    "position/switch-mode": switch_mode,
    "account/set-limit-px-action": set_price_behaviour,
    "order/disconnected-cancel-all": set_dcp,
}
"""By the path below `/v5/`, which is also the rate group."""
