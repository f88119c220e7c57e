"""Comparing what we hold with what the venue says, beyond the tables."""

from hypothesis import given
from hypothesis import strategies as st

from mmbot.execution import Account, BreakKind, OpenOrder, ReconReport, ReconTerms, compare
from mmbot.execution.reconcile import Depth, Schedule

TERMS = ReconTerms()
SECOND = 1_000_000_000
ORDERS = st.builds(
    OpenOrder,
    symbol=st.sampled_from(["BTC", "ETH"]),
    tick=st.integers(1, 3),
    lots=st.integers(3, 5),
    cum=st.integers(0, 2),
)
ACCOUNTS = st.builds(
    Account,
    orders=st.dictionaries(st.sampled_from(["mm-1", "mm-2", "web"]), ORDERS),
    positions=st.dictionaries(st.sampled_from(["BTC", "ETH"]), st.integers(-2, 2)),
    cash=st.dictionaries(st.sampled_from(["USDT", "BTC"]), st.integers(-2, 2)),
)


@given(ACCOUNTS)
def test_a_side_agrees_with_itself(account: Account) -> None:
    """No difference is invented."""
    assert compare(TERMS, account, account, 0).clean


@given(ACCOUNTS, ACCOUNTS)
def test_the_breaks_and_nothing_else_stand_between_the_sides(ours: Account, venue: Account) -> None:
    """Every number of ours, moved by its gap, is the venue's; and the other way round the gaps turn their sign."""
    report = compare(TERMS, ours, venue, 0)
    assert not report.deferred
    gaps = {(found.kind, found.name): found.gap for found in report.breaks}
    for name in {*ours.positions, *venue.positions}:
        held, told = ours.positions.get(name, 0), venue.positions.get(name, 0)
        assert held + gaps.get((BreakKind.POSITION, name), 0) == told
    back = compare(TERMS, venue, ours, 0)
    turned = {found.name: -found.gap for found in back.breaks if found.kind in (BreakKind.POSITION, BreakKind.CASH)}
    assert turned == {name: gap for (kind, name), gap in gaps.items() if kind in (BreakKind.POSITION, BreakKind.CASH)}
    both = ours.orders.keys() & venue.orders.keys()
    assert {name for kind, name in gaps if kind is BreakKind.ORDER_MISSING} == ours.orders.keys() - both
    assert {name for kind, name in gaps if kind is BreakKind.ORDER_FOREIGN} == venue.orders.keys() - both


def test_an_injected_mismatch_is_reported_within_one_interval() -> None:
    """Even in a symbol that never rests: put off once, looked at again after 2 s, then a break."""
    ours, told = Account(positions={"BTC": 5}), Account(positions={"BTC": 7})
    first = compare(TERMS, ours, told, 60 * SECOND, touched_ns={"BTC": 60 * SECOND})
    assert (first.breaks, len(first.deferred)) == ((), 1)
    schedule = Schedule(TERMS)
    schedule.looked(Depth.CASH, first)
    again_ns = schedule.next_ns()
    assert again_ns == 62 * SECOND
    assert schedule.depth(again_ns) is Depth.POSITIONS
    moved_on, told_on = Account(positions={"BTC": 8}), Account(positions={"BTC": 10})
    second = compare(TERMS, moved_on, told_on, again_ns, touched_ns={"BTC": again_ns}, earlier=first.deferred)
    assert [found.said for found in second.breaks] == ["position BTC: we hold 8, the venue says 10; freeze"]
    schedule.looked(Depth.POSITIONS, second)
    assert schedule.next_ns() == 67 * SECOND


@given(
    st.integers(0, 600),
    st.sampled_from(["order", "position", "cash"]),
    st.sampled_from([ReconTerms(), ReconTerms(orders_s=90.0, positions_s=90.0, interval_s=60.0)]),
)
def test_whatever_is_wrong_and_whenever_it_is_reported_within_one_interval(
    at_s: int, what: str, terms: ReconTerms
) -> None:
    """An order that nobody sent, a position, a coin: it is in a report at most `recon_interval_s` later."""
    wrong = {
        "order": Account(orders={"web": OpenOrder(symbol="BTC", tick=1, lots=3, cum=0)}),
        "position": Account(positions={"BTC": 1}),
        "cash": Account(cash={"USDT": 1}),
    }[what]
    deepest = {"order": Depth.ORDERS, "position": Depth.POSITIONS, "cash": Depth.CASH}[what]
    schedule, report = Schedule(terms), ReconReport(now_ns=0, compared=0)
    while not report.breaks:
        now = schedule.next_ns()
        depth = schedule.depth(now)
        assert depth is not None
        seen = wrong if now >= at_s * SECOND and depth >= deepest else Account()
        report = compare(terms, Account(), seen, now, earlier=report.deferred if report else ())
        schedule.looked(depth, report)
    assert at_s * SECOND <= report.now_ns <= (at_s + terms.interval_s) * SECOND


def test_a_fill_on_its_way_is_no_mismatch() -> None:
    """The venue is ahead by one fill at one look and by another at the next: the gap is not the same."""
    first = compare(TERMS, Account(positions={"BTC": 5}), Account(positions={"BTC": 7}), 0, touched_ns={"BTC": 0})
    second = compare(
        TERMS,
        Account(positions={"BTC": 7}),
        Account(positions={"BTC": 8}),
        2 * SECOND,
        touched_ns={"BTC": 2 * SECOND},
        earlier=first.deferred,
    )
    assert second.breaks == ()
    assert len(second.deferred) == 1


def test_the_first_look_is_due_at_once_and_a_clean_one_lasts_an_interval() -> None:
    """Start-up does not wait for a minute."""
    schedule = Schedule(TERMS)
    assert schedule.depth(5) is Depth.CASH
    schedule.looked(Depth.CASH, ReconReport(now_ns=5, compared=0))
    due = {seconds: schedule.depth(5 + seconds * SECOND) for seconds in (4, 5, 10, 60)}
    assert due == {4: None, 5: Depth.ORDERS, 10: Depth.POSITIONS, 60: Depth.CASH}
