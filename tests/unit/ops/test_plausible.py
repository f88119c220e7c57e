"""Limits against the venue and the account at a start, each at its boundary."""

from typing import Any

import pytest

from mmbot import _core
from mmbot.config import BacktestConfig, ConfigError
from mmbot.config.load import check
from mmbot.ops.plausible import check_account
from mmbot.runtime.bridge import Listed
from mmbot.venues.port import InstrumentTerms, WalletSeen

TERMS = InstrumentTerms(
    category="linear",
    symbol="BTCUSDT",
    kind="linear",
    tradable=True,
    base="BTC",
    quote="USDT",
    settle="USDT",
    tick="0.1",
    lot="0.001",
    min_qty="0.001",
    max_qty="100",
    min_notional="5",
    funding_interval_s=None,
)
INSTRUMENT = _core.Instrument(venue="bybit", symbol="BTCUSDT", kind="linear", tick="0.1", lot="0.001", maker=0, taker=0)
LISTED = Listed(category="linear", symbol="BTCUSDT", instrument=INSTRUMENT, terms=TERMS)


def config(order: str = "1", **risk: Any) -> BacktestConfig:
    """A run of one instrument."""
    each = {"symbol": "BTCUSDT", "category": "linear", "limits": {"position": "1000", "order": order}}
    return check(BacktestConfig, {"instruments": [each], "risk": risk}, "a.toml")


def wallet(margin: str | None) -> list[WalletSeen]:
    """What the account is worth, as the venue says."""
    return [WalletSeen(coin="USDT", balance="1", equity="1", ts_venue=1, margin=margin)]


@pytest.mark.parametrize(
    ("order", "margin", "said"),
    [
        ("100", "1000", ""),
        ("100.001", "1000", "instruments.0.limits.order: is 100.001; linear BTCUSDT takes at most 100"),
        ("1", "999.99", "risk.capital_usd: is 10000; the account has 999.99; expected at most 10 times that"),
        ("1", "0", "the account has 0"),
        ("1", None, ""),
        ("1", "nan", ""),
    ],
)
def test_an_order_and_the_capital_are_held_against_venue_and_account(order: str, margin: str | None, said: str) -> None:
    """The venue's largest order passes, and ten times what the account has; an account that does not say is not held
    against.
    """
    if not said:
        check_account(config(order), [LISTED], wallet(margin))
        return
    with pytest.raises(ConfigError) as refused:
        check_account(config(order), [LISTED], wallet(margin))
    assert said in str(refused.value)


def test_launch_limits_are_a_tenth_of_the_capital_too() -> None:
    """So is what they are held against."""
    check_account(config(launch=True), [LISTED], wallet("100"))
    with pytest.raises(ConfigError, match="is 1000"):
        check_account(config(launch=True), [LISTED], wallet("99"))
