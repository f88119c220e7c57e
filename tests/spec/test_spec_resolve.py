"""Executes resolve.md, and what has to hold for every story of looks."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spec_tables import Table, tables

from mmbot.execution.resolve import Finding, Resolver, ResolveTerms

TABLES = list(tables(Path(__file__).with_name("resolve.md")))
STORIES, AGES = TABLES[:-1], TABLES[-1]
SECOND = 1_000_000_000
SYMBOL = "linear BTCUSDT"
START = 1_000 * SECOND


def ns(text: str) -> int:
    """Seconds of a table as a time; the venue that says none says 0."""
    return START + round(float(text) * SECOND)


def doubting() -> Resolver:
    """A resolver with one create in doubt since the start."""
    resolver = Resolver(ResolveTerms(), "7")
    resolver.doubt(1, SYMBOL, START, create=True, sent=START)
    return resolver


@pytest.mark.parametrize("table", STORIES, ids=lambda table: table.title)
def test_a_story_of_looks_ends_as_the_table_says(table: Table) -> None:
    """Every row: one look at the three sources, and what it proves."""
    resolver = doubting()
    for row in table.rows:
        now = ns(row["at"])
        if row["health"] == "busy":
            for _ in range(3):
                resolver.lag.troubled(now)
        found = resolver.looked(
            1,
            now,
            0 if row["venue"] == "0" else ns(row["venue"]),
            found=bool(row["order"]),
            executed=bool(row["executions"]),
            linked=row["links"] == "up",
        )
        assert found == row["finding"], row
    assert (1 in resolver) is (table.rows[-1]["finding"] == "ask")


def test_a_doubt_that_lasts_stops_more_and_more() -> None:
    """Each bound is told once; the last asks for a person."""
    resolver = doubting()
    told = []
    for row in AGES.rows:
        aged = resolver.aged(ns(row["at"]))
        told += aged
        assert [one.freeze.scope.kind for one in aged if one.freeze] == ([row["stops"]] if row["stops"] else []), row
        assert [one.freeze.level.name for one in aged if one.freeze] == ([row["level"]] if row["level"] else []), row
    assert [one.age_s for one in told] == [5, 30, 120, 86_400]
    assert "EXPIRED_UNPROVEN" in told[-1].said
    assert "EXPIRED_UNPROVEN" not in told[-2].said


def test_a_slow_venue_moves_the_deadline_out() -> None:
    """V is five times the slowest of a thousand, for five minutes; then it is two seconds again."""
    resolver = doubting()
    assert resolver.deadline(START, START) == START + 4_750_000_000
    resolver.lag.shown(START, SECOND)
    assert resolver.deadline(START, START) == START + 7_750_000_000
    assert resolver.quarantine(START, START) == START + 8_000_000_000
    later = START + 301 * SECOND
    assert resolver.deadline(START, later) == START + 4_750_000_000


def test_what_was_sent_a_day_ago_is_for_a_person_however_young_the_doubt() -> None:
    """A run that starts a day after the one before died asks about its orders, and concludes nothing from silence."""
    resolver, day = Resolver(ResolveTerms(), "7"), 86_400 * SECOND
    now = START + day - 5 * SECOND
    resolver.doubt(1, SYMBOL, now, create=True, sent=START)
    for at in range(0, 30, 3):
        when = now + at * SECOND
        assert resolver.looked(1, when, when, found=False, executed=False, linked=True) is Finding.ASK
    [aged] = resolver.aged(now + 30 * SECOND)
    assert "EXPIRED_UNPROVEN" in aged.said
    assert aged.freeze is not None
    assert aged.freeze.scope.kind == "account"


def test_only_a_create_can_be_proven_never_placed() -> None:
    """An amend or a cancel in doubt is of an order that exists: its absence from all lists is asked about for ever."""
    resolver = Resolver(ResolveTerms(), "7")
    resolver.doubt(1, SYMBOL, START, create=False, sent=START)
    looks = [
        resolver.looked(1, START + at * SECOND, START + at * SECOND, found=False, executed=False, linked=True)
        for at in range(10, 100, 10)
    ]
    assert set(looks) == {Finding.ASK}


@given(
    steps=st.lists(
        st.tuples(
            st.integers(1, 3_000),  # ms until the next look
            st.integers(-2_000, 2_000),  # how far the venue's clock is off, ms
            st.booleans(),  # links
            st.integers(0, 1_500),  # a lag that was measured, ms
        ),
        max_size=40,
    )
)
def test_no_order_is_declared_dead_before_its_deadline(steps: list[tuple[int, int, bool, int]]) -> None:
    """Whatever the looks: the verdict falls when the venue's clock has passed D twice, V apart, links up."""
    resolver = doubting()
    now, proofs = START, []
    for gap_ms, off_ms, linked, lag_ms in steps:
        now += gap_ms * 1_000_000
        resolver.lag.shown(now, lag_ms * 1_000_000)
        ts_venue = now + off_ms * 1_000_000
        deadline = resolver.deadline(START, now)
        finding = resolver.looked(1, now, ts_venue, found=False, executed=False, linked=linked)
        counts = ts_venue >= deadline and linked
        proofs = [*proofs, now] if counts else []
        if finding is Finding.NEVER_PLACED:
            assert counts
            assert now - proofs[0] >= max(SECOND, resolver.lag.bound(now))
            return
        assert 1 in resolver
