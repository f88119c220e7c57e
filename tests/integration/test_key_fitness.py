"""Keys that must not trade, as the exchange itself describes them: each is refused at the start, with what to do."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import pytest
from paper_exchange import PaperExchange
from pydantic import SecretStr

from mmbot.exchange.auth import ApiKey
from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.session import BybitOrders
from mmbot.venues.port import Attestation, Credentials, Fact, LinkEvent, VenueError

TRADING = {"ContractTrade": ("Order", "Position"), "Spot": ("SpotTrade",)}
DAY_MS = 86_400_000
CONFINED = ("127.0.0.1",)


class Deaf:
    """A sink that needs to hear nothing."""

    def on_facts(self, facts: list[Fact], ts_recv: int) -> None:
        """Nothing."""

    def on_link(self, event: LinkEvent) -> None:
        """Nothing."""


def with_scope(**more: tuple[str, ...]) -> dict[str, Any]:
    """A confined trading key that may do more."""
    return {"scopes": {**TRADING, **more}, "ips": CONFINED}


def ends_in(days: float, ips: tuple[str, ...] = CONFINED) -> dict[str, Any]:
    """A trading key that ends."""
    return {"ips": ips, "expires_ms": time.time_ns() // 1_000_000 + round(days * DAY_MS)}


BAD: Mapping[str, tuple[dict[str, Any], str]] = {
    "read-only": ({"read_only": True, "ips": CONFINED}, "read-only"),
    "withdraws": (with_scope(Wallet=("Withdraw",)), "may withdraw"),
    "transfers": (with_scope(Wallet=("AccountTransfer",)), "may transfer"),
    "transfers to members": (with_scope(Wallet=("SubMemberTransfer",)), "may transfer"),
    "lists and transfers": (with_scope(Wallet=("SubMemberTransferList", "Withdraw")), "may withdraw.*may transfer"),
    "converts": (with_scope(Exchange=("ExchangeHistory",)), "more than trade .Exchange.ExchangeHistory"),
    "earns": (with_scope(Earn=("Earn",)), "more than trade .Earn.Earn"),
    "pays": (with_scope(FiatBybitPay=("FaitPayOrder",)), "more than trade .FiatBybitPay"),
    "sells to people": (with_scope(FiatP2P=("FiatP2POrder", "Advertising")), "more than trade .FiatP2P"),
    "from anywhere": ({}, "bound to no address"),
    "ends tomorrow": (ends_in(1), "ends in"),
    "ends in two days": (ends_in(1.99, ips=()), "bound to no address.*ends in"),
    "may not trade": ({"scopes": {"ContractTrade": ("Position",)}, "ips": CONFINED}, "may not trade linear"),
    "trades spot alone": ({"scopes": {"Spot": ("SpotTrade",)}, "ips": CONFINED}, "may not trade linear"),
}


def attested(words: dict[str, Any], *, word: str = "mainnet") -> Attestation:
    """Start a session with a key of an exchange on loopback that stands for the named one; its attestation."""

    async def scenario() -> Attestation:
        async with PaperExchange(tapes=[], kind="calm") as paper:
            paper.exchange.gateway.keyring.add(ApiKey(key="thekey", secret="thesecret", uid=1001, **words))
            http = paper.exchange.http
            known = Endpoint.of("simulator", http)
            endpoint = Endpoint(
                word=word, http=http, public_base=known.public_base, private=known.private, trade=known.trade
            )
            credentials = Credentials(key="thekey", secret=SecretStr("thesecret"))
            session = BybitOrders(endpoint, credentials, Deaf(), time.time_ns, instruments=[("linear", "BTCUSDT")])
            await session.start()
            try:
                return await session.attest()
            finally:
                await session.stop()

    return asyncio.run(scenario())


@pytest.mark.parametrize("name", BAD)
def test_a_key_that_must_not_trade_is_refused_at_the_start(name: str):
    """The message names what the key may do, or lacks, and what to do about it."""
    words, said = BAD[name]
    with pytest.raises(VenueError, match=said):
        attested(words)


def test_a_confined_trading_key_is_fit_and_one_that_ends_soon_is_remarked():
    """Two weeks before its end an operator reads of it; with more time nothing is said."""
    assert attested({"ips": CONFINED}).faults == ()
    assert any("ends in 13" in one for one in attested(ends_in(13.5)).remarks)
    assert not any("ends in" in one for one in attested(ends_in(15)).remarks)


def test_where_there_is_no_money_an_open_key_is_a_remark():
    """On a simulator, a testnet or a demo account the same key trades; withdrawing is a fault there too."""
    assert any("bound to no address" in one for one in attested({}, word="testnet").remarks)
    with pytest.raises(VenueError, match="may withdraw"):
        attested(with_scope(Wallet=("Withdraw",)), word="testnet")
