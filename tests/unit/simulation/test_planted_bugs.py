"""The harness bites: planted bugs are caught, and what breaks a promise shrinks to its cause."""

from dataclasses import replace
from pathlib import Path

import pytest

from mmbot.simulation.campaign import hunt
from mmbot.simulation.planted import BUGS
from mmbot.simulation.scene import play
from mmbot.simulation.shrink import CaseError, Shrinking, load_case, play_case, run_case, story, write_case

RARE = (
    "cancel ack is the end",
    "ends forget executions",
    "not found thrice is dead",
    "hand-over not waited for",
    "old looks count",
    "trusts its last look",
    "taken over is answered",
)
"""Those that take dozens of seeds."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("bug", [pytest.param(bug, marks=[pytest.mark.slow] if bug in RARE else []) for bug in BUGS])
def test_a_planted_bug_is_caught(bug: str):
    """Within the stated number of seeds a promise breaks, judged by the venue."""
    law = BUGS[bug]
    _, caught = hunt(bug, most=law.within, profile=law.profile)
    assert caught is not None
    assert caught.violation is not None


def test_the_engine_itself_stops_over_a_fee_that_it_books_too_high():
    """Not the harness at the end: its own comparison with the statement, within the first minute."""
    _, caught = hunt("fees too high", most=1, profile="quiet")
    assert caught is not None
    stops = [line for line in caught.log if "freeze asked" in line and "cash USDT TRADE e1 fee of linear" in line]
    assert stops
    assert float(stops[0].split(" s ")[0]) < 60


def test_a_failing_plan_shrinks_to_few_faults_and_a_file_plays_it_again(tmp_path: Path):
    """The small case breaks the same promise; its file gives the same outcome, and its story names every fault."""
    _, caught = hunt("silence is a no", most=200)
    assert caught is not None
    shrinking = Shrinking(caught)
    small = shrinking.run()
    assert 1 <= len(small.plan) <= len(caught.plan)
    assert small.violation is not None
    assert small.violation.promise == caught.violation.promise
    path = write_case(small, tmp_path / "case.jsonl")
    assert play_case(path).digest == small.digest
    assert run_case(path) == {"fail": True, "reason": small.violation.promise}
    assert all(str(fault) in story(small) for fault in small.plan)


def test_leaving_a_fault_out_leaves_the_others_as_they_were():
    """A fault draws its chance from its own stream, so a plan without one of its faults has the same others."""
    whole = play(1)
    less = play(1, plan=whole.plan[1:])
    assert less.plan == whole.plan[1:]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"type": "kill"}', "KeyError"),
        ("{", "line 1"),
        (
            '{"type": "case", "seed": 1, "profile": "mixed", "bugs": [], "promise": "P6"}\n{"type": "rain"}',
            "unknown fault",
        ),
        ('{"type": "case", "seed": 1, "profile": "rain", "bugs": [], "promise": ""}', "unknown profile 'rain'"),
        ('{"type": "case", "seed": 1, "profile": "mixed", "bugs": ["rain"], "promise": ""}', "unknown planted bug"),
        ('{"type": "case", "seed": "1", "profile": "mixed", "bugs": [], "promise": ""}', "expected a whole number"),
        (
            '{"type": "pause", "ts_ms": -1, "for_ms": 1, "size": 0, "number": 0, "symbol": ""}',
            "expected none below zero",
        ),
        ("[]", "line 1: TypeError"),
        ("", 'no line of type "case"'),
    ],
)
def test_a_file_that_is_no_case_is_refused_by_line(text: str, said: str, tmp_path: Path):
    """The error names the file, the line and what was expected."""
    path = tmp_path / "case.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CaseError, match=said):
        load_case(path)


def test_there_is_nothing_to_shrink_where_nothing_broke():
    """A seed that kept every promise is refused."""
    kept = replace(play(1), violation=None)
    with pytest.raises(ValueError, match="nothing to shrink"):
        Shrinking(kept)
