"""The core's books against an independent fold in decimals, to the last unit."""

from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbot._core import Instrument
from mmbot.ledger import Ledger

UNIT = Decimal(10) ** -12
DAY = 86_400_000_000_000


def terms(**changes: object) -> Instrument:
    """A linear instrument, changed as asked."""
    plain = {"venue": "test", "symbol": "BTCUSDT", "kind": "linear", "tick": "0.1", "lot": "0.001", "taker": 50_000}
    return Instrument(**{**plain, **changes})


LINEAR = terms()
INVERSE = terms(symbol="BTCUSD", kind="inverse", lot="1", contract="100")
SPOT = terms(symbol="BTCUSDT-SPOT", kind="spot", tick="0.01", lot="0.00001")
# Eighteen decimals together: notionals that Cash has to round.
FINE = terms(symbol="FINE", tick="0.000000037", lot="0.000000003")

steps = st.fixed_dictionaries(
    {
        "instrument": st.integers(0, 3),
        "execution": st.integers(1, 40),
        "side": st.sampled_from([1, -1]),
        "price": st.integers(1, 5_000_000),
        "qty": st.integers(1, 10_000_000),
        "maker": st.booleans(),
        "fee": st.integers(-(10**15), 10**15),
        "ts": st.integers(0, 60 * DAY),
    }
)


class Plain:
    """The obvious twin: keeps every fill and adds them up in decimals."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.fills: list[dict] = []
        self.funding = 0

    def flow(self, ticks: Decimal, lots: int) -> int:
        """Cash that trading signed lots at a price moves, in units, rounded half to even."""
        terms = self.instrument
        with localcontext() as context:
            context.prec = 90
            price, size = ticks * Decimal(terms.tick), Decimal(lots) * Decimal(terms.lot) * Decimal(terms.contract)
            value = size / price if terms.kind == "inverse" else -size * price
            return int((value / UNIT).to_integral_value(ROUND_HALF_EVEN))

    def position(self) -> int:
        """Signed lots."""
        return sum(fill["side"] * fill["qty"] for fill in self.fills)

    def cash(self) -> int:
        """Units of cash."""
        flows = (self.flow(Decimal(f["price"]), f["side"] * f["qty"]) - f["fee"] for f in self.fills)
        return sum(flows) + self.funding

    def equity(self, twice_mark: int) -> int:
        """Cash after trading the position away at the mark."""
        return self.cash() + self.flow(Decimal(twice_mark) / 2, -self.position())

    def turnover(self) -> int:
        """Unsigned notional."""
        return sum(abs(self.flow(Decimal(f["price"]), f["qty"])) for f in self.fills)


@given(st.lists(steps, max_size=40), st.integers(1, 10_000_000), st.integers(-(10**14), 10**14))
def test_books_equal_decimals(fills: list[dict], twice_mark: int, funding: int) -> None:
    """Every figure equals the decimal twin, for linear, inverse, spot and rounded instruments."""
    kinds = [LINEAR, INVERSE, SPOT, FINE]
    ledger, plain, booked = Ledger(kinds), [Plain(kind) for kind in kinds], set()
    for fill in fills:
        assert ledger.book_fill(**fill) == (fill["execution"] not in booked)
        if fill["execution"] not in booked:
            plain[fill["instrument"]].fills.append(fill)
        booked.add(fill["execution"])
    assert ledger.book_funding(instrument=1, settlement=5, amount=funding)
    plain[1].funding = funding
    ledger.check_invariants()
    for i, twin in enumerate(plain):
        assert ledger.position(i) == twin.position()
        assert ledger.cash(i) == twin.cash()
        assert ledger.turnover(i) == twin.turnover()
        assert ledger.equity(i, twice_mark) == twin.equity(twice_mark)
        assert ledger.fees(i) == sum(f["fee"] for f in twin.fills)
        assert ledger.maker_fills(i) == sum(f["maker"] for f in twin.fills)
        assert ledger.taker_fills(i) == sum(not f["maker"] for f in twin.fills)


def buy(ledger: Ledger, execution: int = 1, **changes: int) -> bool:
    """Book a plain buy of one lot."""
    fill = {"instrument": 0, "side": 1, "price": 300_000, "qty": 1, "maker": True, "fee": 0, "ts": 0}
    return ledger.book_fill(**{**fill, "execution": execution, **changes})


def test_a_rebate_raises_cash_by_exactly_the_rebate() -> None:
    """A maker fill with a rebate leaves exactly the rebate more than the same fill without a fee."""
    with_rebate, without = Ledger([LINEAR]), Ledger([LINEAR])
    buy(with_rebate, fee=-1_500_000_000)
    buy(without)
    assert with_rebate.cash(0) - without.cash(0) == 1_500_000_000


def test_repeats_book_nothing() -> None:
    """An execution id or a funding settlement that comes again changes no bit of the state."""
    ledger = Ledger([LINEAR])
    assert buy(ledger)
    assert ledger.book_funding(instrument=0, settlement=8, amount=-3)
    state = ledger.state_hash()
    assert not buy(ledger, price=299_000)
    assert not ledger.book_funding(instrument=0, settlement=8, amount=-3)
    assert ledger.state_hash() == state


def test_the_tier_follows_thirty_days_of_volume() -> None:
    """Volume lifts the fee tier when its threshold is reached, and drops out after thirty days."""
    ledger = Ledger([terms(tiers=[("0", 20_000, 50_000), ("1000", -5_000, 40_000)])])
    now = 20_000 * DAY
    buy(ledger, qty=32, ts=now)
    assert ledger.volume_30d(0, now) == 960 * 10**12
    assert ledger.fee_rates(0, now) == (20_000, 50_000)
    buy(ledger, 2, ts=now + DAY)
    assert ledger.fee_rates(0, now + DAY) == (20_000, 50_000)
    buy(ledger, 3, ts=now + DAY)
    assert ledger.fee_rates(0, now + DAY) == (-5_000, 40_000)
    assert ledger.fee_rates(0, now + 30 * DAY) == (20_000, 50_000)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"instrument": 1}, IndexError, "instrument 1 is unknown: the ledger keeps 1"),
        ({"side": 0}, ValueError, r"side must be \+1 \(bought\) or -1 \(sold\), got 0"),
        ({"price": 0}, ValueError, "BTCUSDT: price must be positive, got 0"),
        ({"qty": -4}, ValueError, "BTCUSDT: qty must be positive, got -4"),
        ({"fee": 2**126}, OverflowError, "BTCUSDT: a fee does not fit"),
        ({"price": 2**62, "qty": 2**62}, OverflowError, "BTCUSDT: a value does not fit"),
    ],
)
def test_a_bad_fill_is_refused_and_books_nothing(changes: dict, error: type[Exception], words: str) -> None:
    """A fill that makes no sense is refused by name, and its execution id stays free."""
    ledger = Ledger([LINEAR])
    state = ledger.state_hash()
    with pytest.raises(error, match=words):
        buy(ledger, **changes)
    assert ledger.state_hash() == state
    assert buy(ledger)
