"""The controls of a run: what facts, fills, prices and wallets make of them, and what a restart does not forget."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs
from trading_desk import Desk, settle

from mmbot.config import ConfigError, RiskConfig
from mmbot.ops.account_state import AccountState
from mmbot.ops.controls import risk_desk
from mmbot.risk import FreezeAsked, FreezeBoard, Scope
from mmbot.risk.watch import RiskWatch
from mmbot.runtime.peg import Peg
from mmbot.runtime.risk import RiskDesk, RiskEnds
from mmbot.venues.port import Acked, ExecutionSeen, PositionSeen, Refused, Unanswered, WalletSeen
from mmbot.venues.records import BookLost, BookUpdate, PublicTrade, Ticker

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000_000


class Stage:
    """A desk with a book, and controls whose freezes and states are kept."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.desk = Desk(folder)
        self.desk.strategy.bid = self.desk.strategy.ask = None  # type: ignore[attr-defined]
        asyncio.run(self.desk.open())
        self.desk.book()
        self.asked: list[FreezeAsked] = []
        self.kept: list[dict[str, Any]] = []
        watch = RiskWatch(RiskConfig(**config), strategy="quoter", account="7")
        self.held: list[str] = []
        self.told: list[Any] = []
        ends = RiskEnds(
            asked=self.asked.append,
            keep=lambda state: self.kept.append(json.loads(state)),
            hold=self.held.append,
            told=self.told.append,
        )
        pair = watch.config.depeg_pair
        peg = None if pair is None else Peg(pair, self.desk.clock.peek())
        self.risk = RiskDesk(watch, self.desk.core, [self.desk.listed], ends, peg=peg)

    def tick(self) -> set[str]:
        """Look now; returns the controls that asked for a freeze."""
        self.asked.clear()
        self.risk._due = 0
        self.risk.tick(self.desk.clock)
        return {one.control for one in self.asked}

    def as_spot(self) -> None:
        """The same instrument, on spot."""
        listed = self.desk.listed
        terms = structs.replace(listed.terms, category="spot", kind="spot", settle="")
        self.desk.listed = dataclasses.replace(listed, category="spot", terms=terms)
        self.risk = RiskDesk(self.risk.watch, self.desk.core, [self.desk.listed], RiskEnds(asked=self.asked.append))

    def fill(
        self, *, fee: str = "0", coin: str = "USDT", maker: bool = True, side: Any = "buy", price: str = "100.0"
    ) -> None:
        """One execution of 0.01."""
        fact = ExecutionSeen(
            client_id="mm",
            venue_id="v",
            execution_id="e",
            category=self.desk.listed.category,
            symbol="BTCUSDT",
            kind="trade",
            side=side,
            price=price,
            qty="0.010",
            maker=maker,
            fee=fee,
            fee_currency=coin,
            ts_venue=1,
        )
        self.risk.filled(fact, self.desk.clock())

    def references(self) -> list[int | None]:
        """The second prices that the core was told, as its journal has them."""
        return [fields["tick"] for kind, fields in self.desk.entries() if kind == "outside"]


def refused(*, held_back: bool = False, request: Any = "place", reason: Any = "rate_limited") -> Refused:
    """The venue's no, or our own."""
    code = 0 if held_back else 170_001
    return Refused(client_id="mm", request=request, reason=reason, code=code, message="", ts_venue=1)


def test_refusals_and_silence_of_the_venue_ask_and_ours_do_not(tmp_path: Path) -> None:
    """Three in a row; an answer in between, or a request that we kept ourselves, is none of them."""
    stage = Stage(tmp_path, rejects_in_a_row=3, unknowns_in_a_row=3)
    silent = Unanswered(client_id="mm", request="place", why="")
    yes = Acked(client_id="mm", venue_id="v", request="place", ts_venue=1)
    stage.risk.hear([refused(), refused(), yes, refused(), refused(held_back=True), refused()], 1)
    assert stage.tick() == set()
    stage.risk.hear([refused()], 1)
    assert stage.tick() == {"rejects_in_a_row"}
    stage.risk.hear([silent, silent, yes, silent], 1)
    assert stage.tick() == set()
    stage.risk.hear([silent, silent], 1)
    assert stage.tick() == {"unknowns_in_a_row"}


def test_cancels_that_are_taken_hide_no_refusals_and_changes_count_as_orders(tmp_path: Path) -> None:
    """A venue that takes cancels may still refuse every order; an amend that came too late is no fault."""
    stage = Stage(tmp_path, rejects_in_a_row=3)
    gone = Acked(client_id="mm", venue_id="v", request="cancel", ts_venue=1)
    late = refused(request="amend", reason="unknown_order")
    stage.risk.hear([refused(), gone, refused(), late, gone, refused(request="cancel")], 1)
    assert stage.tick() == set()
    stage.risk.hear([gone, refused(request="amend", reason="price_band")], 1)
    assert stage.tick() == {"rejects_in_a_row"}


@pytest.mark.parametrize(
    ("fee", "coin", "asks"),
    [
        ("0.0002", "USDT", set()),
        ("0.0003", "USDT", set()),  # its last digit: it may have been 0.0002001
        ("0.00030", "USDT", {"fee"}),
        ("0.0004", "USDT", {"fee"}),
        ("0.000003", "BTC", set()),
        ("0.0000020", "BTC", set()),
        ("0.000004", "BTC", {"fee"}),
        ("0.0000022", "BTC", {"fee"}),
        ("1", "BTC", {"fee"}),
        ("nan", "BTC", {"fee"}),
        ("0.5", "MNT", set()),
    ],
)
def test_a_spot_fee_is_held_against_the_rate_as_far_as_it_is_told(
    fee: str, coin: str, asks: set[str], tmp_path: Path
) -> None:
    """A dollar at two basis points, in either coin of the pair, is 0.0002 USDT or 0.000002 BTC; a third coin cannot be
    valued.
    """
    stage = Stage(tmp_path, fee_tolerance_bps=2.0)
    stage.as_spot()
    stage.fill(fee=fee, coin=coin)
    assert stage.tick() == asks


@pytest.mark.parametrize(("fee", "asks"), [("0.0002", set()), ("0.0003", {"fee"}), ("-0.0001", set())])
def test_a_maker_that_is_charged_as_a_taker_freezes(fee: str, asks: set[str], tmp_path: Path) -> None:
    """One dollar at two basis points is 0.0002; the desk's instrument has no fee, so the tolerance is what is left."""
    stage = Stage(tmp_path, fee_tolerance_bps=2.0)
    stage.fill(fee=fee)
    assert stage.tick() == asks


@pytest.mark.parametrize(("price", "asks"), [("100.00", set()), ("100.08", set()), ("100.09", {"edge"})])
def test_the_edge_is_what_fills_earned_against_the_mid_after_fees(price: str, asks: set[str], tmp_path: Path) -> None:
    """The mid is 100.1: a buy at 100.08 earned two basis points, one at 100.09 a single one; the limit is 1.5."""
    stage = Stage(tmp_path, markout_fills=2)
    stage.fill(price=price)
    assert stage.tick() == set(), "one fill says nothing"
    stage.fill(price=price)
    assert stage.tick() == asks
    stage.risk.lifted(Scope("symbol", "linear BTCUSDT"))
    stage.fill(price=price)
    assert stage.tick() == set(), "people looked: the average begins anew"


def test_a_fill_without_a_mid_earned_nothing(tmp_path: Path) -> None:
    """An edge that cannot be measured is no edge."""
    stage = Stage(tmp_path, markout_fills=1)
    fresh = Desk(tmp_path / "unseen") if (tmp_path / "unseen").mkdir() is None else stage.desk
    stage.risk.holdings._core = fresh.core
    stage.fill(price="90.0")
    assert {one.control for one in stage.risk._found} == {"edge"}


@pytest.mark.parametrize(("used", "asks"), [("80", set()), ("80.01", {"margin"}), ("nan", {"margin"})])
def test_the_venues_margin_is_held_against_the_headroom(used: str, asks: set[str], tmp_path: Path) -> None:
    """A fifth has to be free; what is no number is not free."""
    stage = Stage(tmp_path)
    wallet = WalletSeen(coin="USDT", balance="100", equity="100", ts_venue=1)
    stage.risk.hear([wallet], 1)
    assert stage.tick() == set(), "a venue that does not say is not asked"
    told = WalletSeen(coin="USDT", balance="100", equity="100", ts_venue=1, margin="100", margin_used=used)
    stage.risk.hear([told], 1)
    assert stage.tick() == asks


def test_a_stop_is_measured_against_the_venues_entry_price(tmp_path: Path) -> None:
    """Ten lots that cost 103 are worth 100.1: 2.8 % are more than 2."""
    stage = Stage(tmp_path, stop_loss_pct=2.0)
    now = stage.desk.clock()
    stage.desk.core.moved(now, 0, "a", "adopted", "buy", 1_030, 10, 0, now)
    seen = PositionSeen(category="linear", symbol="BTCUSDT", qty="0.010", entry_price="103.0", ts_venue=1)
    stage.risk.hear([seen], 1)
    assert stage.tick() == {"stop_loss"}


def test_the_second_price_is_the_mark_and_goes_when_it_is_old(tmp_path: Path) -> None:
    """At most one word a second; the last trade stands in for a mark, and after half a minute nothing is known."""
    stage = Stage(tmp_path)
    now = stage.desk.clock()

    def ticker(mark: str | None) -> Ticker:
        return Ticker(symbol="BTCUSDT", ts_venue=1, mark=mark, funding_rate=None, next_funding=None)

    def trade(price: str) -> PublicTrade:
        return PublicTrade(symbol="BTCUSDT", ts_venue=1, price=price, qty="1", aggressor="buy", trade_id="t")

    def at(ns: int) -> None:
        stage.desk.clock.at_least(ns)
        stage.risk.tick(stage.desk.clock)

    stage.risk.market("linear", trade("99.0"), now)
    at(now + SECOND)
    stage.risk.market("linear", ticker("101.0"), now + SECOND)
    stage.risk.market("linear", ticker(None), now + SECOND)
    stage.risk.market("linear", ticker("bad"), now + SECOND)
    stage.risk.market("linear", ticker("101.5"), now + SECOND)
    stage.risk.market("spot", ticker("7"), now + SECOND)
    at(now + SECOND + 1)
    assert stage.references() == [990]
    at(now + 3 * SECOND)
    at(now + 30 * SECOND)
    assert stage.references() == [990, 1_015]
    at(now + 33 * SECOND)
    assert stage.references() == [990, 1_015, None]


def test_a_position_is_worth_the_less_of_mid_and_second_price(tmp_path: Path) -> None:
    """The mid is 100.1 and the mark 90: ten lots that cost 100 have lost 0.1, ten that were sold 0.001."""
    for side, expected in (("buy", -0.1), ("sell", -0.001)):
        (tmp_path / side).mkdir()
        stage = Stage(tmp_path / side)
        now = stage.desk.clock()
        stage.desk.core.moved(now, 0, "a", "adopted", side, 1_000, 10, 0, now)
        mark = Ticker(symbol="BTCUSDT", ts_venue=1, mark="90", funding_rate=None, next_funding=None)
        stage.risk.market("linear", mark, now)
        assert stage.risk.holdings.equity() == pytest.approx(expected * 10**12)


def test_what_earlier_runs_lost_counts_in_the_day_of_the_next(tmp_path: Path) -> None:
    """A run lost 0.1 and ended flat: the next one begins the day with that, and a loss of the same again is 0.2."""
    stage = Stage(tmp_path, capital_usd="3")
    stage.tick()
    lost_by(stage, 0.1)
    assert stage.tick() == {"loss_minute", "loss_hour"}
    kept = stage.kept[-1]
    (tmp_path / "next").mkdir()
    second = Stage(tmp_path / "next", capital_usd="3")
    second.risk.begin(second.desk.clock.peek(), kept)
    second.tick()
    lost_by(second, 0.1)
    assert "loss_day" in second.tick(), "0.2 of 3 is above 5 %"
    (tmp_path / "goes on").mkdir()
    third = Stage(tmp_path / "goes on", capital_usd="3")
    third.risk.begin(third.desk.clock.peek(), kept, goes_on=True)
    lost_by(third, 0.1)  # the loss that its books took over
    assert "loss_day" not in third.tick()


def lost_by(stage: Stage, amount: float) -> None:
    """Buy high, sell low, be flat."""
    core, clock = stage.desk.core, stage.desk.clock
    price = round(1_000 + amount * 1_000)
    core.moved(now := clock(), 0, f"buy {now}", "adopted", "buy", price, 10, 0, now)
    core.moved(now := clock(), 0, f"sell {now}", "adopted", "sell", 1_000, 10, 0, now)


def test_the_state_is_kept_when_it_changed_and_not_each_second(tmp_path: Path) -> None:
    """A file a second would be a disk that is always written; what is not kept is less than a hundredth of a limit."""
    stage = Stage(tmp_path)
    stage.tick()
    stage.tick()
    assert len(stage.kept) == 1
    lost_by(stage, 0.1)
    stage.tick()
    assert len(stage.kept) == 1, "0.1 of 10,000 is nothing that a limit sees"


def test_controls_go_on_from_the_accounts_folder(tmp_path: Path) -> None:
    """The peak of the last run holds, unless people lifted the account since; what cannot be read stops the start."""
    state = AccountState.of(tmp_path, "demo", "7")
    watch = RiskWatch(account="7")
    watch.equity(5, 8)
    watch.equity(5 - watch.losses.limits.drawdown, 9)
    watch.streaks.latched = True
    kept = {**watch.state(), "at": 10}
    text = json.dumps(kept)

    def made(name: str, board: FreezeBoard | None = None, account: AccountState | None = state) -> RiskDesk:
        (state.path / "risk.head").unlink(missing_ok=True)
        state.risk.write_text(text)
        (tmp_path / name).mkdir()
        desk = Desk(tmp_path / name, board=board)
        return risk_desk(RiskConfig(), desk.runner, [100], strategy="quoter", account="7", folder=account)

    assert made("one").watch.losses.peak == 5
    assert made("two", account=None).watch.losses.peak is None
    board = FreezeBoard()
    board.lowered_at = {Scope("account", "7"): 11}
    assert made("three", board).watch.losses.peak is None
    assert made("four", board).watch.streaks.latched, "that is of the strategy"
    board.lowered_at = {Scope("strategy", "quoter"): 11}
    assert not made("strategy", board).watch.streaks.latched
    board.lowered_at = {Scope("account", "7"): 9}
    assert made("five", board).watch.losses.peak == 5
    for spoiled in ("{", "[]", '{"version": 2}', '{"version": 1, "losses": {}, "streaks": {}}'):
        text = spoiled
        with pytest.raises(ConfigError, match=r"risk\.json"):
            made(f"spoiled {len(spoiled)}")


@pytest.mark.parametrize("what", ["whole", "gone", "older", "edited", "head unreadable", "one write behind"])
def test_losses_that_are_forgotten_freeze_the_account(what: str, tmp_path: Path) -> None:
    """Gone or older than what was kept last: CANCEL_ALL before anything is kept as if it were right; and only then."""
    state = AccountState.of(tmp_path, "demo", "7")
    head = state.path / "risk.head"

    def made(name: str) -> tuple[RiskDesk, FreezeBoard]:
        (tmp_path / name).mkdir()
        board = FreezeBoard()
        desk = Desk(tmp_path / name, board=board)
        return risk_desk(RiskConfig(), desk.runner, [100], strategy="quoter", account="7", folder=state), board

    desk, board = made("first")
    assert (board.frozen, state.risk.exists(), head.exists()) == ((), True, True)
    state.run_begins(tmp_path)
    first = before = state.risk.read_bytes()
    for equity in (10**12, 2 * 10**12):
        before = state.risk.read_bytes()
        desk.watch.equity(equity, equity)
        desk._keep_due = 0
        desk.keep(equity)
    match what:
        case "gone":
            state.risk.unlink()
            head.unlink()
        case "older":
            state.risk.write_bytes(first)
        case "edited":
            state.risk.write_bytes(state.risk.read_bytes() + b" ")
        case "head unreadable":
            head.write_bytes(b"{")
        case "one write behind":  # it died between the two
            state.risk.write_bytes(before)
    _, board = made("second")
    held = [(one.level.name, str(one.scope), one.control) for one in board.frozen]
    assert held == ([] if what in ("whole", "one write behind") else [("CANCEL_ALL", "account 7", "risk_state")])
    _, board = made("third")
    assert board.frozen == (), "what is there now is what was kept; the freeze is the latch's to remember"


def test_a_run_feeds_its_controls(tmp_path: Path) -> None:
    """Books, tickers, answers and wallets come to the controls by the run itself."""
    desk = Desk(tmp_path)
    risk = risk_desk(RiskConfig(), desk.runner, [100], strategy="quoter", account="7", folder=None)
    assert risk.boldness is not None
    assert risk.boldness.guards is not None
    asyncio.run(desk.open())
    desk.book()
    settle(desk)
    desk.print("100.1", "0.001", "buy")
    desk.clock.at_least(desk.clock.peek() + 2 * SECOND)
    desk.book()
    assert [fields["tick"] for kind, fields in desk.entries() if kind == "outside"] == [None, 1_001]
    assert desk.told("guards")[0]["level"] == "HARD", "nothing is known of the volatility yet"
    assert "guards" in desk.runner.pauses


def test_an_entry_of_the_position_before_stops_no_new_one(tmp_path: Path) -> None:
    """The venue told 103 of a position that is closed: the next one at 100 has lost nothing."""
    stage = Stage(tmp_path, stop_loss_pct=2.0)
    now = stage.desk.clock()
    seen = PositionSeen(category="linear", symbol="BTCUSDT", qty="0.010", entry_price="103.0", ts_venue=1)
    stage.desk.core.moved(now, 0, "a", "adopted", "buy", 1_000, 10, 0, now)
    stage.risk.hear([seen], 1)
    stage.desk.core.moved(now := stage.desk.clock(), 0, "b", "adopted", "sell", 1_000, 10, 0, now)
    stage.fill()
    stage.desk.core.moved(now := stage.desk.clock(), 0, "c", "adopted", "buy", 1_000, 10, 0, now)
    assert stage.tick() == set()
    stage.risk.hear([seen], 1)
    assert stage.tick() == {"stop_loss"}, "the venue says that this one cost 103"
    assert stage.tick() == set(), "once"
    stage.risk.lifted(Scope("symbol", "linear BTCUSDT"))
    assert stage.tick() == set(), "people lifted it: it counts from 100.1"
    assert stage.told[-1]["controls"] == ["stops"]
    stage.desk.book("97.9", "98.1")
    stage.desk.core.step(stage.desk.clock(), lambda _: None, [])
    assert stage.tick() == {"stop_loss"}


def test_a_lift_tells_from_which_equity_the_losses_count(tmp_path: Path) -> None:
    """A tenth of 3 was lost: minute and hour fell, day and drawdown did not."""
    stage = Stage(tmp_path, capital_usd="3")
    stage.tick()
    lost_by(stage, 0.1)
    assert stage.tick() == {"loss_minute", "loss_hour"}
    stage.risk.lifted(Scope("account", "7"))
    [said] = stage.told
    assert (said["controls"], said["scope"]) == (["loss_minute", "loss_hour"], "account 7")
    assert said["equity"] == pytest.approx(-0.1)
    assert stage.tick() == set()
    assert stage.kept[-1]["losses"]["fell"] == [], "kept at once"


def test_the_state_is_kept_every_ten_seconds_while_little_moves(tmp_path: Path) -> None:
    """A killed process forgets no more."""
    stage = Stage(tmp_path)
    stage.tick()
    stage.desk.clock.at_least(stage.desk.clock.peek() + 9 * SECOND)
    stage.tick()
    assert len(stage.kept) == 1
    stage.desk.clock.at_least(stage.desk.clock.peek() + SECOND)
    stage.tick()
    assert len(stage.kept) == 2


def test_the_risk_ratio_is_the_worst_case_of_what_is_allowed(tmp_path: Path) -> None:
    """Ten lots at 100.1 are 1.001 dollars, and an order for as many more makes 2.002 of 4: above 0.4, told once."""
    stage = Stage(tmp_path, max_total_notional_usd="4", **SMALL)
    ratio = stage.risk.watch.ratio
    stage.tick()
    assert ratio.p95 == 0.0
    now = stage.desk.clock()
    stage.desk.core.moved(now, 0, "a", "adopted", "buy", 1_000, 10, 0, now)
    stage.tick()
    assert ratio.p95 == pytest.approx(1.001 / 4)
    assert stage.told == []
    stage.desk.core.adopt(stage.desk.clock(), "", "v", 0, "buy", 900, 10, 0, False, "foreign")
    stage.desk.core.adopt(stage.desk.clock(), "", "w", 0, "sell", 1_100, 15, 0, False, "foreign")
    stage.tick()
    stage.tick()
    assert ratio.p95 == pytest.approx(2.002 / 4)
    [said] = stage.told
    assert (said["event"], said["warns"], said["line"]) == ("risk ratio", True, 0.4)


SMALL = {
    "capital_usd": "40",
    "max_order_notional_usd": "1",
    "max_inventory_usd": "2",
    "max_net_notional_usd": "4",
}


def touch(bid: str, ask: str, *, symbol: str = "USDCUSDT", kind: Any = "snapshot") -> BookUpdate:
    """What the market says of two coins."""
    return BookUpdate(
        symbol=symbol, kind=kind, ts_venue=1, previous_id=0, last_id=1, bids=[(bid, "5")], asks=[(ask, "5")]
    )


def test_a_stable_coin_is_measured_by_its_pair_and_quotes_wait_for_it(tmp_path: Path) -> None:
    """No price yet: no quotes. Within 100 bps: nothing. Beyond, or silent for half a minute: the firm is frozen."""
    stage = Stage(tmp_path, depeg_pair="spot USDCUSDT")
    began = stage.desk.clock.peek()
    assert stage.tick() == set()
    assert "USDCUSDT" in stage.held[-1]
    stage.risk.market("spot", touch("0.9999", "1.0001"), stage.desk.clock.peek())
    assert (stage.tick(), stage.held[-1]) == (set(), "")
    stage.risk.market("linear", touch("0.5", "0.6"), stage.desk.clock.peek())
    assert stage.tick() == set(), "another market of that name"
    stage.risk.market("spot", touch("0.9898", "0.9899"), stage.desk.clock.peek())
    assert stage.tick() == {"depeg"}
    stage.risk.market("spot", BookLost(symbol="USDCUSDT", why="a gap"), stage.desk.clock.peek())
    assert (stage.tick(), bool(stage.held[-1])) == (set(), True), "asked for anew: no quotes meanwhile"
    stage.desk.clock.at_least(began + 31 * SECOND)
    assert stage.tick() == {"depeg"}, "not known"


def test_a_pair_that_is_never_heard_freezes_after_half_a_minute(tmp_path: Path) -> None:
    """Missing denies."""
    stage = Stage(tmp_path, depeg_pair="spot USDCUSDT")
    began = stage.desk.clock.peek()
    stage.desk.clock.at_least(began + 29 * SECOND)
    assert stage.tick() == set()
    stage.desk.clock.at_least(began + 31 * SECOND)
    assert stage.tick() == {"depeg"}


def test_a_control_that_cannot_fire_is_refused(tmp_path: Path) -> None:
    """One instrument of a coin has no leg to hedge it."""
    desk = Desk(tmp_path)
    with pytest.raises(ConfigError, match=r"unhedged_usd_s.*BTC"):
        risk_desk(RiskConfig(unhedged_usd_s=1.0), desk.runner, [100], strategy="quoter", account="7", folder=None)


def test_a_markout_that_cannot_be_measured_counts_as_the_limit(tmp_path: Path) -> None:
    """Missing denies: five seconds after the fill there is no mid."""
    stage = Stage(tmp_path, markout_fills=1, edge_freeze_threshold_bps=-50.0)
    stage.fill()
    assert stage.tick() == set()
    (tmp_path / "unseen").mkdir()
    stage.risk.holdings._core = Desk(tmp_path / "unseen").core
    stage.desk.clock.at_least(stage.desk.clock.peek() + 5 * SECOND)
    assert stage.tick() == {"markout"}
