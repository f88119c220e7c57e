"""`/v5/market/instruments-info`: the terms of an instrument as the venue publishes them, with all fields ccxt reads."""

from typing import Any

from mmbot.exchange.market import Market

__all__ = ["instrument_row"]


def _decimals(step: str) -> str:
    return str(len(step.partition(".")[2]))


def instrument_row(market: Market) -> dict[str, Any]:
    """One entry of the list."""
    rules = market.rules
    shared = {
        "symbol": rules.symbol,
        "symbolId": rules.symbol_id,
        "symbolType": "",
        "status": "Trading" if market.status == "Maintenance" else market.status,
        "baseCoin": rules.base_coin,
        "quoteCoin": rules.quote_coin,
        "riskParameters": {"priceLimitRatioX": rules.price_limit_x, "priceLimitRatioY": rules.price_limit_y},
    }
    if rules.is_spot:
        return shared | {
            "innovation": "0",
            "marginTrading": "none",
            "stTag": "0",
            "lotSizeFilter": {
                "basePrecision": rules.qty_step,
                "quotePrecision": rules.quote_precision,
                "minOrderQty": rules.min_order_qty,
                "maxOrderQty": rules.max_order_qty,
                "minOrderAmt": rules.min_notional,
                "maxOrderAmt": "8000000",
                "maxLimitOrderQty": rules.max_order_qty,
                "maxMarketOrderQty": rules.max_market_qty,
                "postOnlyMaxLimitOrderSize": rules.max_order_qty,
            },
            "priceFilter": {"tickSize": rules.tick_size},
        }
    return shared | {
        "contractType": "InversePerpetual" if rules.category == "inverse" else "LinearPerpetual",
        "settleCoin": rules.settle_coin,
        "launchTime": str(rules.launch_ms),
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": _decimals(rules.tick_size),
        "leverageFilter": {
            "minLeverage": rules.min_leverage,
            "maxLeverage": rules.max_leverage,
            "leverageStep": rules.leverage_step,
        },
        "priceFilter": {"minPrice": rules.min_price, "maxPrice": rules.max_price, "tickSize": rules.tick_size},
        "lotSizeFilter": {
            "minNotionalValue": rules.min_notional,
            "maxOrderQty": rules.max_order_qty,
            "maxMktOrderQty": rules.max_market_qty,
            "minOrderQty": rules.min_order_qty,
            "qtyStep": rules.qty_step,
            "postOnlyMaxOrderQty": rules.max_order_qty,
        },
        "unifiedMarginTrade": True,
        "fundingInterval": rules.funding_interval_min,
        "copyTrading": "none",
        "upperFundingRate": rules.upper_funding_rate,
        "lowerFundingRate": rules.lower_funding_rate,
        "displayName": "",
        "isPreListing": False,
        "preListingInfo": None,
        "forbidUplWithdrawal": False,
    }
