"""One seed is one run: whatever the interpreter hashes by, and however often it is played."""

import os
import subprocess
import sys

import pytest

from mmbot.simulation.scene import play

SEEDS = (3, 21, 58)
ASK = f"from mmbot.simulation.scene import play; print([play(seed).digest for seed in {SEEDS}])"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_does_the_same_thing_twice(seed: int):
    """Trace, venue and engine state are equal, and something was traded at all."""
    first, second = play(seed), play(seed)
    assert first.digest == second.digest
    assert first.orders > 0


@pytest.mark.timeout(120)
def test_a_seed_does_the_same_thing_in_every_process():
    """The digest depends on no hash seed of the interpreter."""

    def told(hash_seed: str) -> str:
        environ = os.environ | {"PYTHONHASHSEED": hash_seed}
        ran = subprocess.run([sys.executable, "-c", ASK], env=environ, capture_output=True, text=True, check=True)
        return ran.stdout

    assert told("1") == told("2") == f"{[play(seed).digest for seed in SEEDS]}\n"
