"""What an exchange says when it serves, and switches by name."""

import time

import pytest

from mmbot.exchange.chosen import read_switches
from mmbot.exchange.listed import open_hall
from mmbot.exchange.venue import Exchange
from mmbot.exchange.welcome import facts, screen


def test_the_screen_says_where_with_what_key_and_which_markets():
    """A person finds address, key, secret, each market with its source, and the admin token if there is one."""
    exchange = Exchange.open(open_hall(clock=time.time_ns), time.time_ns)
    told = facts(exchange, "token-1")
    shown = screen(told)
    for word in (told["http"], told["api_key"], told["api_secret"], "token-1", "recorded sample:btcusdt", "BTCUSD"):
        assert word in shown
    assert "admin" not in screen(facts(exchange))


def test_switches_are_set_by_name_on_the_side_that_has_them():
    """`ack_ms` is a switch of both sides; the others keep their defaults."""
    public, client = read_switches(["ack_ms=7", "show_clients=false", "order_ms=2.5"])
    assert (public.ack_ms, public.show_clients, public.beat_ms) == (7, False, 10)
    assert (client.ack_ms, client.order_ms) == (7.0, 2.5)
    with pytest.raises(ValueError, match="order_ms"):
        read_switches(["order_ms=late"])
