"""Where the profit came from: the worked example, exact identities, and what is refused."""

import math
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot.ledger import TERMS, Attribution, attribution, combine

HALF_BP, FOUR_BP = -0.5e-4, 4e-4


def fill(
    side: int, qty: float, price: float, mid: float, mid_after: float | None, rate: float = 0.0, **more: object
) -> dict:
    """A fill whose fee is a rate of its notional; a rebate is a maker's."""
    fee = rate * qty * price
    return {
        "side": side,
        "qty": qty,
        "price": price,
        "mid": mid,
        "mid_after": mid_after,
        "fee": fee,
        "maker": rate <= 0,
        **more,
    }


EXAMPLE = [
    fill(+1, 0.50, 29999, 30000, 29998, HALF_BP),
    fill(-1, 0.30, 30003.5, 30002.5, 30003, HALF_BP),
    fill(+1, 0.40, 30004, 30005, 30001.5, HALF_BP),
    fill(-1, 0.35, 30001, 30002, 30004, FOUR_BP),
    fill(-1, 0.20, 30009, 30008, 30010, HALF_BP),
]


def worked() -> Attribution:
    """The worked example: five fills and one funding payment."""
    return attribution(EXAMPLE, mid_start=30000, mid_end=30012, funding=[-0.60 * 30003 * 1e-4])


def test_the_worked_example_comes_out_term_by_term() -> None:
    """Currency terms, bps and the sum equal the figures worked out by hand."""
    result = worked()
    expected = {
        "spread_capture": (1.4, 0.266641),
        "rebates": (2.100198, 0.399999),
        "adverse_selection": (-3.65, -0.695171),
        "inventory": (5.3, 1.009427),
        "initial_inventory": (0.0, 0.0),
        "taker_slippage": (-0.35, -0.066660),
        "fees": (-4.20014, -0.799950),
        "funding": (-1.80018, -0.342858),
        "realised_pnl": (-1.2001225, -0.228573),
    }
    for name, (currency, bps) in expected.items():
        assert getattr(result, name) == pytest.approx(currency, abs=5e-7), name
        assert result.bps()[name] == pytest.approx(bps, abs=5e-7), name
    assert result.turnover == pytest.approx(52_505.05)
    assert abs(result.residual) < 1e-12


def test_net_bps_is_gross_minus_costs_and_the_other_net_is_the_whole() -> None:
    """Both published nets hold: without inventory and funding, and with them."""
    edge = worked().edge_bps()
    costs = edge["adverse_bps"] + edge["slippage_bps"] + edge["fees_eff_bps"]
    assert edge["net_bps"] == pytest.approx(edge["gross_bps"] - costs, abs=1e-12)
    assert edge["net_bps"] == worked().net_bps
    assert edge["net_with_inventory_bps"] == pytest.approx(
        edge["net_bps"] + edge["inventory_bps"] + edge["funding_bps"]
    )
    assert edge["net_with_inventory_bps"] == pytest.approx(-0.228573, abs=5e-7)
    assert edge["adverse_bps"] > 0 > edge["net_bps"]


prices = st.floats(1e-3, 1e6)
signed_rates = st.floats(-0.01, 0.01)
fills_strategy = st.lists(
    st.builds(
        lambda side, qty, price, mid, after, rate, maker: {
            **fill(side, qty, price, mid, after, rate),
            "maker": maker,
        },
        st.sampled_from([1, -1]),
        st.floats(1e-6, 1e6),
        prices,
        prices,
        st.one_of(st.none(), st.just(math.nan), prices),
        signed_rates,
        st.booleans(),
    ),
    max_size=30,
)
spans = st.fixed_dictionaries(
    {
        "mid_start": prices,
        "mid_end": prices,
        "initial_position": st.floats(-1e6, 1e6),
        "funding": st.lists(st.floats(-1e3, 1e3)),
    }
)


def worth(price: float, contract: str) -> Fraction:
    """Exact settlement value of one unit, as the contract says; the inverse one at the float that stands for it."""
    return Fraction(price) if contract == "linear" else Fraction(-1.0 / price)


@given(fills_strategy, spans, st.sampled_from(["linear", "inverse"]))
def test_the_terms_add_up_to_an_independent_exact_pnl(rows: list[dict], span: dict, contract: str) -> None:
    """Cash and marked positions in exact rationals equal the sum of the terms, within 1e-8 of turnover."""
    result = attribution(rows, **span, contract=contract)
    cash, position = Fraction(0), Fraction(span["initial_position"])
    for row in rows:
        signed = row["side"] * Fraction(row["qty"])
        cash -= signed * worth(row["price"], contract) + Fraction(row["fee"])
        position += signed
    cash += sum(map(Fraction, span["funding"]))
    start, end = worth(span["mid_start"], contract), worth(span["mid_end"], contract)
    exact = cash + position * end - Fraction(span["initial_position"]) * start
    terms = [getattr(result, name) for name in TERMS]
    assert result.realised_pnl == pytest.approx(float(exact), rel=1e-14)
    scale = math.fsum(map(abs, terms))
    assert math.fsum(terms) == pytest.approx(float(exact), abs=1e-15 * scale)
    assert abs(result.residual) <= 1e-8 * result.turnover + 1e-15 * scale
    assert result.rebates >= 0 >= result.fees


@given(fills_strategy, spans, st.lists(prices, min_size=30, max_size=30))
def test_adverse_selection_and_inventory_do_not_depend_on_the_horizon(
    rows: list[dict], span: dict, other: list[float]
) -> None:
    """Two markout horizons split the same sum differently, and leave every other term alone."""
    late = [{**row, "mid_after": after} for row, after in zip(rows, other, strict=False)]
    one, two = attribution(rows, **span), attribution(late, **span)
    scale = sum(map(abs, (one.adverse_selection, one.inventory, two.adverse_selection, two.inventory)))
    moved = one.adverse_selection + one.inventory, two.adverse_selection + two.inventory
    assert moved[0] == pytest.approx(moved[1], abs=1e-14 * scale)
    assert one.realised_pnl == two.realised_pnl
    assert one.spread_capture == two.spread_capture


@pytest.mark.parametrize("missing", [{"mid_after": None}, {"mid_after": math.nan}, {}])
def test_a_horizon_beyond_the_end_is_marked_at_the_end(missing: dict) -> None:
    """Missing, None and NaN markouts are all the final mid: all of the move is adverse selection, none inventory."""
    row = {name: value for name, value in fill(1, 2.0, 99.0, 100.0, None).items() if name != "mid_after"} | missing
    known = fill(1, 1.0, 97.0, 97.0, 97.0)
    result = attribution([row, known], mid_start=100, mid_end=97)
    assert (result.adverse_selection, result.inventory) == (-6.0, 0.0)


@pytest.mark.parametrize("name", ["mid_aftr", "note"])
def test_a_missing_or_misspelt_markout_column_is_refused(name: str) -> None:
    """Without `mid_after` in any row all movement would count as adverse selection, so the columns found are named."""
    rows = [{**fill(1, 2.0, 99.0, 100.0, None), name: 98.0} for _ in range(2)]
    for row in rows:
        del row["mid_after"]
    with pytest.raises(ValueError, match=f"no row has mid_after.* {name}"):
        attribution(rows, mid_start=100, mid_end=97)


def test_a_held_position_earns_the_move_of_the_mid() -> None:
    """Without a fill the P&L is the initial inventory's, the residual is exactly zero, and an amount has no bps."""
    result = attribution([], mid_start=0.1, mid_end=0.3, initial_position=3.0)
    assert result.realised_pnl == result.initial_inventory == pytest.approx(0.6)
    assert result.residual == 0.0
    assert result.bps()["spread_capture"] == 0.0
    assert math.isnan(result.bps()["initial_inventory"])
    assert all(value == 0.0 for value in attribution([], mid_start=1, mid_end=1).bps().values())


def test_an_inverse_contract_pays_in_coin() -> None:
    """A long of 1,000 USD from 50,000 to 100,000 earns the difference of its coin values."""
    row = fill(1, 1_000.0, 50_000.0, 50_000.0, 80_000.0)
    result = attribution([row], mid_start=50_000, mid_end=100_000, contract="inverse")
    assert result.realised_pnl == pytest.approx(0.02 - 0.01)
    assert result.adverse_selection == pytest.approx(0.02 - 0.0125)
    assert result.turnover == pytest.approx(0.02)


def test_frames_and_mappings_give_the_same() -> None:
    """A Polars frame, a pandas-like frame and a generator of mappings are the same fills."""

    class Frame:
        """Lists its rows as pandas does."""

        def to_dict(self, orient: str) -> list[dict]:
            assert orient == "records"
            return EXAMPLE

    span = {"mid_start": 30000, "mid_end": 30012}
    expected = attribution(EXAMPLE, **span)
    assert attribution(pl.DataFrame(EXAMPLE), **span) == expected
    assert attribution(Frame(), **span) == expected
    assert attribution((row for row in EXAMPLE), **span) == expected


def test_symbols_are_added_in_currency_before_they_are_divided() -> None:
    """Plus one bp on a million and minus five on ten thousand are +0.94 bps together, not the mean of -2."""
    big, small = Attribution(spread_capture=100.0, turnover=1e6), Attribution(spread_capture=-5.0, turnover=1e4)
    assert (big.net_bps, small.net_bps) == (1.0, -5.0)
    assert (big + small).net_bps == pytest.approx(0.9406, abs=1e-4)
    assert combine([big, small]) == big + small
    assert combine([]) == Attribution()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"side": 0}, r"fill 0: side must be \+1 \(bought\) or -1 \(sold\), got 0"),
        ({"side": "buy"}, "fill 0: side must be a number, got 'buy'"),
        ({"qty": -1.0}, "fill 0: qty must be positive, got -1"),
        ({"price": math.nan}, "fill 0: price must be finite, got nan"),
        ({"mid": None}, "fill 0: mid must be a number, got None"),
        ({"mid_after": math.inf}, "fill 0: mid_after must be finite"),
        ({"fee": math.inf}, "fill 0: fee must be finite, got inf"),
        ({"maker": "yes"}, "fill 0: maker must be True or False, got 'yes'"),
    ],
)
def test_a_bad_fill_is_refused_by_row_and_field(changes: dict, words: str) -> None:
    """A row that makes no sense is refused with its number, its field and its value."""
    with pytest.raises(ValueError, match=words):
        attribution([EXAMPLE[0] | changes], mid_start=1, mid_end=1)


def test_a_bad_span_is_refused() -> None:
    """Marks, funding and contract are checked as the fills are."""
    with pytest.raises(ValueError, match="mid_end must be finite"):
        attribution([], mid_start=1, mid_end=math.nan)
    with pytest.raises(ValueError, match="funding 1: amount must be a number, got None"):
        attribution([], mid_start=1, mid_end=1, funding=[1.0, None])
    with pytest.raises(ValueError, match='contract must be "linear" or "inverse", got \'quanto\''):
        attribution([], mid_start=1, mid_end=1, contract="quanto")
    with pytest.raises(ValueError, match="mid_start and mid_end must be positive for an inverse contract"):
        attribution([], mid_start=0, mid_end=1, contract="inverse")
    with pytest.raises(ValueError, match="fill 0: price must be positive for an inverse contract"):
        attribution([EXAMPLE[0] | {"price": -1.0}], mid_start=1, mid_end=1, contract="inverse")
    with pytest.raises(ValueError, match="fill 0: expected a mapping with side, qty"):
        attribution([(1, 2.0)], mid_start=1, mid_end=1)
