"""The edge audit: figures worked out by hand, an identity that can fail, and lines that are refused by number."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.config import BacktestConfig
from mmbot.research import edge
from mmbot.research.backtest import backtest
from mmbot.research.edge import EdgeError, Fill, audit_result, audit_trades, identity_gap_bps, symbol_edge

FROZEN = {"MM_FREEZE_UTC": "1"}


def trade(symbol: str, side: str, price: float, qty: float, mid: float, after: float | None, fee_bps: float, ts: int):
    """One line of trades.jsonl."""
    return {
        "symbol": symbol, "side": side, "price": price, "qty": qty, "mid_before": mid, "mid_after_1s": after,
        "fee_bps": fee_bps, "ts_ms": ts,
    }  # fmt: skip


def quote(ts: int, bid: float, ask: float, symbol: str = "A"):
    """One line of quotes.jsonl."""
    return {"symbol": symbol, "ts_ms": ts, "best_bid": bid, "best_ask": ask}


def written(path: Path, lines: list) -> Path:
    """The lines as a file."""
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return path


TRADES = [
    trade("A", "buy", 99.95, 10, 100.0, 99.98, -0.5, 1000),
    trade("B", "buy", 50.00, 2, 50.05, None, 0.0, 1500),
    trade("A", "Sell", 100.05, 10, 100.0, 100.01, -0.5, 2000),
    trade("A", "buy", 100.10, 5, 100.0, 100.20, 4.0, 3000),
]
QUOTES = [quote(500, 99.9, 100.1), quote(3000, 99.9, 100.1), quote(9000, 100.25, 100.35), quote(9000, 7, 8, "C")]
BY_HAND = {
    "gross_bps": 4.0,  # 0.5 + 0.5 over 2,500
    "adverse_bps": -2.8,  # 0.2 + 0.1 − 1.0
    "slippage_bps": 2.0,  # 5 × 0.10
    "fees_eff_bps": 0.4008,  # −0.049975 − 0.050025 + 0.2002
    "inventory_bps": 3.2,  # 3.2 − 2.9 + 0.5, up to 100.30
    "net_bps": 4.3992,
    "net_with_inventory_bps": 7.5992,
    "fills": 3,
    "turnover_usd": 2500.0,
}


@pytest.fixture
def audit(tmp_path: Path) -> edge.EdgeAudit:
    """The audit of the fixture."""
    return audit_trades(written(tmp_path / "trades.jsonl", TRADES), written(tmp_path / "quotes.jsonl", QUOTES))


def test_the_figures_are_those_worked_out_by_hand(audit: edge.EdgeAudit) -> None:
    """Two makers and a taker in one symbol, a lone maker without later mid or quotes in another."""
    assert audit.symbols["A"].as_dict() == pytest.approx(BY_HAND)
    lone = {"gross_bps": 0.1 / 100.1 * 1e4, "net_bps": 0.1 / 100.1 * 1e4, "adverse_bps": 0.0, "inventory_bps": 0.0}
    assert {name: audit.symbols["B"].as_dict()[name] for name in lone} == pytest.approx(lone)


def test_the_two_totals_differ_and_say_which_is_which(audit: edge.EdgeAudit) -> None:
    """The mean counts symbols alike, the portfolio adds money first; fills and turnover are sums in both."""
    lone = 0.1 / 100.1 * 1e4
    assert audit.mean_over_symbols["net_bps"] == pytest.approx((4.3992 + lone) / 2)
    assert audit.portfolio.as_dict()["net_bps"] == pytest.approx((1.0998 + 0.1) / 2600.1 * 1e4)
    for total in (audit.mean_over_symbols, audit.portfolio.as_dict()):
        assert (total["fills"], total["turnover_usd"]) == (4, pytest.approx(2600.1))


def test_profit_is_positive_on_both_sides() -> None:
    """A maker who buys below the mid, or sells above it, has a positive gross."""
    for side, price in ((1, 99.0), (-1, 101.0)):
        found = symbol_edge("A", [Fill(side, 1.0, price, 100.0, 100.0, 0.0, True)], mid_end=100.0)
        assert found.as_dict()["gross_bps"] == pytest.approx(100.0)


def test_without_quotes_every_fill_rested_unless_it_says_otherwise(tmp_path: Path) -> None:
    """A fill above the mid then lowers the gross; its own `maker` makes it slippage. The net is the same."""
    plain = audit_trades(written(tmp_path / "a", TRADES)).symbols["A"].as_dict()
    told = audit_trades(written(tmp_path / "b", [*TRADES[:3], {**TRADES[3], "maker": False}])).symbols["A"].as_dict()
    assert (plain["gross_bps"], plain["slippage_bps"]) == (pytest.approx(2.0), 0.0)
    assert (told["gross_bps"], told["slippage_bps"]) == (pytest.approx(4.0), pytest.approx(2.0))
    assert plain["net_bps"] == pytest.approx(told["net_bps"])


def test_a_quote_at_the_time_of_a_fill_stood_already(tmp_path: Path) -> None:
    """The last quote up to the fill's own millisecond decides who crossed, and no later one."""
    quotes = [quote(2000, 90, 110), quote(3000, 99, 100.1), quote(3001, 90, 110)]
    found = audit_trades(written(tmp_path / "t", TRADES), written(tmp_path / "q", quotes))
    assert found.symbols["A"].as_dict()["slippage_bps"] == pytest.approx(2.0)
    later = audit_trades(written(tmp_path / "t", TRADES), written(tmp_path / "q", [quotes[0], quotes[2]]))
    assert later.symbols["A"].as_dict()["slippage_bps"] == 0.0


prices = st.floats(1.0, 1e5)
fills = st.builds(
    Fill,
    side=st.sampled_from((-1, 1)),
    qty=st.floats(1e-3, 1e3),
    price=prices,
    mid=prices,
    mid_after=st.none() | prices,
    fee=st.floats(-1.0, 1.0),
    maker=st.booleans(),
)


@given(st.lists(fills, min_size=1, max_size=20), prices, st.booleans())
def test_the_identities_hold_for_any_fills(found: list[Fill], mid_end: float, inverse: bool) -> None:
    """Net is gross less costs, and with inventory it is cash moved plus the position at the last mid."""
    published = symbol_edge("A", found, mid_end=mid_end, inverse=inverse)
    numbers, sign = published.as_dict(), -1 if inverse else 1
    cash = math.fsum(-one.side * one.qty * sign * one.price**sign - one.fee for one in found)
    held = math.fsum(one.side * one.qty * sign * mid_end**sign for one in found)
    size = max(abs(numbers[name]) for name in edge.BPS_FIELDS)
    near = pytest.approx((cash + held) / published.attribution.turnover * 1e4, rel=1e-6, abs=1e-9 * size + 1e-9)
    assert identity_gap_bps(numbers) <= 1e-9 * size + 1e-9
    assert numbers["net_with_inventory_bps"] == near


@pytest.mark.parametrize("name", ["gross_bps", "adverse_bps", "slippage_bps", "fees_eff_bps", "net_bps"])
def test_the_identity_fails_for_a_report_that_is_off(audit: edge.EdgeAudit, name: str) -> None:
    """A tenth of a basis point in any part shows."""
    published = audit.symbols["A"].as_dict()
    assert identity_gap_bps({**published, name: published[name] + 0.1}) == pytest.approx(0.1)


def test_an_audit_with_a_part_left_out_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A split that forgets the takers cannot hide behind its own sum: the net from later mids is another account."""

    def forgetful(rows, **marks):
        return split([row for row in rows if row["maker"]], **marks)

    split = edge.attribution
    monkeypatch.setattr(edge, "attribution", forgetful)
    rested, crossed = Fill(1, 1.0, 99.0, 100.0, 100.0, 0.0, True), Fill(1, 1.0, 101.0, 100.0, 100.0, 0.0, False)
    assert symbol_edge("A", [rested], mid_end=100.0).fills == 1
    with pytest.raises(EdgeError, match=r"A: .* misses the net by 100"):
        symbol_edge("A", [rested, crossed], mid_end=100.0)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", r"trades:2: .*expected symbol, side"),
        (json.dumps({**TRADES[0], "side": "long"}), r'trades:2: side is \'long\'; expected "buy" or "sell"'),
        (json.dumps({**TRADES[0], "qty": 0}), r"trades:2: .*> 0.*qty"),
        (json.dumps({**TRADES[0], "price": "99"}), r"trades:2: .*price"),
        (json.dumps({**TRADES[0], "mid_before": float("nan")}), "trades:2: "),
        (json.dumps({**TRADES[0], "ts_ms": 999}), r"trades:2: ts_ms 999 of A is before 1000; .*sort"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    """The answer holds file, line, what was wrong and what was expected."""
    (tmp_path / "trades").write_text(f"{json.dumps(TRADES[0])}\n{line}\n", encoding="utf-8")
    with pytest.raises(EdgeError, match=said):
        audit_trades(tmp_path / "trades")


def test_a_crossed_quote_and_an_empty_file_are_refused(tmp_path: Path) -> None:
    """Who rested in a crossed market cannot be said, and nothing cannot be audited."""
    trades = written(tmp_path / "trades", TRADES)
    with pytest.raises(EdgeError, match=r"quotes:1: best_bid 101.0 is not below best_ask 100.0"):
        audit_trades(trades, written(tmp_path / "quotes", [quote(1, 101, 100)]))
    with pytest.raises(EdgeError, match="no fills"):
        audit_trades(written(tmp_path / "none", []))


def test_the_same_input_gives_the_same_bytes(audit: edge.EdgeAudit, tmp_path: Path) -> None:
    """With frozen time two files are equal: sorted keys, LF, final newline."""
    for name in ("a.json", "b.json"):
        audit.write(tmp_path / "new" / name, environ=FROZEN)
    text = (tmp_path / "new/a.json").read_bytes()
    assert text == (tmp_path / "new/b.json").read_bytes()
    document = json.loads(text)
    assert text.decode() == json.dumps(document, sort_keys=True, indent=2) + "\n"
    assert document["runtime"]["utc"] == "1970-01-01T00:00:00Z"
    assert document["symbols"]["A"]["net_bps"] == 4.3992


def test_the_table_shows_every_symbol_and_both_totals(audit: edge.EdgeAudit) -> None:
    """One line each, with the net that was worked out by hand."""
    lines = {line.split("  ")[0]: line for line in str(audit).splitlines()}
    assert {"A", "B", "portfolio", "mean over symbols"} <= set(lines)
    assert "+4.399" in lines["A"]


def test_the_folder_of_a_run_is_audited_as_its_ledger_saw_it(tmp_path: Path) -> None:
    """By the run's own horizon the audit is the run's attribution; by another one only the split differs."""
    config = BacktestConfig.model_validate(
        {
            "instruments": [{"tape": "sample:bybit-btcusdt", "limits": {"position": "1", "order": "1"}}],
            "strategy": {"name": "join_touch", "params": {"order_lots": 1}},
        }
    )
    result = backtest(config)
    result.write(tmp_path, environ=FROZEN)
    expected = result.attribution["BTCUSDT"].edge_bps()
    seen = audit_result(tmp_path, horizon="mid_5s").symbols["BTCUSDT"].as_dict()
    assert seen["fills"] == result.fills.height > 0
    assert {name: seen[name] for name in edge.BPS_FIELDS} == pytest.approx({n: expected[n] for n in edge.BPS_FIELDS})
    soon = audit_result(tmp_path).symbols["BTCUSDT"].as_dict()
    assert soon["net_with_inventory_bps"] == pytest.approx(seen["net_with_inventory_bps"])
    (tmp_path / "summary.json").write_text("{}", encoding="utf-8")
    with pytest.raises(EdgeError, match="expected the frames and the summary of one and the same run"):
        audit_result(tmp_path)


def test_a_folder_without_a_run_or_an_unknown_horizon_is_refused(tmp_path: Path) -> None:
    """What is missing, and which horizons there are, is said."""
    with pytest.raises(EdgeError, match=r"no summary.json, fills.parquet, equity.parquet"):
        audit_result(tmp_path)
    with pytest.raises(EdgeError, match=r"mid_2s.*mid_300s"):
        audit_result(tmp_path, horizon="mid_2s")
