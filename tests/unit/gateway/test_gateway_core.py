"""The gateway's rules, one by one at their boundary, and its own account of what may still happen."""

import os
from decimal import Decimal
from pathlib import Path

import pytest
from gateway_scene import MARKET, MS, T0, WALL, amend, asked, cancel, executed, limits, place, position, ready, seen
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from mmbot.config import ConfigError
from mmbot.gateway.core import GatewayCore
from mmbot.gateway.limits import SymbolLimits, read_limits
from mmbot.risk.levels import FreezeLevel
from mmbot.venues.port import PlaceOrder, Refused, Unanswered

FILE = """
environment = "simulator"
exposure = "1000"
[[symbol]]
category = "linear"
symbol = "BTCUSDT"
order_qty = "1"
order_notional = "200"
position = "2"
collar_bps = 100
"""


@pytest.mark.parametrize(
    ("request_", "rules"),
    [
        (place(), []),
        (place(price="101"), []),
        (place(price="101.1"), ["collar"]),
        (place(price="99"), []),
        (place(price="98.9"), ["collar"]),
        (place(side="sell", price="98.9"), ["collar"]),
        (place(qty="1.001"), ["quantity"]),
        (place(price="0.0001", qty="1"), ["collar"]),
        (place(symbol="ETHUSDT"), ["symbol"]),
        (place(category="spot"), ["symbol"]),
        (place(post_only=False), ["taking"]),
        (place(post_only=False, tif="ioc"), ["taking"]),
        (place(post_only=False, tif="ioc", reduce_only=True), []),
        (place(post_only=False, reduce_only=True), ["taking"]),
        (place(name=""), ["name"]),
        (place(name="a" * 37), ["name"]),
        (place(name="näme"), ["name"]),
        (place(price="NaN"), ["number"]),
        (place(price="1e2"), ["number"]),
        (place(price="-100"), ["number"]),
        (place(price="Infinity"), ["number"]),
        (place(qty="0"), ["number"]),
        (place(qty=""), ["number"]),
        (place(qty="١"), ["number"]),
        (place(qty="9" * 30), ["number"]),
        (amend("mm-none", price="100"), ["unknown_order"]),
        (cancel("mm-none"), []),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_an_order_is_judged_by_each_rule_at_its_boundary(request_, rules):
    """What lies on a limit passes, what lies beyond it is refused by that rule's name."""
    assert asked(ready(), request_) == rules


def test_every_objection_is_collected_and_counted():
    """One request may break many rules; all are said and each is counted."""
    core = ready(GatewayCore(limits(symbol={"order_notional": "150"})))
    rules = asked(core, place(price="150", qty="3", post_only=False), decided=T0 - 300 * MS)
    assert rules == ["age", "taking", "collar", "quantity", "notional", "position"]
    assert set(core.objections) == set(rules)


@pytest.mark.parametrize(("most", "rules"), [("100.1", []), ("100", []), ("99.9", ["notional"])])
def test_an_order_is_worth_at_most_what_it_may(most: str, rules: list[str]):
    """One at 100: at its limit it passes."""
    core = ready(GatewayCore(limits(symbol={"order_notional": most})))
    assert asked(core, place(price="100", qty="1")) == rules


@pytest.mark.parametrize(("age", "rules"), [(250 * MS, []), (250 * MS + 1, ["age"]), (-5 * MS, []), (-6 * MS, ["age"])])
def test_a_decision_is_fresh_or_is_refused(age: int, rules: list[str]):
    """250 ms old is the last that leaves; a decision of the future is none."""
    assert asked(ready(), place(), decided=T0 - age) == rules


def test_a_clock_that_jumps_denies_until_it_was_quiet_for_a_while():
    """After a step of the wall clock, and while the steady clock goes back, nothing new leaves; a cancel does."""
    core = ready()
    assert asked(core, place("mm-1", qty="0.1")) == []
    assert asked(core, place("mm-2", qty="0.1"), 10, wall=WALL + 251 * MS) == ["clock"]
    assert asked(core, cancel(), 10, wall=WALL) == []
    core.refer(MARKET, "touch", "99.9", "100.1", T0 + 4_000 * MS)
    assert asked(core, place("mm-3", qty="0.1"), 4_000 * MS, wall=WALL + 4_251 * MS) == ["clock"]
    assert asked(core, place("mm-4", qty="0.1"), 5_001 * MS, wall=WALL + 5_252 * MS) == []
    assert asked(core, place("mm-5", qty="0.1"), 5_000 * MS, wall=WALL + 5_251 * MS) == ["clock", "clock"]


@pytest.mark.parametrize(
    ("level", "grows", "shrinks"),
    [
        (FreezeLevel.NORMAL, [], []),
        (FreezeLevel.REDUCE_ONLY, ["frozen"], []),
        (FreezeLevel.NO_NEW, ["frozen"], ["frozen"]),
        (FreezeLevel.CANCEL_ALL, ["frozen"], ["frozen"]),
        (FreezeLevel.FLATTEN, ["frozen"], []),
        (FreezeLevel.KILL, ["frozen"], ["frozen"]),
    ],
)
@pytest.mark.parametrize("scope", ["", "linear BTCUSDT"])
def test_a_freeze_level_holds_whatever_the_engine_says(level: FreezeLevel, grows, shrinks, scope: str):
    """Each level lets out what it is meant to; cancels pass at every one."""
    core = ready()
    core.freeze({scope: level, "linear ETHUSDT": FreezeLevel.KILL})
    assert asked(core, place("mm-1", qty="0.1")) == grows
    assert asked(core, place("mm-2", qty="0.1", reduce_only=True)) == shrinks
    assert asked(core, cancel()) == []


def test_an_older_epoch_is_refused_and_a_lost_engine_lets_nothing_new_out():
    """Only the engine of the highest epoch orders, and only after a handshake; a lower one gets none."""
    core = ready()
    assert core.engage(2)
    assert not core.engage(1)
    assert asked(core, place("mm-1")) == ["epoch"]
    assert asked(core, place("mm-1"), epoch=3) == ["epoch"]
    core.disengage()
    assert asked(core, place("mm-1"), epoch=2) == ["engine"]
    assert asked(core, cancel(), epoch=1) == []
    assert core.engage(2)
    assert asked(core, place("mm-1"), epoch=2) == []


def test_a_name_is_used_once():
    """A replayed place is a duplicate, also after its order has ended."""
    core = ready()
    assert asked(core, place()) == []
    assert asked(core, place()) == ["duplicate"]
    core.hear(seen("mm-1", "canceled"), T0)
    assert asked(core, place()) == ["duplicate"]


def test_rates_hold_in_every_second_and_every_minute():
    """The request after the most that may leave is refused until the oldest is a second, or a minute, old."""
    core = ready(GatewayCore(limits(requests_per_second=2, requests_per_minute=3, symbol={"position": "9"})))
    second = 1_000 * MS
    assert asked(core, place("mm-1", qty="0.1")) == []
    assert asked(core, place("mm-2", qty="0.1")) == []
    assert asked(core, place("mm-3", qty="0.1"), second - 1) == ["rate"]
    assert asked(core, place("mm-3", qty="0.1"), second) == []
    assert asked(core, place("mm-4", qty="0.1"), 2 * second) == ["rate"]
    core.refer(MARKET, "touch", "99.9", "100.1", T0 + 60 * second)
    assert asked(core, place("mm-4", qty="0.1"), 60 * second) == []


def test_no_reference_no_order_and_every_reference_binds():
    """Stale or lost references deny; with two, a price must be within the collar of both."""
    core = ready()
    assert asked(core, place("mm-1", qty="0.1"), 5_000 * MS) == []
    assert asked(core, place("mm-2", qty="0.1"), 5_000 * MS + 1) == ["reference", "exposure"]
    core.refer(MARKET, "touch", "99.9", "100.1", T0 + 5_000 * MS)
    core.refer(MARKET, "mark", "102", "102", T0 + 5_000 * MS)
    assert asked(core, place("mm-3", price="100", qty="0.1"), 5_001 * MS) == ["collar"]
    assert asked(core, place("mm-4", price="101", qty="0.1"), 5_001 * MS) == []
    core.refer(MARKET, "mark", "NaN", "102", T0 + 5_001 * MS)
    assert asked(core, place("mm-5", price="100", qty="0.1"), 5_001 * MS) == []
    core.unrefer(MARKET, "touch")
    assert asked(core, place("mm-6", qty="0.1"), 5_001 * MS) == ["reference", "exposure"]


def test_an_account_that_is_not_heard_or_not_fit_denies():
    """Without the private link, with a fault of the key, and before the position was read nothing new leaves."""
    core = ready()
    core.deaf = "private link down: cut"
    assert asked(core, place()) == ["view"]
    core.deaf, core.faults = "", ("the key may withdraw",)
    assert asked(core, place()) == ["attestation"]
    core.faults = ()
    assert asked(core, place()) == []
    fresh = GatewayCore(limits())
    fresh.engage(1)
    fresh.refer(MARKET, "touch", "99.9", "100.1", T0)
    assert asked(fresh, place()) == ["position"]


def test_what_may_still_happen_counts_until_it_is_known():
    """In flight, unanswered, partly filled, over but not booked: each counts in full until its fact was heard."""
    core = ready()
    assert asked(core, place("mm-1")) == []
    assert asked(core, place("mm-2")) == []
    assert asked(core, place("mm-3", qty="0.001")) == ["position"]
    core.hear(Unanswered(client_id="mm-1", request="place", why="silence"), T0)
    assert asked(core, place("mm-3", qty="0.001")) == ["position"]
    core.hear(seen("mm-2", "canceled", cum="0.4"), T0)
    assert core.worst(MARKET) == Decimal("1.4")
    core.hear(executed(1, "mm-2", "0.4"), T0)
    core.hear(executed(1, "mm-2", "0.4"), T0)
    assert core.worst(MARKET) == Decimal("1.4")
    core.hear(Refused(client_id="mm-1", request="place", reason="balance", code=1, message="", ts_venue=1), T0)
    assert core.worst(MARKET) == Decimal("0.4")
    core.hear(executed(2, "", "5", kind="funding"), T0)
    assert core.worst(MARKET) == Decimal("0.4")
    core.hear(seen("mm-9", qty="1", side="sell"), T0)
    assert asked(core, place("mm-4", side="sell")) == []
    assert asked(core, place("mm-5", side="sell")) == ["position"]
    assert asked(core, place("mm-6", side="sell", reduce_only=True)) == []


def test_an_amend_counts_as_the_larger_of_before_and_after():
    """A quantity that was asked for counts until the order shows it, or a look when nothing can arrive any more."""
    core = ready(GatewayCore(limits(symbol={"order_qty": "2", "order_notional": "999"})))
    assert asked(core, place("mm-1")) == []
    core.hear(seen("mm-1"), T0)
    assert asked(core, amend(qty="2")) == []
    assert core.worst(MARKET) == 2
    assert asked(core, amend(qty="2.5")) == ["quantity", "position"]
    assert asked(core, amend(price="102")) == ["collar"]
    core.hear(Refused(client_id="mm-1", request="amend", reason="busy", code=1, message="", ts_venue=1), T0)
    assert core.worst(MARKET) == 2
    core.looked(MARKET, [seen("mm-1")], position("0"), T0 + 5_000 * MS, T0)
    assert core.worst(MARKET) == 2
    core.looked(MARKET, [seen("mm-1")], position("0"), T0 + 5_001 * MS, T0)
    assert core.worst(MARKET) == 1
    assert asked(core, amend(qty="1.5")) == []
    core.hear(structs.replace(seen("mm-1", qty="1.5"), ts_venue=2), T0)
    assert core.worst(MARKET) == Decimal("1.5")
    core.hear(structs.replace(seen("mm-1", qty="1"), ts_venue=1), T0)
    assert core.worst(MARKET) == Decimal("1.5")


def test_both_accounts_of_a_position_bind_until_they_agree():
    """The venue's word and the sum of executions are both believed; a quiet look at the venue sets the sum right."""
    core = ready()
    core.hear(position("1.5", 2), T0)
    assert asked(core, place("mm-1")) == ["position"]
    core.looked(MARKET, [], position("1", 3), T0 + 1, T0 + 2)
    assert core.worst(MARKET) == 1
    assert asked(core, place("mm-2")) == []
    core.hear(position("9", 2), T0)
    assert core.worst(MARKET) == 2


def test_an_order_that_nobody_saw_is_freed_by_proof_and_counts_again_if_it_shows():
    """`absent` is a verdict of ours, and the venue's word is above it."""
    core = ready()
    assert asked(core, place()) == []
    assert core.in_doubt(T0 + 1) == [(MARKET, "mm-1")]
    core.absent(MARKET, "mm-1")
    assert core.worst(MARKET) == 0
    core.hear(seen("mm-1"), T0)
    assert core.worst(MARKET) == 1
    core.absent(MARKET, "mm-1")
    assert core.worst(MARKET) == 1


def test_everything_together_has_a_cap():
    """The cap of all instruments counts each at its reference, and denies what cannot be valued."""
    core = ready(GatewayCore(limits(exposure="150", symbol={"order_notional": "150"})))
    assert asked(core, place("mm-1")) == []
    assert asked(core, place("mm-2")) == ["exposure"]
    assert asked(core, place("mm-3", side="sell")) == []


def test_what_is_held_elsewhere_is_valued_at_a_price_of_now():
    """A feed that died an hour ago says nothing: what grows is denied, what shrinks leaves."""
    other = {**limits().symbol[0].model_dump(), "symbol": "ETHUSDT"}
    there = (MARKET[0], "ETHUSDT")
    core = GatewayCore(limits(symbol={}).model_copy(update={"symbol": [*limits().symbol, SymbolLimits(**other)]}))
    ready(core)
    core.looked(there, [], structs.replace(position("1"), symbol="ETHUSDT"), T0, T0)
    assert asked(core, place("mm-1", qty="0.1")) == ["exposure"], "never heard"
    core.refer(there, "touch", "99.9", "100.1", T0 + MS)
    age = core.limits.reference_age_ms
    core.refer(MARKET, "touch", "99.9", "100.1", T0 + age * MS)
    assert asked(core, place("mm-1", qty="0.1"), (age + 1) * MS) == []
    core.refer(MARKET, "touch", "99.9", "100.1", T0 + (age + 1) * MS)
    assert asked(core, place("mm-2", qty="0.1"), (age + 1) * MS + 1) == ["exposure"]
    core.looked(MARKET, [], position("1", 2), T0 + (age + 1) * MS, T0 + (age + 1) * MS)
    assert asked(core, place("mm-3", side="sell", qty="0.1"), (age + 1) * MS + 1) == []


SPOT = ("spot", "BTCUSDT")


def spot(held: str = "0") -> GatewayCore:
    """A gateway on a spot market at 100, whose account held so much when it started."""
    core = GatewayCore(limits(symbol={"category": "spot"}))
    core.engage(1)
    core.looked(SPOT, [], structs.replace(position(held), category="spot"), T0, T0)
    core.refer(SPOT, "touch", "99.9", "100.1", T0)
    return core


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_reduce_only_on_spot_is_only_a_word(side: str):
    """The venue ignores it there, so it lifts no cap: two orders reach the position's, whatever they say."""
    core = spot(held="0")
    words = {"category": "spot", "side": side, "reduce_only": True}
    assert asked(core, place("mm-1", **words)) == []
    assert asked(core, place("mm-2", **words)) == []
    assert asked(core, place("mm-3", **words, qty="0.001")) == ["position"]
    assert core.worst(SPOT) == 2


def test_reduce_only_on_spot_may_take_and_pass_a_freeze_only_with_what_is_held():
    """Half a coin is there: its sale is a way out, more than that, or a purchase, is none."""
    way_out = {"category": "spot", "reduce_only": True, "post_only": False, "tif": "ioc"}
    core = spot(held="0.5")
    assert asked(core, place("mm-1", side="sell", qty="0.501", **way_out)) == ["taking"]
    assert asked(core, place("mm-1", side="buy", qty="0.1", **way_out)) == ["taking"]
    core.freeze({"": FreezeLevel.REDUCE_ONLY})
    assert asked(core, place("mm-1", side="sell", qty="0.501", **way_out)) == ["frozen", "taking"]
    assert asked(core, place("mm-1", side="buy", qty="0.1", **way_out)) == ["frozen", "taking"]
    assert asked(core, place("mm-1", side="sell", qty="0.3", **way_out)) == []
    assert asked(core, place("mm-2", side="sell", qty="0.201", **way_out)) == ["frozen", "taking"]
    assert asked(core, place("mm-2", side="sell", qty="0.2", **way_out)) == []


def test_what_reduces_by_the_venues_word_is_bounded_too():
    """Reduce-only orders of a side together: at most the position's cap, or the position where that is larger."""
    core = ready()
    way_out = {"side": "sell", "reduce_only": True}
    assert asked(core, place("mm-1", **way_out)) == []
    assert asked(core, place("mm-2", **way_out)) == []
    assert asked(core, place("mm-3", qty="0.001", **way_out)) == ["position"]
    core.hear(position("2.5", 2), T0)
    assert asked(core, place("mm-3", qty="0.5", **way_out)) == []
    assert asked(core, place("mm-4", qty="0.001", **way_out)) == ["position"]
    assert asked(core, place("mm-5", price="98.9", qty="0.1", side="buy", reduce_only=True)) == ["collar"]
    fresh = GatewayCore(limits())
    fresh.engage(1)
    fresh.refer(MARKET, "touch", "99.9", "100.1", T0)
    assert asked(fresh, place(**way_out)) == ["position"], "what is not known cannot be reduced"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o666])
def test_limits_that_others_may_touch_are_refused(mode: int, tmp_path: Path):
    """Only 0600 and stricter; the message says what to do."""
    path = tmp_path / "gateway.toml"
    path.write_text(FILE)
    path.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_limits(path)
    path.chmod(0o600)
    assert read_limits(path).symbol[0].symbol == "BTCUSDT"


def test_limits_are_a_plain_file_of_ours_that_says_what_it_means(tmp_path: Path):
    """No link, no folder, no file of somebody else; unknown keys, doubles, zero limits, mainnet without account: no."""
    path = tmp_path / "gateway.toml"
    path.write_text(FILE)
    path.chmod(0o600)
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    for wrong in (link, tmp_path, tmp_path / "none.toml"):
        with pytest.raises(ConfigError):
            read_limits(wrong)
    for text in (
        FILE.replace("exposure", "exposrue"),
        FILE + FILE[FILE.index("[[") :],
        FILE.replace('position = "2"', 'position = "0"'),
        FILE.replace('"simulator"', '"mainnet"'),
        FILE.replace('"1000"', '"-1"'),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError):
            read_limits(path)
    if os.geteuid() == 0:
        path.write_text(FILE)
        os.chown(path, 65_534, 65_534)
        with pytest.raises(ConfigError, match="belongs to user 65534"):
            read_limits(path)


NUMBER = st.one_of(
    st.text(max_size=6),
    st.sampled_from(["NaN", "inf", "-1", "1e1", "0", "0.0", "+1"]),
    st.decimals(min_value="0.001", max_value="200", places=3).map(str),
)


@given(
    st.lists(
        st.builds(
            PlaceOrder,
            client_id=st.one_of(st.text(max_size=3), st.integers(0, 60).map("mm-{}".format)),
            category=st.sampled_from(["linear", "spot"]),
            symbol=st.sampled_from(["BTCUSDT", "ETHUSDT"]),
            side=st.sampled_from(["buy", "sell"]),
            price=st.one_of(NUMBER, st.decimals("98.5", "101.5", places=1).map(str)),
            qty=st.one_of(NUMBER, st.decimals("0.1", "1.2", places=1).map(str)),
            post_only=st.booleans(),
            reduce_only=st.booleans(),
        ),
        max_size=40,
    )
)
@pytest.mark.parametrize("market", [MARKET, SPOT], ids=" ".join)
@settings(max_examples=150, deadline=None)
def test_no_sequence_of_places_gets_beyond_the_limits(market: tuple[str, str], requests: list[PlaceOrder]):
    """Whatever is asked for, what passes is on the list, in the collar, small enough, and sums to the position cap.

    What says that it reduces is no exception where nobody holds it to that.
    """
    core = ready() if market == MARKET else spot()
    sums = {(side, kind): Decimal(0) for side in ("buy", "sell") for kind in (False, True)}
    names = set()
    for request in requests:
        if asked(core, request):
            continue
        assert (request.category, request.symbol) == market
        assert request.client_id not in names
        names.add(request.client_id)
        assert request.post_only
        assert Decimal(99) <= Decimal(request.price) <= Decimal(101)
        assert 0 < Decimal(request.qty) <= 1
        sums[request.side, request.reduce_only and market == MARKET] += Decimal(request.qty)
        assert max(sums.values()) <= 2
