"""What an account lost is not forgotten with the process that lost it (C-015)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def lose(folder: Path, amount: float) -> list[str]:
    """A process loses so much of a capital of 3, and is killed; returns the controls that asked before."""
    paths = os.pathsep.join([str(HERE.parent / "unit" / "runtime"), *filter(None, sys.path)])
    died = subprocess.run(
        [sys.executable, str(HERE / "losing_process.py"), str(folder), str(amount)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
    )
    assert died.returncode == -9, died.stderr
    return died.stdout.split()


def test_losses_of_killed_processes_add_up_within_the_hour_and_the_day(tmp_path: Path) -> None:
    """0.08, 0.02 and 0.05 of 3: alone the second is nothing; together they reach an hour's 0.09 and a day's 0.15."""
    assert lose(tmp_path, 0.08) == ["loss_minute"]
    assert lose(tmp_path, 0.02) == ["loss_minute", "loss_hour"]
    assert lose(tmp_path, 0.05) == ["loss_minute", "loss_hour", "loss_day"]
    alone = tmp_path / "another account"
    alone.mkdir()
    assert lose(alone, 0.02) == []
