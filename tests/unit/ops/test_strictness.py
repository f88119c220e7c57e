"""Doubts: told and noted, or the end."""

import pytest

from mmbot.ops.counters import Counters
from mmbot.ops.strictness import Doubts, StrictError


def test_a_doubt_is_told_and_noted():
    """Who is told hears what is done instead, and the notes keep it."""
    told: list[str] = []
    doubts = Doubts(tell=told.append)
    doubts.warn("no profile", "going on without it")
    doubts.warn("few iterations")
    assert told == doubts.notes == ["no profile; going on without it", "few iterations"]


def test_a_doubt_ends_a_strict_command():
    """The first one, before anything is done instead."""
    doubts = Doubts(strict=True)
    with pytest.raises(StrictError, match="no profile"):
        doubts.warn("no profile", "going on without it")
    assert doubts.notes == []


def test_counters_grow_and_gauges_are_set():
    """Each series has its labels; a counter can be seen before its first event and does not fall."""
    counters = Counters()
    counters.add("gaps_total", 0, symbol="X")
    counters.add("gaps_total", symbol="Y")
    counters.add("gaps_total", 2, symbol="Y")
    counters.set("lag", 7)
    assert counters.all() == {'gaps_total{symbol="X"}': 0, 'gaps_total{symbol="Y"}': 3, "lag": 7}
    assert (counters.value("gaps_total", symbol="Y"), counters.value("nothing")) == (3, 0)
    with pytest.raises(ValueError, match="a counter does not fall"):
        counters.add("gaps_total", -1)
