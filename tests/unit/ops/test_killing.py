"""Cancelling from outside, on a venue in memory: what zero means, and what is said where it cannot be proven."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from mmbot.config import ConfigError, SessionConfig
from mmbot.execution.cancel_all import Bulk, CancelAllPlan, CancelAllPlanTiming, CancelSome, Look, Target
from mmbot.ops import killing
from mmbot.ops.account_state import AccountState
from mmbot.ops.freeze_requests import write_session
from mmbot.ops.killing import Killed, cancel_and_end
from mmbot.venues.bybit.account import BybitAccount
from mmbot.venues.bybit.orders_wire import Answer
from mmbot.venues.cancelling import Cancelling
from mmbot.venues.fake import FakeVenue
from mmbot.venues.port import InstrumentTerms, OpenEverywhere, PlaceOrder, VenueError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mmbot.execution.cancel_all import Step
    from mmbot.venues.bybit.http import BybitHttp, Params
    from mmbot.venues.port import Fact, LinkEvent

NS = 1_000_000_000
BTC, ETH = ("linear", "BTCUSDT"), ("linear", "ETHUSDT")


def _terms(symbol: str) -> InstrumentTerms:
    return InstrumentTerms(
        category="linear",
        symbol=symbol,
        kind="linear",
        tradable=True,
        base=symbol[:3],
        quote="USDT",
        settle="USDT",
        tick="0.1",
        lot="0.001",
        min_qty="0.001",
        max_qty=None,
        min_notional=None,
        funding_interval_s=None,
    )


class Nobody:
    """Hears nothing: a kill asks."""

    def on_facts(self, facts: Sequence[Fact], ts_recv: int) -> None:
        """Pass over them."""

    def on_link(self, event: LinkEvent) -> None:
        """Pass over it."""


class Account(FakeVenue):
    """A venue with an order in each of two symbols; `unseen`: what a look at the whole account leaves out."""

    unseen: tuple[tuple[str, str], ...] = ()
    late: tuple[str, str] | None = None
    """Where one more comes to be once the engine is ended."""

    def __init__(self) -> None:
        super().__init__([_terms(symbol) for _, symbol in (BTC, ETH)], Nobody(), time.time_ns)
        self.ended: list[bool] = []

    async def open_everywhere(self) -> OpenEverywhere:
        """With what it leaves out."""
        return OpenEverywhere(orders=(await super().open_everywhere()).orders, unseen=self.unseen)

    async def stop(self) -> None:
        """It can be asked after the kill."""

    def rest(self, name: str, market: tuple[str, str]) -> None:
        """Let an order rest."""
        category, symbol = market
        self.send([PlaceOrder(client_id=name, category=category, symbol=symbol, side="buy", price="99.0", qty="0.001")])
        self.deliver()

    async def end(self, *, proven: bool) -> None:
        """The engine is ended."""
        self.ended.append(proven)
        if self.late is not None:
            self.rest("late", self.late)

    async def killed(self) -> Killed:
        """A kill of an engine that trades the first symbol."""
        await self.start()
        for _, symbol in (BTC, ETH):
            self.touch(symbol, "100.0", "100.2")
        self.rest("own", BTC)
        self.rest("other", ETH)
        outcome = Killed("test")
        cancelling = Cancelling(self, [BTC], time.time_ns, told=lambda _: None)
        await cancel_and_end(self, cancelling, [BTC], late_until=0, end=self.end, outcome=outcome)
        return outcome


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    """An account, whose looks need not be so far apart."""
    monkeypatch.setattr(killing, "APART_S", 0.01)
    return Account()


def test_orders_in_another_symbol_leave_too(account: Account) -> None:
    """Zero is of the whole account."""
    outcome = asyncio.run(account.killed())
    assert (outcome.zero, account.ended) == (True, [True])
    assert outcome.done[-1] == "0 orders are open"


def test_what_comes_to_be_after_the_cancels_is_cancelled_as_well(account: Account) -> None:
    """In a symbol that nobody knew of, too."""
    account.late = ETH
    outcome = asyncio.run(account.killed())
    assert (outcome.zero, outcome.done[-1]) == (True, "0 orders are open")


def test_a_part_that_cannot_be_looked_at_is_named_and_is_not_zero(account: Account) -> None:
    """The orders leave; that all did is not claimed."""
    account.unseen = (("option", "10005 permission denied"),)
    outcome = asyncio.run(account.killed())
    assert (outcome.zero, outcome.done[-1]) == (False, "NOT looked at, option: 10005 permission denied")


def test_a_venue_that_cancels_nothing_is_no_zero_and_the_engine_hears_so(account: Account) -> None:
    """What is left is named."""

    async def nothing(*_: object) -> list[object]:
        raise VenueError("no")

    account.cancel_bulk = account.cancel_over = nothing  # type: ignore[method-assign,assignment]

    async def story() -> Killed:
        await account.start()
        for _, symbol in (BTC, ETH):
            account.touch(symbol, "100.0", "100.2")
        account.rest("own", BTC)
        outcome, quick = Killed("test"), CancelAllPlanTiming(give_up_s=0.3)
        cancelling = Cancelling(account, [BTC], time.time_ns, told=lambda _: None)
        run = cancelling.run
        cancelling.run = lambda trigger, **how: run(trigger, **how, timing=quick)  # type: ignore[method-assign]
        await cancel_and_end(account, cancelling, [BTC], late_until=0, end=account.end, outcome=outcome)
        return outcome

    outcome = asyncio.run(story())
    assert (outcome.zero, account.ended) == (False, [False])
    assert "1 orders are open: linear BTCUSDT own" in outcome.done


def test_a_kill_that_only_waits_for_what_may_still_arrive_raises_no_alarm() -> None:
    """Nothing is open from the first look on, and a create may arrive for 9 s: silence, then zero. With an order that
    does not leave, the alarms come as ever.
    """
    for left, expected in (([], []), ([Target(*BTC, "mm-1", "v-1")], [1, 2])):
        plan = CancelAllPlan([BTC], trigger="kill", now=0, late_until=lambda: 9 * NS)
        now = 0
        while plan.result is None and now < 11 * NS:
            while steps := plan.steps(now):
                for step in steps:
                    _answer(plan, step, left, now)
            now = plan.due(now)
        assert [event["step"] for event in plan.events if event["event"] == "cancel_all_alarm"] == expected
        assert (plan.result is None) is bool(left)


def _answer(plan: CancelAllPlan, step: Step, left: list[Target], now: int) -> None:
    match step:
        case Bulk():
            plan.bulk_answered(BTC, "", now)
        case Look():
            plan.looked(step, left, "", now)
        case CancelSome():
            plan.cancels_answered(step, [("refused", "no")], now)


def _left(folder: Path, name: str, content: bytes) -> AccountState:
    """An account that traded once, and one file of it that is not as it should be."""
    state = AccountState.of(folder, "demo", "7")
    state.run_begins(folder)
    state.run_ends()
    write_session(state, SessionConfig(environment="demo"), "7", [BTC], strategy="S", embedded=False)
    (state.path / name).write_bytes(content)
    return state


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("session.json", b"null", "session.json does not say where it trades"),
        ("session.json", b'{"markets":[1]}', "session.json does not say where it trades"),
        ("session.json", b"\xff\xfe", "session.json does not say where it trades"),
        ("session.json", b'{"environment":"demo","url":5,"markets":[]}', "session.json does not say where it trades"),
        ("last-run", b"\xff\xfe", "KILL is latched"),
        ("engine", b"\xff\xfe", "nobody knows which process it is"),
        ("operators.toml", b"operator = 1", "the freeze log cannot be read"),
    ],
)
def test_a_kill_does_all_that_it_can_whatever_one_file_says(
    name: str, content: bytes, said: str, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Latched, cancelled in whatever symbol, and told; only a file that hides nothing leaves the kill whole."""
    state = _left(tmp_path, name, content)

    async def begun(*_: object) -> Account:
        return account

    monkeypatch.setattr(killing, "_begun", begun)
    monkeypatch.setattr(killing, "ARRIVES_NS", 1)

    async def story() -> Killed:
        await account.start()
        for market in (BTC, ETH):
            account.touch(market[1], "100.0", "100.2")
            account.rest(f"in {market[1]}", market)
        return await killing.kill(state, {}, "out", told=lambda _: None)

    outcome = asyncio.run(story())
    assert any(said in line for line in outcome.done), outcome.done
    assert (outcome.zero, outcome.whole) == (True, name == "last-run")
    assert asyncio.run(account.open_everywhere()).orders == ()
    assert b"KILL" in state.freeze.read_bytes()


def test_a_kill_waits_for_what_may_still_arrive_also_where_no_market_is_known(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine died a moment ago, nothing says what it traded, and its last order comes late: it is cancelled."""
    state = _left(tmp_path, "session.json", b"null")
    (state.path / "engine").write_bytes(b"999999999 1\n")

    async def begun(*_: object) -> Account:
        return account

    monkeypatch.setattr(killing, "_begun", begun)
    monkeypatch.setattr(killing, "ARRIVES_NS", NS // 2)

    async def story() -> Killed:
        await account.start()
        account.touch(BTC[1], "100.0", "100.2")
        asyncio.get_running_loop().call_later(0.3, account.rest, "late", BTC)
        return await killing.kill(state, {}, "out", told=lambda _: None)

    assert asyncio.run(story()).zero
    assert asyncio.run(account.open_everywhere()).orders == ()


class Http:
    """Answers reads of open orders by category; `refused`: those that the key may not ask for."""

    def __init__(self, *refused: str) -> None:
        self.refused, self.asked = refused, list[str]()

    async def get(self, path: str, params: Params, *, signed: bool = True, group: str = "read") -> Answer:
        """One answer."""
        said = dict(params)
        self.asked.append(" ".join([path.rpartition("/")[2], said["category"], said.get("settleCoin", "")]).strip())
        if said["category"] in self.refused:
            raise VenueError("10005 permission denied")
        listed = b'{"list":[{"settleCoin":"USDT"},{"settleCoin":"EURX"}],"nextPageCursor":""}'
        return Answer(0, "", listed if "instruments" in path else b'{"list":[],"nextPageCursor":""}', (), 0)


def test_bybit_is_asked_by_category_and_every_coin_that_contracts_settle_in() -> None:
    """Linear by coin, the documented and the listed; the rest as a whole; what is refused is named."""

    async def story(http: Http) -> OpenEverywhere:
        real: BybitHttp = http  # type: ignore[assignment]
        return await BybitAccount(real).open_everywhere()

    http = Http()
    assert asyncio.run(story(http)) == OpenEverywhere(orders=(), unseen=())
    coins = ("USDT", "USDC", "EURX")
    expected = ["inverse", "spot", "option", *(f"linear {coin}" for coin in coins)]
    assert http.asked == ["instruments-info linear", *(f"realtime {part}" for part in expected)]
    assert asyncio.run(story(Http("option"))).unseen == (("option", "10005 permission denied"),)
    assert [category for category, _ in asyncio.run(story(Http("linear"))).unseen] == ["linear"] * 3


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("whose", ["1001", "9999"])
def test_whose_the_key_is_is_known_before_anything_is_changed_there(
    whose: str, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither links nor the venue's own dead-man switch on an account that is not the one to be killed."""
    did: list[str] = []

    class Rest:
        def __init__(self, *_: object) -> None:
            """A link by HTTP."""

        async def whose(self) -> str:
            """It asks."""
            did.append("whose")
            return whose

        async def start(self) -> str:
            """It sets the switch."""
            did.append("switch")
            return whose

        async def stop(self) -> None:
            """Nothing is left of it."""

    class Orders(Rest):
        def __init__(self, *_: object, **__: object) -> None:
            """A session with streams."""

        async def start(self) -> str:
            """Its links are watched by the switch."""
            did.append("links")
            if not links:
                raise VenueError("no stream")
            return whose

    monkeypatch.setattr(killing, "GuardedVenue", Rest)
    monkeypatch.setattr(killing, "BybitOrders", Orders)
    session = killing._Session("demo", None, "1001", [], "KEY", "SECRET", embedded=False)
    begun = killing._begun(session, {"KEY": "k", "SECRET": "s"}, killing._Deaf(), did.append)
    if whose == "1001":
        assert type(asyncio.run(begun)) is (Orders if links else Rest)
        assert did == (["whose", "links"] if links else ["whose", "links", "switch", "over REST alone: no stream"])
    else:
        with pytest.raises(ConfigError, match="is of account 9999; expected one of account 1001"):
            asyncio.run(begun)
        assert did == ["whose"]


def test_a_kill_where_another_machine_may_lead_waits_until_it_has_heard(tmp_path: Path) -> None:
    """Nothing runs here, but what a leader elsewhere sends until it hears of the kill may still arrive."""
    state = _left(tmp_path, "session.json", b"null")
    assert killing._late_ns(state) == 0
    state.fleet.write_text("{}", encoding="utf-8")
    assert killing._late_ns(state) == 60 * NS + killing.ARRIVES_NS
    state.fleet.write_text('{"ttl_s": 5}', encoding="utf-8")
    assert killing._late_ns(state) == 5 * NS + killing.ARRIVES_NS
    (state.path / "engine").write_bytes(b"\xff\xfe")
    assert killing._late_ns(state) == 5 * NS + killing.ARRIVES_NS
