"""Freezing and killing on the real exchange server: zero open orders, by the venue's own books, in time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from msgspec import structs
from paper_exchange import CALM, KEY, SECRET, Collector, PaperExchange, run_on
from pydantic import SecretStr

from mmbot.config import ConfigError
from mmbot.exchange import desk
from mmbot.exchange.faults import Fault
from mmbot.exchange.generator import MarketKind
from mmbot.execution.cancel_all import Target
from mmbot.ops.account_state import AccountState, Running
from mmbot.ops.freeze_latch import FreezeLatch
from mmbot.ops.killing import look_for_orders
from mmbot.risk import FIRM, FreezeAsked, FreezeLevel
from mmbot.venues.bybit.budget import RateBudget
from mmbot.venues.bybit.endpoints import Endpoint
from mmbot.venues.bybit.http import BybitHttp
from mmbot.venues.bybit.session import BybitOrders
from mmbot.venues.cancelling import Cancelling
from mmbot.venues.port import Credentials, Fact, LinkEvent, OrderSeen, PlaceOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]
BTC = ("linear", "BTCUSDT")


class Sink:
    """Keeps what the session tells, and hands it to the cancel-all under test."""

    def __init__(self) -> None:
        self.live: dict[str, OrderSeen] = {}
        self.news = asyncio.Event()
        self.cancelling: Cancelling | None = None

    def on_facts(self, facts: Sequence[Fact], ts_recv: int) -> None:
        """Remember which orders rest."""
        for fact in facts:
            if isinstance(fact, OrderSeen):
                self.live[fact.client_id] = fact
        if self.cancelling is not None:
            self.cancelling.heard(facts)
        self.news.set()

    def on_link(self, event: LinkEvent) -> None:
        """Not looked at."""

    async def resting(self, count: int) -> None:
        """Wait until so many rest."""
        async with asyncio.timeout(30):
            while sum(one.status == "live" for one in self.live.values()) < count:
                self.news.clear()
                await self.news.wait()


class Stage:
    """A session on an exchange whose limits nobody meets, and a cancel-all on it."""

    def __init__(self, paper: PaperExchange) -> None:
        self.paper, self.sink, self.told = paper, Sink(), list[dict[str, Any]]()
        self.endpoint = Endpoint.of("simulator", paper.exchange.http)
        self.credentials = Credentials(key=KEY, secret=SecretStr(SECRET))
        self.orders = BybitOrders(self.endpoint, self.credentials, self.sink, time.time_ns, instruments=[BTC])
        self.cancelling = self.sink.cancelling = Cancelling(self.orders, [BTC], time.time_ns, told=self.told.append)

    def open(self) -> list[str]:
        """What rests by the venue's own books."""
        return [one["orderLinkId"] for one in self.paper.truth()["open"]]

    async def rest(self, count: int) -> list[Target]:
        """Let so many orders rest, no more at once than the session lets out before it knows the account's tier."""
        price = await self.price()
        names = [f"mm-{n}" for n in range(count)]
        for at in range(0, count, 10):
            self.orders.send([_bid(name, price) for name in names[at : at + 10]])
            await self.sink.resting(min(at + 10, count))
        return [Target(*BTC, name) for name in names]

    async def price(self, market: tuple[str, str] = BTC) -> str:
        """Below the market, inside the venue's band."""
        category, symbol = market
        endpoint = f"{self.paper.exchange.http}/v5/market/tickers?category={category}&symbol={symbol}"
        async with aiohttp.ClientSession() as client, client.get(endpoint) as answer:
            [ticker] = (await answer.json())["result"]["list"]
        return f"{float(ticker['bid1Price']) * 0.99:.1f}"

    def arm(self, where: str, what: str, **more: Any) -> None:
        """Trouble at the exchange."""
        self.paper.exchange.gateway.faults.arm(Fault(where=where, what=what, **more))


def _bid(name: str, price: str) -> PlaceOrder:
    return PlaceOrder(
        client_id=name,
        category="linear",
        symbol="BTCUSDT",
        side="buy",
        price=price,
        qty="0.001",
        post_only=True,
    )


def _play(scenario: Any, count: int) -> None:
    async def whole() -> None:
        async with PaperExchange(tapes=[], kind=MarketKind.CALM, speed=1.0) as paper:
            stage = Stage(paper)
            await stage.orders.start()
            try:
                await scenario(stage, await stage.rest(count))
            finally:
                await stage.orders.stop()

    asyncio.run(whole())


def test_a_healthy_venue_is_left_within_two_seconds() -> None:
    """Zero is proven by asking, and the venue's books agree."""

    async def scenario(stage: Stage, orders: list[Target]) -> None:
        result = await stage.cancelling.run("test", believed=orders)
        assert (result.proof, result.canceled_count, stage.open()) == ("asked", 8, [])
        assert result.took_ns < 2_000_000_000

    _play(scenario, 8)


def test_with_rest_blackholed_the_orders_leave_over_the_trade_socket() -> None:
    """Every REST request is swallowed; within ten seconds nothing rests, and it is said that nobody could be asked."""

    async def scenario(stage: Stage, orders: list[Target]) -> None:
        stage.arm("rest:*", "silence", count=None)
        result = await stage.cancelling.run("test", believed=orders)
        assert (result.proof, result.canceled_count, stage.open()) == ("told", 8, [])
        assert result.took_ns < 10_000_000_000
        stage.paper.exchange.gateway.faults.clear()

    _play(scenario, 8)


def test_a_refused_cancel_all_falls_back_to_one_by_one() -> None:
    """The bulk cancel is refused for good; each order leaves by a cancel of its own."""

    async def scenario(stage: Stage, orders: list[Target]) -> None:
        stage.arm("rest:POST /v5/order/cancel-all", "answer", code=10016, count=None)
        result = await stage.cancelling.run("test", believed=orders)
        assert (result.proof, result.method, stage.open()) == ("asked", "per_order_fallback", [])
        assert stage.told[0]["event"] == "bulk_cancel_failed"

    _play(scenario, 25)


def test_cancels_that_are_refused_right_after_the_create_are_repeated() -> None:
    """The venue says "no such order" of orders that it has; they are cancelled until it lists them no more."""

    async def scenario(stage: Stage, orders: list[Target]) -> None:
        stage.arm("rest:POST /v5/order/cancel*", "answer", code=110001, count=3)
        result = await stage.cancelling.run("test", believed=orders, force=True)
        assert (result.proof, result.failed, stage.open()) == ("asked", (), [])

    _play(scenario, 8)


def test_more_orders_than_one_bulk_cancel_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """700 orders rest, and the venue takes 500 at random."""
    monkeypatch.setattr(desk, "ACTIVE_MAX", 1_000)  # an ordinary account may have 500 of one symbol

    async def scenario(stage: Stage, orders: list[Target]) -> None:
        result = await stage.cancelling.run("test", believed=orders)
        assert (result.proof, result.canceled_count, stage.open()) == ("asked", 700, [])
        assert result.method == "bulk"

    _play(scenario, 700)


def test_a_run_obeys_a_freeze_of_another_process(tmp_path: Path) -> None:
    """Quotes rest; somebody freezes the account's folder; within two seconds nothing rests, and it stays so."""

    async def story() -> None:
        async with PaperExchange(tapes=[], kind=MarketKind.CALM) as paper:
            config = paper.config(folder=str(tmp_path / "runs"))

            async def meanwhile(watched: Collector) -> None:
                await watched.until(lambda: len(paper.truth()["open"]) > 0 and watched.count("fill") > 0)
                [state] = AccountState.every(tmp_path)
                began = time.monotonic()
                latch = FreezeLatch(state, time.time_ns)
                latch.ask(FreezeAsked(FreezeLevel.CANCEL_ALL, FIRM, "operator", "test", time.time_ns()))
                await watched.until(lambda: watched.count("cancel_all_done") > 0)
                assert time.monotonic() - began < 4
                assert paper.truth()["open"] == []
                frozen = next(n for n, one in enumerate(watched.events) if one["event"] == "freeze")
                compared = watched.count("reconcile")
                await watched.until(lambda: watched.count("reconcile") > compared + 1)
                places = [one for one in watched.events[frozen:] if one.get("request") == "place"]
                assert (places, paper.truth()["open"]) == ([], [])

            ended = await run_on(paper, config, tmp_path, meanwhile)
            assert ended.failure is None

    asyncio.run(story())


def test_zero_is_not_proven_while_a_live_order_is_not_listed_yet(tmp_path: Path) -> None:
    """The lists of the venue lag by 1.9 s, and it refuses cancels for a while: where zero is said, nothing is open."""

    async def story() -> None:
        async with PaperExchange(tapes=[], kind=MarketKind.CALM, speed=0.1) as paper:
            house = paper.exchange.gateway.house
            house.switches = structs.replace(house.switches, realtime_lag_ms=1_900)
            config = paper.config(risk={**CALM, "one_sided_fills": 1_000}, recon_interval_s=60.0)

            def young() -> bool:
                now = time.time() * 1_000
                return any(now - int(one["createdTime"]) < 400 for one in paper.truth()["open"])

            async def meanwhile(watched: Collector) -> None:
                await watched.until(young)
                faults = paper.exchange.gateway.faults
                for where in ("rest:POST /v5/order/cancel*", "trade:order.cancel*"):
                    faults.arm(Fault(where=where, what="answer", code=10016, count=None))
                [state] = AccountState.every(tmp_path)
                asked = FreezeAsked(FreezeLevel.CANCEL_ALL, FIRM, "operator", "test", time.time_ns())
                FreezeLatch(state, time.time_ns).ask(asked)
                asyncio.get_running_loop().call_later(1.5, faults.clear)
                await watched.until(lambda: watched.count("cancel_all_done") > 0)
                assert paper.truth()["open"] == []
                [done] = [one for one in watched.events if one["event"] == "cancel_all_done"]
                assert (done["proof"], done["failed"]) == ("asked", [])

            await run_on(paper, config, tmp_path, meanwhile)

    asyncio.run(story())


class Bot:
    """`mmbot run` in a process of its own, and mmbot's other commands on its folder."""

    def __init__(self, paper: PaperExchange, folder: Path, **changes: Any) -> None:
        self.paper, self.folder, self.runs = paper, folder, folder / "runs"
        config = paper.config(folder=str(self.runs), **changes)
        self.config = folder / f"bot-{paper.uid}.toml"
        self.config.write_text(_toml(config.model_dump(mode="json", exclude_none=True)), encoding="utf-8")
        keys = {"MMBOT_BYBIT_API_KEY": KEY, "MMBOT_BYBIT_API_SECRET": SECRET}
        self.environ = {**os.environ, **keys}
        self.told = folder / f"run-{paper.uid}.jsonl"
        self.engine: subprocess.Popen[bytes] | None = None

    async def quoting(self) -> subprocess.Popen[bytes]:
        """Start it and wait until it has orders at the venue."""
        command = [sys.executable, "-m", "mmbot", "run", str(self.config), "--json"]
        with self.told.open("wb") as log:
            self.engine = subprocess.Popen(command, env=self.environ, stdout=log, stderr=log)
        await self.until(lambda: bool(self.paper.truth()["open"]))
        return self.engine

    async def until(self, held: Callable[[], bool]) -> None:
        """Wait until something holds, as long as the engine lives."""
        async with asyncio.timeout(40):
            while not held():
                assert self.engine is not None
                assert self.engine.poll() is None, self.told.read_text()[-2000:]
                await _tick()

    def events(self, name: str) -> list[dict[str, Any]]:
        """What the run told of one kind so far."""
        lines = self.told.read_text(encoding="utf-8").splitlines()
        whole = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [event for event in whole if event["event"] == name]

    async def says(self, *words: str, code: int = 0, keyless: bool = False) -> str:
        """What another command says, which has to end with this code."""
        command = [sys.executable, "-m", "mmbot", *words]
        environ = {name: word for name, word in self.environ.items() if not keyless or word not in (KEY, SECRET)}
        process = await asyncio.create_subprocess_exec(
            *command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        async with asyncio.timeout(60):
            said = (await process.communicate())[0].decode()
        assert process.returncode == code, said
        return said

    async def stop(self) -> None:
        """End the run in order."""
        assert self.engine is not None
        self.engine.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            while self.engine.poll() is None:  # the exchange of this process goes on meanwhile
                await _tick()
        assert self.engine.returncode == 0, self.told.read_text()[-2000:]

    @property
    def state(self) -> AccountState:
        """The folder of the account."""
        [found] = [one for one in AccountState.every(self.runs) if one.name.endswith(f"-{self.paper.uid}")]
        return found

    def __enter__(self) -> Bot:
        return self

    def __exit__(self, *_: object) -> None:
        """End what was started."""
        if self.engine is not None:
            self.engine.kill()
            self.engine.wait(5)
            guardian = self.state.path / "guardian.pid"
            if guardian.exists() and (process := Running.of(int(guardian.read_text()))) is not None:
                os.kill(process.pid, signal.SIGKILL)


def test_kill_works_while_the_engine_is_stopped(tmp_path: Path) -> None:
    """The engine gets SIGSTOP with quotes resting: kill cancels, proves zero, ends that process, and exits with 0."""

    async def story() -> None:
        async with PaperExchange(tapes=[], kind=MarketKind.CALM) as paper:
            with Bot(paper, tmp_path, guardian=False) as bot:
                engine = await bot.quoting()
                engine.send_signal(signal.SIGSTOP)
                said = await bot.says("kill", "--runs", str(bot.runs), "--reason", "it hangs")
                assert "zero open orders, verified" in said
                assert paper.truth()["open"] == []
                assert engine.wait(5) == -signal.SIGKILL
            assert "was killed (it hangs)" in await bot.says("run", str(bot.config), "--json", code=1)

    asyncio.run(story())


def test_an_account_that_is_broken_does_not_keep_the_others_from_being_killed(tmp_path: Path) -> None:
    """One engine is stopped with quotes resting, and the file of another account holds nothing: the first is killed as
    if it were alone, and the command tells of the second, and ends with 1.
    """

    async def story() -> None:
        async with PaperExchange(tapes=[], kind=MarketKind.CALM) as paper:
            with Bot(paper, tmp_path, guardian=False) as bot:
                engine = await bot.quoting()
                engine.send_signal(signal.SIGSTOP)
                broken = AccountState.of(bot.runs, "simulator", "9999")
                broken.session.write_text("null", encoding="utf-8")
                said = await bot.says("kill", "--all", "--runs", str(bot.runs), "--reason", "out", code=1)
                assert f"simulator-{paper.uid}: zero open orders, verified" in said
                assert "simulator-9999: NOT VERIFIED" in said
                assert (paper.truth()["open"], engine.wait(5)) == ([], -signal.SIGKILL)
                assert [FreezeLatch(one, time.time_ns).board.highest for one in (bot.state, broken)] == [
                    FreezeLevel.KILL,
                    FreezeLevel.KILL,
                ]

    asyncio.run(story())


def test_a_kill_that_does_not_know_the_markets_looks_for_them(tmp_path: Path) -> None:
    """The file tells the address alone, as an older version's may: everything on the account leaves; and a key of
    another account proves nothing.
    """

    async def story() -> None:
        async with PaperExchange(tapes=[], kind=MarketKind.CALM) as paper:
            with Bot(paper, tmp_path, guardian=False) as bot:
                engine = await bot.quoting()
                engine.send_signal(signal.SIGSTOP)
                words = json.loads(bot.state.session.read_bytes())
                other = AccountState.of(bot.runs, "simulator", "9999")
                other.session.write_text(json.dumps(words), encoding="utf-8")
                said = await bot.says("kill", "--account", other.name, "--runs", str(bot.runs), code=1)
                assert f"is of account {paper.uid}; expected one of account 9999" in said
                with pytest.raises(ConfigError, match="expected one of account 9999"):
                    await look_for_orders(other, bot.environ)  # an empty account lifts no other's freeze
                await _by_hand(paper, "left", ("linear", "ETHUSDT"), ("inverse", "BTCUSD"))
                bot.state.session.write_text(json.dumps({**words, "markets": []}), encoding="utf-8")
                said = await bot.says("kill", "--account", bot.state.name, "--runs", str(bot.runs))
                assert ("zero open orders, verified" in said, paper.truth()["open"]) == (True, [])
                assert engine.wait(5) == -signal.SIGKILL

    asyncio.run(story())


async def _by_hand(paper: PaperExchange, name: str, *markets: tuple[str, str]) -> None:
    """Somebody lets an order rest in each of these, which no run trades."""
    stage = Stage(paper)
    http = BybitHttp(stage.endpoint, stage.credentials, time.time_ns, RateBudget())
    await http.start()
    try:
        for number, (category, symbol) in enumerate(markets):
            words = {"category": category, "symbol": symbol, "side": "Buy", "orderType": "Limit"}
            words |= {"qty": "1" if category == "inverse" else "0.01", "price": await stage.price((category, symbol))}
            body = json.dumps({**words, "orderLinkId": f"{name}-{number}"}).encode()
            answer = await http.send_once("/v5/order/create", body, "place")
            assert answer.code == 0, answer
    finally:
        await http.stop()


def test_a_kill_is_of_the_whole_account(tmp_path: Path) -> None:
    """Orders rest where the run does not trade: another symbol, spot, inverse. Kill cancels them too, proves zero, and
    raises no alarm; and while one is open nobody may lift the kill.
    """
    others = (("linear", "ETHUSDT"), ("spot", "BTCUSDT"), ("inverse", "BTCUSD"))

    async def story() -> None:
        async with PaperExchange(tapes=[], kind=MarketKind.CALM) as paper:
            with Bot(paper, tmp_path, guardian=False) as bot:
                await bot.quoting()
                await _by_hand(paper, "early", *others)
                said = await bot.says("kill", "--runs", str(bot.runs), "--reason", "out")
                assert ("zero open orders, verified" in said, paper.truth()["open"]) == (True, [])
                assert "cancel_all_alarm" not in said
                assert (await look_for_orders(bot.state, bot.environ)).clean
                await _by_hand(paper, "late", *others[1:])
                looked = await look_for_orders(bot.state, bot.environ)
                assert (looked.clean, "spot BTCUSDT late-0" in looked.said) == (False, True)

    asyncio.run(story())


def test_a_kill_works_over_rest_alone(tmp_path: Path) -> None:
    """The venue takes no private stream any more, and the engine is stopped: kill says so, cancels, and proves zero."""

    async def story() -> None:
        async with PaperExchange(tapes=[], kind=MarketKind.CALM) as paper:
            with Bot(paper, tmp_path, guardian=False) as bot:
                engine = await bot.quoting()
                engine.send_signal(signal.SIGSTOP)
                Stage(paper).arm("socket:private", "disconnect", count=None)
                await _by_hand(paper, "by-hand", ("linear", "ETHUSDT"))
                said = await bot.says("kill", "--runs", str(bot.runs), "--reason", "out")
                assert ("over REST alone" in said, "zero open orders, verified" in said) == (True, True)
                assert paper.truth()["open"] == []

    asyncio.run(story())


def test_a_kill_without_a_key_leaves_it_to_the_engine(tmp_path: Path) -> None:
    """It says that it can cancel nothing; the engine obeys the latch, cancels, and ends by itself: not by SIGKILL."""

    async def story() -> None:
        async with PaperExchange(tapes=[], kind=MarketKind.CALM) as paper:
            with Bot(paper, tmp_path, guardian=False) as bot:
                engine = await bot.quoting()
                said = await bot.says("kill", "--runs", str(bot.runs), "--reason", "out", code=1, keyless=True)
                assert "MMBOT_BYBIT_API_KEY and MMBOT_BYBIT_API_SECRET are not set" in said
                assert "has ended by itself" in said
                assert ("NOT VERIFIED" in said, paper.truth()["open"]) == (True, [])
                assert engine.wait(5) != -signal.SIGKILL

    asyncio.run(story())


@pytest.mark.parametrize("guardian", [False, True])
def test_a_kill_without_a_key_ends_a_hung_engine_only_beside_a_guardian(tmp_path: Path, guardian: bool) -> None:
    """The engine is stopped with orders resting. Alone it is left as it is, and who reads is told what to do; beside a
    guardian, which has cancelled by then, it is ended.
    """

    async def story() -> None:
        async with PaperExchange(tapes=[], kind=MarketKind.CALM) as paper:
            with Bot(paper, tmp_path, guardian=guardian) as bot:
                engine = await bot.quoting()
                engine.send_signal(signal.SIGSTOP)
                said = await bot.says("kill", "--runs", str(bot.runs), "--reason", "out", code=1, keyless=True)
                assert ("is NOT ended" in said) is not guardian
                assert ("a guardian watches" in said) is guardian
                assert (engine.poll() is None) is not guardian
                assert not (guardian and paper.truth()["open"])

    asyncio.run(story())


def test_one_command_kills_every_system(tmp_path: Path) -> None:
    """X-008: three systems on three accounts, A that trades, B that is stopped, C whose engine died with its orders at
    the venue: `kill --all` leaves no order on any, ends what lives, and latches a kill on each.
    """

    async def story() -> None:
        async with AsyncExitStack() as stack:
            exchanges = [PaperExchange(tapes=[], kind=MarketKind.CALM, uid=uid) for uid in (1001, 1002, 1003)]
            bots: list[Bot] = []
            for paper in exchanges:
                await stack.enter_async_context(paper)
                bots.append(stack.enter_context(Bot(paper, tmp_path, guardian=False)))
            engines = [await bot.quoting() for bot in bots]
            engines[1].send_signal(signal.SIGSTOP)
            engines[2].kill()
            engines[2].wait(10)
            await _by_hand(exchanges[2], "left", BTC)  # whatever it had may be filled by now
            said = await bots[0].says("kill", "--all", "--runs", str(bots[0].runs), "--reason", "everything out")
            assert said.count("zero open orders, verified") == 3
            assert [paper.truth()["open"] for paper in exchanges] == [[], [], []]
            assert engines[0].wait(10) != 0
            assert engines[1].wait(10) == -signal.SIGKILL
            latched = await bots[0].says("status", "--runs", str(bots[0].runs))
            assert latched.count("KILL of firm by operator: everything out") == 3

    asyncio.run(story())


@pytest.mark.parametrize(
    ("guardian", "what"), [(False, ()), (True, ()), (True, ("--strategy", "JoinTouch"))], ids=["alone", "firm", "own"]
)
def test_two_people_lift_a_freeze_and_the_run_goes_on(tmp_path: Path, guardian: bool, what: tuple[str, ...]) -> None:
    """By the commands of the documentation alone: freeze, two signatures, applied to the engine that runs; it compares,
    and quotes again under a tenth of its limits. Its journal holds when it is done again. A guardian beside it makes no
    second freeze of the one, and acts on none that is the engine's own to obey.
    """

    async def story() -> None:
        async with PaperExchange(tapes=[], kind=MarketKind.CALM) as paper:
            risk = {**CALM, "one_sided_fills": 1_000, "lift_shadow_s": 1.0}
            with Bot(paper, tmp_path, guardian=guardian, risk=risk) as bot:
                at = ("--runs", str(bot.runs))
                token = str(tmp_path / "token.json")
                await bot.quoting()
                for name in ("ada", "bob"):
                    key = (await bot.says("keys", "new", str(tmp_path / f"{name}.pem"))).split()[-1]
                    await bot.says("keys", "enrol", key, "--identity", name, "--device", f"{name}'s", *at)
                await bot.says("freeze", "--reason", "fills look wrong", *what, *at)
                await bot.until(lambda: bool(bot.events("cancel_all_done")))
                assert paper.truth()["open"] == []
                if guardian:
                    log = bot.state.path / "guardian.log"
                    await bot.until(lambda: bool(what) or '"cancelled"' in log.read_text())
                    assert ('"alarm"' in log.read_text()) is not bool(what)
                [raised] = [one for one in bot.events("freeze") if one["change"] == "raised"]
                assert raised["control"] == "operator"
                signing = ("unfreeze", "--token", token, *at)
                why = ("--reason", "they were right")
                await bot.says(*signing, "--sign", str(tmp_path / "ada.pem"), *why)
                assert "too_few_signatures" in await bot.says(*signing, code=1)
                await bot.says(*signing, "--sign", str(tmp_path / "bob.pem"))
                held = sum(one["lots"] for one in paper.truth()["positions"].values())  # it stands still while frozen
                shrinks = {"sell"} if held > 0 else {"buy"} if held < 0 else set()
                assert "lowered to NORMAL" in await bot.says(*signing)
                frozen = len(bot.events("request"))
                await bot.until(lambda: any(one.get("qty") == "0.002" for one in bot.events("request")[frozen:]))
                places = [one for one in bot.events("request")[frozen:] if one["request"] == "place"]
                out = {one["side"] for one in places if one["qty"] != "0.002"}
                assert out <= shrinks  # the way out of what is held is not held to the launch limits, and that alone
                await bot.stop()
            [journal] = bot.runs.glob("*/journal.mmj")
            await bot.says("replay", str(journal), "--verify")
            shown = await bot.says("journal", "show", str(journal))
            assert shown.count("outside") >= 4

    asyncio.run(story())


def test_an_adjustment_takes_two_people_and_a_difference(tmp_path: Path) -> None:
    """The engine refuses what one person signed, and what books and venue do not differ by; nothing is booked."""

    async def story() -> None:
        async with PaperExchange(tapes=[], kind=MarketKind.CALM) as paper:
            with Bot(paper, tmp_path, guardian=False) as bot:
                await bot.quoting()
                at = ("--runs", str(bot.runs))
                for name in ("ada", "bob"):
                    key = (await bot.says("keys", "new", str(tmp_path / f"{name}.pem"))).split()[-1]
                    await bot.says("keys", "enrol", key, "--identity", name, "--device", f"{name}'s", *at)
                await bot.says("freeze", "--reason", "the statement has more", *at)
                await bot.until(lambda: bool(bot.events("cancel_all_done")))
                signing = ("adjust", "--token", str(tmp_path / "token.json"), *at)
                what = (
                    "--market",
                    "linear BTCUSDT",
                    "--held",
                    "999",
                    "--told",
                    "1000",
                    "--price",
                    "100",
                    "--reason",
                    "seen",
                )
                said = await bot.says(*signing, "--sign", str(tmp_path / "ada.pem"), *what, "--reason", "seen")
                assert "from 999 to 1000 lots, the difference at 100" in said
                assert "too_few_signatures" in await bot.says(*signing, code=1)
                await bot.says(*signing, "--sign", str(tmp_path / "bob.pem"))
                assert "no_difference: signed was 999 to 1000 lots" in await bot.says(*signing, code=1)
                assert bot.events("adjusted") == []
                await bot.stop()

    asyncio.run(story())


def test_two_people_answer_for_coins_that_differ_and_the_run_goes_on(tmp_path: Path) -> None:
    """The venue takes a dollar that nothing explains: trading stops. By the commands alone two people answer for it,
    lift the freeze, and it quotes again; its journal names both, and holds when it is done again.
    """

    async def story() -> None:
        async with PaperExchange(tapes=[], kind=MarketKind.CALM) as paper:
            with Bot(paper, tmp_path, guardian=False, risk={**CALM, "one_sided_fills": 1_000}) as bot:
                at = ("--runs", str(bot.runs))
                await bot.quoting()
                await bot.until(lambda: bool(bot.events("fill")))
                keys = [str(tmp_path / f"{name}.pem") for name in ("ada", "bob")]
                for name, key in zip(("ada", "bob"), keys, strict=True):
                    public = (await bot.says("keys", "new", key)).split()[-1]
                    await bot.says("keys", "enrol", public, "--identity", name, "--device", f"{name}'s", *at)
                charged = paper.charge_more(1_000_000_000_000)
                await bot.until(lambda: bool(bot.events("freeze")))
                [asked] = [one for one in bot.events("freeze") if one["change"] == "raised"]
                assert (asked["control"], asked["level"]) == ("reconcile", "NO_NEW")
                assert charged[0].trade_id in asked["why"]
                await bot.until(lambda: paper.truth()["open"] == [])
                looks = len(bot.events("reconcile"))
                await bot.until(lambda: len(bot.events("reconcile")) > looks + 2)
                breaks = [text for text in bot.events("reconcile")[-1]["breaks"] if text.startswith("cash ")]
                assert breaks
                cash = [word for text in breaks for word in ("--cash", text)]
                signing = ("adjust", "--token", str(tmp_path / "adjust.json"), *at)
                await bot.says(*signing, "--sign", keys[0], *cash, "--reason", "they say it was a fee")
                await bot.says(*signing, "--sign", keys[1])
                assert f"{len(breaks)} differences answered for" in await bot.says(*signing)
                [adjusted] = bot.events("adjusted")
                assert "ada and bob" in adjusted["said"].replace("bob and ada", "ada and bob")
                await bot.until(lambda: bot.events("reconcile")[-1].get("breaks") == [])
                signing = ("unfreeze", "--token", str(tmp_path / "lift.json"), *at)
                await bot.says(*signing, "--sign", keys[0], "--reason", "answered for")
                await bot.says(*signing, "--sign", keys[1])
                assert "lowered to NORMAL" in await bot.says(*signing)
                frozen = len(bot.events("request"))
                await bot.until(lambda: any(one["request"] == "place" for one in bot.events("request")[frozen:]))
                await bot.stop()
            [journal] = bot.runs.glob("*/journal.mmj")
            await bot.says("replay", str(journal), "--verify")
            shown = await bot.says("journal", "show", str(journal))
            [line] = [line for line in shown.splitlines() if "they say it was a fee" in line and "adjusted" in line]
            assert "ada" in line
            assert "bob" in line

    asyncio.run(story())


def test_flatten_works_the_position_off(tmp_path: Path) -> None:
    """Everything leaves first; then reduce-only orders take the position to zero, at the venue and in the books. The
    journal, done again, gives the same orders.
    """

    async def story() -> None:
        async with PaperExchange(tapes=[], kind=MarketKind.CALM) as paper:
            with Bot(paper, tmp_path, guardian=False, risk={**CALM, "one_sided_fills": 1_000}) as bot:

                def position() -> float:
                    return sum(float(one["size"]) for one in paper.truth()["positions"].values())

                await bot.quoting()
                latch = FreezeLatch(bot.state, time.time_ns)
                await bot.until(lambda: position() >= 0.04)  # at once then: a quote may be taken every 50 ms
                latch.ask(FreezeAsked(FreezeLevel.FLATTEN, FIRM, "operator", "out", time.time_ns()))
                await bot.until(lambda: any("zero" in one["why"] for one in bot.events("flatten")))
                await bot.until(lambda: position() == 0)
                assert paper.truth()["open"] == []
                proven = next(one for one in bot.events("cancel_all_done"))
                assert proven["proof"] == "asked"
                await bot.stop()
            [journal] = bot.runs.glob("*/journal.mmj")
            assert "ordered" in await bot.says("journal", "show", str(journal))
            await bot.says("replay", str(journal), "--verify")

    asyncio.run(story())


async def _tick() -> None:
    """A tenth of a second, in which the exchange of this process goes on."""
    turned = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, turned.set)
    await turned.wait()


def _toml(words: dict[str, Any]) -> str:
    """A configuration as TOML: tables, lists of tables, and values that JSON writes alike."""
    lines: list[str] = []

    def table(name: str, inside: dict[str, Any], head: str) -> None:
        if head:
            lines.append(head)
        lines.extend(
            f"{key} = {json.dumps(value)}"
            for key, value in inside.items()
            if not isinstance(value, dict) and not (isinstance(value, list) and value and isinstance(value[0], dict))
        )
        for key, value in inside.items():
            path = f"{name}.{key}" if name else key
            if isinstance(value, dict):
                table(path, value, f"[{path}]")
            elif isinstance(value, list) and value and isinstance(value[0], dict):
                for one in value:
                    table(path, one, f"[[{path}]]")

    table("", words, "")
    return "\n".join(lines) + "\n"
