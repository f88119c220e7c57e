"""When the orders of an account whose connections died are cancelled."""

import pytest

from mmbot.exchange.dcp import DeadManSwitch, read_product
from mmbot.exchange.refusals import RefusedError

WINDOWS = {7: {"DERIVATIVES": 10}}
SILENCE_MS = 30_000


def test_the_window_begins_when_the_last_watched_connection_is_gone():
    """One of two may go; ten seconds after the other the orders fall, once."""
    switch = DeadManSwitch()
    switch.watch(7, "DERIVATIVES", "a", 0)
    switch.watch(7, "DERIVATIVES", "b", 0)
    switch.lost(7, "a", 1_000)
    switch.heard(7, "b", 15_000)
    assert switch.due(WINDOWS, SILENCE_MS, 20_000) == []
    switch.lost(7, "b", 20_000)
    assert switch.due(WINDOWS, SILENCE_MS, 29_999) == []
    assert switch.due(WINDOWS, SILENCE_MS, 30_000) == [(7, "DERIVATIVES")]
    assert switch.due(WINDOWS, SILENCE_MS, 99_000) == []


def test_coming_back_in_time_saves_the_orders():
    """A new watched connection ends the countdown."""
    switch = DeadManSwitch()
    switch.watch(7, "DERIVATIVES", "a", 0)
    switch.lost(7, "a", 0)
    switch.watch(7, "DERIVATIVES", "b", 9_000)
    assert switch.due(WINDOWS, SILENCE_MS, 12_000) == []


def test_a_connection_that_says_nothing_is_dead_too():
    """Silence counts from the last word; a word within the window saves the orders."""
    switch = DeadManSwitch()
    switch.watch(7, "DERIVATIVES", "a", 0)
    assert switch.due(WINDOWS, SILENCE_MS, 35_000) == []
    switch.heard(7, "a", 36_000)
    assert switch.due(WINDOWS, SILENCE_MS, 50_000) == []
    assert switch.due(WINDOWS, SILENCE_MS, 76_000) == [(7, "DERIVATIVES")]


def test_products_and_accounts_without_a_window_are_left_alone():
    """Spot has its own watch, and no window means no cancel."""
    switch = DeadManSwitch()
    for uid, product in ((7, "SPOT"), (8, "DERIVATIVES")):
        switch.watch(uid, product, "a", 0)
        switch.lost(uid, "a", 0)
    assert switch.due(WINDOWS, SILENCE_MS, 99_000) == []


@pytest.mark.parametrize(
    ("product", "window"), [("OPTIONS", 10), (None, 10), ("MOON", 10), ("SPOT", 2), ("SPOT", 301), ("SPOT", "10")]
)
def test_a_window_is_three_to_three_hundred_seconds_of_a_known_product(product: object, window: object):
    """Options are the default at the venue, and not modelled here."""
    with pytest.raises(RefusedError):
        read_product(product, window)
    assert read_product("DERIVATIVES", 3) == ("DERIVATIVES", 3)
