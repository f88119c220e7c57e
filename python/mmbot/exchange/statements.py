"""How positions and balances are written: rows of the position list, the wallet balance and their streams."""

from typing import Any

from mmbot.exchange.account import Account, Holding, Margin, PriceOf
from mmbot.exchange.money import UNIT, half_even, text

__all__ = ["leverage_text", "position_row", "wallet_row"]


def leverage_text(hundredths: int) -> str:
    """Write a leverage that is kept in hundredths."""
    return text(hundredths * 10**10)


def position_row(account: Account, holding: Holding, price_of: PriceOf, *, stream: bool) -> dict[str, Any]:
    """Write one position; the stream calls the average price `entryPrice` and names the category."""
    listing, position = holding.listing, holding.position
    market, instrument, grid = listing.market, listing.instrument, listing.grid
    size, mark = abs(position.lots), market.mark
    average = grid.average(position.entry_value, size) if size else "0"
    bound = text(holding.bound(size)) if size else ""
    upkeep = text(holding.upkeep) if size else ""
    row = {
        "positionIdx": 0,
        "riskId": 1,
        "riskLimitValue": market.rules.risk_limit_value,
        "symbol": listing.symbol,
        "side": "" if not size else "Buy" if position.lots > 0 else "Sell",
        "size": instrument.quantity(size) if size else "0",
        "positionValue": text(position.entry_value) if size else "",
        "autoAddMargin": 0,
        "positionStatus": "Normal",
        "leverage": leverage_text(holding.leverage),
        "breakEvenPrice": _break_even(holding) if size else "",
        "markPrice": instrument.price(mark) if mark else "",
        "liqPrice": _liquidation(account, holding, price_of) if size else "",
        "positionIM": bound,
        "positionIMByMp": bound,
        "positionMM": upkeep,
        "positionMMByMp": upkeep,
        "takeProfit": "",
        "stopLoss": "",
        "trailingStop": "0",
        "sessionAvgPrice": "",
        "delta": "",
        "gamma": "",
        "vega": "",
        "theta": "",
        "unrealisedPnl": text(position.unrealised(mark)) if size else "",
        "curRealisedPnl": text(position.realised_now),
        "cumRealisedPnl": text(position.realised - position.charges),
        "adlRankIndicator": 0,
        "createdTime": str(position.opened_ms),
        "updatedTime": str(position.updated_ms),
        "openTime": position.opened_ms,
        "seq": listing.seq,
        "isReduceOnly": False,
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "tpslMode": "Full",
        "bustPrice": "",
        "positionBalance": "0",
        "tradeMode": 0,
    }
    if stream:
        row["category"], row["entryPrice"] = listing.category, average
    else:
        row["avgPrice"] = average
    return row


def wallet_row(
    account: Account, price_of: PriceOf, coins: set[str] | None = None, *, margin: Margin | None = None
) -> dict[str, Any]:
    """Write the account's balances: all coins that are not zero, or those named."""
    sums = margin or account.margin(price_of)
    initial = text(sums.initial)
    rate = (sums.equity and text(half_even(sums.initial * UNIT, sums.equity))) or "0"
    upkeep_rate = (sums.equity and text(half_even(sums.maintenance * UNIT, sums.equity))) or "0"
    names = [
        name
        for name, coin in account.wallet.coins.items()
        if (coin.balance or coin.locked if coins is None else name in coins)
    ]
    return {
        "accountType": "UNIFIED",
        "accountLTV": "0",
        "totalEquity": text(sums.equity),
        "totalWalletBalance": text(sums.wallet),
        "totalMarginBalance": text(sums.equity),
        "totalAvailableBalance": text(sums.available),
        "totalPerpUPL": text(sums.unrealised),
        "totalInitialMargin": initial,
        "totalMaintenanceMargin": text(sums.maintenance),
        "totalInitialMarginByMp": initial,
        "totalMaintenanceMarginByMp": text(sums.maintenance),
        "accountIMRate": rate,
        "accountMMRate": upkeep_rate,
        "accountIMRateByMp": rate,
        "accountMMRateByMp": upkeep_rate,
        "coin": [_coin_row(account, name, price_of(name)) for name in names],
    }


def _coin_row(account: Account, name: str, price: int) -> dict[str, Any]:
    coin = account.wallet.coin(name)
    unrealised = orders = positions = upkeep = 0
    for holding in account.holdings.values():
        if holding.listing.settle != name:
            continue
        position, mark = holding.position, holding.listing.market.mark
        now = holding.bound(abs(position.lots))
        unrealised += position.unrealised(mark)
        positions += now
        orders += holding.bound(holding.worst) - now
        upkeep += holding.upkeep
    equity = coin.balance + unrealised
    return {
        "coin": name,
        "equity": text(equity),
        "usdValue": text(half_even(equity * price, UNIT)),
        "walletBalance": text(coin.balance),
        "locked": text(coin.locked),
        "free": "",
        "spotHedgingQty": "0",
        "borrowAmount": "0",
        "accruedInterest": "0",
        "totalOrderIM": text(orders),
        "totalPositionIM": text(positions),
        "totalPositionMM": text(upkeep),
        "unrealisedPnl": text(unrealised),
        "cumRealisedPnl": text(coin.realised),
        "bonus": "0",
        "marginCollateral": True,
        "collateralSwitch": True,
        "colRes": "0",
        "spotBorrow": "0",
        "availableToWithdraw": "",
        "availableToBorrow": "",
    }


def _break_even(holding: Holding) -> str:
    """The price at which closing makes up for what fees, funding and partial closes did since it was opened."""
    position, grid = holding.position, holding.listing.grid
    owed = position.realised_now if position.lots > 0 else -position.realised_now
    value = position.entry_value + (owed if grid.inverse else -owed)
    return grid.average(value, abs(position.lots)) if value > 0 else "0"


def _liquidation(account: Account, holding: Holding, price_of: PriceOf) -> str:
    price = price_of(holding.listing.settle)
    if not price:
        return ""
    sums = account.margin(price_of)
    cushion = half_even((sums.equity - sums.locked - sums.maintenance) * UNIT, price)
    tick = holding.position.liquidation(holding.listing.market.mark, cushion)
    return holding.listing.instrument.price(tick) if tick else ""
