"""What the simulator once found is played again: each file is a few faults that broke a promise once."""

from pathlib import Path

import pytest

from mmbot.simulation.shrink import play_case

CASES = sorted((Path(__file__).parents[2] / "cases" / "simulation").glob("*.jsonl"))


@pytest.mark.parametrize("case", CASES, ids=[case.stem for case in CASES])
def test_what_was_found_once_stays_mended(case: Path):
    """No promise breaks under the faults that broke one when the file was written."""
    assert play_case(case).violation is None


def test_there_is_a_case_to_play():
    """The folder was found: without files nothing above would be tested."""
    assert CASES
